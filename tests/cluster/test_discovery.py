"""Discovery and the objects of a new cluster, compared with the original's where its recordings are at hand."""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cluster.inprocess import Api, running

CORPUS = Path(__file__).resolve().parents[3] / "shared" / "corpus"
GONE = {"flowcontrol.apiserver.k8s.io/v1beta2", "flowcontrol.apiserver.k8s.io/v1beta3"}
"""Versions that 1.37 serves no longer; the same kinds are served as v1."""


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with running(tmp_path) as api:
        yield api


def recorded(name: str) -> Any:
    """A recording, or nothing where there is none."""
    path = CORPUS / name
    return json.loads(path.read_text()) if path.exists() else {}


async def test_every_recorded_resource_is_served_with_its_names_verbs_and_scope(api: Api) -> None:
    wanted: dict[str, list[dict[str, Any]]] = {}
    for resource in recorded("discovery.json").get("resources", []):
        group, version = resource.pop("group"), resource.pop("version")
        below = [{**sub, "name": f"{resource['name']}/{sub['name']}"} for sub in resource.pop("subresources", ())]
        wanted.setdefault(f"{group}/{version}" if group else version, []).extend([resource, *below])
    for group_version in wanted.keys() - GONE:
        root = "/apis" if "/" in group_version else "/api"
        status, found = await api.call("GET", f"{root}/{group_version}")
        assert status == 200, group_version
        served = {one["name"]: one for one in found["resources"]}
        for resource in wanted[group_version]:
            mine = served.get(resource["name"], {})
            differing = {key: (value, mine.get(key)) for key, value in resource.items() if mine.get(key) != value}
            assert not differing, f"{group_version} {resource['name']}"


async def test_groups_come_in_the_recorded_order_with_the_recorded_preference(api: Api) -> None:
    wanted = [group for group in recorded("discovery.json").get("groups", []) if set(_versions(group)) - GONE]
    _, found = await api.call("GET", "/apis")
    served = [group["name"] for group in found["groups"]]
    names = [group["name"] for group in wanted]
    assert [name for name in served if name in names] == names
    preferred = {group["name"]: group["preferredVersion"]["version"] for group in found["groups"]}
    assert {group["name"]: preferred[group["name"]] for group in wanted} == {
        group["name"]: group["preferred"] for group in wanted
    }


def _versions(group: dict[str, Any]) -> Iterator[str]:
    return (f"{group['name']}/{version}" for version in group["versions"])


async def test_aggregated_and_plain_discovery_tell_the_same(api: Api) -> None:
    accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    for root in ("/api", "/apis"):
        _, aggregated = await api.call("GET", root, accept=accept)
        for group in aggregated["items"]:
            name = group["metadata"].get("name", "")
            for version in group["versions"]:
                _, plain = await api.call("GET", f"{root}/{name}/{version['version']}".replace("//", "/"))
                shown = {one["resource"]: one["verbs"] for one in version["resources"]}
                assert shown == {one["name"]: one["verbs"] for one in plain["resources"] if "/" not in one["name"]}


BOOTSTRAP = {
    "clusterroles": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "clusterrolebindings": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "roles": "/apis/rbac.authorization.k8s.io/v1/roles",
    "rolebindings": "/apis/rbac.authorization.k8s.io/v1/rolebindings",
    "flowschemas": "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas",
    "prioritylevelconfigurations": "/apis/flowcontrol.apiserver.k8s.io/v1/prioritylevelconfigurations",
    "priorityclasses": "/apis/scheduling.k8s.io/v1/priorityclasses",
    "namespaces": "/api/v1/namespaces",
    "apiservices": "/apis/apiregistration.k8s.io/v1/apiservices",
}


def identity(obj: dict[str, Any]) -> tuple[str, str]:
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


@pytest.mark.parametrize("kind", BOOTSTRAP)
async def test_a_new_cluster_holds_the_recorded_objects(api: Api, kind: str) -> None:
    _, found = await api.call("GET", BOOTSTRAP[kind])
    held = {identity(one): one for one in found["items"]}
    for wanted in recorded("bootstrap.json").get(kind, {}).get("items", []):
        if kind == "apiservices" and f"{wanted['spec'].get('group')}/{wanted['spec']['version']}" in GONE:
            continue
        mine = held.get(identity(wanted))
        assert mine is not None, identity(wanted)
        if kind == "flowschemas":
            del wanted["status"]  # says whether the level exists; here that is known when a request is queued
        assert list(missing(wanted, mine)) == [], identity(wanted)


def missing(wanted: Any, found: Any, path: str = "") -> Iterator[str]:
    """What an object lacks of the recorded one; it may hold more."""
    if isinstance(wanted, dict):
        for key, value in wanted.items():
            yield from missing(value, found.get(key) if isinstance(found, dict) else None, f"{path}.{key}")
    elif isinstance(wanted, list) and isinstance(found, list):
        yield from (f"{path}: {one}" for one in wanted if not any(not list(missing(one, mine)) for mine in found))
    elif wanted != found and not (wanted is None and not found):
        yield f"{path}: {wanted} is {found}"
