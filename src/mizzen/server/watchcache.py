"""What the server remembers of one resource: encoded bytes and a small index per object, and the recent history.

Objects are kept as `tail`s: their JSON from `"metadata":{` on, with the resourceVersion spliced in, so that a GET is a
prefix and a tail, a LIST is tails joined, and a watch event is encoded once for every watcher. State at an earlier
revision is found by undoing the history, so pages of a list and exact reads agree with each other.
"""

from bisect import bisect_left, bisect_right, insort
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from operator import attrgetter
from sys import intern
from typing import Any, Final, NamedTuple

import msgspec
import orjson

from mizzen.machinery.errors import Object

EVENT_LIMIT: Final = 10_000
"""Events kept for watchers that resume; older ones answer 410 Expired."""
BYTES_LIMIT: Final = 32 << 20
"""Bytes of replaced objects kept for the same purpose."""
LINES_KEPT: Final = 512
"""Latest events whose encoded line is kept for the next watcher."""
_DECODED_LIMIT: Final = 256
_SNAPSHOT_LIMIT: Final = 4
_SLICES_KEPT: Final = 16

_METADATA: Final = b'"metadata":{'
_VERSION: Final = b'"metadata":{"resourceVersion":"'

FieldGetters = Mapping[str, Callable[[Object], str]]


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One object: where it is, what selectors ask for, the revision that wrote it, and its encoded tail."""

    key: str
    labels: dict[str, str]
    fields: tuple[str, ...]
    revision: int
    tail: bytes
    version: str = ""
    """The apiVersion that it is stored as."""

    @property
    def namespace(self) -> str:
        return self.key.rpartition("/")[0]

    @property
    def name(self) -> str:
        return self.key.rpartition("/")[2]


class Event(msgspec.Struct, gc=False):
    """One change: `entry` is what is there now (None: deleted), `previous` what was; the event in JSON and protobuf."""

    revision: int
    key: str
    entry: Entry | None
    previous: Entry | None
    line: bytes | None = None
    frame: bytes | None = None

    @property
    def type(self) -> str:
        if self.entry is None:
            return "DELETED"
        return "ADDED" if self.previous is None else "MODIFIED"

    @property
    def tail(self) -> bytes:
        """The object as a watcher without selectors receives it; a deleted one carries the revision of its end."""
        if self.entry is not None:
            return self.entry.tail
        assert self.previous is not None
        return at_revision(self.previous.tail, self.revision)


class Expired(Exception):
    """The revision asked for lies before the history that is kept; `oldest` is the first that does not."""

    def __init__(self, oldest: int) -> None:
        super().__init__("revision too old")
        self.oldest = oldest


def tail_of(data: bytes, revision: int) -> bytes:
    """The tail of stored JSON, with the revision that wrote it."""
    start = data.index(_METADATA)
    return b'%b%d",%b' % (_VERSION, revision, data[start + len(_METADATA) :])


def at_revision(tail: bytes, revision: int) -> bytes:
    """The same tail with another resourceVersion."""
    end = tail.index(b'"', len(_VERSION))
    return b"%b%d%b" % (_VERSION, revision, tail[end:])


def decode_tail(tail: bytes) -> Object:
    """The object without its kind and apiVersion."""
    decoded: Object = orjson.loads(b"{%b" % tail)
    return decoded


def metadata_of(tail: bytes) -> bytes:
    """The encoded metadata alone."""
    return bytes(_metadata.decode(b"{%b" % tail).metadata)


def named(tail: bytes) -> tuple[str, str]:
    """The name and the uid in a tail."""
    meta = _named.decode(b"{%b" % tail).metadata
    return meta.name, meta.uid


class _Name(msgspec.Struct):
    name: str
    uid: str = ""


class _Named(msgspec.Struct):
    metadata: _Name


_named = msgspec.json.Decoder(_Named)


class _Metadata(msgspec.Struct):
    metadata: msgspec.Raw


_metadata = msgspec.json.Decoder(_Metadata)


def decode_entry(entry: Entry, kind: str, api_version: str) -> Object:
    """The whole object."""
    return {"kind": kind, "apiVersion": api_version, **decode_tail(entry.tail)}


def index(key: str, data: bytes, revision: int, getters: FieldGetters, decoded: Object | None = None) -> Entry:
    """The entry of stored bytes; `decoded` spares decoding them again."""
    obj = orjson.loads(data) if decoded is None else decoded
    labels = _shared_labels(obj["metadata"].get("labels") or {})
    fields = tuple(intern(getter(obj)) for getter in getters.values())
    start = data.index(_METADATA)
    tail = b'%b%d",%b' % (_VERSION, revision, data[start + len(_METADATA) :])
    return Entry(key, labels, fields, revision, tail, _version_of(data[:start]))


@lru_cache(maxsize=1024)
def _version_of(head: bytes) -> str:
    """The apiVersion in what stands before the metadata of stored JSON."""
    found: dict[str, str] = orjson.loads(head.rstrip(b",") + b"}")
    return intern(found.get("apiVersion", ""))


_label_sets: dict[tuple[tuple[str, str], ...], dict[str, str]] = {}


def _shared_labels(labels: Mapping[str, Any]) -> dict[str, str]:
    """One dict for all objects with the same labels: replicas of a template differ in name alone."""
    if not labels:
        return _NO_LABELS
    identity = tuple(labels.items())
    known = _label_sets.get(identity)
    if known is None:
        if len(_label_sets) > 20_000:
            _label_sets.clear()
        known = _label_sets[identity] = {intern(str(name)): intern(str(value)) for name, value in identity}
    return known


_NO_LABELS: Final[dict[str, str]] = {}
_revision_of = attrgetter("revision")


class WatchCache:
    """Current objects of one resource in key order (`namespace/name`, or `name`) and the events that led to them."""

    def __init__(self, storage: str, getters: FieldGetters | None = None) -> None:
        self.storage = storage
        self.getters: FieldGetters = getters or {}
        self.entries: dict[str, Entry] = {}
        self.keys: list[str] = []
        self.floor = 0
        """History is complete after this revision."""
        self.changed = 0
        """The revision of the latest change."""
        self.chunks: dict[tuple[int, str, bool], tuple[int, bytes]] = {}
        """Encoded events that follow a position, up to another, until there are more: for many who watch the same."""
        self._events: list[Event] = []
        self._first = 0
        self._kept_bytes = 0
        self._decoded: OrderedDict[str, tuple[int, Object]] = OrderedDict()
        self._snapshots: OrderedDict[int, Snapshot] = OrderedDict()
        self._current: Snapshot | None = None

    @property
    def end(self) -> int:
        """The position after the latest event."""
        return self._first + len(self._events)

    def load(self, entries: Sequence[Entry], revision: int) -> None:
        """Start from this state, in key order; nothing is known of what came before `revision`."""
        self.entries = {entry.key: entry for entry in entries}
        self.keys = list(self.entries)
        self.floor = self.changed = revision
        self._current = None

    def reindex(self, getters: FieldGetters, kind: str, api_version: str) -> None:
        """Select by other fields from now on; the history is forgotten, watchers resume by listing."""
        self.getters, self._current = getters, None
        for key, entry in self.entries.items():
            obj = decode_entry(entry, kind, api_version)
            fields = tuple(intern(getter(obj)) for getter in getters.values())
            self.entries[key] = msgspec.structs.replace(entry, fields=fields)
        self.floor = self.changed
        self._first = self.end + 1
        self._events = []

    def settle(self, coerce: Callable[[Object], None], version: str) -> None:
        """Let objects (those stored in a version, if one is given) be as `coerce` leaves them, at their revisions."""
        for key, entry in self.entries.items():
            if version and entry.version != version:
                continue
            obj = decode_tail(entry.tail)
            coerce(obj)
            tail = orjson.dumps(obj)[1:]
            if tail != entry.tail:
                fields = tuple(intern(getter(obj)) for getter in self.getters.values())
                self.entries[key] = msgspec.structs.replace(entry, tail=tail, fields=fields)
        self._decoded.clear()
        self._snapshots.clear()
        self._current = None

    def apply(self, key: str, entry: Entry | None, revision: int) -> Event | None:
        """Fold one change in and answer its event; None when it deletes what was not there."""
        previous = self.entries.get(key)
        if entry is None:
            if previous is None:
                return None
            del self.entries[key]
            del self.keys[bisect_left(self.keys, key)]
        else:
            self.entries[key] = entry
            if previous is None:
                insort(self.keys, key)
        event = Event(revision, key, entry, previous)
        self._remember(event)
        return event

    def _remember(self, event: Event) -> None:
        self.changed = event.revision
        self.chunks.clear()
        self._current = None
        self._events.append(event)
        if event.previous is not None:
            self._kept_bytes += len(event.previous.tail)
        if len(self._events) > LINES_KEPT:
            late = self._events[-LINES_KEPT - 1]
            late.line = late.frame = None
        if len(self._events) > EVENT_LIMIT or self._kept_bytes > BYTES_LIMIT:
            self._trim()

    def _trim(self) -> None:
        """Forget the oldest eighth of the history."""
        count = max(1, len(self._events) // 8)
        for event in self._events[:count]:
            if event.previous is not None:
                self._kept_bytes -= len(event.previous.tail)
        self.floor = self._events[count - 1].revision
        del self._events[:count]
        self._first += count
        for revision in [old for old in self._snapshots if old < self.floor]:
            del self._snapshots[revision]

    def position(self, after: int) -> int:
        """Where a watcher that has seen everything up to a revision goes on. Raises Expired."""
        if after < self.floor:
            raise Expired(self.floor)
        return self._first + bisect_right(self._events, after, key=_revision_of)

    def since(self, position: int) -> Sequence[Event]:
        """Events from a position on. Raises Expired when they are forgotten."""
        if position < self._first:
            raise Expired(self.floor)
        return self._events[position - self._first :]

    def current(self) -> "Snapshot":
        """The state now; valid until the next change."""
        if self._current is None:
            self._current = Snapshot(self.entries, self.keys)
        return self._current

    def at(self, revision: int) -> "Snapshot":
        """The state as of a revision. Raises Expired."""
        if revision >= self.changed:
            return self.current()
        if revision < self.floor:
            raise Expired(self.floor)
        known = self._snapshots.get(revision)
        if known is None:
            known = self._snapshots[revision] = self._undone(revision)
            if len(self._snapshots) > _SNAPSHOT_LIMIT:
                self._snapshots.popitem(last=False)
        else:
            self._snapshots.move_to_end(revision)
        return known

    def _undone(self, revision: int) -> "Snapshot":
        start = bisect_right(self._events, revision, key=_revision_of)
        before = {event.key: event.previous for event in reversed(self._events[start:])}
        entries, keys = dict(self.entries), list(self.keys)
        made = {key for key, entry in before.items() if entry is None and entries.pop(key, None) is not None}
        lost = [key for key, entry in before.items() if entry is not None and key not in entries]
        entries.update((key, entry) for key, entry in before.items() if entry is not None)
        if made:
            keys = [key for key in keys if key not in made]
        if lost:
            # Two sorted runs: to merge them costs no more than to read them.
            keys += sorted(lost)
            keys.sort()
        return Snapshot(entries, keys)

    def decoded(self, entry: Entry, kind: str, api_version: str) -> Object:
        """The object of a current entry; shared with other readers, so it must not be changed."""
        known = self._decoded.get(entry.key)
        if known is not None and known[0] == entry.revision:
            self._decoded.move_to_end(entry.key)
            return known[1]
        obj = decode_entry(entry, kind, api_version)
        self._decoded[entry.key] = (entry.revision, obj)
        if len(self._decoded) > _DECODED_LIMIT:
            self._decoded.popitem(last=False)
        return obj


class Slice(NamedTuple):
    """What a list shows: entries, and their tails."""

    entries: Sequence[Entry]
    tails: Sequence[bytes]


class Snapshot:
    """Objects of one resource at one revision, in key order."""

    __slots__ = ("_slices", "entries", "keys")

    def __init__(self, entries: Mapping[str, Entry], keys: Sequence[str]) -> None:
        self.entries = entries
        self.keys = keys
        self._slices: dict[tuple[int, int], Slice] = {}

    def slice(self, start: int, end: int) -> Slice:
        """What lies between two positions of `keys`; clients that start together ask for the same."""
        known = self._slices.get((start, end))
        if known is None:
            entries = [self.entries[key] for key in self.keys[start:end]]
            known = Slice(entries, [entry.tail for entry in entries])
            if len(self._slices) >= _SLICES_KEPT:
                self._slices.clear()
            self._slices[start, end] = known
        return known

    def bounds(self, namespace: str, after: str = "") -> tuple[int, int]:
        """The slice of `keys` of one namespace (all: empty), of it what follows a key."""
        start, end = 0, len(self.keys)
        if namespace:
            start = bisect_left(self.keys, namespace + "/")
            end = bisect_left(self.keys, namespace + "0", start)
        if after:
            start = max(start, bisect_right(self.keys, after))
        return start, max(start, end)

    def range(self, namespace: str, after: str = "") -> Iterator[Entry]:
        """Entries of one namespace, or of all, that follow a key."""
        start, end = self.bounds(namespace, after)
        for position in range(start, end):
            yield self.entries[self.keys[position]]
