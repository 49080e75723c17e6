"""A plan: what a controller has decided to do, as values that can be compared, printed and carried out later."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mizzen.client.client import MERGE, PatchType, Resource
from mizzen.machinery.errors import Object


@dataclass(frozen=True, slots=True)
class Reference:
    """The object that an event is about."""

    apiVersion: str
    kind: str
    namespace: str
    name: str
    uid: str = ""
    resourceVersion: str = ""
    fieldPath: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    """A Kubernetes Event to be; `{name}` becomes the written object's name, `{error}` the failure's message.

    `action`: what was done, for those who report in the form of events.k8s.io, with a series in place of a count.
    """

    about: Reference
    reason: str
    message: str
    type: Literal["Normal", "Warning"] = "Normal"
    action: str = ""


@dataclass(frozen=True, slots=True)
class Create:
    """Create an object; a `generateName` without name gets its random name from the shell."""

    resource: Resource
    body: Object
    note: Note | None = None
    failed: Note | None = None
    otherwise: "tuple[Action, ...]" = ()
    """What to do if this fails; `{error}` in its strings becomes the failure's message."""

    @property
    def target(self) -> tuple[str, str]:
        meta = self.body["metadata"]
        return meta.get("namespace", ""), meta.get("name", "")


@dataclass(frozen=True, slots=True)
class Patch:
    """Change what the patch names. With uid or resource_version, only that very object or state."""

    resource: Resource
    namespace: str
    name: str
    patch: Object | Sequence[Object]
    subresource: str = ""
    type: PatchType = MERGE
    uid: str = ""
    resource_version: str = ""
    note: Note | None = None
    failed: Note | None = None
    otherwise: "tuple[Action, ...]" = ()

    @property
    def target(self) -> tuple[str, str]:
        return self.namespace, self.name


@dataclass(frozen=True, slots=True)
class Update:
    """Replace an object whole; only for objects that nobody else writes."""

    resource: Resource
    body: Object
    subresource: str = ""
    note: Note | None = None
    failed: Note | None = None
    otherwise: "tuple[Action, ...]" = ()

    @property
    def target(self) -> tuple[str, str]:
        meta = self.body["metadata"]
        return meta.get("namespace", ""), meta["name"]


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete an object; absent already is as good."""

    resource: Resource
    namespace: str
    name: str
    uid: str = ""
    resource_version: str = ""
    propagation: str = ""
    grace_seconds: int | None = None
    note: Note | None = None
    failed: Note | None = None
    otherwise: "tuple[Action, ...]" = ()

    @property
    def target(self) -> tuple[str, str]:
        return self.namespace, self.name


@dataclass(frozen=True, slots=True)
class Evict:
    """Delete a pod as far as its disruption budgets allow."""

    resource: Resource
    namespace: str
    name: str
    uid: str = ""
    note: Note | None = None
    failed: Note | None = None
    otherwise: "tuple[Action, ...]" = ()

    @property
    def target(self) -> tuple[str, str]:
        return self.namespace, self.name


@dataclass(frozen=True, slots=True)
class DeleteAll:
    """Delete every object of a resource in a namespace."""

    resource: Resource
    namespace: str
    note: Note | None = None
    failed: Note | None = None
    otherwise: "tuple[Action, ...]" = ()

    @property
    def target(self) -> tuple[str, str]:
        return self.namespace, ""


Action = Create | Patch | Update | Delete | Evict | DeleteAll


@dataclass(frozen=True, slots=True)
class Get:
    """A question to the API that the cache cannot answer."""

    path: str
    query: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Review(Get):
    """A question put by creating a review, which is answered and never stored; `body` is its JSON."""

    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API said: an HTTP status and the body; status 0 when nobody answered."""

    status: int
    body: Any = None


@dataclass(frozen=True, slots=True)
class Plan:
    """Actions in order (neighbours of one sort and resource may run together; the first failure ends the plan),
    events, when to look again in seconds, questions to be answered before there can be a real plan, and for how many
    seconds not to look again, whatever changes."""

    actions: tuple[Action, ...] = ()
    notes: tuple[Note, ...] = ()
    requeue_after: float | None = None
    ask: tuple[Get, ...] = ()
    rest: float = 0.0

    def __bool__(self) -> bool:
        return bool(self.actions or self.notes or self.ask)


NOTHING = Plan()
