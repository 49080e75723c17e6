"""The Node object and its Lease: registration, heartbeat, and a status that is written when it changes.

Ref: https://kubernetes.io/docs/reference/node/node-status/
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from mizzen.agent import machineinfo
from mizzen.agent.config import AgentConfig
from mizzen.agent.equipment import Resources
from mizzen.agent.images.policy import Listed
from mizzen.agent.resources import Size
from mizzen.agent.runtime import cgroups
from mizzen.agent.runtime.base import Abilities
from mizzen.agent.runtime.namespaces import in_user_namespace
from mizzen.api.rules import resources
from mizzen.base import log
from mizzen.base.clock import Clock
from mizzen.client.client import STRATEGIC, Client
from mizzen.client.resources import LEASES, NODES
from mizzen.machinery import quantity, times
from mizzen.machinery.errors import ApiError, Object

_log = log.get("agent")
_LEASE_NAMESPACE = "kube-node-lease"
_OWNED = ("MemoryPressure", "DiskPressure", "PIDPressure", "Ready")
"""The conditions that are the agent's to say; others may add theirs."""
_RETRY = 1.0
_ABLE = Abilities()
_DECLARED = ("InPlacePodLevelResourcesVerticalScaling", "RestartAllContainersOnContainerExits")
"""What this agent can of what others may not yet: schedulers send pods that need it to nodes that say so."""
Tell = Callable[[Literal["Normal", "Warning"], str, str], None]
"""Type, reason and message of an event about the node."""


@dataclass(frozen=True, slots=True)
class Health:
    """What the conditions say; reasons of pressure are empty when there is none."""

    memory_pressure: bool = False
    disk_pressure: bool = False
    pid_pressure: bool = False
    not_ready: str = ""
    because: Mapping[str, str] = field(default_factory=dict)
    """What there is to say of a condition that holds, beyond that it does."""


def capacity_of(config: AgentConfig) -> dict[str, str]:
    """What the machine has, as quantities; configuration overrides measurement."""
    disk = machineinfo.pressure(config.root)
    measured = {
        "cpu": str(machineinfo.cpus()),
        "memory": f"{machineinfo.memory() // 1024}Ki",
        "ephemeral-storage": f"{disk.disk_size // 1024}Ki",
        "pods": str(config.max_pods),
        **{name: _in_binary(amount) for name, amount in machineinfo.hugepages().items()},
    }
    return {**measured, **config.capacity}


def _in_binary(amount: int) -> str:
    return str(quantity.Quantity(amount * quantity.NANO, quantity.Format.BINARY))


def allocatable_of(config: AgentConfig, capacity: Mapping[str, str]) -> dict[str, str]:
    """Capacity less what is reserved, and less what must stay free, or pods would be evicted who keep to it."""
    found = unreserved_of(config, capacity)
    for name, signal in (("memory", "memory.available"), ("ephemeral-storage", "nodefs.available")):
        bound = config.thresholds.hard.get(signal)
        if bound is not None and name in found:
            found[name] = quantity.subtract(found[name], str(bound.of(quantity.in_bytes(capacity[name]))))
    for name in [name for name in capacity if name.startswith("hugepages-") and "memory" in found]:
        found["memory"] = quantity.subtract(found["memory"], capacity[name])  # what is in huge pages is nobody else's
    short = [name for name, amount in found.items() if quantity.parse(amount).nanos < 0]
    return {**found, **dict.fromkeys(short, "0")}


def unreserved_of(config: AgentConfig, capacity: Mapping[str, str]) -> dict[str, str]:
    """Capacity less what is reserved: what pods together are held to."""
    return {
        name: quantity.subtract(amount, config.reserved[name]) if name in config.reserved else amount
        for name, amount in capacity.items()
    }


def resources_of(config: AgentConfig) -> Resources:
    """The node's size as the rest of the agent calculates with it."""
    capacity = capacity_of(config)
    allocatable, unreserved = (
        {name: quantity.parse(value).nanos for name, value in amounts.items()}
        for amounts in (allocatable_of(config, capacity), unreserved_of(config, capacity))
    )
    return Resources(allocatable, unreserved, Size(quantity.in_bytes(capacity["memory"]), _swap_of(config)))


