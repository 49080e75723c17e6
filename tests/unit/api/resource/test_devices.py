from typing import Any

import pytest

from mizzen.api.resource import resourceclaim
from mizzen.api.resource.deviceclass import DEVICE_CLASS
from mizzen.api.resource.devicetaintrule import DEVICE_TAINT_RULE
from mizzen.api.resource.resourceclaim import RESOURCE_CLAIM
from mizzen.api.resource.resourceclaimtemplate import RESOURCE_CLAIM_TEMPLATE
from mizzen.api.resource.resourceslice import RESOURCE_SLICE
from mizzen.api.storagemigration.storageversionmigration import STORAGE_VERSION_MIGRATION

from ..written import CREATED, causes, cells, found, written


def claim(*requests: dict[str, Any], **devices: Any) -> dict[str, Any]:
    return {"metadata": {"name": "c"}, "spec": {"devices": {"requests": list(requests), **devices}}}


def exactly(**wanted: Any) -> dict[str, Any]:
    return {"name": "gpu", "exactly": {"deviceClassName": "gpu.test", **wanted}}


REQUEST = "spec.devices.requests[0]"


def test_one_device_is_wanted_unless_the_claim_says_how_many() -> None:
    spec = written(RESOURCE_CLAIM, claim(exactly(tolerations=[{"key": "k"}])))["spec"]
    wanted = spec["devices"]["requests"][0]["exactly"]
    assert (wanted["allocationMode"], wanted["count"], wanted["tolerations"][0]["operator"]) == (
        "ExactCount",
        1,
        "Equal",
    )
    every = written(RESOURCE_CLAIM, claim(exactly(allocationMode="All")))["spec"]["devices"]["requests"][0]["exactly"]
    assert "count" not in every


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (claim({"name": "gpu"}), (REQUEST, "Required")),
        (claim(exactly() | {"firstAvailable": [{"name": "a", "deviceClassName": "c"}]}), (REQUEST, "Invalid")),
        (claim(exactly(), exactly()), ("spec.devices.requests[1]", "Duplicate")),
        (claim(exactly(count=2, allocationMode="All")), (f"{REQUEST}.exactly.count", "Invalid")),
        (claim(exactly(allocationMode="Some")), (f"{REQUEST}.exactly.allocationMode", "NotSupported")),
        (
            claim(exactly(selectors=[{"cel": {"expression": "device.driver =="}}])),
            (f"{REQUEST}.exactly.selectors[0].cel.expression", "Invalid"),
        ),
        (
            claim(exactly(), constraints=[{"requests": ["no"], "matchAttribute": "d.test/numa"}]),
            ("spec.devices.constraints[0].requests[0]", "Invalid"),
        ),
        (
            claim(exactly(), constraints=[{"matchAttribute": "numa"}]),
            ("spec.devices.constraints[0].matchAttribute", "Invalid"),
        ),
        (claim(exactly(), config=[{}]), ("spec.devices.config[0].opaque", "Required")),
        (claim(*[exactly() | {"name": f"r{i}"} for i in range(33)]), ("spec.devices.requests", "TooMany")),
    ],
)
def test_what_a_claim_may_not_ask(content: dict[str, Any], cause: tuple[str, str]) -> None:
    assert causes(RESOURCE_CLAIM, content) == {cause}


def test_a_claim_stays_as_it_was_asked_and_so_does_a_template() -> None:
    old = written(RESOURCE_CLAIM, claim(exactly()))
    assert causes(RESOURCE_CLAIM, claim(exactly(count=2)), old) == {("spec", "Invalid")}
    template = {"spec": {"spec": claim(exactly())["spec"]}}
    other = {"spec": {"spec": claim(exactly(count=2))["spec"]}}
    assert causes(RESOURCE_CLAIM_TEMPLATE, template) == set()
    assert causes(RESOURCE_CLAIM_TEMPLATE, other, written(RESOURCE_CLAIM_TEMPLATE, template)) == {("spec", "Invalid")}


