from typing import Any

from mizzen.api.apiregistration.apiservice import API_SERVICE
from mizzen.machinery.errors import Cause

from ..written import CREATED, causes, cells, written


def service(**spec: Any) -> dict[str, Any]:
    base = {"group": "far.test", "version": "v1", "groupPriorityMinimum": 100, "versionPriority": 10}
    return {"metadata": {"name": "v1.far.test"}, "spec": base | spec}


def test_what_this_server_serves_itself_is_available_at_once() -> None:
    (condition,) = written(API_SERVICE, service())["status"]["conditions"]
    assert (condition["type"], condition["status"], condition["reason"]) == ("Available", "True", "Local")
    assert condition["lastTransitionTime"] == CREATED
    far = written(API_SERVICE, service(service={"name": "s", "namespace": "n"}))
    assert (far["status"], far["spec"]["service"]["port"]) == ({}, 443)


def test_a_local_service_has_no_certificates() -> None:
    assert causes(API_SERVICE, service(caBundle="AAAA", insecureSkipTLSVerify=True)) == {
        ("spec.caBundle", "Invalid"),
        ("spec.insecureSkipTLSVerify", "Invalid"),
    }


def test_a_target_has_name_namespace_and_port() -> None:
    assert causes(API_SERVICE, service(service={"port": 70000})) == {
        ("spec.service.name", "Required"),
        ("spec.service.namespace", "Required"),
        ("spec.service.port", "Invalid"),
    }


def test_a_condition_is_true_false_or_unknown() -> None:
    assert API_SERVICE.validate_status
    conditions = [{"type": "Available", "status": "True"}, {"type": "Odd", "status": "Maybe"}]
    (error,) = API_SERVICE.validate_status({"status": {"conditions": conditions}}, None)
    assert (error.path, error.cause) == ("status.conditions[1].status", Cause.NOT_SUPPORTED)


def test_columns_tell_who_serves_and_why_not() -> None:
    down = {"status": {"conditions": [{"type": "Available", "status": "False", "reason": "MissingEndpoints"}]}}
    row = cells(API_SERVICE, service(service={"name": "s", "namespace": "n"}) | down)
    assert (row["Service"], row["Available"]) == ("n/s", "False (MissingEndpoints)")
    assert cells(API_SERVICE, service())["Service"] == "Local"
