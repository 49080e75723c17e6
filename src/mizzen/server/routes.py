"""Which kind serves a path: built-in kinds and those that come and go at run time.

A group, version or resource that is not here answers as Kubernetes does: plain text for an unknown group, a Status
for what a known group lacks.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from mizzen.api.kind import Kind
from mizzen.machinery.errors import ApiError, Errors
from mizzen.server.requestinfo import RequestInfo
from mizzen.server.served import Served

_STATUS_VERBS: Final = ("get", "patch", "update")
_SCALE_VERBS: Final = ("get", "patch", "update")
_NAMED_VERBS: Final = frozenset({"get", "update", "patch", "delete", "watch", "proxy"})
_COLLECTION_VERBS: Final = frozenset({"create", "list", "watch", "deletecollection", "proxy"})


class PathNotFound(Exception):
    """Nothing at all serves this path: answered as plain text."""


def resource_not_found() -> ApiError:
    return ApiError(404, "NotFound", "the server could not find the requested resource")


def method_not_allowed() -> ApiError:
    return ApiError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")


def subresource_verbs(kind: Kind, name: str) -> tuple[str, ...]:
    """What may be done with a subresource of a kind; nothing when it has none of this name."""
    if name == "status":
        return _STATUS_VERBS if kind.has_status else ()
    if name == "scale":
        return _SCALE_VERBS if kind.scale else ()
    return next((sub.verbs for sub in kind.subresources if sub.name == name), ())


class Routes:
    """Kinds by group, version and plural. Versions keep the order in which they were added."""

    def __init__(self, kinds: Iterable[Kind]) -> None:
        self._served: dict[tuple[str, str, str], Served] = {}
        self._groups: dict[str, dict[str, dict[str, Served]]] = {}
        self.generation = 0
        """Grows with every change, so that documents derived from the routes know when they are stale."""
        self.known: tuple[Kind, ...] = ()
        """The kinds alone."""
        for kind in kinds:
            self._add(Served(kind))
        self._changed()

    def add(self, served: Served) -> None:
        """Serve a kind, or serve it anew."""
        self._add(served)
        self._changed()

    def _add(self, served: Served) -> None:
        kind = served.kind
        self._served[kind.group, kind.version, kind.plural] = served
        self._groups.setdefault(kind.group, {}).setdefault(kind.version, {})[kind.plural] = served

    def _changed(self) -> None:
        self.generation += 1
        self.known = tuple(served.kind for served in self._served.values())

    def remove(self, kind: Kind) -> None:
        """Serve a kind no longer."""
        if self._served.pop((kind.group, kind.version, kind.plural), None) is None:
            return
        versions = self._groups[kind.group]
        del versions[kind.version][kind.plural]
        if not versions[kind.version]:
            del versions[kind.version]
        if not versions:
            del self._groups[kind.group]
        self._changed()

    def find(self, group: str, version: str, plural: str) -> Served | None:
        """The kind served under a name."""
        return self._served.get((group, version, plural))

    def kinds(self) -> Iterator[Served]:
        """Everything that is served."""
        yield from self._served.values()

    def groups(self) -> Iterable[str]:
        """Names of the groups, in order."""
        return tuple(self._groups)

    def versions(self, group: str) -> tuple[str, ...]:
        """Versions of a group, preferred first; none for a group that is not served."""
        return tuple(sorted(self._groups.get(group, ()), key=version_priority))

    def resources(self, group: str, version: str) -> tuple[Served, ...]:
        """Kinds of a group and version, by name."""
        found = self._groups.get(group, {}).get(version, {})
        return tuple(found[plural] for plural in sorted(found))

    def resolve(self, info: RequestInfo) -> Served:
        """The kind that serves a request. Raises ApiError 404 or 405, PathNotFound."""
        served = self._served.get((info.group, info.version, info.resource))
        if served is None:
            raise self._missing(info)
        kind = served.kind
        self._check_place(kind, info, served.builtin)
        verbs = subresource_verbs(kind, info.subresource) if info.subresource else kind.verbs
        if info.subresource:
            if not verbs and not served.builtin:
                raise Errors.not_found(kind.group, kind.plural, info.name)
            if not verbs:
                raise resource_not_found()
            if info.rest and info.subresource != "proxy":
                raise resource_not_found()
            # A proxied request may have any method: OPTIONS has no verb of its own.
            allowed = info.verb in verbs or info.subresource == "proxy"
        else:
            allowed = info.verb in verbs and info.verb in (_NAMED_VERBS if info.name else _COLLECTION_VERBS)
            allowed = allowed or (info.verb in ("list", "watch") and info.verb in verbs)
        if not allowed:
            raise method_not_allowed()
        return served

    def _missing(self, info: RequestInfo) -> Exception:
        versions = self._groups.get(info.group)
        if versions is None:
            return PathNotFound()
        if info.version not in versions and not any(
            served.builtin for resources in versions.values() for served in resources.values()
        ):
            return PathNotFound()
        return resource_not_found()

    @staticmethod
    def _check_place(kind: Kind, info: RequestInfo, builtin: bool) -> None:
        """A namespaced object needs its namespace, a cluster one has none.

        Raises: ApiError 404 or 405; of a custom resource PathNotFound, since nothing serves it there.
        """
        if kind.plural == "namespaces" and not kind.group:
            return
        if kind.namespaced and not info.namespace and (info.name or info.verb in ("create", "deletecollection")):
            if info.verb in ("list", "watch"):
                return
            if not builtin:
                raise PathNotFound()
            raise resource_not_found() if info.name else method_not_allowed()
        if not kind.namespaced and info.namespace:
            raise resource_not_found() if builtin else PathNotFound()


def version_priority(version: str) -> tuple[int, int, int, str]:
    """Sort key by Kubernetes' rule: v2 before v1 before v1beta2 before v1beta1 before v1alpha1, others last by name."""
    digits, stage, serial = _split_version(version)
    if digits < 0:
        return (3, 0, 0, version)
    rank = {"": 0, "beta": 1, "alpha": 2}[stage]
    return (rank, -digits, -serial, "")


def _split_version(version: str) -> tuple[int, str, int]:
    if not version.startswith("v"):
        return (-1, "", 0)
    for stage in ("alpha", "beta"):
        major, found, minor = version[1:].partition(stage)
        if found and major.isdigit() and (minor.isdigit() or not minor):
            return (int(major), stage, int(minor or 0))
    return (int(version[1:]), "", 0) if version[1:].isdigit() else (-1, "", 0)
