"""kubectl's client-side apply left a manifest in an annotation: its server-side apply may take those fields over.

Ref: https://kubernetes.io/docs/reference/using-api/server-side-apply/#upgrading-from-client-side-apply-to-server-side-apply
"""

from typing import Any, Final

import orjson

from mizzen.machinery.errors import Object
from mizzen.machinery.patch.apply import sets, walk
from mizzen.machinery.patch.apply.sets import EMPTY, Fields
from mizzen.machinery.schema import Schema

ANNOTATION: Final = "kubectl.kubernetes.io/last-applied-configuration"
MANAGER: Final = "kubectl"
"""Only applies under this name take over; whoever wants none of it names another manager."""
_LIMIT: Final = 256 * 1024


def conceded(live: Object, manager: str, schema: Schema) -> Fields:
    """Fields that the manifest of the last client-side apply names and that still have its values."""
    if manager != MANAGER:
        return EMPTY
    last = _manifest(_annotations(live).get(ANNOTATION))
    if last is None or last.get("apiVersion") != live.get("apiVersion"):
        return EMPTY
    changed, removed = walk.compare(last, live, schema)
    return sets.difference(sets.difference(walk.named(last, schema), changed), removed)


def noted(merged: Object, applied: Object, manager: str) -> Object:
    """The object with its annotation brought up to date, so that a later client-side apply merges from here."""
    annotations = _annotations(merged)
    if manager != MANAGER or ANNOTATION not in annotations:
        return merged
    kept = {key: value for key, value in annotations.items() if key != ANNOTATION}
    manifest = _without(applied)
    text = orjson.dumps(manifest, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE).decode()
    if len(text) + sum(len(key) + len(value) for key, value in kept.items()) <= _LIMIT:
        kept[ANNOTATION] = text
    return {**merged, "metadata": {**merged["metadata"], "annotations": kept}}


def _without(applied: Object) -> Object:
    metadata = applied.get("metadata") or {}
    if ANNOTATION not in (metadata.get("annotations") or {}):
        return applied
    annotations = {key: value for key, value in metadata["annotations"].items() if key != ANNOTATION}
    return {**applied, "metadata": {**metadata, "annotations": annotations}}


def _annotations(obj: Object) -> dict[str, Any]:
    return (obj.get("metadata") or {}).get("annotations") or {}


def _manifest(text: Any) -> Object | None:
    if not isinstance(text, str):
        return None
    try:
        manifest = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return manifest if isinstance(manifest, dict) else None
