"""A small API server in memory, as a transport: optimistic concurrency, generations, finalizers, graceful deletion.

It knows no schemas and no admission; what it keeps it also logs, so that watches can lag behind at will.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import orjson

from mizzen.api.kinds import KINDS
from mizzen.client.client import Resource
from mizzen.client.resources import BUILT_IN
from mizzen.machinery import times
from mizzen.machinery.errors import ApiError, Errors, Object
from mizzen.wire.message import Request, Response

Where = tuple[str, str]
"""(group, plural)."""
Key = tuple[str, str]

_KINDS: dict[Where, tuple[str, str]] = {(r.group, r.plural): kind for kind, r in BUILT_IN.items()}
_KINDS["", "events"] = ("v1", "Event")
_NAMESPACED = {(r.group, r.plural): r.namespaced for r in BUILT_IN.values()}
_STATUS_RULES = {
    (kind.group, kind.plural): kind.validate_status
    for kind in KINDS
    if kind.group in ("apps", "batch") and kind.validate_status is not None
}
"""What controllers write is what the real server would take."""
_WITHOUT_GENERATION = {("", "nodes"), ("", "services"), ("", "configmaps"), ("", "secrets"), ("", "endpoints")}


@dataclass(frozen=True, slots=True)
class Logged:
    """One change as a watch would tell it."""

    revision: int
    type: str
    namespace: str
    name: str
    body: bytes


@dataclass(slots=True)
class _Target:
    where: Where
    version: str
    namespace: str
    name: str
    subresource: str


@dataclass
class FakeApi:
    """The objects, and a log of changes for each resource. `changed` is called after every write."""

    now: Callable[[], float]
    rng: random.Random
    changed: Callable[[Where, Object | None, Object | None], None] = lambda _where, _old, _new: None
    objects: dict[Where, dict[Key, Object]] = field(default_factory=dict)
    logs: dict[Where, list[Logged]] = field(default_factory=dict)
    revision: int = 0
    expired_below: int = 0
    streams: bool = True
    refuse: Callable[[Request], ApiError | None] = lambda _request: None
    responders: dict[str, Callable[[Request], Object]] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    _news: list[asyncio.Event] = field(default_factory=list)

    # -- transport ---------------------------------------------------------------------------------------------

    async def call(self, request: Request) -> Response:
        try:
            refusal = self.refuse(request)
            if refusal is not None:
                raise refusal
            if request.path in self.responders:
                return _answer(self.responders[request.path](request))
            if request.parameter("watch"):
                return Response(200, stream=self._watch(request))
            return _answer(self._serve(request), 201 if request.method == "POST" else 200)
        except ApiError as error:
            return Response(error.code, body=orjson.dumps(error.status()))

    async def close(self) -> None:
        """Nothing to give up."""

    async def _watch(self, request: Request) -> AsyncIterator[bytes]:
        where = addressed(request.path).where
        since = int(request.parameter("resourceVersion") or 0)
        if request.parameter("sendInitialEvents"):
            if not self.streams:
                yield _line("ERROR", {"code": 400, "reason": "BadRequest", "message": "no streaming lists"})
                return
            since = self.revision
            for one in list(self.objects.get(where, {}).values()):
                yield _line("ADDED", one)
            annotations = {"k8s.io/initial-events-end": "true"}
            yield _line("BOOKMARK", {"metadata": {"resourceVersion": str(since), "annotations": annotations}})
        elif since < self.expired_below:
            yield _line("ERROR", {"code": 410, "reason": "Expired", "message": "too old resource version"})
            return
        news = asyncio.Event()
        self._news.append(news)
        try:
            while True:
                news.clear()
                for logged in [one for one in self.logs.get(where, ()) if one.revision > since]:
                    since = logged.revision
                    yield b'{"type":"%s","object":%s}\n' % (logged.type.encode(), logged.body)
                await news.wait()
                if self.expired_below > since:
                    return
        finally:
            self._news.remove(news)

    def break_watches(self, *, expire: bool) -> None:
        """End every watch; with `expire`, none may resume from where it was."""
        self.expired_below = self.revision + 1 if expire else self.expired_below
        for news in self._news:
            news.set()

    # -- requests ----------------------------------------------------------------------------------------------

    def _serve(self, request: Request) -> Object:
        target = addressed(request.path)
        self.requests.append(request)
        body = request.body if isinstance(request.body, dict) else None
        match request.method:
            case "GET" if target.name:
                return self.get(target.where, target.namespace, target.name)
            case "GET":
                return self._list(target)
            case "POST" if target.subresource == "eviction":
                return self.delete(target.where, target.namespace, target.name)
            case "POST":
                return self.create(target.where, orjson.loads(orjson.dumps(body)), target.namespace)
            case "PUT":
                return self._put(target, orjson.loads(orjson.dumps(body)))
            case "PATCH":
                return self._patch(target, orjson.loads(orjson.dumps(request.body)))
            case "DELETE" if target.name:
                return self.delete(target.where, target.namespace, target.name, body)
            case "DELETE":
                for namespace, name in list(self.objects.get(target.where, {})):
                    if namespace == target.namespace:
                        self.delete(target.where, namespace, name)
                return {"metadata": {}}
        raise Errors.method_not_supported(target.where[0], target.where[1], request.method)

    def _list(self, target: _Target) -> Object:
        found = [
            one
            for (namespace, _), one in self.objects.get(target.where, {}).items()
            if not target.namespace or namespace == target.namespace
        ]
        return {"items": found, "metadata": {"resourceVersion": str(self.revision)}}

    # -- storage, also for tests to act as users, kubelets and schedulers ----------------------------------------

    def get(self, where: Where, namespace: str, name: str) -> Object:
        found = self.objects.get(where, {}).get((namespace, name))
        if found is None:
            raise Errors.not_found(where[0], where[1], name)
        return found

    def all(self, resource: Resource) -> list[Object]:
        return list(self.objects.get((resource.group, resource.plural), {}).values())

    def create(self, where: Where, body: Object, namespace: str = "") -> Object:
        meta = body.setdefault("metadata", {})
        if namespace:
            meta["namespace"] = namespace
        if not meta.get("name"):
            meta["name"] = meta["generateName"] + "".join(self.rng.choices("bcdfghjklmnpqrstvwxz2456789", k=5))
        key = (meta.get("namespace", ""), meta["name"])
        if key in self.objects.setdefault(where, {}):
            raise Errors.already_exists(where[0], where[1], meta["name"])
        api_version, kind = _KINDS.get(where, ("v1", "Thing"))
        body.setdefault("apiVersion", api_version)
        body.setdefault("kind", kind)
        meta["uid"] = f"u{self.revision + 1}"
        meta["creationTimestamp"] = times.format(self.now())
        if where not in _WITHOUT_GENERATION:
            meta["generation"] = 1
        if where == ("", "namespaces"):
            body.setdefault("spec", {}).setdefault("finalizers", ["kubernetes"])
        self._store(where, None, body)
        return body

    def patch(self, resource: Resource, namespace: str, name: str, patch: Object, subresource: str = "") -> Object:
        """Merge a patch, as a user or a kubelet would."""
        return self._patch(_Target((resource.group, resource.plural), "", namespace, name, subresource), patch)

    def _patch(self, target: _Target, patch: Object) -> Object:
        old = self.get(target.where, target.namespace, target.name)
        self._check(old, patch.get("metadata") or {}, target.where)
        return self._write(target, old, _merged(old, patch))

    def _put(self, target: _Target, body: Object) -> Object:
        old = self.get(target.where, target.namespace, target.name)
        self._check(old, body["metadata"], target.where)
        if target.subresource == "finalize":
            body = {**old, "spec": {**old.get("spec", {}), "finalizers": body["spec"].get("finalizers") or []}}
            return self._write(_Target(target.where, "", target.namespace, target.name, ""), old, body)
        return self._write(target, old, body)

    def _check(self, old: Object, meta: Object, where: Where) -> None:
        for field_name in ("uid", "resourceVersion"):
            if meta.get(field_name) and meta[field_name] != old["metadata"][field_name]:
                raise Errors.conflict(where[0], where[1], old["metadata"]["name"], "the object has been modified")

    def _write(self, target: _Target, old: Object, new: Object) -> Object:
        if target.subresource == "status":
            new = {**old, "metadata": new["metadata"], "status": new.get("status", {})}
            rules = _STATUS_RULES.get(target.where)
            refused = list(rules(new, old)) if rules is not None else []
            assert not refused, [str(error) for error in refused]
        elif "status" in old:
            new = {**new, "status": old["status"]}
        meta = new["metadata"] = {**new["metadata"]}
        for field_name in ("uid", "creationTimestamp", "deletionTimestamp", "generation", "resourceVersion"):
            meta.pop(field_name, None)
            if field_name in old["metadata"]:
                meta[field_name] = old["metadata"][field_name]
        if "generation" in meta and new.get("spec") != old.get("spec"):
            meta["generation"] += 1
        if new == old:
            return old
        if meta.get("deletionTimestamp") and self._may_go(target.where, new):
            return self._remove(target.where, old, new)
        self._store(target.where, old, new)
        return new

    def _may_go(self, where: Where, body: Object) -> bool:
        if body["metadata"].get("finalizers"):
            return False
        if where == ("", "namespaces"):
            return not body["spec"].get("finalizers")
        if where == ("", "pods"):
            return body["metadata"].get("deletionGracePeriodSeconds") == 0
        return True

    def delete(self, where: Where, namespace: str, name: str, options: Object | None = None) -> Object:
        old = self.get(where, namespace, name)
        options = options or {}
        self._check(old, options.get("preconditions") or {}, where)
        meta = {**old["metadata"]}
        propagation = options.get("propagationPolicy", "Background")
        finalizers = [one for one in meta.get("finalizers") or [] if one not in ("foregroundDeletion", "orphan")]
        if propagation in ("Foreground", "Orphan"):
            finalizers.append({"Foreground": "foregroundDeletion", "Orphan": "orphan"}[propagation])
        meta["finalizers"] = finalizers
        graceful = where == ("", "pods") and (old.get("spec") or {}).get("nodeName")
        finished = (old.get("status") or {}).get("phase") in ("Succeeded", "Failed")
        grace = options.get("gracePeriodSeconds", 30) if graceful and not finished else 0
        meta.setdefault("deletionTimestamp", times.format(self.now() + grace))
        if where == ("", "pods"):
            meta["deletionGracePeriodSeconds"] = min(grace, meta.get("deletionGracePeriodSeconds", grace))
        new = {**old, "metadata": meta}
        if self._may_go(where, new):
            return self._remove(where, old, new)
        if new != old:
            self._store(where, old, new)
        return new

    def kill(self, resource: Resource, namespace: str, name: str) -> None:
        """Remove a pod that has stopped, as a kubelet does."""
        where = (resource.group, resource.plural)
        old = self.get(where, namespace, name)
        new = {**old, "metadata": {**old["metadata"], "deletionGracePeriodSeconds": 0}}
        new["metadata"].setdefault("deletionTimestamp", times.format(self.now()))
        if self._may_go(where, new):
            self._remove(where, old, new)
        elif new != old:
            self._store(where, old, new)

    def _store(self, where: Where, old: Object | None, new: Object) -> None:
        self.revision += 1
        meta = new["metadata"]
        meta["resourceVersion"] = str(self.revision)
        self.objects.setdefault(where, {})[meta.get("namespace", ""), meta["name"]] = new
        self._log(where, "MODIFIED" if old is not None else "ADDED", new)
        self.changed(where, old, new)

    def _remove(self, where: Where, old: Object, last: Object) -> Object:
        self.revision += 1
        meta = last["metadata"]
        meta["resourceVersion"] = str(self.revision)
        del self.objects[where][meta.get("namespace", ""), meta["name"]]
        self._log(where, "DELETED", last)
        self.changed(where, old, None)
        return last

    def _log(self, where: Where, kind: str, body: Object) -> None:
        meta = body["metadata"]
        logged = Logged(self.revision, kind, meta.get("namespace", ""), meta["name"], orjson.dumps(body))
        self.logs.setdefault(where, []).append(logged)
        for news in self._news:
            news.set()


def _answer(body: Object, status: int = 200) -> Response:
    return Response(status, body=orjson.dumps(body))


def _line(kind: str, body: Object) -> bytes:
    return orjson.dumps({"type": kind, "object": body}) + b"\n"


def addressed(path: str) -> _Target:
    """What a path addresses."""
    parts = path.strip("/").split("/")
    group, version, rest = ("", parts[1], parts[2:]) if parts[0] == "api" else (parts[1], parts[2], parts[3:])
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in ("status", "finalize"):
        namespace, rest = rest[1], rest[2:]
    plural, name, subresource = (*rest, "", "")[:3]
    return _Target((group, plural), version, namespace, name, subresource)


def _merged(old: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    merged = dict(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merged(merged.get(key), value)
    return merged
