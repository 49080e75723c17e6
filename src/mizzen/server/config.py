"""What a server is built of besides its store."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from mizzen.api.kind import Kind
from mizzen.api.kinds import KINDS
from mizzen.machinery.identity import Identity
from mizzen.server.admission.webhooks.call import Caller
from mizzen.server.aggregation.remote import Remote
from mizzen.server.allocation import Allocator
from mizzen.server.requestinfo import RequestInfo
from mizzen.server.seams import AdmissionPlugin, Authenticator, Authorizer, Reader, Writer
from mizzen.server.trail import Trail
from mizzen.server.work import Handlers
from mizzen.wire.message import Request, Response


class Seat(Protocol):
    """A place among the requests being served."""

    def leave(self) -> None:
        """The request is done, or has become a stream."""


class Fairness(Protocol):
    """Gives requests a seat, so that no client starves the others."""

    async def seat(self, info: RequestInfo, user: Identity) -> Seat:
        """Wait for a seat. Raises ApiError 429."""

    def is_free(self, info: RequestInfo, user: Identity) -> bool:
        """Whether a request needs no seat now; then it is answered without waiting."""

    def marks(self, info: RequestInfo, user: Identity) -> Mapping[str, str]:
        """Response headers that tell how a request was judged."""

    def metrics(self) -> Iterable[str]:
        """Lines of Prometheus' text format."""


class Auditor(Protocol):
    """Hears of every request."""

    def opened(self, request: Request) -> Trail:
        """A request came; what is noted from here on in this context belongs to it."""

    def received(self, trail: Trail, request: Request, info: RequestInfo, user: Identity) -> None:
        """Its user is known, and it is about to be worked on."""

    def answered(
        self, trail: Trail, request: Request, info: RequestInfo, user: Identity | None, response: Response
    ) -> None:
        """It was answered; the answer may go on."""


class Remotes(Protocol):
    """Versions of groups that other servers answer."""

    versions: dict[tuple[str, str], Remote]
    generation: int
    """Grows when what they serve has changed."""


@dataclass(slots=True)
class Config:
    """The stages of a server; empty tuples leave a stage out."""

    kinds: Sequence[Kind] = KINDS
    authenticators: Sequence[Authenticator] = ()
    authorizers: Sequence[Authorizer] = ()
    admission: Sequence[AdmissionPlugin] = ()
    allocators: Sequence[Allocator] = ()
    handlers: Handlers = field(default_factory=Handlers)
    fairness: Fairness | None = None
    auditor: Auditor | None = None
    remotes: Remotes | None = None
    webhooks: Caller | None = None
    """How conversion webhooks are reached; None: over the network."""


Compose = Callable[[Reader, Writer], Config]
"""Makes the stages, many of which read the server's own memory, which is empty until the server is started."""


def open_to_masters(_reader: Reader, _writer: Writer) -> Config:
    """No stages at all: everyone is the administrator, everything is admitted. For tests."""
    return Config()
