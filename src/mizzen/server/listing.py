"""Lists and gets, from memory: which state, which objects of it, and the token of the next page."""

import base64
import binascii
import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import orjson

from mizzen.machinery.errors import ApiError, Errors
from mizzen.server.options import ListOptions, too_large_revision
from mizzen.server.selection import Selection
from mizzen.server.served import ListMeta
from mizzen.server.watchcache import Entry, Expired, Slice, Snapshot, WatchCache

_TOKEN_VERSION: Final = "meta.k8s.io/v1"
TOKEN_SECONDS: Final = 300
"""How long the pages of one list stay consistent: as long as the original keeps old revisions."""
_EXPIRED_TOKEN: Final = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
    "the continue parameter, or use the continue token in this response to retrieve the remainder of the results. "
    "Continuing with the provided token results in an inconsistent list - objects that were created, modified, or "
    "deleted between the time the first chunk was returned and now may show up in the list."
)


@dataclass(frozen=True, slots=True)
class Token:
    """Where the next page starts: after a key (relative to the namespace asked for), at a revision (-1: now)."""

    revision: int
    start: str
    listed: int = 0
    """The second of the first page; 0 when it does not matter."""

    def encode(self) -> str:
        fields: dict[str, int | str] = {"v": _TOKEN_VERSION, "rv": self.revision, "start": self.start}
        if self.listed:
            fields["listed"] = self.listed
        return base64.urlsafe_b64encode(orjson.dumps(fields)).decode().rstrip("=")

    @staticmethod
    def decode(text: str) -> "Token":
        """Raises ApiError 400."""
        fields = _token_fields(text)
        version, revision, start = fields.get("v"), fields.get("rv", 0), fields.get("start", "")
        if version != _TOKEN_VERSION:
            raise _bad_token(f"server does not recognize this encoded version {version}")
        if not isinstance(revision, int) or revision == 0:
            raise _bad_token(f"incorrect encoded start resourceVersion (version {version})")
        if not isinstance(start, str) or not start:
            raise _bad_token(f"encoded start key empty (version {version})")
        if posixpath.normpath("/" + start) != "/" + start or start.startswith("/"):
            raise _bad_token(start)
        listed = fields.get("listed", 0)
        return Token(revision, start, listed if isinstance(listed, int) else 0)


def _token_fields(text: str) -> dict[str, object]:
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise _bad_token("illegal base64 data at input byte 0") from None
    try:
        fields = orjson.loads(raw)
    except orjson.JSONDecodeError:
        first = raw[:1].decode("latin-1")
        shown = first if first.isascii() and first.isprintable() else f"\\x{ord(first):02x}"
        raise _bad_token(f"invalid character '{shown}' looking for beginning of value") from None
    if not isinstance(fields, dict):
        raise _bad_token("json: cannot unmarshal into Go value of type storage.continueToken")
    return fields


def _bad_token(why: str) -> ApiError:
    return Errors.bad_request(f"invalid continue token: continue key is not valid: {why}")


def page(
    cache: WatchCache, now: int, seconds: float, namespace: str, selection: Selection, options: ListOptions
) -> tuple[Slice, ListMeta]:
    """What one list answer shows. `now` is the revision memory shows, `seconds` the time. Raises ApiError."""
    snapshot, revision, after = _state(cache, now, seconds, namespace, options)
    name = selection.name
    if name and namespace and not after:
        entry = snapshot.entries.get(f"{namespace}/{name}")
        return _slice([entry] if entry and selection.matches(entry) else []), ListMeta(revision)
    start, end = snapshot.bounds(namespace, after)
    limit = 0 if options.revision == 0 and not options.token else max(0, options.limit)
    if selection.everything:
        stop = min(end, start + limit) if limit else end
        found = snapshot.slice(start, stop)
    else:
        stop, matching = _matching(snapshot, start, end, selection, limit)
        found = _slice(matching)
    if stop == end:
        return found, ListMeta(revision)
    listed = Token.decode(options.token).listed if options.token else 0
    token = Token(revision, _start(snapshot.keys[stop - 1], namespace), listed or int(seconds))
    return found, ListMeta(revision, token.encode(), end - stop if selection.everything else 0)


def _slice(entries: Sequence[Entry]) -> Slice:
    return Slice(entries, [entry.tail for entry in entries])


def _matching(snapshot: Snapshot, start: int, end: int, selection: Selection, limit: int) -> tuple[int, list[Entry]]:
    """At most `limit` entries (0: any number) that match, and the position up to which was looked."""
    entries, keys, matches = snapshot.entries, snapshot.keys, selection.matches
    if not limit:
        return end, [entry for key in keys[start:end] if matches(entry := entries[key])]
    found: list[Entry] = []
    for position in range(start, end):
        entry = entries[keys[position]]
        if not matches(entry):
            continue
        if limit and len(found) == limit:
            return position, found
        found.append(entry)
    return end, found


def _start(last: str, namespace: str) -> str:
    """The key after the last one of a page, relative to the namespace."""
    return (last[len(namespace) + 1 :] if namespace else last) + "\0"


def _state(
    cache: WatchCache, now: int, seconds: float, namespace: str, options: ListOptions
) -> tuple[Snapshot, int, str]:
    """The snapshot to list, its revision, and the key after which to start."""
    if options.token:
        return _continued(cache, now, seconds, namespace, options)
    asked = options.revision
    if asked is not None and asked > now:
        raise too_large_revision(asked, now)
    exact = options.match == "Exact" or (options.limit > 0 and asked and not options.match)
    if not exact or not asked:
        return cache.current(), now, ""
    try:
        return cache.at(asked), asked, ""
    except Expired:
        text = f"The provided resource version is too old to be listed: {asked}"
        raise Errors.expired(text) from None


def _continued(
    cache: WatchCache, now: int, seconds: float, namespace: str, options: ListOptions
) -> tuple[Snapshot, int, str]:
    token = Token.decode(options.token)
    if options.revision:
        raise Errors.bad_request("specifying resource version is not allowed when using continue")
    after = f"{namespace}/{token.start}" if namespace else token.start
    after = after.removesuffix("\0")
    if token.revision < 0:
        return cache.current(), now, after
    if token.revision > now:
        raise too_large_revision(token.revision, now)
    try:
        if token.listed and seconds - token.listed > TOKEN_SECONDS:
            raise Expired(token.revision)
        return cache.at(token.revision), token.revision, after
    except Expired:
        error = Errors.expired(_EXPIRED_TOKEN)
        error.metadata = {"continue": Token(-1, token.start).encode()}
        raise error from None
