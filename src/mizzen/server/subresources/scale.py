"""The scale subresource of every kind that has one: replicas of a workload in one shape.

Ref: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/scale-v1/
"""

from collections.abc import Awaitable, Sequence
from typing import Any, Final

from mizzen.api.kind import Column, Converter, Kind, Scale, Table
from mizzen.base.clock import Clock
from mizzen.machinery import decode, paths, times
from mizzen.machinery.copies import copied
from mizzen.machinery.errors import Errors, Object, invalid
from mizzen.server import applying, bodies, codec, patching, representation
from mizzen.server.call import Call, Write
from mizzen.server.reading import Reading
from mizzen.server.registry import Registry
from mizzen.server.scales import scale_of
from mizzen.server.served import Served, encode_tail
from mizzen.server.watchcache import Entry
from mizzen.server.writing import Writing, check_name, check_uid
from mizzen.wire.message import Response


def _row(scale: Object, now: float) -> Sequence[Any]:
    meta = scale["metadata"]
    age = times.age(now - times.parse(meta["creationTimestamp"]))
    return (meta["name"], scale["spec"].get("replicas", 0), scale["status"]["replicas"], age)


_TABLE: Final = Table(
    (Column("Name"), Column("Desired", "integer"), Column("Available", "integer"), Column("Age")), _row
)
SCALE: Final = Served(Kind("autoscaling", "v1", "Scale", "scales", namespaced=True, table=_TABLE))


class Scales:
    """Reads and changes scales."""

    def __init__(self, reading: Reading, writing: Writing, registry: Registry, clock: Clock) -> None:
        self._reading = reading
        self._writing = writing
        self._registry = registry
        self._clock = clock

    def __call__(self, call: Call) -> Response | Awaitable[Response]:
        """The answer to a request for a scale. Raises ApiError."""
        if call.info.verb != "get":
            return self._change(call)
        entry = self._reading.entry(call)
        if entry is None:
            raise Errors.not_found(call.kind.group, f"{call.kind.plural}/scale", call.info.name)
        if call.kind.converter is not None:
            return self._converted(call, entry, call.kind.converter)
        return self._shown(call, entry)

    async def _converted(self, call: Call, entry: Entry, converter: Converter) -> Response:
        await converter.prepare(((entry.version, entry.tail),))
        return self._shown(call, entry)

    def _shown(self, call: Call, entry: Entry) -> Response:
        obj = call.served.decode(entry.tail)
        path = _scale(call.kind).replicas
        if not call.served.builtin and paths.get(obj, path) is None:
            raise Errors.bad_request(f'the spec replicas field ".{path}" does not exist')
        return self._respond(call, obj)

    async def _change(self, call: Call) -> Response:
        what = "UpdateOptions" if call.info.verb == "update" else "PatchOptions"
        write = self._writing.write(call, what)
        bodies.check_size(call.request)
        if call.info.verb == "patch" and codec.content_type(call.request) == patching.APPLY:
            return await self._apply(call, write)
        inner = Write(SCALE, write.namespace, write.name, write.user, "", write.options, write.warnings, write.agent)
        if call.info.verb == "update":
            sent = bodies.read(call.request, SCALE, write.options.validation, call.warnings)
            check_name(inner, sent["metadata"])
            change = None
        else:
            change = patching.change(
                Call(call.request, call.info, SCALE, call.user, call.media, call.warnings), inner, self._clock.now
            )
            sent = {}

        def scaled(old: Object | None) -> Object:
            assert old is not None
            wanted = sent if change is None else change(scale_of(old, _scale(call.kind)))
            return _with_replicas(write, old, wanted)

        written = await self._registry.modify(write, scaled)
        return self._respond(call, call.served.decode(written.tail))

    async def _apply(self, call: Call, write: Write) -> Response:
        """Apply to the workload what is applied to its scale: the replicas alone."""
        inner = Write(SCALE, write.namespace, write.name, write.user, "", write.options, write.warnings, write.agent)
        scale_call = Call(call.request, call.info, SCALE, call.user, call.media, call.warnings)
        wanted = patching.change(scale_call, inner, self._clock.now)
        assert isinstance(wanted, applying.Applied)
        kind, sent = call.kind, _checked(wanted.patch)
        patch: Object = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": sent.get("metadata") or {}}
        replicas = (sent.get("spec") or {}).get("replicas")
        if replicas is not None:
            paths.put(patch, _scale(kind).replicas, replicas)
        change = applying.Applied(write, patch, [], bodies.schema_of_served(call.served), self._clock.now)
        written = await self._registry.modify(write, change)
        return self._respond(call, call.served.decode(written.tail))

    def _respond(self, call: Call, obj: Object) -> Response:
        tail = encode_tail(scale_of(obj, _scale(call.kind)))
        shown = representation.choose(call.request, SCALE, call.media, self._clock.now, listing=False)
        return codec.respond(call.request, shown.one(tail), call.media, 200, codec.warning_headers(call.warnings))


def _checked(sent: Object) -> Object:
    """A Scale of the right types. Raises ApiError 400."""
    try:
        checked, _ = bodies.checked_types(copied(sent), bodies.schema_of_served(SCALE), typed=True)
    except decode.DecodeError as error:
        raise Errors.bad_request(str(error)) from None
    return checked


def _scale(kind: Kind) -> Scale:
    assert kind.scale is not None
    return kind.scale


def _with_replicas(write: Write, old: Object, wanted: Object) -> Object:
    """The workload with the replicas of a Scale. Raises ApiError 409, 422."""
    meta = wanted["metadata"]
    check_uid(write, meta.get("uid"), old["metadata"]["uid"])
    replicas = (wanted.get("spec") or {}).get("replicas", 0)
    if replicas < 0 and not write.served.builtin:
        error = invalid(f".{_scale(write.kind).replicas}", replicas, "should be a non-negative integer")
        raise Errors.invalid(write.kind.group, write.kind.kind, write.name, [error])
    if replicas < 0:
        error = invalid("spec.replicas", replicas, "must be greater than or equal to 0")
        raise Errors.invalid("autoscaling", "Scale", write.name, [error])
    paths.put(old, _scale(write.kind).replicas, replicas)
    if meta.get("resourceVersion"):
        old["metadata"]["resourceVersion"] = meta["resourceVersion"]
    return old
