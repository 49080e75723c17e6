"""Node (core/v1): a machine that pods run on."""

from collections.abc import Iterator

from mizzen.api.columns import AGE, NAME, NONE, UNKNOWN, age, name
from mizzen.api.kind import Column, Kind, Subresource, Table
from mizzen.api.podspec.scheduling import EFFECTS
from mizzen.api.rules import addresses, fields, resources
from mizzen.machinery import names
from mizzen.machinery.errors import FieldError, Object, duplicate, forbidden, invalid, not_supported, required

_ROLE_PREFIX = "node-role.kubernetes.io/"
_ROLE_LABEL = "kubernetes.io/role"
_INFO = (
    "machineID",
    "systemUUID",
    "bootID",
    "kernelVersion",
    "osImage",
    "containerRuntimeVersion",
    "kubeletVersion",
    "kubeProxyVersion",
    "operatingSystem",
    "architecture",
)


def default(node: Object) -> None:
    spec = node["spec"] = node.get("spec") or {}
    ranges, first = spec.get("podCIDRs") or [], spec.get("podCIDR")
    if first and (not ranges or ranges[0] != first):
        ranges = [first]
    if ranges:
        spec["podCIDR"], spec["podCIDRs"] = ranges[0], ranges
    _default_status(node)


def _default_status(node: Object) -> None:
    status = node["status"] = node.get("status") or {}
    if status.get("capacity") and not status.get("allocatable"):
        status["allocatable"] = dict(status["capacity"])
    for condition in status.get("conditions") or ():
        condition.setdefault("lastHeartbeatTime", None)
        condition.setdefault("lastTransitionTime", None)
    ports = status["daemonEndpoints"] = status.get("daemonEndpoints") or {}
    kubelet = ports["kubeletEndpoint"] = ports.get("kubeletEndpoint") or {}
    kubelet.setdefault("Port", 0)
    info = status["nodeInfo"] = status.get("nodeInfo") or {}
    for field in _INFO:
        info.setdefault(field, "")


def prepare(node: Object, old: Object | None) -> None:
    """A new node brings its status along: it registers itself."""
    before = (old or {}).get("spec") or {}
    if before.get("configSource") is None:
        node["spec"].pop("configSource", None)  # a field of the past: kept where it is, never taken anew
    if old is not None:
        node["status"] = old.get("status") or {}


def validate(node: Object, old: Object | None) -> Iterator[FieldError]:
    """Taints are reported as if they stood in the metadata, and twice on update, as clients know it."""
    spec = node["spec"]
    yield from _taint_errors("metadata.taints", spec.get("taints") or [])
    if ranges := spec.get("podCIDRs"):
        yield from _range_errors("spec.podCIDRs", ranges)
    yield from _amount_errors(node)
    if old is None:
        return
    yield from _taint_errors("metadata.taints", spec.get("taints") or [])
    before = old.get("spec") or {}
    ranges, stored = spec.get("podCIDRs") or [], before.get("podCIDRs") or []
    changed = len(ranges) != len(stored) or sum(one != other for one, other in zip(ranges, stored, strict=True))
    for _ in range(int(changed) if stored else 0):
        yield forbidden("spec.podCIDRs", 'node updates may not change podCIDR except from "" to valid')
    if before.get("providerID") and before["providerID"] != spec.get("providerID"):
        yield forbidden("spec.providerID", 'node updates may not change providerID except from "" to valid')
    if (spec.get("externalID") or "") != (before.get("externalID") or ""):
        yield forbidden("spec.externalID", "may not be updated")


def _taint_errors(path: str, taints: list[Object]) -> Iterator[FieldError]:
    seen: set[tuple[str, str]] = set()
    for i, taint in enumerate(taints):
        at = f"{path}[{i}]"
        key, effect = taint.get("key") or "", taint.get("effect") or ""
        yield from fields.matches(f"{at}.key", key, names.qualified_name)
        for problem in names.label_value(taint.get("value") or "")[:1]:
            yield invalid(f"{at}.value", taint.get("value"), problem)
        if not effect:
            yield required(f"{at}.effect")
        elif effect not in EFFECTS:
            yield not_supported(f"{at}.effect", effect, EFFECTS)
        if (key, effect) in seen:
            yield FieldError(duplicate(at, taint).cause, at, taint, "taints must be unique by key and effect pair")
        seen.add((key, effect))


