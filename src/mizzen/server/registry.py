"""Every write, for every kind, in the one order: admit → prepare → validate → admit → store.

Stages return or raise; an update that the store refuses because somebody was faster is tried again from what is
there now, unless the client named the revision it meant.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from mizzen.api.kind import Kind, Subresource
from mizzen.api.rules import addresses
from mizzen.base.clock import Clock
from mizzen.machinery.errors import ApiError, Cause, Errors, FieldError, Object
from mizzen.server import deletion, fresh, metadata, requestor
from mizzen.server.admit import Chain, admission
from mizzen.server.allocation import Allocations
from mizzen.server.call import Write
from mizzen.server.managers import Managers
from mizzen.server.options import DeleteOptions, WriteOptions
from mizzen.server.seams import Admission
from mizzen.server.served import encode_tail
from mizzen.server.storage import Storage, object_key
from mizzen.server.watchcache import Entry
from mizzen.store.base import Conflict

_NAME_TRIES: Final = 8
_WRITE_TRIES: Final = 8
_STALE: Final = "the object has been modified; please apply your changes to the latest version and try again"

Change = Callable[[Object | None], Object]
"""Given a copy of the stored object (None: absent), answers the new one. Raises ApiError."""
_Given = Callable[[Entry, Object], Object]
"""What a change is given of an entry that was decoded already."""


@dataclass(frozen=True, slots=True)
class Written:
    """The outcome of a write: the tail to answer, and whether the object is new or gone."""

    tail: bytes
    created: bool = False
    removed: bool = False


class Registry:
    """Creates, changes and deletes objects of every kind."""

    def __init__(
        self, storage: Storage, chain: Chain, allocations: Allocations, managers: Managers, clock: Clock
    ) -> None:
        self._storage = storage
        self._chain = chain
        self._allocations = allocations
        self._managers = managers
        self._clock = clock

    async def create(self, write: Write, obj: Object) -> Written:
        """Store a new object; with generateName, under a fresh name. Raises ApiError."""
        kind, meta = write.kind, obj["metadata"]
        metadata.place(obj, kind, write.namespace)
        if meta.get("resourceVersion"):
            raise Errors.bad_request("resourceVersion should not be set on objects to be created")
        prefix = "" if meta.get("name") else meta.get("generateName") or ""
        if prefix and not isinstance(prefix, str):
            prefix = ""
        for _ in range(_NAME_TRIES if prefix else 1):
            if prefix:
                meta["name"] = metadata.generate_name(prefix, fresh.number())
            write.name = meta.get("name") or ""
            key = object_key(kind, write.namespace, write.name)
            async with self._storage.locks.hold(f"{kind.storage}/{key}"):
                known = self._storage.cacher.cache(kind.storage).entries.get(key)
                if prefix and known is not None:
                    continue
                return await self._create(write, obj, known)
        error = Errors.already_exists(kind.group, kind.plural, write.name)
        error.retry_after = 1
        raise error

    async def _create(self, write: Write, obj: Object, known: Entry | None) -> Written:
        kind, now = write.kind, self._clock.now()
        if kind.default is not None:
            kind.default(obj)
        _merge_owners(write, obj)
        self._managers.updated(write, obj, None, now)
        admitted = admission("CREATE", write, obj, None, _options(write))
        await self._chain.mutate(admitted)
        obj = admitted.object if admitted.object is not None else obj
        metadata.begin(obj["metadata"], fresh.uid(), metadata.timestamp(int(now)))
        if kind.has_generation:
            obj["metadata"]["generation"] = 1
        if kind.has_status and kind.prepare is None:
            obj.pop("status", None)
        if kind.prepare is not None:
            kind.prepare(obj, None)
        requestor.record(write, obj)
        undo = self._allocations.allocate(write, obj, None)
        try:
            self._check(write, obj, None, metadata.check_create(obj, kind, typed=write.served.builtin))
            admitted.object = obj
            await self._chain.validate(admitted)
            if known is not None:
                raise self._exists(kind, known)
            if write.options.dry_run:
                undo()
                return Written(_tail(kind, obj), created=True)
            entry = await self._storage.put(kind, obj, 0)
        except Conflict as conflict:
            undo()
            await self._storage.catch_up(conflict)
            raise Errors.already_exists(kind.group, kind.plural, write.name) from None
        except BaseException:
            undo()
            raise
        finally:
            _tell(admitted)
        return Written(entry.tail, created=True)

    def _exists(self, kind: Kind, known: Entry) -> ApiError:
        error = Errors.already_exists(kind.group, kind.plural, known.name)
        if b'"deletionTimestamp"' in known.tail:
            meta = self._storage.decode(kind, known)["metadata"]
            if meta.get("deletionTimestamp"):
                error.message = f"object is being deleted: {error.message}"
        return error

    async def modify(self, write: Write, change: Change, *, create: bool = False) -> Written:
        """Change an object as `change` says; with `create`, also when it is absent. Raises ApiError."""
        return await self._changed(write, change, create, lambda entry, _: self._storage.decode(write.kind, entry))

    async def replace(self, write: Write, change: Change, *, create: bool = False) -> Written:
        """The same by a change that only looks at the object that it is given. Raises ApiError."""
        return await self._changed(write, change, create, lambda _, old: old)

    async def _changed(self, write: Write, change: Change, create: bool, given: _Given) -> Written:
        kind = write.kind
        key = object_key(kind, write.namespace, write.name)
        async with self._storage.locks.hold(f"{kind.storage}/{key}"):
            for _ in range(_WRITE_TRIES):
                entry = self._storage.cacher.cache(kind.storage).entries.get(key)
                if entry is None:
                    if not create:
                        raise self._not_found(write)
                    return await self._created(write, change)
                await self._storage.prepare(kind, entry)
                try:
                    return await self._modify(write, entry, change, given)
                except Conflict as conflict:
                    await self._storage.catch_up(conflict)
        raise Errors.conflict(kind.group, kind.plural, write.name, _STALE)

    def _not_found(self, write: Write) -> ApiError:
        return Errors.not_found(write.kind.group, write.kind.plural, write.name)

    async def _created(self, write: Write, change: Change) -> Written:
        obj = change(None)
        metadata.place(obj, write.kind, write.namespace)
        obj["metadata"].setdefault("name", write.name)
        obj["metadata"].pop("resourceVersion", None)
        return await self._create(write, obj, None)

    async def _modify(self, write: Write, entry: Entry, change: Change, given: _Given) -> Written:
        """One attempt. Raises Conflict when the store holds another revision, ApiError."""
        kind, now = write.kind, self._clock.now()
        old = self._storage.decode(kind, entry)
        obj = change(given(entry, old))
        metadata.place(obj, kind, write.namespace)
        self._check_revision(write, obj, entry)
        if kind.default is not None:
            kind.default(obj)
        _merge_owners(write, obj)
        self._managers.updated(write, obj, old, now)
        metadata.carry(obj["metadata"], old["metadata"])
        admitted = admission("UPDATE", write, obj, old, _options(write))
        if not write.admitted:
            await self._chain.mutate(admitted)
        obj = admitted.object if admitted.object is not None else obj
        metadata.carry(obj["metadata"], old["metadata"])
        self._prepare_update(write, obj, old)
        undo = self._allocations.allocate(write, obj, old)
        try:
            self._check(write, obj, old, metadata.check_update(obj, old, kind, typed=write.served.builtin))
            admitted.object = obj
            if not write.admitted:
                await self._chain.validate(admitted)
            return await self._store(write, entry, obj, old, undo)
        except BaseException:
            undo()
            raise
        finally:
            _tell(admitted)

    async def _store(self, write: Write, entry: Entry, obj: Object, old: Object, undo: Callable[[], None]) -> Written:
        kind = write.kind
        obj["metadata"]["resourceVersion"] = str(entry.revision)
        if self._managers.unchanged(obj, old):
            undo()
            return Written(entry.tail)
        if write.options.dry_run:
            undo()
            return Written(_tail(kind, obj))
        if old["metadata"].get("deletionTimestamp") and deletion.is_finished(obj):
            revision = await self._storage.delete(kind, entry)
            obj["metadata"]["resourceVersion"] = str(revision)
            self._allocations.release(kind, old)
            return Written(_tail(kind, obj), removed=True)
        written = await self._storage.put(kind, obj, entry.revision)
        return Written(written.tail)

    def _check_revision(self, write: Write, obj: Object, entry: Entry) -> None:
        """The client's resourceVersion and uid must be those of the stored object."""
        kind, meta = write.kind, obj["metadata"]
        stated = meta.get("resourceVersion")
        if stated and stated != str(entry.revision):
            if not str(stated).isdigit():
                error = FieldError(Cause.INVALID, "metadata.resourceVersion", stated, "must be specified for an update")
                raise Errors.invalid(kind.group, kind.plural, write.name, [error])
            raise Errors.conflict(kind.group, kind.plural, write.name, _STALE)

    def _prepare_update(self, write: Write, obj: Object, old: Object) -> None:
        kind = write.kind
        if write.subresource == "status":
            _only_status(write, obj, old)
            if kind.prepare_status is not None:
                kind.prepare_status(obj, old)
            return
        sub = _subresource(kind, write.subresource)
        if sub is not None:
            if sub.prepare is not None:
                sub.prepare(obj, old)
        else:
            if kind.has_status:
                _keep(obj, old, "status")
            if kind.prepare is not None:
                kind.prepare(obj, old)
        foreign = sub is not None and sub.kind != kind.kind
        if kind.has_generation and not foreign and _specified(kind, obj) != _specified(kind, old):
            obj["metadata"]["generation"] = (old["metadata"].get("generation") or 0) + 1

    def _check(self, write: Write, obj: Object, old: Object | None, of_metadata: Iterable[FieldError]) -> None:
        """Everything that is wrong, at once. Raises ApiError 422."""
        kind = write.kind
        errors: list[FieldError] = list(of_metadata)
        sub = _subresource(kind, write.subresource)
        validate = kind.validate
        if write.subresource == "status":
            validate = kind.validate_status
        elif sub is not None and (sub.validate is not None or sub.kind != kind.kind):
            validate = sub.validate
        if validate is not None:
            found = list(validate(obj, old))
            errors += [error for error in found if not error.tolerated]
            write.warnings += [str(error) for error in found if error.tolerated]
        if errors and old is not None:
            errors = list(addresses.unless_kept(errors, old))
        if errors:
            name = obj["metadata"].get("name") or obj["metadata"].get("generateName") or ""
            raise Errors.invalid(kind.group, kind.kind, name, errors)
        if kind.warn is not None and not write.subresource:
            write.warnings += kind.warn(obj, old)

    async def delete(self, write: Write, options: DeleteOptions) -> Written:
        """Delete an object, or begin to. Raises ApiError."""
        kind = write.kind
        key = object_key(kind, write.namespace, write.name)
        async with self._storage.locks.hold(f"{kind.storage}/{key}"):
            for _ in range(_WRITE_TRIES):
                entry = self._storage.cacher.cache(kind.storage).entries.get(key)
                if entry is None:
                    raise self._not_found(write)
                await self._storage.prepare(kind, entry)
                try:
                    return await self._delete(write, entry, options)
                except Conflict as conflict:
                    await self._storage.catch_up(conflict)
        raise Errors.conflict(kind.group, kind.plural, write.name, _STALE)

    async def _delete(self, write: Write, entry: Entry, options: DeleteOptions) -> Written:
        kind = write.kind
        old = self._storage.decode(kind, entry)
        deletion.check_preconditions(old, kind, options)
        if not write.admitted:
            admitted = admission("DELETE", write, None, old, options.as_object())
            await self._chain.mutate(admitted)
            await self._chain.validate(admitted)
        # Everybody has seen it as it was.
        outcome = deletion.decide(old, kind, options, self._clock.now())
        match outcome:
            case deletion.Keep():
                return Written(_tail(kind, old))
            case deletion.Mark(obj):
                if write.options.dry_run or options.dry_run:
                    return Written(_tail(kind, obj))
                return Written((await self._storage.put(kind, obj, entry.revision)).tail)
            case deletion.Remove(obj):
                if not options.dry_run:
                    revision = await self._storage.delete(kind, entry)
                    obj["metadata"]["resourceVersion"] = str(revision)
                    self._allocations.release(kind, old)
                return Written(_tail(kind, obj), removed=True)


