"""Pod templates: compared, hashed and labelled."""

import hashlib
from typing import Any

import msgspec

from mizzen.machinery.errors import Object

HASH_LABEL = "pod-template-hash"
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"


def digest(value: Any, collisions: int = 0) -> str:
    """Ten letters that stand for a JSON value: stable across processes, without vowels, fit for names and labels."""
    text = msgspec.json.encode(value, order="deterministic") + (b"#%d" % collisions if collisions else b"")
    number = int.from_bytes(hashlib.sha256(text).digest()[:8], "big")
    letters = ""
    for _ in range(10):
        number, rest = divmod(number, len(_ALPHABET))
        letters += _ALPHABET[rest]
    return letters


def without_hash(template: Object) -> Object:
    """A template as the user wrote it."""
    meta = template.get("metadata") or {}
    labels = {key: value for key, value in (meta.get("labels") or {}).items() if key != HASH_LABEL}
    return {"metadata": _pruned({**meta, "labels": labels}), "spec": template.get("spec") or {}}


def same(left: Object, right: Object) -> bool:
    """Whether two templates make the same pods, the hash label aside."""
    return without_hash(left) == without_hash(right)


def labelled(template: Object, labels: dict[str, str]) -> Object:
    """A template with more labels."""
    meta = template.get("metadata") or {}
    return {**template, "metadata": {**meta, "labels": {**(meta.get("labels") or {}), **labels}}}


def _pruned(meta: Object) -> Object:
    return {key: value for key, value in meta.items() if value not in (None, {}, []) and key != "creationTimestamp"}