def _range_errors(path: str, ranges: list[str]) -> Iterator[FieldError]:
    for i, block in enumerate(ranges):
        if addresses.parse_block(block) is None:
            yield invalid(f"{path}[{i}]", ranges, "must be valid CIDR")
        else:
            yield from addresses.block(f"{path}[{i}]", block)
    if len(ranges) > 2 or (len(ranges) == 2 and (":" in ranges[0]) == (":" in ranges[1])):
        yield invalid(path, ranges, "may specify no more than one CIDR for each IP family")
    for i, block in enumerate(ranges):
        if block in ranges[:i]:
            yield duplicate(f"{path}[{i}]", block)


def validate_status(node: Object, _old: Object | None) -> Iterator[FieldError]:
    yield from _amount_errors(node)
    seen = set()
    for i, address in enumerate((node.get("status") or {}).get("addresses") or ()):
        pair = (address.get("type"), address.get("address"))
        if pair in seen:
            yield duplicate(f"status.addresses[{i}]", address)
        seen.add(pair)


def _amount_errors(node: Object) -> Iterator[FieldError]:
    status = node.get("status") or {}
    for field in ("capacity", "allocatable"):
        for resource, amount in (status.get(field) or {}).items():
            yield from resources.quantity_errors(f"status.{field}.{resource}", resource, amount)


def _row(node: Object, now: float) -> list[object]:
    status = node.get("status") or {}
    info = status.get("nodeInfo") or {}
    return [
        name(node),
        _state(node),
        ",".join(_roles(node)) or NONE,
        age(node, now),
        info.get("kubeletVersion") or "",
        _address(status, "InternalIP"),
        _address(status, "ExternalIP"),
        info.get("osImage") or UNKNOWN,
        info.get("kernelVersion") or UNKNOWN,
        info.get("containerRuntimeVersion") or UNKNOWN,
    ]


def _state(node: Object) -> str:
    state = "Unknown"
    for condition in (node.get("status") or {}).get("conditions") or ():
        if condition.get("type") == "Ready":
            state = "Ready" if condition.get("status") == "True" else "NotReady"
    return f"{state},SchedulingDisabled" if (node.get("spec") or {}).get("unschedulable") else state


def _roles(node: Object) -> list[str]:
    found = set()
    for key, value in (node["metadata"].get("labels") or {}).items():
        if key.startswith(_ROLE_PREFIX) and len(key) > len(_ROLE_PREFIX):
            found.add(key.removeprefix(_ROLE_PREFIX))
        elif key == _ROLE_LABEL and value:
            found.add(value)
    return sorted(found)


def _address(status: Object, type_: str) -> str:
    for address in status.get("addresses") or ():
        if address.get("type") == type_:
            return str(address.get("address") or "")
    return NONE


NODE = Kind(
    group="",
    version="v1",
    kind="Node",
    plural="nodes",
    namespaced=False,
    singular="node",
    short_names=("no",),
    default=default,
    prepare=prepare,
    validate=validate,
    has_status=True,
    validate_status=validate_status,
    selectable={
        "spec.unschedulable": lambda node: "true" if (node.get("spec") or {}).get("unschedulable") else "false"
    },
    table=Table(
        columns=(
            NAME,
            Column("Status"),
            Column("Roles"),
            AGE,
            Column("Version"),
            Column("Internal-IP", priority=1),
            Column("External-IP", priority=1),
            Column("OS-Image", priority=1),
            Column("Kernel-Version", priority=1),
            Column("Container-Runtime", priority=1),
        ),
        row=_row,
    ),
    subresources=(Subresource("proxy", verbs=("create", "delete", "get", "patch", "update"), kind="NodeProxyOptions"),),
)
