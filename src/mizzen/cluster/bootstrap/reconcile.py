"""Puts the cluster's own objects in place at start: creates what is missing, and adds to roles what they have lost.

Reads come from memory and creates run at once, so that a new cluster needs two commits of the store, and an old
one none.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from mizzen.api.core.configmap import CONFIG_MAP
from mizzen.api.core.endpoints import ENDPOINTS
from mizzen.api.discovery.endpointslice import ENDPOINT_SLICE
from mizzen.api.kind import Kind
from mizzen.cluster.bootstrap import flow, objects, roles
from mizzen.cluster.bootstrap.objects import Facts
from mizzen.machinery.errors import ApiError, Object
from mizzen.server.authz.rules import Rule, not_covered
from mizzen.server.seams import Reader, Writer

_ADDRESSED: Final = (ENDPOINTS, ENDPOINT_SLICE, CONFIG_MAP)
"""Kinds whose content follows the facts on every start."""


async def reconcile(facts: Facts, reader: Reader, writer: Writer) -> None:
    """Bring everything into place. Raises ApiError when the server refuses its own objects."""
    for batch in objects.batches(facts):
        work = [task for kind, wanted in batch if (task := _work(kind, wanted, reader, writer)) is not None]
        if work:
            await asyncio.gather(*work)


def _work(kind: Kind, wanted: Object, reader: Reader, writer: Writer) -> Awaitable[object] | None:
    """What there is to do for one object, if anything."""
    metadata = wanted["metadata"]
    namespace, name = metadata.get("namespace", ""), metadata["name"]
    found = reader.get(kind, namespace, name)
    if found is None:
        return _create(kind, namespace, wanted, writer)
    change = changes(kind, found, wanted)
    return writer.modify(kind, namespace, name, change) if change else None


async def _create(kind: Kind, namespace: str, wanted: Object, writer: Writer) -> None:
    try:
        await writer.create(kind, namespace, wanted)
    except ApiError as error:
        # Another server of the same cluster was faster.
        if error.reason != "AlreadyExists":
            raise


def changes(kind: Kind, found: Object, wanted: Object) -> Callable[[Object], None] | None:
    """How to change an object that is there; None when it is as it should be or its owner has opted out."""
    annotations = found["metadata"].get("annotations") or {}
    if kind.group == roles.GROUP:
        if annotations.get(roles.AUTOUPDATE, "true") == "false":
            return None
        return _role_changes(found, wanted) if "rules" in wanted else _binding_changes(found, wanted)
    if kind in _ADDRESSED:
        return _content_changes(found, wanted)
    if wanted["apiVersion"] == flow.API_VERSION and annotations.get(flow.AUTOUPDATE) == "true":
        return _spec_changes(found, wanted)
    return None


def _role_changes(found: Object, wanted: Object) -> Callable[[Object], None] | None:
    """Rules that were added since by administrators stay; those that are missing come back."""
    if wanted.get("aggregationRule"):
        if found.get("aggregationRule") == wanted["aggregationRule"]:
            return None
        return lambda role: role.update(aggregationRule=wanted["aggregationRule"])
    held = [Rule.parse(rule) for rule in found.get("rules") or ()]
    missing = [rule for rule in wanted["rules"] if not_covered([Rule.parse(rule)], held)]
    if not missing:
        return None
    return lambda role: role.update(rules=[*(role.get("rules") or ()), *missing])


def _binding_changes(found: Object, wanted: Object) -> Callable[[Object], None] | None:
    held = {_identity(subject) for subject in found.get("subjects") or ()}
    missing = [subject for subject in wanted.get("subjects", ()) if _identity(subject) not in held]
    if not missing:
        return None
    return lambda binding: binding.update(subjects=[*(binding.get("subjects") or ()), *missing])


def _identity(subject: Object) -> tuple[str, str, str]:
    return subject["kind"], subject.get("namespace", ""), subject["name"]


def _content_changes(found: Object, wanted: Object) -> Callable[[Object], None] | None:
    content = {key: value for key, value in wanted.items() if key in ("data", "endpoints", "ports", "subsets")}
    if "data" in content:  # beside it stand others' keys: the signatures of bootstrap tokens
        content["data"] = {**(found.get("data") or {}), **content["data"]}
    if all(found.get(key) == value for key, value in content.items()):
        return None
    return lambda stored: stored.update(content)


def _spec_changes(found: Object, wanted: Object) -> Callable[[Object], None] | None:
    if found.get("spec") == wanted["spec"]:
        return None
    return lambda stored: stored.update(spec=wanted["spec"])