def test_only_an_allocated_claim_is_reserved_and_only_its_devices_have_a_status() -> None:
    stored = written(RESOURCE_CLAIM, claim(exactly()))
    consumer = {"resource": "pods", "name": "p", "uid": "1"}
    reserved = stored | {"status": {"reservedFor": [consumer, consumer]}}
    assert found(resourceclaim.validate_status(reserved, stored)) == {
        ("status.reservedFor", "Forbidden"),
        ("status.reservedFor[1]", "Duplicate"),
    }
    result = {"request": "gpu", "driver": "d.test", "pool": "p", "device": "0"}
    allocated = stored | {
        "status": {"allocation": {"devices": {"results": [result]}}, "devices": [result, result | {"device": "1"}]}
    }
    assert found(resourceclaim.validate_status(allocated, stored)) == {("status.devices[1]", "Invalid")}


RESULTS = "status.allocation.devices.results[0]"


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({}, None),
        ({"request": "other"}, (f"{RESULTS}.request", "Invalid")),
        ({"driver": ""}, (f"{RESULTS}.driver", "Required")),
        ({"pool": "a//b"}, (f"{RESULTS}.pool", "Invalid")),
        ({"device": ""}, (f"{RESULTS}.device", "Invalid")),
        ({"shareID": "X"}, (f"{RESULTS}.shareID", "Invalid")),
        ({"bindingConditions": ["d.test/ready"]}, (f"{RESULTS}.bindingFailureConditions", "Invalid")),
        ({"tolerations": [{"operator": "Exists", "value": "v"}]}, (f"{RESULTS}.tolerations[0].value", "Invalid")),
    ],
)
def test_an_allocation_is_checked_once(change: dict[str, Any], cause: tuple[str, str] | None) -> None:
    stored = written(RESOURCE_CLAIM, claim(exactly()))
    result = {"request": "gpu", "driver": "d.test", "pool": "p", "device": "0", **change}
    new = stored | {"status": {"allocation": {"devices": {"results": [result]}}}}
    assert found(resourceclaim.validate_status(new, stored)) == ({cause} if cause else set())
    assert found(resourceclaim.validate_status(new, new)) == set()


def test_a_claim_that_goes_is_not_reserved_by_others() -> None:
    one, two = ({"resource": "pods", "name": name, "uid": name} for name in "ab")
    going = written(RESOURCE_CLAIM, claim(exactly()) | {"metadata": {"name": "c", "deletionTimestamp": CREATED}})
    old = going | {"status": {"allocation": {}, "reservedFor": [one]}}
    new = going | {"status": {"allocation": {}, "reservedFor": [two]}}
    assert found(resourceclaim.validate_status(new, old)) == {("status.reservedFor", "Forbidden")}
    assert found(resourceclaim.validate_status(going | {"status": {"allocation": {}}}, old)) == set()


def test_a_claim_shows_its_state() -> None:
    assert cells(RESOURCE_CLAIM, claim(exactly()))["State"] == "pending"
    used = claim(exactly()) | {"status": {"allocation": {}, "reservedFor": [{"uid": "1"}]}}
    assert cells(RESOURCE_CLAIM, used)["State"] == "allocated,reserved"


def slice_of(*devices: dict[str, Any], **spec: Any) -> dict[str, Any]:
    base = {"driver": "d.test", "nodeName": "n", "pool": {"name": "n", "generation": 1, "resourceSliceCount": 1}}
    return {"metadata": {"name": "s"}, "spec": base | spec | {"devices": list(devices)}}


def capacity(policy: dict[str, Any], *, many: bool = True) -> dict[str, Any]:
    entry = {"value": "8", "requestPolicy": policy}
    return {"name": "a", "capacity": {"m": entry}, "allowMultipleAllocations": many}