def _swap_of(config: AgentConfig) -> int:
    """How much swap space pods share, in bytes: none unless that is wanted and groups can say how much each has."""
    try:
        bounded = config.limited_swap and cgroups.find(config.cgroup_parent).unified
    except OSError:
        return 0
    return machineinfo.swap()[0] if bounded else 0


def labels_of(config: AgentConfig, hostname: str) -> dict[str, str]:
    """The labels every node has, and its own."""
    architecture = machineinfo.architecture()
    return {
        "beta.kubernetes.io/arch": architecture,
        "beta.kubernetes.io/os": "linux",
        "kubernetes.io/arch": architecture,
        "kubernetes.io/hostname": hostname,
        "kubernetes.io/os": "linux",
        **config.labels,
    }


def conditions(health: Health, before: Iterable[Mapping[str, Any]], now: float) -> list[dict[str, Any]]:
    """The four conditions, keeping the transition times of those that did not change."""
    known = {one["type"]: one for one in before}
    shown = [
        _pressure("Memory", health.memory_pressure, ("InsufficientMemory", "SufficientMemory"), "memory available"),
        _pressure("Disk", health.disk_pressure, ("DiskPressure", "NoDiskPressure"), "disk pressure"),
        _pressure("PID", health.pid_pressure, ("InsufficientPID", "SufficientPID"), "PID available"),
    ]
    shown = [
        (kind, holds, reason, f"{message}: {health.because[kind]}" if holds and kind in health.because else message)
        for kind, holds, reason, message in shown
    ]
    ready = not health.not_ready
    shown.append(
        (
            "Ready",
            ready,
            "KubeletReady" if ready else "KubeletNotReady",
            health.not_ready or "kubelet is posting ready status",
        )
    )
    result = []
    for kind, holds, reason, message in shown:
        value = "True" if holds else "False"
        old = known.get(kind, {})
        since = old.get("lastTransitionTime") if old.get("status") == value else None
        result.append(
            {
                "type": kind, "status": value, "reason": reason, "message": message,
                "lastHeartbeatTime": times.format(now), "lastTransitionTime": since or times.format(now),
            }
        )  # fmt: skip
    return result


def _pressure(kind: str, holds: bool, reasons: tuple[str, str], noun: str) -> tuple[str, bool, str, str]:
    adjectives = ("has", "has no") if kind == "Disk" else ("has insufficient", "has sufficient")
    text = f"kubelet {adjectives[0 if holds else 1]} {noun}"
    return f"{kind}Pressure", holds, f"KubeletHas{reasons[0 if holds else 1]}", text


def status_of(
    config: AgentConfig, info: Mapping[str, Any], images: Iterable[Listed], *, health: Health,
    before: Iterable[Mapping[str, Any]], hostname: str, now: float, in_use: Sequence[str] = (),
    devices: tuple[Mapping[str, str], Mapping[str, str]] = ({}, {}), able: Abilities = _ABLE,
) -> dict[str, Any]:  # fmt: skip
    """The whole status of the node; `devices` are capacity and allocatable of the resources that its plugins offer."""
    capacity = capacity_of(config)
    handler = {
        "recursiveReadOnlyMounts": able.recursive_read_only,
        "userNamespaces": config.runtime == "crun" and not in_user_namespace(),
    }
    most = config.images_shown if config.images_shown >= 0 else None
    largest = sorted(images, key=lambda one: -one.size)[:most]
    return {
        "capacity": {**capacity, **devices[0]},
        "allocatable": {**allocatable_of(config, capacity), **devices[1]},
        "conditions": conditions(health, before, now),
        "addresses": [
            *({"type": "InternalIP", "address": ip} for ip in config.node_ips),
            {"type": "Hostname", "address": hostname},
        ],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": config.port}},
        "nodeInfo": dict(info),
        "images": [{"names": list(one.names), "sizeBytes": one.size} for one in largest if one.names],
        "runtimeHandlers": [{"name": name, "features": handler} for name in ("", *config.runtime_handlers)],
        "features": {"supplementalGroupsPolicy": able.strict_groups},
        "declaredFeatures": list(_DECLARED),
        **({"volumesInUse": list(in_use)} if in_use else {}),
    }  # fmt: skip


