"""What the server must know of a kind beyond its schema: names, scope, hooks, columns and subresources.

Everything that can be derived (routes, discovery, OpenAPI, strict fields, merge keys) is derived from this and the
packed schema; a CustomResourceDefinition becomes the same `Kind` at run time.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from mizzen.machinery.errors import FieldError, Object
from mizzen.machinery.schema import Schema

Default = Callable[[Object], None]
"""Fill in absent fields in place; called on every decoded object, so it must be idempotent."""
Prepare = Callable[[Object, Object | None], None]
"""Make a new object ready to store, in place, given the stored one (None on create): reset what clients do not own."""
Validate = Callable[[Object, Object | None], Iterable[FieldError]]
"""All that is wrong with a new object, given the stored one (None on create)."""
Warn = Callable[[Object, Object | None], Iterable[str]]
"""Texts for `Warning` headers."""
CheckName = Callable[[str], Iterable[str]]
"""What is wrong with a name; nothing when it is fine. For generateName it is given the name already generated."""
Row = Callable[[Object, float], Sequence[Any]]
"""The cells of a Table row, one for each column, given the time now (seconds since the epoch)."""

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a Table, as kubectl users know it. Priority 0 always shows; 1 shows with `-o wide`."""

    name: str
    type: str = "string"
    format: str = ""
    description: str = ""
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Table:
    """How objects of a kind are shown: columns, a row's cells, and a row's conditions (finished pods have one)."""

    columns: tuple[Column, ...]
    row: Row
    conditions: Callable[[Object], Sequence[Object]] | None = None
    order: Callable[[Object], Any] | None = None
    """What the rows of a list are sorted by, where that is not the name."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Where a scalable kind keeps its replicas; dotted paths. `selector` may lead to a LabelSelector or a string."""

    replicas: str = "spec.replicas"
    status_replicas: str = "status.replicas"
    selector: str = "spec.selector"


@dataclass(frozen=True, slots=True)
class Subresource:
    """A subresource other than status and scale: its name, verbs, and the kind that is sent to and answered by it."""

    name: str
    verbs: tuple[str, ...]
    kind: str
    group: str = ""
    version: str = "v1"
    prepare: Prepare | None = None
    validate: Validate | None = None


class Converter(Protocol):
    """Turns versions of a kind into each other by asking elsewhere, before the hooks of the kind are called."""

    async def prepare(self, stored: Iterable[tuple[str, bytes]]) -> None:
        """Make `from_stored` know these: apiVersion and encoded object of each. Raises ApiError."""

    async def to_stored(self, obj: Object) -> Object:
        """The form in which an object is written. Raises ApiError."""

    def written(self, obj: Object, revision: int) -> None:
        """An object was written at a revision."""


METADATA = ("labels", "annotations", "finalizers", "ownerReferences")
"""All metadata that clients write."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One resource as served under one group and version.

    A kind served under several versions or groups (HorizontalPodAutoscaler, Event) is several Kinds that share
    `stored_as`; those that differ from the stored form carry `to_stored` and `from_stored`, which convert in place
    or anew and answer the converted object. All hooks see the object as this Kind serves it.
    """

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool
    singular: str = ""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ALL_VERBS
    schema: str = ""
    """Name of the definition in the packed schema; empty: found by group, version and kind."""
    structure: Schema | None = None
    """The schema of a custom resource, which no packed definition tells."""

    check_name: CheckName | None = None
    """None: a DNS-1123 subdomain."""
    revalidates_metadata: int = 1
    """How often the kind's own rules check the metadata of an update as if it were new; 0: only the spec."""
    bare_finalizers: bool = False
    """Finalizers need no domain: so it is with custom resources and the kinds that grew beside them."""
    compares_metadata: int = 1
    """How often the kind's own rules compare the metadata of an update with the stored one."""
    default: Default | None = None
    prepare: Prepare | None = None
    validate: Validate | None = None
    warn: Warn | None = None
    deprecation: str = ""
    """What everybody hears who asks for this version of the kind."""
    keeps_dependents: str = ""
    """What those hear who delete without saying what becomes of the dependents, where that may surprise them."""

    has_status: bool = False
    """Served with a /status subresource; the main resource then ignores changes to status."""
    prepare_status: Prepare | None = None
    validate_status: Validate | None = None
    status_leaves: tuple[str, ...] = ()
    """Metadata that a write of /status cannot change; `METADATA` where that is all."""
    has_generation: bool = False
    """metadata.generation starts at 1 and grows whenever anything but metadata and status changes."""
    generation_heeds: tuple[str, ...] = ()
    """Metadata whose changes make the generation grow as well."""
    scale: Scale | None = None
    subresources: tuple[Subresource, ...] = ()

    table: Table | None = None
    """None: Name and Age."""
    selectable: Mapping[str, Callable[[Object], str]] = field(default_factory=dict)
    """Field selectors besides metadata.name and metadata.namespace."""

    create_on_update: bool = False
    """PUT of an absent name creates it."""
    unconditional_update: bool = True
    """PUT without resourceVersion overwrites."""
    returns_deleted: bool = False
    """DELETE answers the object (Pods, Services, …), not a Status."""
    graceful_seconds: Callable[[Object, int | None], int] | None = None
    """Grace period of a delete, given the object and what the client asked for; None: deleted at once."""
    default_propagation: str = "Background"

    stored_as: str = ""
    """Key prefix segment of the store, shared by kinds that are the same objects; empty: group/plural."""
    to_stored: Callable[[Object], Object] | None = None
    from_stored: Callable[[Object], Object] | None = None
    converter: Converter | None = None
    """Who is asked first where these conversions need an answer from elsewhere."""

    @property
    def api_version(self) -> str:
        """`apps/v1`, or `v1` for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified_plural(self) -> str:
        """`deployments.apps`, or `pods` for the core group."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def storage(self) -> str:
        """The key segment under which the store keeps these objects."""
        return self.stored_as or (f"{self.group}/{self.plural}" if self.group else self.plural)
