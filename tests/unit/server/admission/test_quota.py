import asyncio

import pytest
from tests.fakes.reader import FakeReader, FakeWriter, made

from mizzen.api.core.configmap import CONFIG_MAP
from mizzen.api.core.persistentvolumeclaim import PERSISTENT_VOLUME_CLAIM
from mizzen.api.core.pod import POD
from mizzen.api.core.resourcequota import RESOURCE_QUOTA
from mizzen.api.core.service import SERVICE
from mizzen.api.kind import Kind
from mizzen.api.resource.resourceclaim import RESOURCE_CLAIM
from mizzen.base.clock import VirtualClock
from mizzen.machinery.errors import ApiError, Object
from mizzen.machinery.identity import Identity
from mizzen.server.admission.quota.plugin import ResourceQuota
from mizzen.server.seams import Admission

CLOCK = VirtualClock()


def _world(
    hard: dict[str, str], used: dict[str, str] | None = None, **spec: object
) -> tuple[FakeReader, ResourceQuota]:
    quota = made("q", "shop", spec={"hard": hard, **spec}, status={"hard": hard, "used": used or {}})
    reader = FakeReader((RESOURCE_QUOTA, quota))
    return reader, ResourceQuota(reader, FakeWriter(reader), CLOCK)


def _creates(kind: Kind, obj: Object, *, dry_run: bool = False) -> Admission:
    return Admission("CREATE", kind, "", "shop", obj["metadata"]["name"], Identity("ann"), obj, None, dry_run=dry_run)


def _pod(name: str = "web", requests: dict[str, str] | None = None, **spec: object) -> Object:
    container = {"name": "app", "resources": {"requests": requests} if requests else {}}
    return made(name, "shop", spec={"containers": [container], **spec})


async def _admit(plugin: ResourceQuota, admission: Admission) -> None:
    waiting = plugin.validate(admission)
    if waiting is not None:
        await waiting


def _used(reader: FakeReader) -> dict[str, str]:
    found = reader.get(RESOURCE_QUOTA, "shop", "q")
    assert found is not None
    return dict(found["status"]["used"])


async def test_what_a_pod_takes_is_reserved_and_the_next_is_refused() -> None:
    reader, plugin = _world({"pods": "5", "requests.cpu": "1"}, {"pods": "0", "requests.cpu": "0"})
    await _admit(plugin, _creates(POD, _pod("a", {"cpu": "600m"})))
    assert _used(reader) == {"pods": "1", "requests.cpu": "600m"}
    with pytest.raises(ApiError) as caught:
        await _admit(plugin, _creates(POD, _pod("b", {"cpu": "600m"})))
    assert caught.value.message == (
        'pods "b" is forbidden: exceeded quota: q, requested: requests.cpu=600m, used: requests.cpu=600m, '
        "limited: requests.cpu=1"
    )
    assert _used(reader) == {"pods": "1", "requests.cpu": "600m"}


async def test_concurrent_creates_never_exceed_a_quota() -> None:
    reader, plugin = _world({"count/configmaps": "3"}, {"count/configmaps": "0"})
    creates = [_admit(plugin, _creates(CONFIG_MAP, made(f"c{number}", "shop"))) for number in range(10)]
    outcomes = await asyncio.gather(*creates, return_exceptions=True)
    assert sum(outcome is None for outcome in outcomes) == 3
    assert _used(reader) == {"count/configmaps": "3"}


async def test_a_container_must_state_what_a_quota_limits() -> None:
    _, plugin = _world({"limits.memory": "1Gi", "requests.cpu": "1"})
    with pytest.raises(ApiError) as caught:
        await _admit(plugin, _creates(POD, _pod()))
    assert caught.value.message == (
        'pods "web" is forbidden: failed quota: q: must specify limits.memory for: app; requests.cpu for: app'
    )


async def test_devices_that_a_claim_may_be_given_are_reserved_by_their_class() -> None:
    name = "gpu.deviceclass.resource.k8s.io/devices"
    reader, plugin = _world({name: "3"}, {name: "0"})
    requests = [{"name": "r", "exactly": {"deviceClassName": "gpu", "allocationMode": "ExactCount", "count": 2}}]
    claim = made("c", "shop", spec={"devices": {"requests": requests}})
    await _admit(plugin, _creates(RESOURCE_CLAIM, claim))
    assert _used(reader) == {name: "2"}
    with pytest.raises(ApiError, match=f"exceeded quota: q, requested: {name}=2, used: {name}=2, limited: {name}=3"):
        await _admit(plugin, _creates(RESOURCE_CLAIM, claim))


async def test_a_dry_run_reserves_nothing() -> None:
    reader, plugin = _world({"pods": "1"}, {"pods": "0"})
    await _admit(plugin, _creates(POD, _pod(), dry_run=True))
    assert _used(reader) == {"pods": "0"}


