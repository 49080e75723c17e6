"""What an authorized call leads to: a read, a write, or one of the many subresources."""

from collections.abc import Awaitable
from dataclasses import dataclass, field, replace

from mizzen.api.kind import Kind
from mizzen.machinery.errors import ApiError, Errors, Object
from mizzen.machinery.schema import registry as schemas
from mizzen.server import bodies, codec, connecting, options, representation, trail
from mizzen.server.admit import Chain, admission
from mizzen.server.call import Call, Connect, Post, Review, Write
from mizzen.server.media import negotiate_without_table
from mizzen.server.reading import Reading
from mizzen.server.registry import create_options
from mizzen.server.routes import resource_not_found, subresource_verbs
from mizzen.server.seams import Admission
from mizzen.server.served import Served, encode_tail
from mizzen.server.writing import Writing
from mizzen.wire.message import Response

_READS = frozenset({"get", "list", "watch"})


@dataclass(slots=True)
class Handlers:
    """What is answered by code of its own, by storage name and subresource; composition fills it in."""

    posts: dict[tuple[str, str], Post] = field(default_factory=dict)
    """Objects posted to a subresource: `("serviceaccounts", "token")`."""
    connects: dict[tuple[str, str], Connect] = field(default_factory=dict)
    """Anything else on a subresource: `("pods", "log")`."""
    virtual: dict[str, Review] = field(default_factory=dict)
    """Kinds that are not stored, by storage name: `authorization.k8s.io/subjectaccessreviews`."""
    unstored: dict[str, Connect] = field(default_factory=dict)
    """Kinds whose objects are made when they are read, by storage name: `metrics.k8s.io/pods`."""
    changes: dict[str, Connect] = field(default_factory=dict)
    """Subresources by name that read and change any object in a form of their own: scale."""


class Work:
    """Answers authorized calls."""

    def __init__(self, reading: Reading, writing: Writing, handlers: Handlers, chain: Chain) -> None:
        self._reading = reading
        self._chain = chain
        self._writing = writing
        self._handlers = handlers

    def __call__(self, call: Call) -> Response | Awaitable[Response]:
        text = call.kind.deprecation
        if not text:
            return self._answer(call)
        trail.annotate({trail.DEPRECATED: "true"})
        try:
            answer = self._answer(call)
        except ApiError as error:
            error.warnings = (text, *error.warnings)
            raise
        return codec.warned(answer, text) if isinstance(answer, Response) else _warned_later(answer, text)

    def _answer(self, call: Call) -> Response | Awaitable[Response]:
        info = call.info
        if info.subresource:
            return self._subresource(call)
        storage = call.kind.storage
        review = self._handlers.virtual.get(storage)
        if review is not None:
            return self._virtual(call, review)
        made = self._handlers.unstored.get(storage)
        if made is not None:
            return made(call)
        post = self._handlers.posts.get((storage, ""))
        if post is not None:
            return self._post(call, post)
        if info.verb in _READS:
            return self._reading.answer(call)
        return self._writing.answer(call)

    def _subresource(self, call: Call) -> Response | Awaitable[Response]:
        name, storage = call.info.subresource, call.kind.storage
        place = (storage, name)
        connect = self._handlers.connects.get(place) or self._handlers.changes.get(name)
        if connect is not None:
            return self._connect(call, connect) if name in connecting.CONNECTED else connect(call)
        post = self._handlers.posts.get(place)
        if post is not None:
            return self._post(call, post)
        if "update" not in subresource_verbs(call.kind, name) or name == "proxy":
            raise resource_not_found()
        if call.info.verb == "get":
            return self._reading.get(call)
        return self._writing.answer(call)

    async def _connect(self, call: Call, connect: Connect) -> Response:
        """Ask admission before anybody is connected to a pod, a Service or a node. Raises ApiError."""
        info = call.info
        write = Write(call.served, info.namespace, info.name, call.user, info.subresource, warnings=call.warnings)
        await self._admit(call, admission("CONNECT", write, connecting.options(call), None, {}))
        answer = connect(call)
        return await answer if isinstance(answer, Awaitable) else answer

    async def _post(self, call: Call, post: Post) -> Response:
        sub = next((one for one in call.kind.subresources if one.name == call.info.subresource), None)
        kind = Kind(sub.group, sub.version, sub.kind, "", namespaced=True) if sub is not None else call.kind
        obj = await self._admitted(call, _read(call, kind))
        answer = post(call, obj)
        return _created(call, await answer if isinstance(answer, Awaitable) else answer)

    async def _admitted(self, call: Call, obj: Object) -> Object:
        """What admission makes of an object that is posted but not stored as such. Raises ApiError."""
        info, asked = call.info, options.write_options(call.request, "CreateOptions")
        name = info.name or obj["metadata"].get("name") or ""
        write = Write(call.served, info.namespace, name, call.user, info.subresource, asked, call.warnings)
        admitted = admission("CREATE", write, obj, None, create_options(asked))
        await self._admit(call, admitted)
        return admitted.object or obj

    async def _admit(self, call: Call, admitted: Admission) -> None:
        """Let admission change and judge it; a refusal tells what was warned of until then. Raises ApiError."""
        try:
            await self._chain.mutate(admitted)
            await self._chain.validate(admitted)
        except ApiError as error:
            error.warnings = tuple(call.warnings)
            raise

    async def _virtual(self, call: Call, review: Review) -> Response:
        if call.info.verb != "create":
            raise Errors.method_not_supported(call.kind.group, call.kind.plural, call.info.verb)
        if call.media.convert == "Table":
            # Reviews have no table.
            call = replace(call, media=negotiate_without_table(call.request.headers.get("accept", ""), listing=False))
        obj = await self._admitted(call, _read(call, call.kind))
        answer = review(obj, call.info.namespace, call.user)
        return _created(call, await answer if isinstance(answer, Awaitable) else answer)


async def _warned_later(answer: Awaitable[Response], text: str) -> Response:
    try:
        return codec.warned(await answer, text)
    except ApiError as error:
        error.warnings = (text, *error.warnings)
        raise


def _read(call: Call, kind: Kind) -> Object:
    asked = options.write_options(call.request, "CreateOptions")
    bodies.check_size(call.request)
    schema = schemas.find(kind.group, kind.version, kind.kind)
    if schema is None:
        raise resource_not_found()
    return bodies.read_as(call.request, kind, schema, asked.validation, call.warnings)


def _created(call: Call, obj: Object) -> Response:
    if call.media.convert == "Table":
        kind = Kind("", obj["apiVersion"], obj["kind"], "", namespaced=True)
        tail = encode_tail({"metadata": {}, **obj})
        shown = representation.choose(call.request, Served(kind), call.media, lambda: 0.0, listing=False)
        return codec.respond(call.request, shown.one(tail), call.media, 201)
    return codec.respond(call.request, codec.encode(obj), call.media, 201, codec.warning_headers(call.warnings))
