"""The way of every request, top to bottom: identify → seat → authorize → route → work → answer.

`Pipeline.dispatch` answers at once where nothing has to wait (all reads), else with an awaitable.
"""

import asyncio
import itertools
import time
import traceback
import uuid
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import msgspec

from mizzen.base import log
from mizzen.machinery import times
from mizzen.machinery.errors import ApiError, Errors
from mizzen.machinery.identity import MASTERS, Identity
from mizzen.server import codec, media, requestinfo
from mizzen.server import trail as trails
from mizzen.server.audit import AUDIT_ID
from mizzen.server.authz.chain import refused
from mizzen.server.call import Call
from mizzen.server.config import Config, Fairness
from mizzen.server.identity import Identification
from mizzen.server.requestinfo import RequestInfo
from mizzen.server.routes import PathNotFound, Routes
from mizzen.server.seams import Attributes
from mizzen.server.trail import Trail
from mizzen.wire import websocket
from mizzen.wire.message import Request, Response

_log = log.get("server")
_LASTING_VERBS: Final = frozenset({"watch", "proxy"})
_CREATED: Final = frozenset({"exec", "attach", "portforward"})
"""What a WebSocket begins by GET must be allowed to be created as well, as if it had begun by POST."""
_LASTING: Final = frozenset({"exec", "attach", "portforward", "log", "proxy"})
LONGEST_SECONDS: Final = 60.0
"""What every request that does not last is given."""
_PAGE_NOT_FOUND: Final = b"404 page not found\n"
_PAGE_HEADERS: Final = {"content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff"}
_UNCACHED: Final = "no-cache, private"
"""What caches on the way are told of everything that does not say otherwise: answers depend on who asks, and when."""

Answer = Response | Awaitable[Response]
Work = Callable[[Call], Answer]


class Observer(Protocol):
    """Counts requests."""

    def observe(self, dry_run: str, info: RequestInfo, status: int, seconds: float) -> None:
        """One was answered: whether it was a dry run, what was asked, status, seconds."""

    def begin(self, info: RequestInfo) -> None:
        """One waits for its answer."""

    def end(self, info: RequestInfo) -> None:
        """It waits no more."""


Paths = Callable[[Request, RequestInfo, Identity], Answer]
"""Answers what is not a resource: discovery, health, metrics. Raises PathNotFound."""