@pytest.mark.parametrize(
    ("scope", "pod", "counted"),
    [
        ({"scopes": ["BestEffort"]}, _pod(), True),
        ({"scopes": ["BestEffort"]}, _pod(requests={"cpu": "1"}), False),
        ({"scopes": ["NotBestEffort"]}, _pod(requests={"cpu": "1"}), True),
        ({"scopes": ["Terminating"]}, _pod(activeDeadlineSeconds=5), True),
        ({"scopes": ["Terminating"]}, _pod(), False),
        ({"scopes": ["NotTerminating"]}, _pod(), True),
        (
            {"scopeSelector": {"matchExpressions": [
                {"scopeName": "PriorityClass", "operator": "In", "values": ["high"]}]}},
            _pod(priorityClassName="high"),
            True,
        ),
        (
            {"scopeSelector": {"matchExpressions": [
                {"scopeName": "PriorityClass", "operator": "NotIn", "values": ["high"]}]}},
            _pod(priorityClassName="high"),
            False,
        ),
    ],
)  # fmt: skip
async def test_a_quota_with_scopes_counts_the_pods_it_speaks_of(scope: Object, pod: Object, counted: bool) -> None:
    reader, plugin = _world({"pods": "5"}, {"pods": "0"}, **scope)
    await _admit(plugin, _creates(POD, pod))
    assert _used(reader) == {"pods": "1" if counted else "0"}


async def test_services_and_claims_are_counted_by_what_they_are() -> None:
    reader, plugin = _world(
        {
            "services.nodeports": "5",
            "services.loadbalancers": "1",
            "requests.storage": "10Gi",
            "fast.storageclass.storage.k8s.io/requests.storage": "5Gi",
        }
    )
    balancer = made("lb", "shop", spec={"type": "LoadBalancer", "ports": [{"port": 80}, {"port": 443}]})
    await _admit(plugin, _creates(SERVICE, balancer))
    claim = made("c", "shop", spec={"storageClassName": "fast", "resources": {"requests": {"storage": "2Gi"}}})
    await _admit(plugin, _creates(PERSISTENT_VOLUME_CLAIM, claim))
    assert _used(reader) == {
        "services.nodeports": "2",
        "services.loadbalancers": "1",
        "requests.storage": "2Gi",
        "fast.storageclass.storage.k8s.io/requests.storage": "2Gi",
    }


async def test_an_update_reserves_only_what_it_adds() -> None:
    reader, plugin = _world({"services.nodeports": "1"}, {"services.nodeports": "1"})
    service = made("s", "shop", spec={"type": "NodePort", "ports": [{"port": 80}]})
    update = Admission("UPDATE", SERVICE, "", "shop", "s", Identity("ann"), service, service)
    await _admit(plugin, update)
    before = made("s", "shop", spec={"type": "ClusterIP", "ports": [{"port": 80}]})
    update.old = before
    with pytest.raises(ApiError, match="exceeded quota"):
        await _admit(plugin, update)
    assert _used(reader) == {"services.nodeports": "1"}


async def test_a_claim_that_comes_under_a_quota_by_an_update_takes_all_that_it_asks_for() -> None:
    silver = {"matchExpressions": [{"scopeName": "VolumeAttributesClass", "operator": "In", "values": ["silver"]}]}
    reader, plugin = _world({"persistentvolumeclaims": "1"}, {"persistentvolumeclaims": "0"}, scopeSelector=silver)
    old, new = (made("c", "shop", spec={"volumeAttributesClassName": name}) for name in ("gold", "silver"))
    update = Admission("UPDATE", PERSISTENT_VOLUME_CLAIM, "", "shop", "c", Identity("ann"), new, old)
    await _admit(plugin, update)
    assert _used(reader) == {"persistentvolumeclaims": "1"}
    with pytest.raises(ApiError, match="exceeded quota"):
        await _admit(plugin, update)
    new["status"] = old["status"] = {"currentVolumeAttributesClassName": "silver"}
    await _admit(plugin, update)
    assert _used(reader) == {"persistentvolumeclaims": "1"}, "it was under the quota before"


def _counts(old: Object, used: dict[str, str]) -> Admission:
    new = {**old, "status": {**old["status"], "used": used}}
    return Admission("UPDATE", RESOURCE_QUOTA, "status", "shop", "q", Identity("controller"), new, old)


async def test_a_count_gives_no_room_while_what_is_reserved_may_not_be_counted_yet() -> None:
    reader, plugin = _world({"pods": "2"}, {"pods": "0"})
    admitted = _creates(POD, _pod("a"))
    await _admit(plugin, admitted)
    quota = reader.get(RESOURCE_QUOTA, "shop", "q")
    assert quota is not None
    for _ in range(2):
        with pytest.raises(ApiError) as caught:
            await _admit(plugin, _counts(quota, {"pods": "0"}))
        assert (caught.value.code, caught.value.reason) == (409, "Conflict")
        await _admit(plugin, _counts(quota, {"pods": "2"}))
        for call in admitted.done:  # the pod is stored
            call()
        admitted.done.clear()
    await CLOCK.advance(1.0)
    await _admit(plugin, _counts(quota, {"pods": "0"}))
