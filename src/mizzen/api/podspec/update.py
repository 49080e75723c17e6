"""What may change of a pod once it exists: by a plain update, by resize, and by adding ephemeral containers.

Ref: https://kubernetes.io/docs/concepts/workloads/pods/#pod-update-and-replacement
"""

from collections.abc import Iterator, Sequence
from typing import Any

from mizzen.api.podspec import containers, qos, scheduling, volumes
from mizzen.api.podspec.annotations import MIRROR
from mizzen.api.rules.equality import same
from mizzen.machinery.errors import FieldError, Object, forbidden, invalid, required

_MAX_SECONDS = 2147483647
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_MUTABLE = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)
WHOLE = "[]"
"""The path of an error that blames no field."""
_RESIZABLE = frozenset(("resources", "resizePolicy"))


def update_errors(new: Object, old: Object) -> Iterator[FieldError]:
    """What a plain update changes that it may not change."""
    spec, before = new["spec"], old["spec"]
    for field in ("containers", "initContainers"):
        if len(spec.get(field) or ()) != len(before.get(field) or ()):
            yield forbidden(f"spec.{field}", "pod updates may not add or remove containers")
            return
        yield from _image_errors(f"spec.{field}", spec.get(field) or ())
    deadline = list(_deadline_errors(spec.get("activeDeadlineSeconds"), before.get("activeDeadlineSeconds")))
    yield from deadline
    if deadline:
        return
    yield from _toleration_errors(spec.get("tolerations") or [], before.get("tolerations") or [])
    yield from _gate_errors(spec.get("schedulingGates") or (), before.get("schedulingGates") or ())
    frozen = dict(spec)
    for field in ("activeDeadlineSeconds", "tolerations", "schedulingGates"):
        frozen[field] = before.get(field)
    if (before.get("terminationGracePeriodSeconds") or 0) < 0 and spec.get("terminationGracePeriodSeconds") == 1:
        frozen["terminationGracePeriodSeconds"] = before["terminationGracePeriodSeconds"]
    if before.get("schedulingGates"):
        yield from _gated_errors(frozen, before)
    for field in ("containers", "initContainers"):
        frozen[field] = _with_old_images(spec.get(field) or (), before.get(field) or ())
    changed = [
        f"spec.{field}"
        for field in sorted(frozen.keys() | before.keys())
        if not same(frozen.get(field), before.get(field))
    ]
    if changed:
        yield forbidden("spec", f"{_MUTABLE}\nchanged: {', '.join(changed)}")


def _image_errors(path: str, changed: Sequence[Object]) -> Iterator[FieldError]:
    """Images are looked at once more on update, as clients know it from the causes."""
    for i, container in enumerate(changed):
        if not container.get("image"):
            yield required(f"{path}[{i}].image")
    yield from containers.image_errors(path, changed)


def _deadline_errors(new: int | None, old: int | None) -> Iterator[FieldError]:
    path = "spec.activeDeadlineSeconds"
    if new is None:
        if old is not None:
            yield invalid(path, None, "must not update from a positive integer to nil value")
    elif not 0 <= new <= _MAX_SECONDS:
        yield invalid(path, new, f"must be between 0 and {_MAX_SECONDS}, inclusive")
    elif old is not None and old < new:
        yield invalid(path, new, "must be less than or equal to previous value")


def _toleration_errors(new: list[Object], old: list[Object]) -> Iterator[FieldError]:
    if new == old:
        return
    kept = [_without(toleration, "tolerationSeconds") for toleration in new]
    if any(_without(toleration, "tolerationSeconds") not in kept for toleration in old):
        yield forbidden("spec.tolerations", "existing toleration can not be modified except its tolerationSeconds")
    yield from scheduling.toleration_errors("spec.tolerations", new)


def _without(entry: Object, field: str) -> Object:
    return {key: value for key, value in entry.items() if key != field and value not in (None, "")}


def _gate_errors(new: Any, old: Any) -> Iterator[FieldError]:
    known = {gate.get("name") for gate in old}
    for i, gate in enumerate(new):
        if gate.get("name") not in known:
            detail = f"only deletion is allowed, but found new scheduling gate '{gate.get('name')}'"
            yield forbidden(f"spec.schedulingGates[{i}].name", detail)


def _with_old_images(new: Any, old: Any) -> list[Object]:
    return [{**container, "image": before.get("image")} for container, before in zip(new, old, strict=True)]


def _gated_errors(frozen: Object, before: Object) -> Iterator[FieldError]:
    """While gates hold a pod back, its node selector and node affinity may become narrower, in place in `frozen`."""
    new, old = frozen.get("nodeSelector") or {}, before.get("nodeSelector") or {}
    if new != old:
        for key, value in old.items():
            if new.get(key) != value:
                detail = "only additions to spec.nodeSelector are allowed (no mutations or deletions)"
                yield invalid("spec.nodeSelector", new, detail)
                break
        frozen["nodeSelector"] = before.get("nodeSelector")
    new, old = frozen.get("affinity") or {}, before.get("affinity") or {}
    if not same(new.get("nodeAffinity"), old.get("nodeAffinity")):
        yield from _node_affinity_errors(new.get("nodeAffinity") or {}, old.get("nodeAffinity") or {})
        frozen["affinity"] = {**new, "nodeAffinity": old.get("nodeAffinity")}


