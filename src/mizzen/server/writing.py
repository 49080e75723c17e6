"""POST, PUT, PATCH and DELETE of every kind: the body is read here, the registry does the rest."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from mizzen.base.clock import Clock
from mizzen.machinery import decode
from mizzen.machinery.copies import copied
from mizzen.machinery.errors import ApiError, Errors, Object
from mizzen.machinery.parse import ParseError
from mizzen.machinery.schema import DELETE_OPTIONS
from mizzen.machinery.schema import registry as schemas
from mizzen.server import bodies, codec, listing, options, patching, representation, selection
from mizzen.server.cacher import Cacher
from mizzen.server.call import Call, Write
from mizzen.server.media import PROTOBUF
from mizzen.server.options import DeleteOptions, WriteOptions
from mizzen.server.registry import Registry, Written
from mizzen.server.watchcache import Entry, named
from mizzen.wire.message import Response

DELETED_AT_ONCE: Final = 32
"""Objects of a collection that are deleted together: the store commits them in one transaction."""
MayCreate = Callable[[Call], bool]
"""Whether the user of an update that would create may create."""


class Writing:
    """Answers writes of stored kinds."""

    def __init__(self, registry: Registry, cacher: Cacher, clock: Clock, may_create: MayCreate) -> None:
        self._registry = registry
        self._cacher = cacher
        self._clock = clock
        self._may_create = may_create

    async def answer(self, call: Call) -> Response:
        """The answer to a create, update, patch, delete or deletecollection. Raises ApiError."""
        try:
            match call.info.verb:
                case "create":
                    return await self._create(call)
                case "update":
                    return await self._update(call)
                case "patch":
                    return await self._patch(call)
                case "delete":
                    return await self._delete(call)
                case _:
                    return await self._delete_collection(call)
        except ApiError as error:
            error.warnings = tuple(call.warnings)
            raise

    def write(self, call: Call, what: str) -> Write:
        """The change that a request asks for. Raises ApiError."""
        asked = options.write_options(call.request, what)
        info = call.info
        namespace = info.namespace if call.kind.namespaced else ""
        agent = call.request.headers.get("user-agent", "")
        return Write(call.served, namespace, info.name, call.user, info.subresource, asked, call.warnings, agent)

    async def _create(self, call: Call) -> Response:
        """POST to a collection."""
        write = self.write(call, "CreateOptions")
        bodies.check_size(call.request)
        obj = bodies.read(call.request, call.served, write.options.validation, call.warnings)
        self._shown(call)
        return self._respond(call, await self._registry.create(write, obj))

    async def _update(self, call: Call) -> Response:
        """PUT of an object or its status."""
        write = self.write(call, "UpdateOptions")
        bodies.check_size(call.request)
        obj = bodies.read(call.request, call.served, write.options.validation, call.warnings)
        return self._respond(call, await self._replace(call, write, obj))

    async def _replace(self, call: Call, write: Write, obj: Object) -> Written:
        """Replace an object by one that was read already. Raises ApiError."""
        kind, meta = call.kind, obj["metadata"]
        check_name(write, meta)
        uid, revision = meta.get("uid"), meta.get("resourceVersion")
        if revision == "0":
            revision = meta["resourceVersion"] = ""

        def replaced(old: Object | None) -> Object:
            if old is None:
                self._check_create(call)
                return obj
            check_uid(write, uid, old["metadata"]["uid"])
            if not revision and not kind.unconditional_update:
                raise _revision_required(write)
            # Who names a revision is refused when another one is there, so that nothing is tried again.
            return obj if revision else copied(obj)

        creating = kind.create_on_update and not write.subresource
        return await self._registry.replace(write, replaced, create=creating)

    async def _patch(self, call: Call) -> Response:
        """PATCH of an object or its status."""
        write = self.write(call, "PatchOptions")
        bodies.check_size(call.request)
        change = patching.change(call, write, self._clock.now)
        creating = change.creates and not write.subresource

        def patched(old: Object | None) -> Object:
            if old is None:
                self._check_create(call)
            return change(old)

        return self._respond(call, await self._registry.modify(write, patched, create=creating))

    def _check_create(self, call: Call) -> None:
        if not self._may_create(call):
            kind = call.kind
            raise Errors.forbidden(kind.group, kind.plural, call.info.name, "")

    async def _delete(self, call: Call) -> Response:
        """DELETE of an object."""
        asked = self._delete_options(call)
        kind, info = call.kind, call.info
        if kind.keeps_dependents and asked.propagation is None:
            call.warnings.append(kind.keeps_dependents)
        namespace = info.namespace if kind.namespaced else ""
        write = Write(
            call.served,
            namespace,
            info.name,
            call.user,
            options=WriteOptions(dry_run=asked.dry_run),
            warnings=call.warnings,
        )
        written = await self._registry.delete(write, asked)
        return self._deleted(call, written)

    def _deleted(self, call: Call, written: Written) -> Response:
        """What a delete answers: a Status once the object is gone, for most kinds; else the object."""
        kind, headers = call.kind, codec.warning_headers(call.warnings)
        if not written.removed or kind.returns_deleted:
            return codec.respond(call.request, call.served.whole.one(written.tail), call.media, 200, headers)
        name, uid = named(written.tail)
        details = {"name": name, "group": kind.group, "kind": kind.plural, "uid": uid}
        if not kind.group:
            del details["group"]
        status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
        return codec.respond(call.request, codec.encode(status), call.media, 200, headers)

    async def _delete_collection(self, call: Call) -> Response:
        """DELETE of all objects that selectors choose; answers how they were."""
        asked = self._delete_options(call)
        listed = options.list_options(call.request)
        kind = call.kind
        if kind.keeps_dependents and asked.propagation is None:
            call.warnings.append(kind.keeps_dependents)
        cache = self._cacher.cache(kind.storage)
        selected = selection.parse(listed.labels, listed.fields, call.served, cache)
        namespace = call.info.namespace if kind.namespaced else ""
        found, meta = listing.page(cache, self._cacher.revision, self._clock.now(), namespace, selected, listed)
        if kind.converter is not None:
            await kind.converter.prepare((entry.version, entry.tail) for entry in found.entries)
        for start in range(0, len(found.entries), DELETED_AT_ONCE):
            together = found.entries[start : start + DELETED_AT_ONCE]
            deleting = (self._delete_listed(call, entry, asked) for entry in together)
            for outcome in await asyncio.gather(*deleting, return_exceptions=True):
                if outcome is not None:
                    raise outcome
        shown = representation.choose(call.request, call.served, call.media, self._clock.now, listing=True)
        headers = codec.warning_headers(call.warnings)
        return codec.respond(call.request, shown.many(found.tails, meta), call.media, 200, headers)

    async def _delete_listed(self, call: Call, entry: Entry, asked: DeleteOptions) -> None:
        write = Write(
            call.served,
            entry.namespace,
            entry.name,
            call.user,
            options=WriteOptions(dry_run=asked.dry_run),
            warnings=call.warnings,
        )
        try:
            await self._registry.delete(write, asked)
        except ApiError as error:
            if error.code != 404:
                raise

    def _delete_options(self, call: Call) -> DeleteOptions:
        """Options of a delete, from its body or its query. Raises ApiError."""
        bodies.check_size(call.request)
        return options.delete_options(call.request, _delete_body(call))

    def _shown(self, call: Call) -> representation.Representation:
        """How the answer will look. Raises ApiError 406."""
        return representation.choose(call.request, call.served, call.media, self._clock.now, listing=False)

    def _respond(self, call: Call, written: Written) -> Response:
        """The answer to a create or change."""
        status = 201 if written.created else 200
        headers = codec.warning_headers(call.warnings)
        return codec.respond(call.request, self._shown(call).one(written.tail), call.media, status, headers)


def check_name(write: Write, meta: Object) -> None:
    """The name in the body must be that of the path. Raises ApiError 400."""
    name = meta.get("name") or ""
    if not name:
        text = f"the name of the object ({write.name} based on URL) was undeterminable: name must be provided"
        raise Errors.bad_request(text)
    if name != write.name:
        raise Errors.bad_request(f"the name of the object ({name}) does not match the name on the URL ({write.name})")


def check_uid(write: Write, stated: Any, uid: str) -> None:
    """Raises ApiError Conflict when a body states the uid of another object."""
    if stated and stated != uid:
        kind = write.kind
        key = "/".join(part for part in ("/registry", kind.storage, write.namespace, write.name) if part)
        why = (
            f"StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: "
            f"Precondition failed: UID in precondition: {stated}, UID in object meta: {uid}"
        )
        raise Errors.conflict(kind.group, kind.plural, write.name, why)


def _revision_required(write: Write) -> ApiError:
    kind = write.kind
    message = "Invalid value: 0x0: must be specified for an update"
    text = f'{kind.qualified_plural} "{write.name}" is invalid: metadata.resourceVersion: {message}'
    cause = {"reason": "FieldValueInvalid", "message": message, "field": "metadata.resourceVersion"}
    details: Object = {"name": write.name, "group": kind.group, "kind": kind.plural, "causes": [cause]}
    return ApiError(422, "Invalid", text, details)


def _delete_body(call: Call) -> Object | None:
    request = call.request
    if not request.body:
        return None
    if not isinstance(request.body, bytes):
        given: Object = request.body
        return given
    if codec.content_type(request) == PROTOBUF:
        return bodies.from_protobuf(request.body, "v1", "DeleteOptions")
    yaml = bodies.is_yaml(request)
    try:
        value, _ = decode.parse(request.body, yaml)
    except ParseError as error:
        raise Errors.bad_request(str(error)) from None
    if value is None:
        return None
    if not isinstance(value, dict):
        raise Errors.bad_request("the body of a delete must be DeleteOptions")
    if value.get("kind") not in (None, "", "DeleteOptions"):
        text = f'no kind "{value["kind"]}" is registered for version "{value.get("apiVersion", "")}"'
        raise Errors.bad_request(text)
    try:
        checked, _ = bodies.checked_types(value, schemas.definition(DELETE_OPTIONS), typed=True)
    except decode.DecodeError as error:
        raise Errors.bad_request(str(error)) from None
    return checked
