"""Compute resources: names, quantities, requests and limits, of containers and of whole pods.

Quantities are valid text by the time they come here; they are compared in nanos.
Ref: https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/
"""

from collections.abc import Collection, Iterator, Mapping

from mizzen.machinery import names, quantity
from mizzen.machinery.errors import (
    FieldError,
    Object,
    duplicate,
    forbidden,
    invalid,
    not_found,
    not_supported,
    required,
)

HUGE_PAGES = "hugepages-"
_CONTAINER = frozenset(("cpu", "memory", "ephemeral-storage"))
_POD_LEVEL = frozenset(("cpu", "memory"))
INTEGER = frozenset(
    (
        "pods",
        "services",
        "replicationcontrollers",
        "resourcequotas",
        "secrets",
        "configmaps",
        "persistentvolumeclaims",
        "services.nodeports",
        "services.loadbalancers",
    )
)
QUOTA = INTEGER | frozenset(
    (
        "cpu",
        "memory",
        "ephemeral-storage",
        "requests.cpu",
        "requests.memory",
        "requests.storage",
        "requests.ephemeral-storage",
        "limits.cpu",
        "limits.memory",
        "limits.ephemeral-storage",
    )
)
STANDARD = QUOTA | {"storage"}
_NEGATIVE = "must be greater than or equal to 0"
_NOT_WHOLE = "must be an integer"

Amounts = dict[str, quantity.Quantity]


def is_native(name: str) -> bool:
    """Whether Kubernetes itself defines the resource."""
    return "/" not in name or "kubernetes.io/" in name


def is_extended(name: str) -> bool:
    """Whether the name is one that a device or an administrator may define."""
    if is_native(name) or name.startswith("requests."):
        return False
    return not names.qualified_name(f"requests.{name}")


def is_overcommittable(name: str) -> bool:
    """Whether limits may exceed requests."""
    return is_native(name) and not name.startswith(HUGE_PAGES)


def is_standard(name: str) -> bool:
    return name in STANDARD or name.startswith((HUGE_PAGES, f"requests.{HUGE_PAGES}"))


def is_for_containers(name: str) -> bool:
    return name in _CONTAINER or name.startswith(HUGE_PAGES)


def is_for_quota(name: str) -> bool:
    return name in QUOTA or name.startswith((HUGE_PAGES, f"requests.{HUGE_PAGES}"))


def name_errors(path: str, name: str) -> Iterator[FieldError]:
    """A resource's name is qualified, or one that Kubernetes knows."""
    problems = names.qualified_name(name)
    for problem in problems:
        yield invalid(path, name, problem)
    if not problems and "/" not in name and not is_standard(name):
        yield invalid(path, name, "must be a standard resource type or fully qualified")


def quantity_errors(path: str, name: str, amount: str) -> Iterator[FieldError]:
    """No resource is negative, and things are counted in whole numbers."""
    parsed = quantity.parse(amount)
    if parsed.nanos < 0:
        yield invalid(path, amount, _NEGATIVE)
    if not parsed.is_whole and (name in INTEGER or is_extended(name)):
        yield invalid(path, amount, _NOT_WHOLE)


def fraction_warnings(
    path: str, amounts: Mapping[str, str] | None, of: Collection[str] = ("memory", "ephemeral-storage")
) -> Iterator[str]:
    """Amounts of bytes that are no whole number of them."""
    for name in of if amounts else ():
        if amounts and name in amounts and not quantity.parse(amounts[name]).is_whole:
            yield f'{path}[{name}]: fractional byte value "{amounts[name]}" is invalid, must be an integer'


def overhead_errors(path: str, overhead: Mapping[str, str]) -> Iterator[FieldError]:
    """What a runtime adds to a pod; the errors stand where those of limits would."""
    return requirement_errors(path, {"limits": overhead})


def container_name_errors(path: str, name: str) -> Iterator[FieldError]:
    """A resource's name is one that containers may ask for."""
    if name in _CONTAINER or (name.startswith(HUGE_PAGES) and "/" not in name and not names.qualified_name(name)):
        return
    yield from name_errors(path, name)
    if "/" not in name:
        yield invalid(path, name, "must be a standard resource for containers")
    elif not is_native(name) and not is_extended(name):
        yield invalid(path, name, "doesn't follow extended resource name standard")


def requirement_errors(path: str, asked: Object, claims: Collection[str] | None = None) -> Iterator[FieldError]:
    """Requests and limits of a container; `claims` names the pod's resource claims, None where they are unknown."""
    limits, requests = asked.get("limits") or {}, asked.get("requests") or {}
    for name, amount in limits.items():
        yield from _amount_errors(f"{path}.limits[{name}]", name, amount)
    for name, amount in requests.items():
        yield from _amount_errors(f"{path}.requests[{name}]", name, amount)
        yield from _bound_errors(path, name, amount, limits.get(name))
    named = limits.keys() | requests.keys()
    if not named & _POD_LEVEL and any(name.startswith(HUGE_PAGES) for name in named):
        yield forbidden(path, "HugePages require cpu or memory")
    if asked.get("claims"):
        yield from _claim_errors(f"{path}.claims", asked["claims"], claims)


def _amount_errors(path: str, name: str, amount: str) -> Iterator[FieldError]:
    if name not in _CONTAINER:
        yield from container_name_errors(path, name)
        if name.startswith(HUGE_PAGES):
            yield from _huge_page_errors(path, name, amount)
    yield from quantity_errors(path, name, amount)


