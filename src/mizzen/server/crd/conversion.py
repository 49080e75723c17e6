"""Custom resources whose versions only a webhook can turn into each other.

Conversion needs an answer from elsewhere, reading does not wait: what is about to be read is converted beforehand, many
objects in one review, and remembered by uid and resourceVersion; the hooks of the kind then only look it up.
Ref: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definition-versioning/
"""

import uuid
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import orjson

from mizzen.machinery import structural
from mizzen.machinery.errors import Errors, Object
from mizzen.machinery.schema import Schema
from mizzen.server.admission.webhooks.call import Caller, Unreachable
from mizzen.server.watchcache import decode_tail

_SECONDS: Final = 30.0
_KEPT: Final = 2_000
_REVIEW: Final = "apiextensions.k8s.io/v1"
_MAY_CHANGE: Final = ("labels", "annotations")


class Failed(Exception):
    """The webhook did not convert; the text says why."""


class WebhookConverter:
    """Converts objects of one served version from and to the stored one."""

    def __init__(
        self, caller: Caller, config: Object, kind: str, served: str, storage: str, schemas: Mapping[str, Schema]
    ) -> None:
        self.config = config
        self.storage = storage
        """The apiVersion that new writes are stored as."""
        self._caller = caller
        self._kind = kind
        self._served = served
        self._schemas = schemas
        self._known: OrderedDict[tuple[str, str], bytes] = OrderedDict()

    async def prepare(self, stored: Iterable[tuple[str, bytes]]) -> None:
        """Convert what is stored in another version: (apiVersion, tail) of each object. Raises ApiError."""
        wanted = [
            {"apiVersion": version, "kind": self._kind, **decode_tail(tail)}
            for version, tail in stored
            if version != self._served
        ]
        missing = [obj for obj in wanted if _identity(obj) not in self._known]
        if not missing:
            return
        converted = await self._converted(missing, self._served)
        while self._known and len(self._known) + len(missing) > max(_KEPT, len(wanted)):
            self._known.popitem(last=False)
        for obj in converted:
            self._known[_identity(obj)] = orjson.dumps(obj)
        await self._again(wanted)

    async def _again(self, wanted: Sequence[Object]) -> None:
        """Convert what making room for the others has pushed out."""
        lost = [obj for obj in wanted if _identity(obj) not in self._known]
        for obj in await self._converted(lost, self._served) if lost else ():
            self._known[_identity(obj)] = orjson.dumps(obj)

    def from_stored(self, obj: Object) -> Object:
        """The prepared form of a stored object; itself when it is stored as it is served."""
        known = self._known.get(_identity(obj))
        if known is None:
            return obj
        converted: Object = orjson.loads(known)
        return converted

    async def to_stored(self, obj: Object) -> Object:
        """The form in which an object is written. Raises ApiError."""
        if self._served == self.storage:
            return obj
        return (await self._converted([obj], self.storage))[0]

    def written(self, obj: Object, revision: int) -> None:
        """Remember the served form of what was just written at a revision."""
        if self._served != self.storage:
            kept = {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(revision)}}
            self._known[_identity(kept)] = orjson.dumps(kept)

    async def _converted(self, objects: Sequence[Object], wanted: str) -> list[Object]:
        """Raises ApiError."""
        try:
            converted = await self._ask(objects, wanted)
        except (Failed, Unreachable) as error:
            source = objects[0]["apiVersion"]
            text = str(error).removeprefix("failed to call webhook: ")
            raise Errors.internal(f"conversion webhook for {source}, Kind={self._kind} failed: {text}") from error
        for obj in converted:
            structural.coerce(obj, self._schemas[wanted])
        return converted

    async def _ask(self, objects: Sequence[Object], wanted: str) -> list[Object]:
        request = {"uid": str(uuid.uuid4()), "desiredAPIVersion": wanted, "objects": list(objects)}
        review = {"kind": "ConversionReview", "apiVersion": _REVIEW, "request": request}
        answer = await self._caller.post(self.config.get("clientConfig") or {}, review, _SECONDS)
        found = _objects(answer, str(request["uid"]))
        if len(found) != len(objects):
            raise Failed(f"webhook returned {len(found)} objects, expected {len(objects)}")
        return [
            _checked(before, after, wanted, position)
            for position, (before, after) in enumerate(zip(objects, found, strict=True))
        ]


def _objects(answer: Object, uid: str) -> list[Object]:
    """The converted objects of an answer. Raises Failed."""
    if (answer.get("apiVersion"), answer.get("kind")) != (_REVIEW, "ConversionReview"):
        got = f"{answer.get('apiVersion')}, Kind={answer.get('kind')}"
        raise Failed(f"invalid response: expected {_REVIEW}, Kind=ConversionReview, got {got}")
    response = answer.get("response")
    if not isinstance(response, dict):
        raise Failed("invalid response: no response provided")
    if response.get("uid") != uid:
        raise Failed(f"invalid response: expected response.uid={uid!r}, got {response.get('uid')!r}")
    result = response.get("result") or {}
    if result.get("status") != "Success":
        raise Failed(str(result.get("message") or "response status is not Success, without a message"))
    found = response.get("convertedObjects")
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise Failed("invalid response: convertedObjects is no list of objects")
    return found


def _checked(before: Object, after: Object, wanted: str, position: int) -> Object:
    """The converted object with the metadata that a webhook may not change put back. Raises Failed."""
    place = f"invalid converted object at index {position}"
    if after.get("apiVersion") != wanted:
        raise Failed(f"{place}: invalid apiVersion {after.get('apiVersion')}, expected {wanted}")
    if after.get("kind") != before["kind"]:
        raise Failed(f"{place}: invalid kind {after.get('kind')}, expected {before['kind']}")
    meta, old = after.get("metadata"), before["metadata"]
    if not isinstance(meta, dict):
        raise Failed(f"{place}: invalid metadata")
    for name in ("name", "namespace", "uid"):
        if meta.get(name) != old.get(name):
            text = f"must have the same {name}: {old.get(name)} != {meta.get(name)}"
            raise Failed(f"{place}: invalid metadata: {text}")
    kept = {key: value for key, value in old.items() if key not in _MAY_CHANGE}
    for name in _MAY_CHANGE:
        if meta.get(name):
            kept[name] = meta[name]
    return {**after, "metadata": kept}


def _identity(obj: Object) -> tuple[str, str]:
    meta = obj["metadata"]
    return meta.get("uid", ""), meta.get("resourceVersion", "")
