"""One authorized API request on its way: who asks, for what, in which representation."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from mizzen.api.kind import Kind
from mizzen.machinery.errors import Object
from mizzen.machinery.identity import Identity
from mizzen.server.media import Media
from mizzen.server.options import DEFAULTS, WriteOptions
from mizzen.server.requestinfo import RequestInfo
from mizzen.server.served import Served
from mizzen.wire.message import Request, Response


@dataclass(slots=True)
class Call:
    """A request that was understood and authorized; `warnings` become Warning headers."""

    request: Request
    info: RequestInfo
    served: Served
    user: Identity
    media: Media
    warnings: list[str] = field(default_factory=list)

    @property
    def kind(self) -> Kind:
        return self.served.kind


@dataclass(slots=True)
class Write:
    """One change to an object, whoever makes it."""

    served: Served
    namespace: str
    name: str
    user: Identity
    subresource: str = ""
    options: WriteOptions = DEFAULTS
    warnings: list[str] = field(default_factory=list)
    agent: str = ""
    """The User-Agent, which names the field manager when the client does not."""
    applied: bool = False
    """Whether this is an apply, which keeps the record of managers itself."""
    admitted: bool = False
    """Whether admission let it pass already: as an eviction, as a binding."""

    @property
    def kind(self) -> Kind:
        return self.served.kind


Post = Callable[[Call, Object], Object | Awaitable[Object]]
"""Answers what is posted to a subresource (`serviceaccounts/token`).

It is given the decoded, defaulted object and answers the object to send, with status 201. Raises ApiError.
"""
Connect = Callable[[Call], Response | Awaitable[Response]]
"""Answers a request to a subresource that is not an object (exec, log, proxy), for whatever method."""
Review = Callable[[Object, str, Identity], Object | Awaitable[Object]]
"""Answers an object of a kind that is not stored, posted into a namespace by a user. Raises ApiError."""
