"""The pages that tell people of a component, in the form they ask for."""

import orjson
import pytest

from mizzen.wire.message import Response
from mizzen.wire.zpages import Component, flagz, statusz

COMPONENT = Component("kubelet", 1_700_000_000.0, "1.37.0", ("/statusz", "/healthz"))
NOW = COMPONENT.began + 3665.9


def text(response: Response) -> str:
    assert isinstance(response.body, bytes)
    return response.body.decode()


@pytest.mark.parametrize("accept", ["", "text/plain", "*/*", "application/json, */*"])
def test_people_read_the_status_page_as_text(accept: str) -> None:
    answer = statusz(accept, COMPONENT, NOW)
    lines = text(answer).splitlines()
    assert (answer.status, answer.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert lines[0] == "kubelet statusz" and lines[1].startswith("Warning: This endpoint is not meant to be machine")
    assert lines[3:] == [
        "Started: Tue Nov 14 22:13:20 UTC 2023", "Up: 1 hr 01 min 05 sec", "Binary version: 1.37.0",
        "Emulation version: 1.37", "Paths: /healthz /statusz",
    ]  # fmt: skip


@pytest.mark.parametrize("version", ["v1alpha1", "v1beta1"])
def test_programs_get_an_object_of_the_kind_that_they_name(version: str) -> None:
    answer = statusz(f"application/json;v={version};g=config.k8s.io;as=Statusz", COMPONENT, NOW)
    assert orjson.loads(text(answer)) == {
        "kind": "Statusz", "apiVersion": f"config.k8s.io/{version}", "metadata": {"name": "kubelet"},
        "startTime": "2023-11-14T22:13:20Z", "uptimeSeconds": 3665, "binaryVersion": "1.37.0",
        "emulationVersion": "1.37", "paths": ["/healthz", "/statusz"],
    }  # fmt: skip


@pytest.mark.parametrize(
    "accept",
    [
        "application/json",
        "application/json;v=v1;g=config.k8s.io;as=Statusz",
        "application/json;v=v1beta1;g=config.k8s.io;as=Flagz",
        "application/json;v=v1beta1;as=Statusz",
        "image/png",
    ],
)
def test_what_nobody_offers_is_not_acceptable(accept: str) -> None:
    assert statusz(accept, COMPONENT, NOW).status == 406


def test_the_form_that_is_wanted_most_is_taken() -> None:
    named = "application/json;v=v1beta1;g=config.k8s.io;as=Flagz"
    flags = {"secure-port": "6443", "bind-address": "::"}
    assert text(flagz(f"text/plain;q=0.5, {named}", "kube-apiserver", flags)).startswith("{")
    assert text(flagz(f"{named};q=0.5, text/plain", "kube-apiserver", flags)).splitlines()[3:] == [
        "bind-address=::", "secure-port=6443",
    ]  # fmt: skip
    assert orjson.loads(text(flagz(named, "kube-apiserver", flags)))["flags"] == flags
