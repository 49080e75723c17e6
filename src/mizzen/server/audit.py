"""The audit log: who asked for what and what came of it, as much as a policy wants to know, a JSON line each.

A request is noted when it is received, when a long answer starts, and when all is done.
Ref: https://kubernetes.io/docs/tasks/debug/debug-cluster/audit/
"""

import errno
import gzip
import os
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import IO, Any, Final

import orjson

from mizzen.base import log
from mizzen.base.clock import Clock
from mizzen.machinery import times
from mizzen.machinery.errors import Object
from mizzen.machinery.identity import Identity
from mizzen.machinery.protobuf import envelope
from mizzen.machinery.protobuf.messages import ProtobufError
from mizzen.server import trail as trails
from mizzen.server.auditpolicy import COMPLETE, LEVEL_NAMES, PANIC, RECEIVED, STARTED, Level, Rule
from mizzen.server.authn.reviews import user_info
from mizzen.server.requestinfo import RequestInfo
from mizzen.server.trail import Trail
from mizzen.wire.message import Duplex, Request, Response

AUDIT_ID: Final = "audit-id"
_STATUS_BYTES: Final = 2048
"""The Status of a success is shorter; that of a failure is looked at however long it is."""
_log = log.get("audit")


class LogFile:
    """Lines in a file that is put aside when it is full; the oldest are deleted.

    A line that cannot be written, on a full disk, is lost: requests go on without it.
    """

    def __init__(self, path: Path, most_bytes: int = 100 * 1024 * 1024, backups: int = 5) -> None:
        self._path = path
        self._most_bytes = most_bytes
        self._backups = backups
        self._complains = True
        path.parent.mkdir(parents=True, exist_ok=True)
        self._open()

    def write(self, line: bytes) -> None:
        """Append one line."""
        try:
            if self._file.closed:
                self._open()
            if self._size and self._size + len(line) > self._most_bytes:
                self._rotate()
            self._append(line)
            self._complains = True
        except OSError as error:
            if self._complains:
                _log.warning("audit events are lost", file=str(self._path), error=str(error))
            self._complains = False

    def close(self) -> None:
        self._file.close()

    def _open(self) -> None:
        self._file: IO[bytes] = self._path.open("ab", buffering=0)
        self._size = self._file.tell()

    def _append(self, line: bytes) -> None:
        """A whole line or nothing. Raises OSError."""
        written = self._file.write(line)
        if written < len(line):
            self._file.truncate(self._size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._size += written

    def _rotate(self) -> None:
        self._file.close()
        for number in range(self._backups - 1, 0, -1):
            older = self._path.with_name(f"{self._path.name}.{number}")
            if older.exists():
                older.replace(self._path.with_name(f"{self._path.name}.{number + 1}"))
        if self._backups:
            self._path.replace(self._path.with_name(f"{self._path.name}.1"))
        else:
            self._path.unlink()
        self._open()


class AuditLog:
    """The server's Auditor."""

    def __init__(self, rules: Sequence[Rule], file: LogFile, clock: Clock) -> None:
        self._rules = tuple(rules)
        self._file = file
        self._clock = clock

    def opened(self, request: Request) -> Trail:
        """The trail of a request that has just come; it is current from here on."""
        trail = Trail(request.headers.get(AUDIT_ID) or str(uuid.uuid4()), self._clock.now())
        trails.follow(trail)
        return trail

    def received(self, trail: Trail, request: Request, info: RequestInfo, user: Identity) -> None:
        """Its user is known, and it is about to be worked on."""
        asking = trail.impersonator or user
        rule = self._rule(info, asking)
        if rule is not None and RECEIVED not in rule.silent:
            self._file.write(_line(self._event(trail, request, info, user, rule, RECEIVED)))

    def answered(
        self, trail: Trail, request: Request, info: RequestInfo, user: Identity | None, response: Response
    ) -> None:
        """Write down a request that was answered; one whose answer goes on is written again at its end."""
        response.headers[AUDIT_ID] = trail.audit_id
        rule = self._rule(info, trail.impersonator or user)
        if rule is None:
            return

        def write(stage: str) -> None:
            if stage not in rule.silent:
                self._file.write(_line(self._told(trail, request, info, user, rule, stage, response)))

        if response.stream is not None:
            write(STARTED)
            response.stream = _until_the_end(response.stream, lambda: write(COMPLETE))
        elif response.upgrade is not None:
            write(STARTED)
            response.upgrade = _until_closed(response.upgrade, lambda: write(COMPLETE))
        else:
            write(PANIC if trail.panicked else COMPLETE)

    def _rule(self, info: RequestInfo, user: Identity | None) -> Rule | None:
        """The first rule that matches; None when it wants nothing."""
        rule = next((known for known in self._rules if known.matches(info, user)), None)
        return None if rule is None or rule.level is Level.NOTHING else rule

    def _told(
        self,
        trail: Trail,
        request: Request,
        info: RequestInfo,
        user: Identity | None,
        rule: Rule,
        stage: str,
        response: Response,
    ) -> Object:
        event = self._event(trail, request, info, user, rule, stage)
        body = _answered(response, whole=rule.level >= Level.REQUEST_RESPONSE)
        event["responseStatus"] = _status(response.status, body)
        if rule.level >= Level.REQUEST and (sent := _body(request.body)) is not None:
            event["requestObject"] = _without_managed_fields(sent) if rule.omits_managed_fields else sent
        if rule.level >= Level.REQUEST_RESPONSE and body is not None:
            event["responseObject"] = _without_managed_fields(body) if rule.omits_managed_fields else body
        if trail.annotations:
            event["annotations"] = dict(trail.annotations)
        return event

    def _event(
        self, trail: Trail, request: Request, info: RequestInfo, user: Identity | None, rule: Rule, stage: str
    ) -> Object:
        query = "&".join(f"{key}={value}" for key, value in request.query)
        asking = trail.impersonator or user
        event: Object = {
            "kind": "Event",
            "apiVersion": "audit.k8s.io/v1",
            "level": LEVEL_NAMES[rule.level],
            "auditID": trail.audit_id,
            "stage": stage,
            "requestURI": f"{request.path}?{query}" if query else request.path,
            "verb": info.verb,
            "user": user_info(asking) if asking is not None else {},
        }
        if trail.impersonator is not None and user is not None:
            event["impersonatedUser"] = user_info(user)
        event |= {
            "sourceIPs": [request.remote] if request.remote else [],
            "userAgent": request.headers.get("user-agent", ""),
        }
        if info.is_resource:
            event["objectRef"] = _reference(info)
        event["requestReceivedTimestamp"] = times.format_micro(trail.received)
        event["stageTimestamp"] = times.format_micro(self._clock.now())
        return event


def _line(event: Object) -> bytes:
    return orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE)


