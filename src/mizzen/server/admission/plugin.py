"""What admission plugins share: which writes they see, and how they refuse."""

from collections.abc import Awaitable
from typing import ClassVar

from mizzen.api.kind import Kind
from mizzen.machinery.errors import ApiError, Errors
from mizzen.server.seams import Admission, Operation

CREATE: frozenset[Operation] = frozenset({"CREATE"})
WRITES: frozenset[Operation] = frozenset({"CREATE", "UPDATE"})


class Plugin:
    """An admission plugin that sees some operations on some resources; it changes nothing and refuses nothing."""

    name: str = ""
    operations: ClassVar[frozenset[Operation]] = CREATE
    resources: ClassVar[frozenset[tuple[str, str]]] = frozenset()
    """(group, plural)."""
    subresources: ClassVar[frozenset[str]] = frozenset({""})

    def handles(self, operation: Operation, kind: Kind, subresource: str) -> bool:
        """Whether this plugin cares."""
        return (
            operation in self.operations
            and (kind.group, kind.plural) in self.resources
            and subresource in self.subresources
        )

    def mutate(self, admission: Admission) -> Awaitable[None] | None:
        """Change the object before validation."""
        return None

    def validate(self, admission: Admission) -> Awaitable[None] | None:
        """Refuse what must not be stored."""
        return None


def refusal(admission: Admission, why: str) -> ApiError:
    """The 403 of an admission plugin."""
    return Errors.forbidden(admission.kind.group, admission.kind.plural, admission.name, why)