def _node_affinity_errors(new: Object, old: Object) -> Iterator[FieldError]:
    path = f"spec.affinity.nodeAffinity.{_REQUIRED}"
    selector, before = new.get(_REQUIRED), old.get(_REQUIRED)
    terms = (selector or {}).get("nodeSelectorTerms") or ()
    old_terms = (before or {}).get("nodeSelectorTerms") or ()
    if not old_terms:
        return
    if len(terms) != len(old_terms):
        yield invalid(
            f"{path}.nodeSelectorTerms", terms, "no additions/deletions to non-empty NodeSelectorTerms list are allowed"
        )
        return
    for i, (term, old_term) in enumerate(zip(terms, old_terms, strict=True)):
        if not _only_adds(term, old_term):
            detail = "only additions are allowed (no mutations or deletions)"
            yield invalid(f"{path}.nodeSelectorTerms[{i}]", term, detail)


def _only_adds(term: Object, old_term: Object) -> bool:
    """Whether a term says all that it said before, in the same order, and perhaps more; an empty one stays empty."""
    parts = [(term.get(field) or [], old_term.get(field) or []) for field in ("matchExpressions", "matchFields")]
    if not any(before for _, before in parts):
        return not any(now for now, _ in parts)
    return all(same(now[: len(before)], before) for now, before in parts)


def keep_all_but_ephemeral(new: Object, old: Object) -> None:
    """Reduce an update of the ephemeralcontainers subresource to what it may touch, in place."""
    added = (new.get("spec") or {}).get("ephemeralContainers")
    new["spec"] = {**old["spec"], "ephemeralContainers": added}
    if not added:
        del new["spec"]["ephemeralContainers"]
    new["status"] = old.get("status") or {}


def ephemeral_errors(new: Object, old: Object) -> Iterator[FieldError]:
    """Ephemeral containers may be added, not changed and not taken away."""
    spec, path = new["spec"], "spec.ephemeralContainers"
    if MIRROR in (old["metadata"].get("annotations") or {}):
        yield forbidden(WHOLE, "static pods do not support ephemeral containers")
        return
    known = volumes.by_name(spec)
    yield from containers.ephemeral_container_errors(path, spec, known)
    now = {container.get("name"): container for container in spec.get("ephemeralContainers") or ()}
    for before in old["spec"].get("ephemeralContainers") or ():
        name = before.get("name")
        if name not in now:
            yield forbidden(path, f'existing ephemeral containers "{name}" may not be removed\n')
        elif not same(now[name], before):
            yield forbidden(path, f'existing ephemeral containers "{name}" may not be changed\n')


def keep_all_but_resources(new: Object, old: Object) -> None:
    """Reduce an update of the resize subresource to what it may touch, in place."""
    asked, stored = new.get("spec") or {}, old["spec"]
    spec = dict(stored)
    if asked.get("resources") is not None:
        spec["resources"] = asked["resources"]
    for field in ("containers", "initContainers"):
        wanted = {container.get("name"): container for container in asked.get(field) or ()}
        spec[field] = [_resized(container, wanted.get(container.get("name"))) for container in stored.get(field) or ()]
        if not spec[field]:
            del spec[field]
    new["spec"] = spec
    new["status"] = old.get("status") or {}


def _resized(container: Object, wanted: Object | None) -> Object:
    if wanted is None:
        return container
    return {**container, **{field: wanted[field] for field in _RESIZABLE if field in wanted}}


def resize_errors(new: Object, old: Object) -> Iterator[FieldError]:
    """What a resize may not do: touch more than cpu and memory, take them away, or change the quality of service."""
    spec, before = new["spec"], old["spec"]
    if MIRROR in (old["metadata"].get("annotations") or {}):
        yield forbidden(WHOLE, "static pods cannot be resized")
        return
    if (spec.get("os") or {}).get("name") == "windows":
        yield forbidden(WHOLE, "windows pods cannot be resized")
        return
    if qos.qos_class(spec) != qos.qos_class(before):
        yield invalid("spec", qos.qos_class(spec), "Pod QOS Class may not change as a result of resizing")
    for field in ("containers", "initContainers"):
        for i, (container, stored) in enumerate(zip(spec.get(field) or (), before.get(field) or (), strict=True)):
            path = f"spec.{field}[{i}].resources"
            side_car = field == "containers" or container.get("restartPolicy") == "Always"
            yield from _container_resize_errors(
                path, container.get("resources") or {}, stored.get("resources") or {}, side_car
            )


def _container_resize_errors(path: str, new: Object, old: Object, resizable: bool) -> Iterator[FieldError]:
    if not resizable:
        if not same(new, old):
            yield forbidden("spec", "resources for non-sidecar init containers are immutable")
        return
    others_change = not same(new.get("claims"), old.get("claims"))
    for side, what in (("limits", "resource limits"), ("requests", "resource requests")):
        now, before = new.get(side) or {}, old.get(side) or {}
        if not before.keys() <= now.keys():
            yield forbidden(f"{path}.{side}", f"{what} cannot be removed")
        others = (now.keys() | before.keys()) - {"cpu", "memory"}
        others_change |= any(now.get(name) != before.get(name) for name in others)
    if others_change:
        yield forbidden("spec", "only cpu and memory resources are mutable")
