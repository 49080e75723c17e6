"""The admission chain: mutate in order, later validate in order; which plugins care is found once per kind."""

from collections.abc import Awaitable, Sequence
from typing import Final

from mizzen.api.kind import Kind
from mizzen.machinery.errors import Object
from mizzen.server import trail
from mizzen.server.call import Write
from mizzen.server.seams import Admission, AdmissionPlugin, Operation

_CACHED_KINDS: Final = 4_096


class Chain:
    """All admission plugins, in order."""

    def __init__(self, plugins: Sequence[AdmissionPlugin]) -> None:
        self._plugins = tuple(plugins)
        self._caring: dict[tuple[str, int, str], tuple[Kind, tuple[AdmissionPlugin, ...]]] = {}

    async def mutate(self, admission: Admission) -> None:
        """Let every plugin change the object. Raises ApiError."""
        for plugin in self._that_care(admission):
            waiting: Awaitable[None] | None = plugin.mutate(admission)
            if waiting is not None:
                await waiting

    async def validate(self, admission: Admission) -> None:
        """Let every plugin refuse. Raises ApiError."""
        try:
            for plugin in self._that_care(admission):
                waiting: Awaitable[None] | None = plugin.validate(admission)
                if waiting is not None:
                    await waiting
        finally:
            if admission.annotations:
                trail.annotate(admission.annotations)

    def _that_care(self, admission: Admission) -> tuple[AdmissionPlugin, ...]:
        kind = admission.kind
        identity = (admission.operation, id(kind), admission.subresource)
        known = self._caring.get(identity)
        if known is not None and known[0] is kind:
            return known[1]
        if len(self._caring) > _CACHED_KINDS:
            self._caring.clear()
        caring = tuple(
            plugin for plugin in self._plugins if plugin.handles(admission.operation, kind, admission.subresource)
        )
        # The kind is kept beside its plugins, so that its identity stays taken while it stands here.
        self._caring[identity] = (kind, caring)
        return caring


def admission(operation: Operation, write: Write, obj: Object | None, old: Object | None, options: Object) -> Admission:
    """One write as the plugins see it."""
    return Admission(
        operation,
        write.kind,
        write.subresource,
        write.namespace,
        write.name,
        write.user,
        obj,
        old,
        options,
        write.options.dry_run,
        write.warnings,
    )
