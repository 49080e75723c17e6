"""A pod's status: what it leaves open, and what its writers may say."""

from collections.abc import Iterable, Iterator

from mizzen.api.rules import addresses, fields
from mizzen.machinery import names
from mizzen.machinery.errors import FieldError, Object, duplicate, forbidden, invalid

_STATUS_LISTS = ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")
_ONE_PER_FAMILY = "may specify no more than one IP for each IP family"


def default_status(status: Object) -> None:
    """Fill in what clients expect to find in every status."""
    for condition in status.get("conditions") or ():
        condition.setdefault("lastProbeTime", None)
        condition.setdefault("lastTransitionTime", None)
    for field in _STATUS_LISTS:
        for container in status.get(field) or ():
            _default_container(container)
    first, all_ = status.get("podIP"), status.get("podIPs")
    if all_ and (not first or first != all_[0].get("ip")):
        if first:
            status["podIPs"] = [{"ip": first}]
        else:
            status["podIP"] = all_[0].get("ip") or ""
    elif first and not all_:
        status["podIPs"] = [{"ip": first}]


def _default_container(status: Object) -> None:
    for field in ("image", "imageID"):
        status.setdefault(field, "")
    status.setdefault("ready", False)
    status.setdefault("restartCount", 0)
    for field in ("state", "lastState"):
        state = status.get(field)
        if state is None:
            status[field] = {}
            continue
        if (running := state.get("running")) is not None:
            running.setdefault("startedAt", None)
        if (ended := state.get("terminated")) is not None:
            ended.setdefault("startedAt", None)
            ended.setdefault("finishedAt", None)
            ended.setdefault("exitCode", 0)


def status_errors(new: Object, old: Object | None) -> Iterator[FieldError]:
    """What is wrong with the status of a pod."""
    status = new.get("status") or {}
    for i, condition in enumerate(status.get("conditions") or ()):
        # Conditions are reported as if they stood in the metadata.
        type_ = condition.get("type") or ""
        yield from fields.matches(f"metadata.conditions[{i}].Type", type_, names.qualified_name)
    if name := status.get("nominatedNodeName"):
        yield from fields.matches("status.nominatedNodeName", name, names.dns1123_subdomain)
    for field in ("podIPs", "hostIPs"):
        yield from _address_errors(f"status.{field}", status.get(field) or ())
    hosts = status.get("hostIPs") or ()
    if hosts and hosts[0].get("ip") != status.get("hostIP"):
        yield invalid("status.hostIPs[0].ip", hosts[0].get("ip"), "must be equal to `hostIP`")
    yield from _claim_errors("status.resourceClaimStatuses", status.get("resourceClaimStatuses") or (), new)
    if (generation := status.get("observedGeneration")) is not None and generation < 0:
        yield invalid("status.observedGeneration", generation, "must be greater than or equal to 0")
    if old is None:
        return
    before = old.get("status") or {}
    if before.get("qosClass") and status.get("qosClass") != before["qosClass"]:
        yield invalid("status.qosClass", status.get("qosClass"), fields.IMMUTABLE)
    yield from _transition_errors(new, old)


def _address_errors(path: str, entries: list[Object] | tuple[()]) -> Iterator[FieldError]:
    families = []
    known: set[str] = set()
    for i, entry in enumerate(entries):
        if (entry.get("ip") or "") in known:
            yield duplicate(f"{path}[{i}]", entry)
        else:
            known.add(entry.get("ip") or "")
        yield from addresses.address(f"{path}[{i}]", entry.get("ip") or "", "must be a valid IP address")
        families.append(addresses.family(entry.get("ip") or ""))
    if len(entries) > 2 or (len(entries) == 2 and families[0] == families[1]):
        yield invalid(path, entries, _ONE_PER_FAMILY)


def _claim_errors(path: str, claims: Iterable[Object], pod: Object) -> Iterator[FieldError]:
    """Which claims were made for the pod: each for one of its entries, and once."""
    known = {claim.get("name") for claim in (pod.get("spec") or {}).get("resourceClaims") or ()}
    seen: set[str] = set()
    for i, claim in enumerate(claims):
        name = claim.get("name") or ""
        if name not in known:
            detail = "must match the name of an entry in `spec.resourceClaims`"
            yield invalid(f"{path}[{i}].name", name, detail)
        if name in seen:
            yield duplicate(f"{path}[{i}].name", name)
        seen.add(name)
        if (made := claim.get("resourceClaimName")) is not None:
            yield from fields.subdomain(f"{path}[{i}].name", made)


def _transition_errors(new: Object, old: Object) -> Iterator[FieldError]:
    """A container that ended for good may not run again."""
    spec = new.get("spec") or {}
    policy = spec.get("restartPolicy")
    rules = {
        container.get("name"): container.get("restartPolicyRules") or ()
        for field in ("initContainers", "containers")
        for container in spec.get(field) or ()
    }
    if any(rule.get("action") == "RestartAllContainers" for some in rules.values() for rule in some):
        return
    own = {
        container.get("name"): container.get("restartPolicy") or ""
        for field in ("initContainers", "containers")
        for container in spec.get(field) or ()
    }
    for field in ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"):
        for i, before in enumerate((old.get("status") or {}).get(field) or ()):
            # Ephemeral containers never start again, whatever the pod's policy says.
            rule = "Never" if field == "ephemeralContainerStatuses" else own.get(before.get("name")) or policy
            ended = (before.get("state") or {}).get("terminated")
            if rule == "Always" or ended is None or (ended.get("exitCode") and rule == "OnFailure"):
                continue
            if any(_fits(one, ended.get("exitCode") or 0) for one in rules.get(before.get("name")) or ()):
                continue
            if field == "initContainerStatuses" and not ended.get("exitCode") and rule == "OnFailure":
                continue
            after = next(
                (one for one in (new.get("status") or {}).get(field) or () if one.get("name") == before.get("name")),
                None,
            )
            if after is not None and (after.get("state") or {}).get("terminated") is None:
                yield forbidden(f"status.{field}[{i}].state", "may not be transitioned to non-terminated state")


def _fits(rule: Object, code: int) -> bool:
    """Whether a restart rule is about an exit code."""
    codes = rule.get("exitCodes") or {}
    return (code in (codes.get("values") or ())) == (codes.get("operator") == "In")