def _tell(admitted: Admission) -> None:
    """Let plugins know that a write has come to its end."""
    for call in admitted.done:
        call()


def _tail(kind: Kind, obj: Object) -> bytes:
    """The tail that an object would be stored as."""
    return encode_tail(kind.to_stored(obj) if kind.to_stored is not None else obj)


def _subresource(kind: Kind, name: str) -> Subresource | None:
    return next((sub for sub in kind.subresources if sub.name == name), None) if name else None


def _only_status(write: Write, obj: Object, old: Object) -> None:
    """A status update changes status and, of built-in kinds, metadata; everything else stays."""
    for name in [key for key in obj if key not in ("kind", "apiVersion", "metadata", "status")]:
        del obj[name]
    for name, value in old.items():
        if name not in ("kind", "apiVersion", "metadata", "status"):
            obj[name] = value
    meta, kept = obj["metadata"], old["metadata"]
    if not write.served.builtin:
        record = meta.get("managedFields")
        obj["metadata"] = {**kept, "managedFields": record} if record else dict(kept)
        return
    for name in write.kind.status_leaves:
        _keep(meta, kept, name)


def _keep(obj: Object, old: Object, name: str) -> None:
    if name in old:
        obj[name] = old[name]
    else:
        obj.pop(name, None)


def _specified(kind: Kind, obj: Object) -> Object:
    """What counts for the generation."""
    aside = ("metadata", "kind", "apiVersion", "status" if kind.has_status else "")
    body = {key: value for key, value in obj.items() if key not in aside}
    body["metadata"] = [obj["metadata"].get(name) or {} for name in kind.generation_heeds]
    return body


def _merge_owners(write: Write, obj: Object) -> None:
    text = metadata.merge_owners(obj["metadata"])
    if text:
        write.warnings.append(text)


def _options(write: Write) -> Object:
    return create_options(write.options)


def create_options(options: WriteOptions) -> Object:
    """The options of a create or an update as admission sees them."""
    shown: Object = {}
    if options.manager:
        shown["fieldManager"] = options.manager
    if options.dry_run:
        shown["dryRun"] = ["All"]
    return shown