async def _until_the_end(stream: AsyncIterator[bytes], ended: Callable[[], None]) -> AsyncIterator[bytes]:
    try:
        async for piece in stream:
            yield piece
    finally:
        ended()
        if close := getattr(stream, "aclose", None):
            await close()


def _until_closed(
    upgrade: Callable[[Duplex], Awaitable[None]], ended: Callable[[], None]
) -> Callable[[Duplex], Awaitable[None]]:
    async def upgraded(client: Duplex) -> None:
        try:
            await upgrade(client)
        finally:
            ended()

    return upgraded


def _reference(info: RequestInfo) -> Object:
    reference = {
        "resource": info.resource,
        "namespace": info.namespace,
        "name": info.name,
        "apiGroup": info.group,
        "apiVersion": info.version,
        "subresource": info.subresource,
    }
    return {key: value for key, value in reference.items() if value}


def _answered(response: Response, *, whole: bool) -> Any:
    """What was answered, as JSON; unless it is wanted whole, only what may be a Status, which is never long."""
    if response.stream is not None or response.upgrade is not None:
        return None
    body = response.body
    if not whole and response.status < 400 and (not isinstance(body, bytes) or len(body) > _STATUS_BYTES):
        return None
    body = body if isinstance(body, bytes) else b"".join(body)
    if response.headers.get("content-encoding") == "gzip":
        body = gzip.decompress(body)
    return _body(body)


def _status(code: int, body: Any) -> Object:
    """What an answer comes to: of a failure what its Status says, without the details."""
    status: Object = {"metadata": {}}
    if isinstance(body, dict) and body.get("kind") == "Status":
        status |= {key: body[key] for key in ("status", "message", "reason") if body.get(key)}
    return {**status, "code": code}


def _without_managed_fields(obj: Any) -> Any:
    """An object, or a list of them, without the bookkeeping of who set what."""
    if not isinstance(obj, dict):
        return obj
    if isinstance(items := obj.get("items"), list):
        return {**obj, "items": [_without_managed_fields(one) for one in items]}
    metadata = obj.get("metadata")
    if not isinstance(metadata, dict) or "managedFields" not in metadata:
        return obj
    return {**obj, "metadata": {key: value for key, value in metadata.items() if key != "managedFields"}}


def _body(body: bytes | Any) -> Any:
    """A body as JSON; None when it is empty or something else."""
    if not isinstance(body, bytes):
        return body
    try:
        if envelope.is_protobuf(body):
            return envelope.read(envelope.opened(body), "", "")
        return orjson.loads(body) if body else None
    except (orjson.JSONDecodeError, ProtobufError):
        return None
