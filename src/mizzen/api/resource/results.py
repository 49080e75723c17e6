"""What a claim got: devices, their configuration, and what drivers tell of them."""

from collections.abc import Iterator

from mizzen.api.resource import devices, identifiers, taints
from mizzen.api.rules import conditions, fields, node_selector
from mizzen.machinery import names
from mizzen.machinery.errors import FieldError, Object, duplicate, invalid, not_supported, required, too_long, too_many

CONDITION_LIMIT = 8
DATA_LIMIT = 10 << 10
ADDRESS_LIMIT = 16
INTERFACE_LIMIT = 256
HARDWARE_LIMIT = 128
_SOURCES = ("FromClaim", "FromClass")

Identity = tuple[object, ...]


def allocation_errors(path: str, allocation: Object, requests: set[str]) -> Iterator[FieldError]:
    """A new allocation, to these requests."""
    got = allocation.get("devices") or {}
    results, configs = got.get("results") or [], got.get("config") or []
    yield from devices.limited(f"{path}.devices.results", results)
    for i, result in enumerate(results[: devices.LIMIT] if len(results) <= devices.LIMIT else ()):
        yield from _result_errors(f"{path}.devices.results[{i}]", result, requests)
    for i, config in enumerate(configs):
        where = f"{path}.devices.config[{i}]"
        source = config.get("source") or ""
        if not source:
            yield required(f"{where}.source")
        elif source not in _SOURCES:
            yield not_supported(f"{where}.source", source, _SOURCES)
    yield from devices.config_errors(f"{path}.devices.config", configs, requests, 2 * devices.LIMIT)
    if (selector := allocation.get("nodeSelector")) is not None:
        yield from node_selector.errors(f"{path}.nodeSelector", selector)


def _result_errors(path: str, result: Object, requests: set[str]) -> Iterator[FieldError]:
    yield from devices.reference_errors(f"{path}.request", result.get("request") or "", requests)
    yield from identifiers.some_driver(f"{path}.driver", result.get("driver"))
    yield from identifiers.pool(f"{path}.pool", result.get("pool") or "")
    yield from fields.label(f"{path}.device", result.get("device") or "")
    yield from taints.binding_errors(path, result)
    yield from taints.toleration_errors(f"{path}.tolerations", result.get("tolerations"))
    if (share := result.get("shareID")) is not None:
        yield from identifiers.uid(f"{path}.shareID", share)


def identity(device: Object) -> Identity:
    return tuple(device.get(field) or "" for field in ("driver", "pool", "device", "shareID"))


def device_errors(path: str, told: list[Object], allocated: set[Identity]) -> Iterator[FieldError]:
    """What drivers tell of devices: of each once, and of those that were allocated."""
    seen: set[Identity] = set()
    for i, device in enumerate(told):
        where, who = f"{path}[{i}]", identity(device)
        yield from _device_errors(where, device)
        text = "/".join(str(part) for part in who if part)
        if who not in allocated:
            yield invalid(where, text, "must be an allocated device in the claim")
        if who in seen:
            yield duplicate(where, text)
        seen.add(who)


def _device_errors(path: str, device: Object) -> Iterator[FieldError]:
    yield from identifiers.driver(f"{path}.driver", device.get("driver") or "")
    yield from identifiers.pool(f"{path}.pool", device.get("pool") or "")
    yield from fields.label(f"{path}.device", device.get("device") or "")
    if (share := device.get("shareID")) is not None:
        yield from identifiers.uid(f"{path}.shareID", share)
    state = device.get("conditions") or []
    if len(state) > CONDITION_LIMIT:
        yield too_many(f"{path}.conditions", CONDITION_LIMIT)
    yield from conditions.condition_errors(f"{path}.conditions", state)
    if (data := device.get("data")) is not None:
        yield from devices.parameter_errors(f"{path}.data", data, DATA_LIMIT)
    network = device.get("networkData") or {}
    for field, limit in (("interfaceName", INTERFACE_LIMIT), ("hardwareAddress", HARDWARE_LIMIT)):
        if len((network.get(field) or "").encode()) > limit:
            yield too_long(f"{path}.networkData.{field}", limit)
    yield from identifiers.unique(f"{path}.networkData.ips", network.get("ips") or [], ADDRESS_LIMIT, _interface)


def _interface(path: str, value: str) -> Iterator[FieldError]:
    """An address with the length of its network's prefix."""
    if "/" not in value or not names.is_cidr(value):
        yield invalid(path, value, "must be a valid address in CIDR form, (e.g. 10.9.8.7/24 or 2001:db8::1/64)")
