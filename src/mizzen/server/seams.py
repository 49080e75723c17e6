"""Where the parts of the server meet: who asks (authn), may they (authz), is it admissible, and what is stored.

The pipeline and the registry call these; `authn/`, `authz/` and `admission/` implement them. All reads come from
memory, so most calls are synchronous; a plugin that must wait (a webhook) answers an awaitable.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import msgspec

from mizzen.api.kind import Kind
from mizzen.machinery.errors import Object
from mizzen.machinery.identity import Identity
from mizzen.wire.message import Request

Operation = Literal["CREATE", "UPDATE", "DELETE", "CONNECT"]


class Attributes(msgspec.Struct, frozen=True, gc=False):
    """What is asked of the authorizer; `path` alone for requests that name no resource."""

    user: Identity
    verb: str
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""
    labels: str = ""
    fields: str = ""

    @property
    def is_resource(self) -> bool:
        return bool(self.resource)


@dataclass(frozen=True, slots=True)
class Decision:
    """An authorizer's answer; an explicit denial ends the chain, no opinion passes to the next."""

    allowed: bool
    reason: str = ""
    denied: bool = False


class Authenticator(Protocol):
    """Knows users by one kind of credential."""

    def authenticate(self, request: Request) -> Identity | None:
        """The user, or None when the request carries no credential of this kind. Raises ApiError 401 for a bad one."""


class Authorizer(Protocol):
    """Decides whether a user may do something."""

    def authorize(self, attributes: Attributes) -> Decision:
        """Allowed, denied, or no opinion."""


@dataclass(slots=True)
class Admission:
    """One write on its way to the store. Mutators change `object` in place or replace it.

    `object` is None for DELETE, `old` is None for CREATE; for CONNECT `object` holds the options.
    """

    operation: Operation
    kind: Kind
    subresource: str
    namespace: str
    name: str
    user: Identity
    object: Object | None
    old: Object | None
    options: Object = field(default_factory=dict)
    dry_run: bool = False
    warnings: list[str] = field(default_factory=list)
    annotations: dict[str, str] = field(default_factory=dict)
    scratch: dict[str, Any] = field(default_factory=dict)
    done: list[Callable[[], None]] = field(default_factory=list)
    """Called once what was admitted is stored, or given up."""


class AdmissionPlugin(Protocol):
    """One admission plugin. Raises ApiError to refuse."""

    @property
    def name(self) -> str:
        """As the documentation calls it."""

    def handles(self, operation: Operation, kind: Kind, subresource: str) -> bool:
        """Whether this plugin cares; asked once per kind and cached by the chain where the kind is built in."""

    def mutate(self, admission: Admission) -> Awaitable[None] | None:
        """Change the object before validation."""

    def validate(self, admission: Admission) -> Awaitable[None] | None:
        """Refuse what must not be stored."""


class Reader(Protocol):
    """Synchronous reads from the server's memory. Objects are shared: never change them."""

    def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """The stored object, decoded, or None."""

    def list(self, kind: Kind, namespace: str = "") -> Iterable[Object]:
        """All objects of a kind, or those of one namespace."""

    def subscribe(self, kind: Kind, changed: Callable[[str, Object | None, Object | None], None]) -> None:
        """Call `changed(key, old, new)` after every change, first for everything there is; old or new may be None."""

    def kinds(self) -> Sequence[Kind]:
        """All kinds that are served now, those of definitions too; the same sequence until they change."""


class Writer(Protocol):
    """Writes from inside the server (allocators, token bookkeeping), through the same registry as clients."""

    async def create(self, kind: Kind, namespace: str, object: Object) -> Object:
        """Create as the server itself. Raises ApiError."""

    async def modify(
        self, kind: Kind, namespace: str, name: str, change: Callable[[Object], None], subresource: str = ""
    ) -> Object:
        """Read, change in place, write, again on conflict. Raises ApiError NotFound."""

    async def delete(self, kind: Kind, namespace: str, name: str) -> None:
        """Delete as the server itself. Raises ApiError NotFound."""
