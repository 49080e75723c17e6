"""GET, LIST and WATCH of every kind: answered from memory, at once."""

import secrets
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

from mizzen.api.kind import Converter
from mizzen.base.clock import Clock
from mizzen.machinery.errors import ApiError, Errors
from mizzen.server import codec, listing, options, representation, selection, websockets
from mizzen.server.cacher import Cacher
from mizzen.server.call import Call
from mizzen.server.deadlines import Deadlines
from mizzen.server.media import JSON, PROTOBUF, STREAMED, YAML, negotiate_without_table
from mizzen.server.options import ListOptions
from mizzen.server.recent import AT_ONCE, ONE_BYTES, Encoding
from mizzen.server.storage import object_key
from mizzen.server.watch import Watch
from mizzen.server.watchcache import Entry
from mizzen.wire import websocket
from mizzen.wire.message import Response

_SHORTEST_WATCH_SECONDS: Final = 1800
_LONG: Final = 1000
"""Objects from which on it is looked how long their list is."""


class Reading:
    """Answers reads of stored kinds."""

    def __init__(self, cacher: Cacher, deadlines: Deadlines, clock: Clock) -> None:
        self._cacher = cacher
        self._deadlines = deadlines
        self._clock = clock

    def answer(self, call: Call) -> Response | Awaitable[Response]:
        """The answer to a get, list or watch. Raises ApiError."""
        match call.info.verb:
            case "watch":
                return self.watch(call)
            case "list":
                return self.list(call)
            case _:
                return self.get(call)

    def get(self, call: Call) -> Response | Awaitable[Response]:
        """One object."""
        request = call.request
        entry = self.entry(call)
        if entry is None:
            kind = call.kind
            raise Errors.not_found(kind.group, kind.plural, call.info.name)
        shown = representation.choose(request, call.served, call.media, self._clock.now, listing=False)
        tail = entry.tail
        if call.kind.converter is None:
            return codec.respond(request, shown.one(tail), call.media)
        return _converted(call.kind.converter, (entry,), lambda: codec.respond(request, shown.one(tail), call.media))

    def entry(self, call: Call) -> Entry | None:
        """What memory knows of the object that a request names. Raises ApiError for a revision still to come."""
        if call.request.query:
            asked = options.revision(call.request.parameter("resourceVersion"))
            if asked is not None and asked > self._cacher.revision:
                raise options.too_large_revision(asked, self._cacher.revision)
        kind, info = call.kind, call.info
        return self._cacher.cache(kind.storage).entries.get(object_key(kind, info.namespace, info.name))

    def list(self, call: Call) -> Response | Awaitable[Response]:
        """A collection or a page of it."""
        request = call.request
        asked = options.list_options(request)
        cache = self._cacher.cache(call.kind.storage)
        selected = self._selection(call, asked)
        now = self._clock.now()
        found, meta = listing.page(cache, self._cacher.revision, now, self._namespace(call), selected, asked)
        shown = representation.choose(request, call.served, call.media, self._clock.now, listing=True)
        tails = found.tails
        if _is_long(tails) and _is_compact(call, shown):
            return codec.respond_bit_by_bit(request, call.served.whole.bit_by_bit(tails, meta))

        def render() -> Response:
            return codec.respond(request, shown.many(tails, meta), call.media)

        encoding = shown.encoding if len(tails) > AT_ONCE else None
        if call.kind.converter is not None:
            return _converted(call.kind.converter, found.entries, render)
        return render() if encoding is None else _encoded(encoding, tails, render)

    def watch(self, call: Call) -> Response:
        """A stream of events."""
        request, kind = call.request, call.kind
        if call.media.type == YAML:
            raise ApiError(406, "NotAcceptable", f"only the following media types are accepted: {STREAMED}")
        asked = options.list_options(request)
        selected = self._selection(call, asked)
        media = call.media
        if asked.initial and asked.bookmarks and media.convert == "Table":
            # A list that is streamed is for caches, which hold objects.
            accept = request.headers.get("accept", "")
            media = negotiate_without_table(accept, listing=True, builtin=call.served.builtin)
        shown = representation.choose(request, call.served, media, self._clock.now, listing=True)
        after = asked.revision or None
        if asked.initial is not None:
            after = None if asked.initial else (asked.revision or self._cacher.revision)
        timeout = asked.timeout if asked.timeout else _SHORTEST_WATCH_SECONDS + secrets.randbelow(1800)
        watch = Watch(
            self._cacher.cache(kind.storage),
            self._cacher.bell(kind.storage),
            self._deadlines,
            self._revision,
            kind.kind,
            kind.api_version,
            self._namespace(call),
            selected,
            shown,
            float(timeout),
            after,
            asked.bookmarks,
            initial_end=bool(asked.initial),
            converter=kind.converter,
        )
        if websocket.is_upgrade(request.headers):
            return websockets.watch(request, watch.stream(), binary=shown.binary)
        streamed = f"{PROTOBUF};stream=watch" if shown.binary else JSON
        headers = {"content-type": streamed, "cache-control": "no-cache, private"}
        return Response(200, headers, stream=watch.stream(), hurried=True)

    def _revision(self) -> int:
        return self._cacher.revision

    def _selection(self, call: Call, asked: ListOptions) -> selection.Selection:
        cache = self._cacher.cache(call.kind.storage)
        chosen = selection.parse(asked.labels, asked.fields, call.served, cache)
        info = call.info
        if info.name and "metadata.name" not in asked.fields:
            return selection.only(info.name)
        return chosen

    @staticmethod
    def _namespace(call: Call) -> str:
        return call.info.namespace if call.kind.namespaced else ""


def _is_long(tails: Sequence[bytes]) -> bool:
    """Whether a list is made as its client reads it, since it is too long to be kept for the next one."""
    return len(tails) > _LONG and sum(map(len, tails)) > ONE_BYTES


def _is_compact(call: Call, shown: representation.Representation) -> bool:
    """Whether the answer is what is stored, in JSON, without a word to anybody and as it is."""
    stored = shown is call.served.whole and call.kind.converter is None
    return stored and call.media.type == JSON and not codec.wants_pretty(call.request)


async def _encoded(encoding: Encoding, tails: Sequence[bytes], render: Callable[[], Response]) -> Response:
    """The answer with a long list, once its objects are encoded."""
    await encoding.prepare(tails)
    return render()


async def _converted(converter: Converter, entries: Iterable[Entry], render: Callable[[], Response]) -> Response:
    """The answer, once objects that are stored in another version are converted. Raises ApiError."""
    await converter.prepare((entry.version, entry.tail) for entry in entries)
    return render()
