"""CustomResourceDefinitions at work: names accepted, versions served, status kept, instances removed at the end.

A definition is served as soon as memory knows it; its status is written a moment later.
"""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

from mizzen.api.apiextensions.customresourcedefinition import CUSTOM_RESOURCE_DEFINITION
from mizzen.api.kind import Kind
from mizzen.base import log
from mizzen.base.clock import Clock
from mizzen.machinery import times
from mizzen.machinery.errors import ApiError, Object
from mizzen.server.admission.webhooks.call import Caller
from mizzen.server.crd import names
from mizzen.server.crd.conversion import WebhookConverter
from mizzen.server.crd.kinds import Stored, served_versions, stored_kind, stored_version
from mizzen.server.deletion import DEFINITION_CLEANUP as CLEANUP
from mizzen.server.seams import Reader, Writer
from mizzen.server.served import Served

_log = log.get("crd")
_RETRY_SECONDS: Final = 1.0
_TERMINATING: Final = ("InstanceDeletionInProgress", "CustomResource deletion is in progress")


class Serving(Protocol):
    """Where kinds come and go."""

    def add_kind(self, served: Served) -> None: ...

    def remove_kind(self, kind: Kind) -> None: ...

    def settle(self, stored: Stored) -> None: ...


class Definitions:
    """Keeps what is served in step with the definitions."""

    def __init__(self, serving: Serving, reader: Reader, writer: Writer, clock: Clock, caller: Caller) -> None:
        self._serving = serving
        self._reader = reader
        self._writer = writer
        self._clock = clock
        self._caller = caller
        self._served: dict[str, tuple[Served, ...]] = {}
        self._stored: dict[str, Stored] = {}
        self._names: names.Owners = {}
        self._refused: set[str] = set()
        self._pending: dict[str, None] = {}
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._retries: set[asyncio.Task[None]] = set()
        reader.subscribe(CUSTOM_RESOURCE_DEFINITION, self._changed)

    def start(self) -> None:
        """Write statuses and remove instances until `close`."""
        self._task = asyncio.create_task(self._run(), name="crd")

    async def close(self) -> None:
        """Stop."""
        tasks = [*self._retries, *([self._task] if self._task is not None else ())]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _changed(self, key: str, _old: Object | None, new: Object | None) -> None:
        self._refused.discard(key)
        if new is None:
            self._withdraw(key)
            self._release(key)
            self._look_again()
            return
        if names.conflicts(key, new, self._names):
            self._refused.add(key)
        else:
            self._accept(key, new)
            self._publish(key, new)
        self._pending[key] = None
        self._woken.set()

    def _look_again(self) -> None:
        """Names have become free: those who asked for them in vain may have them now."""
        for key in sorted(self._refused):
            if (definition := self._reader.get(CUSTOM_RESOURCE_DEFINITION, "", key)) is not None:
                self._changed(key, definition, definition)

    def _accept(self, key: str, definition: Object) -> None:
        self._release(key)
        for claim in names.claims(definition):
            self._names[claim] = key

    def _release(self, key: str) -> None:
        self._names = {name: owner for name, owner in self._names.items() if owner != key}

    def _publish(self, key: str, definition: Object) -> None:
        self._adapt(key, definition)
        fresh = tuple(served_versions(definition, self._caller))
        before = self._served.get(key, ())
        if [one.document for one in before] == [one.document for one in fresh] and _shapes(before) == _shapes(fresh):
            return
        for gone in before:
            if all(gone.kind.version != one.kind.version for one in fresh):
                self._serving.remove_kind(gone.kind)
        for served in fresh:
            self._serving.add_kind(served)
        self._served[key] = fresh

    def _adapt(self, key: str, definition: Object) -> None:
        """Let what is stored follow the schema when that has changed, now or before this server started."""
        fresh, before = stored_version(definition), self._stored.get(key)
        self._stored[key] = fresh
        known = before.source if before is not None else fresh.source
        if fresh.source != known or (before is None and (definition["metadata"].get("generation") or 0) > 1):
            self._serving.settle(fresh)

    def _withdraw(self, key: str) -> None:
        self._stored.pop(key, None)
        for served in self._served.pop(key, ()):
            self._serving.remove_kind(served.kind)

    async def _run(self) -> None:
        while True:
            await self._woken.wait()
            self._woken.clear()
            pending, self._pending = self._pending, {}
            for name in pending:
                try:
                    await self._settle(name)
                except ApiError as error:
                    if error.code != 404:
                        _log.warning("definition not settled", definition=name, error=error.message)
                        self._settle_later(name)

    def _settle_later(self, name: str) -> None:
        """Try again in a while; other definitions do not wait for it."""
        task = asyncio.create_task(self._retry(name), name=f"crd {name}")
        self._retries.add(task)
        task.add_done_callback(self._retries.discard)

    async def _retry(self, name: str) -> None:
        await self._clock.sleep(_RETRY_SECONDS)
        self._pending[name] = None
        self._woken.set()

    async def _settle(self, name: str) -> None:
        """Write what is true of a definition now. Raises ApiError."""
        definition = self._reader.get(CUSTOM_RESOURCE_DEFINITION, "", name)
        if definition is None:
            return
        if definition["metadata"].get("deletionTimestamp"):
            if CLEANUP in (definition["metadata"].get("finalizers") or ()):
                await self._clean_up(name, definition)
            return
        taken = names.conflicts(name, definition, self._names)
        approval = names.approval(definition)
        now = times.format(self._clock.now())

        def settled(status: Object, spec: Object) -> None:
            _settled(status, spec, taken, now)
            if approval is not None:
                _set_condition(status, names.CONFORMANT, *approval, now)

        await self._write_status(name, settled)
        if CLEANUP not in (definition["metadata"].get("finalizers") or ()):
            await self._writer.modify(CUSTOM_RESOURCE_DEFINITION, "", name, _guard)

    async def _write_status(self, name: str, change: Callable[[Object, Object], None]) -> None:
        def changed(definition: Object) -> None:
            change(definition.setdefault("status", {}), definition["spec"])

        await self._writer.modify(CUSTOM_RESOURCE_DEFINITION, "", name, changed, "status")

    async def _clean_up(self, name: str, definition: Object) -> None:
        """Delete all instances; once none is left the definition may go. Raises ApiError."""
        now = times.format(self._clock.now())
        await self._write_status(
            name,
            lambda status, _: _set_condition(status, "Terminating", "True", _TERMINATING, now),
        )
        # As they are stored: neither a version that is served nor the webhook between versions is needed to end them.
        kind = stored_kind(definition, self._caller)
        for obj in list(self._reader.list(kind)):
            meta = obj["metadata"]
            if not meta.get("deletionTimestamp"):
                await self._delete(kind, meta)
        if any(True for _ in self._reader.list(kind)):
            self._settle_later(name)
            return
        self._withdraw(name)
        await self._writer.modify(CUSTOM_RESOURCE_DEFINITION, "", name, _unguard)

    async def _delete(self, kind: Kind, meta: Object) -> None:
        try:
            await self._writer.delete(kind, meta.get("namespace", ""), meta["name"])
        except ApiError as error:
            if error.code != 404:
                raise


