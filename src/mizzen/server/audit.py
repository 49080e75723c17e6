"""The audit log: who asked for what and what came of it, as much as a policy wants to know, a JSON line each.

Ref: https://kubernetes.io/docs/tasks/debug/debug-cluster/audit/
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import IO, Any, Final

import orjson

from mizzen.base.clock import Clock
from mizzen.machinery import times
from mizzen.machinery.errors import Object
from mizzen.machinery.identity import Identity
from mizzen.machinery.protobuf import envelope
from mizzen.machinery.protobuf.messages import ProtobufError
from mizzen.server.authn.reviews import user_info
from mizzen.server.requestinfo import RequestInfo
from mizzen.wire.message import Request, Response

_STAGE: Final = "ResponseComplete"


class Level(IntEnum):
    """How much of a request is written down."""

    NOTHING = 0
    METADATA = 1
    REQUEST = 2
    REQUEST_RESPONSE = 3


_LEVELS: Final = {
    "None": Level.NOTHING,
    "Metadata": Level.METADATA,
    "Request": Level.REQUEST,
    "RequestResponse": Level.REQUEST_RESPONSE,
}
_NAMES: Final = {level: name for name, level in _LEVELS.items()}


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a policy; what is empty matches everything."""

    level: Level
    users: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    verbs: frozenset[str] = frozenset()
    resources: tuple[tuple[str, frozenset[str], frozenset[str]], ...] = ()
    """(group, resources, names)."""
    namespaces: frozenset[str] = frozenset()
    paths: tuple[str, ...] = ()
    is_silent: bool = False
    """The stage that is written is omitted."""

    def matches(self, info: RequestInfo, user: Identity | None) -> bool:
        if self.users and (user is None or user.name not in self.users):
            return False
        if self.groups and (user is None or self.groups.isdisjoint(user.groups)):
            return False
        if self.verbs and info.verb not in self.verbs:
            return False
        if not self.resources and not self.namespaces and not self.paths:
            return True
        if info.is_resource:
            return not self.paths and self._matches_resource(info)
        return any(path == info.path or (path.endswith("*") and info.path.startswith(path[:-1])) for path in self.paths)

    def _matches_resource(self, info: RequestInfo) -> bool:
        if self.namespaces and info.namespace not in self.namespaces:
            return False
        if not self.resources:
            return True
        combined = f"{info.resource}/{info.subresource}" if info.subresource else info.resource
        wanted = {combined, "*", f"*/{info.subresource}", f"{info.resource}/*"}
        return any(
            group == info.group and (not resources or resources & wanted) and (not names or info.name in names)
            for group, resources, names in self.resources
        )


def parse_policy(policy: Mapping[str, Any]) -> tuple[Rule, ...]:
    """The rules of an audit.k8s.io Policy. Raises ValueError."""
    omitted = tuple(policy.get("omitStages") or ())
    return tuple(_rule(rule, omitted) for rule in policy.get("rules") or ())


def _rule(rule: Mapping[str, Any], omitted: Sequence[str]) -> Rule:
    if rule.get("level") not in _LEVELS:
        raise ValueError(f"unknown audit level {rule.get('level')!r}")
    return Rule(
        _LEVELS[rule["level"]],
        frozenset(rule.get("users") or ()),
        frozenset(rule.get("userGroups") or ()),
        frozenset(rule.get("verbs") or ()),
        tuple(
            (
                entry.get("group", ""),
                frozenset(entry.get("resources") or ()),
                frozenset(entry.get("resourceNames") or ()),
            )
            for entry in rule.get("resources") or ()
        ),
        frozenset(rule.get("namespaces") or ()),
        tuple(rule.get("nonResourceURLs") or ()),
        _STAGE in (*omitted, *(rule.get("omitStages") or ())),
    )


class LogFile:
    """Lines in a file that is put aside when it is full; the oldest are deleted."""

    def __init__(self, path: Path, most_bytes: int = 100 * 1024 * 1024, backups: int = 5) -> None:
        self._path = path
        self._most_bytes = most_bytes
        self._backups = backups
        self._file: IO[bytes] = path.open("ab")
        self._size = self._file.tell()

    def write(self, line: bytes) -> None:
        """Append one line."""
        if self._size and self._size + len(line) > self._most_bytes:
            self._rotate()
        self._file.write(line)
        self._file.flush()
        self._size += len(line)

    def close(self) -> None:
        self._file.close()

    def _rotate(self) -> None:
        self._file.close()
        for number in range(self._backups - 1, 0, -1):
            older = self._path.with_name(f"{self._path.name}.{number}")
            if older.exists():
                older.replace(self._path.with_name(f"{self._path.name}.{number + 1}"))
        if self._backups:
            self._path.replace(self._path.with_name(f"{self._path.name}.1"))
        self._file = self._path.open("wb")
        self._size = 0


class AuditLog:
    """The server's Auditor."""

    def __init__(self, rules: Sequence[Rule], file: LogFile, clock: Clock) -> None:
        self._rules = tuple(rules)
        self._file = file
        self._clock = clock

    def completed(self, request: Request, info: RequestInfo, user: Identity | None, response: Response) -> None:
        """Write down a request that was answered, as the first rule that matches says."""
        rule = next((known for known in self._rules if known.matches(info, user)), None)
        if rule is None or rule.level is Level.NOTHING or rule.is_silent:
            return
        event = _event(request, info, user, response, times.format_micro(self._clock.now()))
        event["level"] = _NAMES[rule.level]
        if rule.level >= Level.REQUEST and (sent := _body(request.body)) is not None:
            event["requestObject"] = sent
        if rule.level >= Level.REQUEST_RESPONSE and response.stream is None:
            body = response.body if isinstance(response.body, bytes) else b"".join(response.body)
            if (answered := _body(body)) is not None:
                event["responseObject"] = answered
        self._file.write(orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE))


def _event(request: Request, info: RequestInfo, user: Identity | None, response: Response, now: str) -> Object:
    query = "&".join(f"{key}={value}" for key, value in request.query)
    event: Object = {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "",
        "auditID": str(uuid.uuid4()),
        "stage": _STAGE,
        "requestURI": f"{request.path}?{query}" if query else request.path,
        "verb": info.verb,
        "user": user_info(user) if user is not None else {},
        "sourceIPs": [request.remote] if request.remote else [],
        "userAgent": request.headers.get("user-agent", ""),
        "responseStatus": {"metadata": {}, "code": response.status},
        "requestReceivedTimestamp": now,
        "stageTimestamp": now,
    }
    if info.is_resource:
        reference = {
            "resource": info.resource,
            "namespace": info.namespace,
            "name": info.name,
            "apiGroup": info.group,
            "apiVersion": info.version,
            "subresource": info.subresource,
        }
        event["objectRef"] = {key: value for key, value in reference.items() if value}
    return event


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