class Pipeline:
    """Answers requests."""

    def __init__(self, routes: Routes, config: Config, work: Work, paths: Paths, observer: Observer) -> None:
        self._routes = routes
        self._authorizers = tuple(config.authorizers)
        self._identification = Identification(config.authenticators, self.check)
        self._work = work
        self._paths = paths
        self._observer = observer
        self._fairness = config.fairness
        self._auditor = config.auditor
        self._start = str(uuid.uuid4())[:24]
        """The beginning of the audit ids of this server; what follows is a request's number."""
        self._requests = itertools.count()
        self._remotes = config.remotes.versions if config.remotes is not None else {}

    def dispatch(self, request: Request) -> Answer:
        """The answer to a request, at once or later; never raises but for cancellation."""
        started = time.perf_counter()
        info = requestinfo.parse(request)
        user: Identity | None = None
        trail = self._auditor.opened(request) if self._auditor is not None else None
        try:
            user = self._identification.identify(request, lambda user: _attributes(request, info, user))
            if trail is not None and self._auditor is not None:
                self._auditor.received(trail, request, info, user)
            seconds = deadline(request, info)
            answer = self._seated(request, info, user)
        except Exception as error:
            return self._finished(request, info, user, self._failed(request, error), started, trail)
        if seconds is not None and not isinstance(answer, Response):
            answer = _within(seconds, answer)
        if isinstance(answer, Response):
            return self._finished(request, info, user, answer, started, trail)
        return self._later(request, info, user, answer, started, trail)

    async def handle(self, request: Request) -> Response:
        """The same as one awaitable."""
        answer = self.dispatch(request)
        return answer if isinstance(answer, Response) else await answer

    async def _later(
        self,
        request: Request,
        info: RequestInfo,
        user: Identity,
        answer: Awaitable[Response],
        started: float,
        trail: Trail | None,
    ) -> Response:
        self._observer.begin(info)
        try:
            response = await answer
        except Exception as error:
            response = self._failed(request, error)
        finally:
            self._observer.end(info)
        return self._finished(request, info, user, response, started, trail)

    def _seated(self, request: Request, info: RequestInfo, user: Identity) -> Answer:
        if self._fairness is None or self._fairness.is_free(info, user):
            return self._authorized(request, info, user)
        return self._in_seat(self._fairness, request, info, user)

    async def _in_seat(self, fairness: Fairness, request: Request, info: RequestInfo, user: Identity) -> Response:
        seat = await fairness.seat(info, user)
        try:
            answer = self._authorized(request, info, user)
            return answer if isinstance(answer, Response) else await answer
        finally:
            seat.leave()

    def _authorized(self, request: Request, info: RequestInfo, user: Identity) -> Answer:
        """Authorize before routing, so that a denial tells nothing about what exists."""
        asked = _attributes(request, info, user)
        self.check(asked)
        if info.subresource in _CREATED and info.verb == "get" and websocket.is_upgrade(request.headers):
            self.check(msgspec.structs.replace(asked, verb="create"))
        if not info.resource:
            return self._paths(request, info, user)
        if self._remotes:
            remote = self._remotes.get((info.group, info.version))
            if remote is not None:
                return remote.forward(request, user)
        served = self._routes.resolve(info)
        accept = request.headers.get("accept", "")
        listing = info.verb in ("list", "watch")
        wanted = media.negotiate(accept, listing=listing, builtin=served.builtin)
        return self._work(Call(request, info, served, user, wanted))

    def check(self, attributes: Attributes) -> None:
        """Raises ApiError 403 when nobody allows it."""
        if not self._authorizers:
            if MASTERS in attributes.user.groups:
                return
            raise refused(attributes)
        reasons: list[str] = []
        for authorizer in self._authorizers:
            decision = authorizer.authorize(attributes)
            if decision.allowed:
                if self._auditor is not None:
                    trails.annotate({trails.DECISION: "allow", trails.REASON: decision.reason})
                return
            if decision.reason:
                reasons.append(decision.reason)
            if decision.denied:
                break
        if self._auditor is not None:
            trails.annotate({trails.DECISION: "forbid", trails.REASON: "\n".join(reasons)})
        raise refused(attributes, "\n".join(reasons))

    def allows(self, attributes: Attributes) -> bool:
        """Whether somebody allows it."""
        try:
            self.check(attributes)
        except ApiError:
            return False
        return True

    def _failed(self, request: Request, error: Exception) -> Response:
        """The answer to a failure; one that nobody expected is a bug of ours, logged and told as such."""
        if isinstance(error, ApiError):
            return codec.respond_status(request, error)
        if isinstance(error, PathNotFound):
            return Response(404, dict(_PAGE_HEADERS), _PAGE_NOT_FOUND)
        trails.panic()
        trace = "".join(traceback.format_exception(error)[-6:])
        _log.error("request failed", method=request.method, path=request.path, error=repr(error), trace=trace)
        return codec.respond_status(request, Errors.internal(f"{type(error).__name__}: {error}"))

    def _finished(
        self,
        request: Request,
        info: RequestInfo,
        user: Identity | None,
        response: Response,
        started: float,
        trail: Trail | None,
    ) -> Response:
        seconds = time.perf_counter() - started
        if self._fairness is not None and user is not None:
            response.headers.update(self._fairness.marks(info, user))
        response.headers.setdefault("cache-control", _UNCACHED)
        dry_run = request.parameter("dryRun") if request.query else ""
        self._observer.observe(dry_run, info, response.status, seconds)
        if log.is_shown("debug"):
            _log_access(request, user, response, seconds)
        if trail is not None and self._auditor is not None:
            self._auditor.answered(trail, request, info, user, response)
        else:
            response.headers[AUDIT_ID] = request.headers.get(AUDIT_ID) or f"{self._start}{next(self._requests):012x}"
        return response


def deadline(request: Request, info: RequestInfo) -> float | None:
    """The seconds in which a request that does not last is answered; None: it takes as long as it takes.

    A client may ask for less than the server gives, and not for more. Raises ApiError 400.
    """
    if info.verb in _LASTING_VERBS or info.subresource in _LASTING:
        return None
    text = request.parameter("timeout") if request.query else ""
    if not text:
        return LONGEST_SECONDS
    try:
        seconds = times.parse_duration(text)
    except ValueError:
        why = f'invalid timeout specified in the request URL - time: invalid duration "{text}"'
        raise Errors.bad_request(why) from None
    return min(seconds, LONGEST_SECONDS) if seconds > 0 else LONGEST_SECONDS


async def _within(seconds: float, answer: Awaitable[Response]) -> Response:
    """The answer, or ApiError 504 when it takes longer."""
    try:
        async with asyncio.timeout(seconds):
            return await answer
    except TimeoutError:
        why = "request did not complete within requested timeout - context deadline exceeded"
        raise ApiError(504, "Timeout", f"Timeout: {why}") from None


def _log_access(request: Request, user: Identity | None, response: Response, seconds: float) -> None:
    _log.debug(
        "request",
        method=request.method,
        path=request.path,
        query=request.query,
        user=user.name if user is not None else "",
        agent=request.headers.get("user-agent", ""),
        accept=request.headers.get("accept", ""),
        status=response.status,
        milliseconds=round(seconds * 1000, 2),
    )


def _attributes(request: Request, info: RequestInfo, user: Identity) -> Attributes:
    if not info.resource:
        return Attributes(user, info.verb, path=info.path)
    labels = fields = ""
    if request.query and info.verb in ("list", "watch", "deletecollection"):
        labels, fields = request.parameter("labelSelector"), request.parameter("fieldSelector")
    return Attributes(
        user,
        info.verb,
        info.group,
        info.version,
        info.resource,
        info.subresource,
        info.namespace,
        info.name,
        info.path,
        labels,
        fields,
    )