def _shapes(served: tuple[Served, ...]) -> list[tuple[object, ...]]:
    """What besides the schema makes a served version another one."""
    return [
        (
            one.kind.version,
            one.kind.kind,
            one.kind.namespaced,
            one.kind.short_names,
            one.kind.categories,
            one.kind.has_status,
            one.kind.scale,
            one.kind.table.columns if one.kind.table else (),
            tuple(one.kind.selectable),
            one.kind.to_stored is None,
            (one.kind.converter.config, one.kind.converter.storage)
            if isinstance(one.kind.converter, WebhookConverter)
            else None,
        )
        for one in served
    ]


def _settled(status: Object, spec: Object, taken: dict[str, list[str]], now: str) -> None:
    """Conditions and accepted names of a definition, some of whose names may be taken."""
    status["acceptedNames"] = names.accepted(spec["names"], status.get("acceptedNames") or {}, taken)
    problem = names.refusal(taken)
    if problem is None:
        _set_condition(status, "NamesAccepted", "True", ("NoConflicts", "no conflicts found"), now)
        text = "the initial names have been accepted"
        _set_condition(status, "Established", "True", ("InitialNamesAccepted", text), now)
    else:
        _set_condition(status, "NamesAccepted", "False", problem, now)
        if not any(one.get("type") == "Established" for one in status.get("conditions") or ()):
            _set_condition(status, "Established", "False", ("NotAccepted", "not all names are accepted"), now)
    stored = status.get("storedVersions") or []
    for version in spec["versions"]:
        if version.get("storage") and version["name"] not in stored:
            stored = [*stored, version["name"]]
    status["storedVersions"] = stored


def _set_condition(status: Object, type_: str, value: str, why: tuple[str, str], now: str) -> None:
    """Set a condition; its time changes with its value alone. `why` is reason and message."""
    conditions = status["conditions"] = list(status.get("conditions") or ())
    fresh = {"type": type_, "status": value, "lastTransitionTime": now, "reason": why[0], "message": why[1]}
    for position, known in enumerate(conditions):
        if known.get("type") == type_:
            if known.get("status") == value:
                fresh["lastTransitionTime"] = known.get("lastTransitionTime", now)
            conditions[position] = fresh
            return
    conditions.append(fresh)


def _guard(definition: Object) -> None:
    finalizers = definition["metadata"].setdefault("finalizers", [])
    if CLEANUP not in finalizers and not definition["metadata"].get("deletionTimestamp"):
        finalizers.append(CLEANUP)


def _unguard(definition: Object) -> None:
    meta = definition["metadata"]
    meta["finalizers"] = [name for name in meta.get("finalizers") or () if name != CLEANUP]
