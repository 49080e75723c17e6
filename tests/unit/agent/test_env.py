"""Environments: sources, expansion, service links."""

import base64

import pytest

from mizzen.agent.env import ConfigFailure, Sources, environment, expand, field_value, service_links, subpath_of
from mizzen.api.views.podspec import Container, EnvFrom, EnvSource, EnvVar, FieldRef, KeyRef, LocalRef, Pod, PodMeta

POD = Pod(metadata=PodMeta(name="web", namespace="ns", labels={"b": "2", "a": 'x"y'}))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("$(A)-$(B)", "1-$(B)"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$A $", "$A $"),
        ("$(A", "$(A"),
        ("$(A)$(A)", "11"),
    ],
)
def test_references_expand_unless_escaped_or_unknown(text: str, wanted: str) -> None:
    assert expand(text, {"A": "1"}) == wanted


def test_later_variables_win_and_see_earlier_ones() -> None:
    container = Container(
        envFrom=(EnvFrom(prefix="P_", configMapRef=LocalRef(name="m")), EnvFrom(secretRef=LocalRef(name="s"))),
        env=(EnvVar(name="X", value="$(P_A)/$(S)"), EnvVar(name="S", value="own")),
    )
    sources = Sources(
        config_maps={"m": {"data": {"A": "a"}}}, secrets={"s": {"data": {"S": base64.b64encode(b"secret").decode()}}}
    )
    assert dict(environment(POD, container, sources)) == {"P_A": "a", "S": "own", "X": "a/secret"}


def test_a_missing_source_fails_unless_it_is_optional() -> None:
    reference = EnvSource(configMapKeyRef=KeyRef(name="m", key="k"))
    strict = Container(env=(EnvVar(name="A", valueFrom=reference),))
    with pytest.raises(ConfigFailure, match='configmap "m" not found'):
        environment(POD, strict, Sources())
    with pytest.raises(ConfigFailure, match="couldn't find key k in ConfigMap ns/m"):
        environment(POD, strict, Sources(config_maps={"m": {"data": {}}}))
    lax = EnvSource(configMapKeyRef=KeyRef(name="m", key="k", optional=True))
    assert environment(POD, Container(env=(EnvVar(name="A", valueFrom=lax),)), Sources()) == ()


def test_the_downward_api_quotes_labels_and_picks_one() -> None:
    assert field_value(POD, "metadata.labels", Sources()) == 'a="x\\"y"\nb="2"'
    assert field_value(POD, "metadata.labels['b']", Sources()) == "2"
    assert field_value(POD, "status.podIPs", Sources(pod_ips=("1.1.1.1", "fd::1"))) == "1.1.1.1,fd::1"
    container = Container(env=(EnvVar(name="N", valueFrom=EnvSource(fieldRef=FieldRef(fieldPath="metadata.name"))),))
    assert environment(POD, container, Sources()) == (("N", "web"),)


def test_services_are_announced_in_both_traditional_forms() -> None:
    service = {
        "metadata": {"name": "my-db", "namespace": "ns"},
        "spec": {"clusterIP": "10.0.0.9", "ports": [{"name": "sql", "port": 5432}]},
    }
    headless = {"metadata": {"name": "none"}, "spec": {"clusterIP": "None", "ports": [{"port": 1}]}}
    assert dict(service_links([service, headless])) == {
        "MY_DB_SERVICE_HOST": "10.0.0.9",
        "MY_DB_SERVICE_PORT": "5432",
        "MY_DB_SERVICE_PORT_SQL": "5432",
        "MY_DB_PORT": "tcp://10.0.0.9:5432",
        "MY_DB_PORT_5432_TCP": "tcp://10.0.0.9:5432",
        "MY_DB_PORT_5432_TCP_PROTO": "tcp",
        "MY_DB_PORT_5432_TCP_PORT": "5432",
        "MY_DB_PORT_5432_TCP_ADDR": "10.0.0.9",
    }


def test_a_sub_path_of_a_variable_without_a_value_is_refused() -> None:
    assert subpath_of("logs/$(POD)", {"POD": "p"}) == "logs/p"
    assert subpath_of("$$(POD)", {}) == "$(POD)"
    for variables in ({}, {"ANNOTATION": ""}):
        with pytest.raises(ConfigFailure, match='missing value for "ANNOTATION"'):
            subpath_of("$(ANNOTATION)", variables)