POLICY = "spec.devices[0].capacity[m].requestPolicy"


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (slice_of(allNodes=True), ("spec", "Invalid")),
        (slice_of(nodeName=None), ("spec", "Required")),
        (slice_of({"name": "a"}, {"name": "a"}), ("spec.devices[1]", "Duplicate")),
        (slice_of({"name": "a", "attributes": {"x": {}}}), ("spec.devices[0].attributes[x]", "Invalid")),
        (
            slice_of({"name": "a", "attributes": {"x": {"int": 1, "string": "1"}}}),
            ("spec.devices[0].attributes[x]", "Invalid"),
        ),
        (
            slice_of(pool={"name": "n", "generation": 1, "resourceSliceCount": 0}),
            ("spec.pool.resourceSliceCount", "Invalid"),
        ),
        (slice_of(*[{"name": f"d{i}"} for i in range(129)]), ("spec.devices", "TooMany")),
        (
            slice_of(*[{"name": f"d{i}", "taints": [{"key": "k", "effect": "None"}]} for i in range(65)]),
            ("spec.devices", "TooMany"),
        ),
        (slice_of({"name": "a", "attributes": {"a/b/c": {"int": 1}}}), ("spec.devices[0].attributes", "Invalid")),
        (
            slice_of({"name": "a", "attributes": {"x": {"version": "1.0"}}}),
            ("spec.devices[0].attributes[x].version", "Invalid"),
        ),
        (slice_of({"name": "a", "nodeName": "n"}), ("spec.devices[0]", "Invalid")),
        (slice_of({"name": "a"}, nodeName=None, perDeviceNodeSelection=True), ("spec.devices[0]", "Required")),
        (slice_of(allNodes=False), ("spec.allNodes", "Invalid")),
        (slice_of(sharedCounters=[]), ("spec", "Invalid")),
        (
            slice_of({"name": "a", "consumesCounters": [{"counterSet": "s"}]}),
            ("spec.devices[0].consumesCounters[0].counters", "Required"),
        ),
        (slice_of(capacity({"default": "1"}, many=False)), (POLICY, "Forbidden")),
        (slice_of(capacity({"validValues": ["1"]})), (f"{POLICY}.default", "Required")),
        (slice_of(capacity({"default": "1", "validValues": ["2"]})), (f"{POLICY}.validValues", "Invalid")),
        (slice_of(capacity({"default": "1", "validValues": ["1", "9"]})), (f"{POLICY}.validValues[1]", "Invalid")),
        (
            slice_of(capacity({"default": "2", "validRange": {"min": "1", "step": "2"}})),
            (f"{POLICY}.validRange.step", "Invalid"),
        ),
    ],
)
def test_what_a_slice_may_not_say(content: dict[str, Any], cause: tuple[str, str]) -> None:
    assert causes(RESOURCE_SLICE, content) == {cause}


def test_a_slice_stays_with_its_driver_and_can_be_selected_by_it() -> None:
    old = written(RESOURCE_SLICE, slice_of({"name": "a"}))
    assert causes(RESOURCE_SLICE, slice_of(driver="e.test"), old) == {("spec.driver", "Invalid")}
    assert RESOURCE_SLICE.selectable["spec.driver"](old) == "d.test"
    assert cells(RESOURCE_SLICE, slice_of())["Pool"] == "n"


def test_classes_and_taints_are_checked() -> None:
    assert causes(DEVICE_CLASS, {"spec": {"extendedResourceName": "gpu"}}) == {("spec.extendedResourceName", "Invalid")}
    rule = {"spec": {"deviceSelector": {"driver": "d.test"}, "taint": {"key": "k", "effect": "NoExecute"}}}
    assert causes(DEVICE_TAINT_RULE, rule) == set()
    assert written(DEVICE_TAINT_RULE, rule)["spec"]["taint"]["timeAdded"] == CREATED
    assert causes(DEVICE_TAINT_RULE, {"spec": {"taint": {"effect": "Boo"}}}) == {
        ("spec.taint.key", "Invalid"),
        ("spec.taint.effect", "NotSupported"),
    }


def test_a_migration_names_a_resource_and_keeps_it() -> None:
    content = {"spec": {"resource": {"group": "apps", "resource": "deployments"}}}
    old = written(STORAGE_VERSION_MIGRATION, content)
    assert causes(STORAGE_VERSION_MIGRATION, {"spec": {"resource": {}}}) == {("spec.resource.resource", "Required")}
    assert causes(STORAGE_VERSION_MIGRATION, {"spec": {"resource": {"resource": "pods"}}}, old) == {("spec", "Invalid")}
    assert cells(STORAGE_VERSION_MIGRATION, content)["Resource"] == "deployments.apps"