def following(own: Iterable[str], held: Mapping[str, Any]) -> dict[str, str | None]:
    """What is allocatable of the extended resources that others say the node has: all of them; None: no longer any.

    `own`: the resources that the agent speaks for; `held`: the status in the API.
    """
    capacity, allocatable = held.get("capacity") or {}, held.get("allocatable") or {}
    known = {*own, *capacity}
    gone = [name for name in allocatable if name not in known and resources.is_extended(name)]
    others = {name: amount for name, amount in capacity.items() if name not in own and resources.is_extended(name)}
    return {**dict.fromkeys(gone), **others}


def news(name: str, before: Iterable[Mapping[str, Any]], after: Iterable[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Reason and message of the events that changed conditions are worth."""
    known = {one["type"]: one["status"] for one in before}
    changed = [one for one in after if known.get(one["type"]) != one["status"]]
    reasons = []
    for one in changed:
        ready = "NodeReady" if one["status"] == "True" else "NodeNotReady"
        reasons.append(ready if one["type"] == "Ready" else one["reason"].replace("KubeletHas", "NodeHas"))
    return [(reason, f"Node {name} status is now: {reason}") for reason in reasons]


class NodeReporter:
    """Registers the node and keeps Lease and status fresh."""

    def __init__(
        self,
        config: AgentConfig,
        client: Client,
        clock: Clock,
        *,
        status: Callable[[Iterable[Mapping[str, Any]]], dict[str, Any]],
        hostname: str,
        tell: Tell,
    ) -> None:
        self._config = config
        self._client = client
        self._clock = clock
        self._status = status
        self._hostname = hostname
        self._tell = tell
        self._uid = ""
        self._is_schedulable = True
        self._written: dict[str, Any] = {}
        self._reported_at = 0.0

    async def register(self) -> None:
        """Create the Node, or bring labels up to date; retried until it succeeds."""
        while True:
            try:
                await self._register()
                return
            except (ApiError, ConnectionError, TimeoutError) as error:
                _log.warning("node not registered yet", node=self._config.node_name, error=str(error))
                await self._clock.sleep(_RETRY)

    async def run(self) -> None:
        """Renew the lease and report changes, until cancelled."""
        while True:
            began = self._clock.monotonic()
            try:
                await self._renew()
                await self.report()
            except (ApiError, ConnectionError, TimeoutError) as error:
                _log.warning("heartbeat failed", node=self._config.node_name, error=str(error))
                if isinstance(error, ApiError) and error.code == 404:
                    await self.register()
            await self._clock.sleep(max(1.0, self._config.heartbeat - (self._clock.monotonic() - began)))

    async def report(self) -> None:
        """Write the status if it is not what the API holds, or has not been written for long.

        Raises ApiError, ConnectionError.
        """
        held = await self._look()
        status = self._status(self._written.get("conditions", ()))
        allocatable = {**status.get("allocatable", {}), **following(status.get("capacity", {}), held)}
        kept = {name: amount for name, amount in allocatable.items() if amount is not None}
        status |= {"allocatable": kept} if kept else {}
        now = self._clock.monotonic()
        fresh = now - self._reported_at < self._config.report_every
        if fresh and kept == allocatable and _essence(status) == _essence(self._written):
            return
        changes = {
            key: value for key, value in status.items() if key == "conditions" or self._written.get(key) != value
        }
        changes |= dict.fromkeys(self._written.keys() - status.keys())
        if len(kept) < len(allocatable):
            changes["allocatable"] = allocatable
        if "addresses" in changes:
            changes["$setElementOrder/addresses"] = [{"type": one["type"]} for one in status["addresses"]]
        patch: Object = {"metadata": {"uid": self._uid}, "status": changes}
        await self._client.patch(NODES, self._config.node_name, patch, type=STRATEGIC, subresource="status")
        self._tell_news(self._written.get("conditions") or (), status["conditions"])
        self._written, self._reported_at = status, now

    async def _look(self) -> Mapping[str, Any]:
        """The status in the API, and what others made of the conditions: of a node that was silent, all are Unknown."""
        found = await self._client.get(NODES, self._config.node_name, view=dict)
        if self._is_schedulable == bool(found["spec"].get("unschedulable")):
            self._is_schedulable = not self._is_schedulable
            reason = "NodeSchedulable" if self._is_schedulable else "NodeNotSchedulable"
            self._tell("Normal", reason, f"Node {self._config.node_name} status is now: {reason}")
        status: Mapping[str, Any] = found.get("status") or {}
        conditions = status.get("conditions") or ()
        held = sorted((one for one in conditions if one["type"] in _OWNED), key=lambda one: _OWNED.index(one["type"]))
        if [_judgement(one) for one in held] != [_judgement(one) for one in self._written.get("conditions") or ()]:
            self._written = {**self._written, "conditions": held}
        return status

    def _tell_news(self, before: Iterable[Mapping[str, Any]], after: Iterable[Mapping[str, Any]]) -> None:
        for reason, message in news(self._config.node_name, before, after):
            self._tell("Normal", reason, message)

    async def _register(self) -> None:
        config = self._config
        labels = labels_of(config, self._hostname)
        meta = {
            "name": config.node_name,
            "labels": labels,
            "annotations": {"volumes.kubernetes.io/controller-managed-attach-detach": "true"},
        }
        spec: dict[str, Any] = {"taints": [dict(one) for one in config.taints]} if config.taints else {}
        if config.provider_id:
            spec["providerID"] = config.provider_id
        if config.unschedulable:
            spec["unschedulable"] = True
        if config.pod_cidrs:
            spec |= {"podCIDR": config.pod_cidrs[0], "podCIDRs": list(config.pod_cidrs)}
        try:
            found = await self._client.get(NODES, config.node_name, view=dict)
            wanted = {
                key: value for key, value in labels.items() if (found["metadata"].get("labels") or {}).get(key) != value
            }
            if wanted:
                await self._client.patch(NODES, config.node_name, {"metadata": {"labels": wanted}})
        except ApiError as error:
            if error.code != 404:
                raise
            body: Object = {
                "apiVersion": "v1", "kind": "Node", "metadata": meta, "spec": spec, "status": self._status(()),
            }  # fmt: skip
            found = await self._client.create(NODES, body)
            self._tell_news((), body["status"]["conditions"])
        self._uid = found["metadata"]["uid"]
        known = found.get("status") or {}
        boot = (known.get("nodeInfo") or {}).get("bootID", "")
        present = self._status(())["nodeInfo"].get("bootID", "")
        if boot and boot != present:
            self._tell("Warning", "Rebooted", f"Node {config.node_name} has been rebooted, boot id: {present}")
        self._written = {"conditions": known.get("conditions") or []}
        if known.get("volumesInUse"):
            self._written["volumesInUse"] = known["volumesInUse"]
        await self.report()
        await self._renew()
        _log.info("node registered", node=config.node_name)

    async def _renew(self) -> None:
        config = self._config
        now = times.format_micro(self._clock.now())
        try:
            await self._client.patch(LEASES, config.node_name, {"spec": {"renewTime": now}}, _LEASE_NAMESPACE)
        except ApiError as error:
            if error.code != 404:
                raise
            owner = {"apiVersion": "v1", "kind": "Node", "name": config.node_name, "uid": self._uid}
            body: Object = {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {"name": config.node_name, "namespace": _LEASE_NAMESPACE, "ownerReferences": [owner]},
                "spec": {
                    "holderIdentity": config.node_name,
                    "leaseDurationSeconds": config.lease_seconds,
                    "renewTime": now,
                },
            }
            await self._client.create(LEASES, body, _LEASE_NAMESPACE)


def _essence(status: Mapping[str, Any]) -> dict[str, Any]:
    """A status without the times that change with every look."""
    return {**status, "conditions": [_judgement(one) for one in status.get("conditions") or ()]}


def _judgement(one: Mapping[str, Any]) -> dict[str, Any]:
    """A condition without the time that changes with every look."""
    return {key: value for key, value in one.items() if key != "lastHeartbeatTime"}
