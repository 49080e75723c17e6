"""ControllerRevisions: the numbered templates of StatefulSets and DaemonSets, for rollbacks and history."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mizzen.api.views.apps import ControllerRevision
from mizzen.api.views.meta import ObjectMeta
from mizzen.client.resources import CONTROLLER_REVISIONS
from mizzen.controllers import template as templates
from mizzen.controllers.ownership import Identity, owned_by
from mizzen.machinery.errors import Object
from mizzen.reconcile.plan import Create, Delete, Patch

HASH_LABEL = "controller-revision-hash"


@dataclass(frozen=True, slots=True)
class Owner:
    """The workload whose revisions these are."""

    metadata: ObjectMeta
    identity: Identity
    template: Object
    collisions: int


@dataclass(frozen=True, slots=True)
class Current:
    """The revision of the present template, and what must be done first so that it exists and is the latest.

    `alike`: the hashes of all revisions with this template, whoever recorded it, and the one that it would get now;
    pods with any of them are up to date.
    """

    name: str
    digest: str
    action: Create | Patch | None
    alike: frozenset[str] = frozenset()
    collides: bool = False


def data_of(template: Object) -> Object:
    """What a revision records: a strategic-merge patch that puts the template back.

    Clients (`kubectl rollout undo`) make that patch, too, and compare the bytes: fields are in order, and a template
    says nothing of its creation.
    """
    data: Object = _in_order({"spec": {"template": {**template, "$patch": "replace"}}})
    return data


def _in_order(value: Any) -> Any:
    if isinstance(value, Mapping):
        left_out = {"creationTimestamp"} if value.get("creationTimestamp", "") is None else set()
        return {key: _in_order(value[key]) for key in sorted(value) if key not in left_out}
    return [_in_order(one) for one in value] if isinstance(value, list | tuple) else value


def _records(one: ControllerRevision, data: Object) -> bool:
    """Whether a revision records these data; those of earlier versions may have nulls."""
    return one.data == data or _in_order(one.data) == data


def current(owner: Owner, known: Sequence[ControllerRevision], namesake: ControllerRevision | None) -> Current:
    """Find the template among the known revisions, or plan to record it."""
    data = data_of(owner.template)
    number = max((one.revision for one in known), default=0)
    name, digest = name_for(owner)
    same = [one for one in known if _records(one, data)]
    if same:
        newest = max(same, key=lambda one: (one.revision, one.metadata.name))
        meta = newest.metadata
        patch: Object = {"revision": number + 1} if newest.revision < number else {}
        if HASH_LABEL not in meta.labels:
            patch["metadata"] = {"labels": {HASH_LABEL: _digest(newest)}}
        action = Patch(CONTROLLER_REVISIONS, meta.namespace, meta.name, patch, uid=meta.uid) if patch else None
        others = {_digest(one) for one in known if not _records(one, data)}
        alike = {*map(_digest, same), *({digest} - others)}
        return Current(meta.name, _digest(newest), action, frozenset(alike))
    body = {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": name,
            "namespace": owner.metadata.namespace,
            "labels": {**((owner.template.get("metadata") or {}).get("labels") or {}), HASH_LABEL: digest},
            "annotations": {
                key: value for key, value in owner.metadata.annotations.items() if not key.startswith("kubectl.")
            },
            "ownerReferences": owned_by(owner.metadata, owner.identity),
        },
        "data": data,
        "revision": number + 1,
    }
    return Current(name, digest, Create(CONTROLLER_REVISIONS, body), frozenset((digest,)), namesake is not None)


def _digest(one: ControllerRevision) -> str:
    return one.metadata.labels.get(HASH_LABEL, one.metadata.name.rpartition("-")[2])


def name_for(owner: Owner) -> tuple[str, str]:
    """Name and hash of the revision of the present template."""
    digest = templates.digest(owner.template, owner.collisions)
    return f"{owner.metadata.name}-{digest}", digest


def surplus(known: Sequence[ControllerRevision], live: Iterable[str], limit: int) -> tuple[Delete, ...]:
    """Deletions of the oldest revisions past the history limit; those in use (by name or hash) stay."""
    in_use = set(live)
    idle = [
        one
        for one in known
        if one.metadata.name not in in_use
        and one.metadata.labels.get(HASH_LABEL) not in in_use
        and not one.metadata.deleting
    ]
    idle.sort(key=lambda one: (one.revision, one.metadata.name))
    return tuple(
        Delete(CONTROLLER_REVISIONS, one.metadata.namespace, one.metadata.name, uid=one.metadata.uid)
        for one in idle[: max(0, len(idle) - limit)]
    )