def _huge_page_errors(path: str, name: str, amount: str) -> Iterator[FieldError]:
    size = name.removeprefix(HUGE_PAGES)
    if not quantity.is_quantity(size) or (page := quantity.parse(size).nanos) <= 0:
        return
    if quantity.parse(amount).nanos % page:
        yield invalid(path, amount, f"{amount} is not positive integer multiple of {page // quantity.NANO}")


def _bound_errors(path: str, name: str, amount: str, limit: str | None) -> Iterator[FieldError]:
    if limit is None:
        if not is_overcommittable(name):
            yield required(f"{path}.limits", "Limit must be set for non overcommitable resources")
        return
    order = quantity.compare(amount, limit)
    if order and not is_overcommittable(name):
        yield invalid(f"{path}.requests", amount, f"must be equal to {name} limit of {limit}")
    elif order > 0:
        yield invalid(f"{path}.requests", amount, f"must be less than or equal to {name} limit of {limit}")


def _claim_errors(path: str, asked: list[Object], claims: Collection[str] | None) -> Iterator[FieldError]:
    seen: set[tuple[str, str]] = set()
    for i, claim in enumerate(asked):
        name, request = claim.get("name") or "", claim.get("request") or ""
        at = f"{path}[{i}]"
        if not name:
            yield required(at)
            continue
        if (name, "") in seen:
            yield duplicate(at, name)
        else:
            if request:
                yield from (invalid(f"{at}.request", request, problem) for problem in names.dns1123_label(request))
            if (name, request) in seen:
                yield duplicate(at, f"{name}/{request}")
            elif not request:
                # The claim as a whole overlaps each part of it that was asked for before.
                yield from (duplicate(at, name) for other, _ in seen if other == name)
            seen.add((name, request))
        if claims is not None and name not in claims:
            yield not_found(at, name)


def aggregate(spec: Object, side: str) -> Amounts:
    """What a pod's containers ask for together, `side` being `requests` or `limits`.

    Init containers run one after another, side-cars among them stay: the peak counts.
    """
    total: Amounts = {}
    for container in spec.get("containers") or ():
        _add(total, _side(container, side))
    kept: Amounts = {}
    peak: Amounts = {}
    for container in spec.get("initContainers") or ():
        asked = _side(container, side)
        if container.get("restartPolicy") == "Always":
            _add(total, asked)
            _add(kept, asked)
            _raise_to(peak, kept)
        else:
            alone = dict(kept)
            _add(alone, asked)
            _raise_to(peak, alone)
    _raise_to(total, peak)
    return total


def _side(container: Object, side: str) -> Mapping[str, str]:
    amounts: Mapping[str, str] | None = (container.get("resources") or {}).get(side)
    return amounts or {}


def _add(total: Amounts, amounts: Mapping[str, str | quantity.Quantity]) -> None:
    for name, amount in amounts.items():
        parsed = amount if isinstance(amount, quantity.Quantity) else quantity.parse(amount)
        total[name] = total[name].plus(parsed) if name in total else parsed


def _raise_to(total: Amounts, other: Amounts) -> None:
    for name, amount in other.items():
        if name not in total or total[name].nanos < amount.nanos:
            total[name] = amount


def is_pod_level(name: str) -> bool:
    return name in _POD_LEVEL or name.startswith(HUGE_PAGES)


def default_pod_requests(spec: Object) -> None:
    """Pod-level requests that are open follow the containers' requests, else the pod-level limits."""
    limits = spec["resources"].get("limits")
    if not limits:
        return
    requests = dict(spec["resources"].get("requests") or {})
    for name, amount in aggregate(spec, "requests").items():
        if name in _POD_LEVEL:
            requests.setdefault(name, str(amount))
    for name, limit in limits.items():
        if is_pod_level(name):
            requests.setdefault(name, limit)
    if requests:
        spec["resources"]["requests"] = requests


def pod_level_errors(path: str, spec: Object) -> Iterator[FieldError]:
    """Requests and limits of a pod as a whole, which must have room for its containers."""
    asked = spec["resources"]
    limits, requests = asked.get("limits") or {}, asked.get("requests") or {}
    for side, amounts in (("limits", limits), ("requests", requests)):
        for name in amounts:
            wrong = list(name_errors(f"{path}.{side}[{name}]", name))
            yield from wrong
            if not wrong and not is_pod_level(name):
                yield not_supported(f"{path}.{side}[{name}]", name, ("cpu", "hugepages-", "memory"))
    if asked.get("claims"):
        yield forbidden(f"{path}.claims", "claims may not be set for Resources at pod-level")
    known = {
        side: {name: amount for name, amount in amounts.items() if is_pod_level(name)}
        for side, amounts in (("limits", limits), ("requests", requests))
    }
    yield from requirement_errors(path, known)
    for name, amount in aggregate(spec, "requests").items():
        if name in requests and amount.nanos > quantity.parse(requests[name]).nanos:
            detail = f"must be greater than or equal to aggregate container requests of {amount}"
            yield invalid(f"{path}.requests[{name}]", requests[name], detail)
    base = path.rpartition(".")[0]
    for field in ("initContainers", "containers"):
        for i, container in enumerate(spec.get(field) or ()):
            for name, limit in _side(container, "limits").items():
                if name in limits and quantity.compare(limit, limits[name]) > 0:
                    at = f"{base}.{field}[{i}].resources.limits[{name}]"
                    yield invalid(at, limit, f"must be less than or equal to pod limits of {limits[name]}")
