"""Discovery documents, derived from the routes and kept as bytes until the routes change.

Ref: https://kubernetes.io/docs/concepts/overview/kubernetes-api/#discovery-api
"""

import base64
import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import orjson

from mizzen.machinery.errors import Object
from mizzen.server import codec, media
from mizzen.server.aggregation import documents
from mizzen.server.config import Remotes
from mizzen.server.routes import Routes, resource_not_found, subresource_verbs
from mizzen.server.served import Served
from mizzen.wire.message import Request, Response

_FIRST_GROUPS: Final = (
    "apiregistration.k8s.io",
    "apps",
    "events.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "storage.k8s.io",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "scheduling.k8s.io",
    "coordination.k8s.io",
    "node.k8s.io",
    "discovery.k8s.io",
    "resource.k8s.io",
    "flowcontrol.apiserver.k8s.io",
)
"""The order in which clients see the groups; it decides which group a bare resource name means."""
_RANKS: Final = {group: rank for rank, group in enumerate(_FIRST_GROUPS)}

_HASHED: Final = {
    "events.k8s.io/v1/Event": "/v1/Event",
    "autoscaling/v1/HorizontalPodAutoscaler": "autoscaling/v2/HorizontalPodAutoscaler",
    "apiextensions.k8s.io/v1/CustomResourceDefinition": "apiextensions.k8s.io/v1beta1/CustomResourceDefinition",
    "discovery.k8s.io/v1/EndpointSlice": "discovery.k8s.io/v1beta1/EndpointSlice",
}
"""What stands for the stored form of a kind in its hash, where that is not the form that is served."""


class Discovery:
    """Answers /api, /apis and what is below them."""

    def __init__(self, routes: Routes, remotes: Remotes | None = None) -> None:
        self._routes = routes
        self._remotes = remotes
        self._documents: dict[tuple[str, str], tuple[bytes, str]] = {}
        self._generation = (-1, -1)

    def answer(self, request: Request) -> Response | None:
        """The document of a path; None when the path is none of discovery's. Raises ApiError 404, 406."""
        parts = request.path.strip("/").split("/")
        match parts:
            case ["api"]:
                return self._root(request, "api", ("",), self._core_versions)
            case ["apis"]:
                return self._root(request, "apis", self.groups(), self._group_list)
            case ["api", version]:
                return self._resources(request, "", version)
            case ["apis", group]:
                if not self._versions(group):
                    return None
                return self._plain(request, f"group {group}", lambda: self._group(group, top=True))
            case ["apis", group, version]:
                return self._resources(request, group, version)
        return None

    def groups(self) -> tuple[str, ...]:
        """Named groups in the order of their priority."""
        named = [group for group in self._routes.groups() if group]
        own = tuple(sorted(named, key=lambda group: (_RANKS.get(group, len(_RANKS)), group)))
        return own + tuple(group for group in documents.groups(self._remote_versions()) if group not in named)

    def _remote_versions(self) -> documents.Versions:
        return self._remotes.versions if self._remotes is not None else {}

    def _versions(self, group: str) -> tuple[str, ...]:
        """Versions of a group, the server's own first."""
        own = self._routes.versions(group)
        others = documents.versions_of(self._remote_versions(), group)
        return own + tuple(version for version in others if version not in own)

    def _root(self, request: Request, name: str, groups: Iterable[str], plain: Callable[[], Object]) -> Response:
        wanted = media.negotiate_discovery(request.headers.get("accept", ""))
        if not wanted.convert:
            return self._plain(request, name, plain)
        return self._document(
            request, f"{name} {wanted.version}", lambda: self._aggregated(groups, wanted.version), wanted
        )

    def _plain(self, request: Request, name: str, make: Callable[[], Object]) -> Response:
        wanted = media.negotiate_discovery(request.headers.get("accept", ""))
        return self._document(request, name, make, media.Media(wanted.type))

    def _document(self, request: Request, name: str, make: Callable[[], Object], shown: media.Media) -> Response:
        generation = (self._routes.generation, self._remotes.generation if self._remotes is not None else 0)
        if self._generation != generation:
            self._documents.clear()
            self._generation = generation
        known = self._documents.get((name, ""))
        if known is None:
            body = orjson.dumps(make())
            known = self._documents[name, ""] = (body, hashlib.sha256(body).hexdigest().upper())
        body, digest = known
        if not shown.convert:
            return codec.respond(request, body, shown)
        tag = f'"{digest}"'
        headers = {"etag": tag, "vary": "Accept", "cache-control": "public"}
        if request.headers.get("if-none-match") == tag:
            return Response(304, headers)
        return codec.respond(request, body, shown, 200, headers)

    def _core_versions(self) -> Object:
        address = {"clientCIDR": "0.0.0.0/0", "serverAddress": ""}
        versions = list(self._routes.versions(""))
        return {"kind": "APIVersions", "versions": versions, "serverAddressByClientCIDRs": [address]}

    def _group_list(self) -> Object:
        groups = [self._group(group) for group in self.groups()]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}

    def _group(self, group: str, *, top: bool = False) -> Object:
        versions = [{"groupVersion": f"{group}/{version}", "version": version} for version in self._versions(group)]
        head = {"kind": "APIGroup", "apiVersion": "v1"} if top else {}
        return {**head, "name": group, "versions": versions, "preferredVersion": versions[0]}

    def _resources(self, request: Request, group: str, version: str) -> Response | None:
        kinds = self._routes.resources(group, version)
        if not kinds:
            if any(served.builtin for served in self._routes.kinds() if served.kind.group == group):
                raise resource_not_found()
            return None
        return self._plain(request, f"resources {group}/{version}", lambda: _resource_list(group, version, kinds))

    def _aggregated(self, groups: Iterable[str], version: str) -> Object:
        return {
            "kind": "APIGroupDiscoveryList",
            "apiVersion": f"apidiscovery.k8s.io/{version}",
            "metadata": {},
            "items": [self._aggregated_group(group) for group in groups],
        }

    def _aggregated_group(self, group: str) -> Object:
        return {
            "metadata": {"name": group, "creationTimestamp": None} if group else {"creationTimestamp": None},
            "versions": [self._aggregated_version(group, version) for version in self._versions(group)],
        }

    def _aggregated_version(self, group: str, version: str) -> Object:
        remote = self._remote_versions().get((group, version))
        if remote is not None:
            return documents.aggregated(remote)
        resources = [_aggregated(served) for served in self._routes.resources(group, version)]
        return {"version": version, "resources": resources, "freshness": "Current"}


def _resource_list(group: str, version: str, kinds: Iterable[Served]) -> Object:
    resources = [resource for served in kinds for resource in _resources_of(served)]
    api_version = f"{group}/{version}" if group else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api_version, "resources": resources}


def _resources_of(served: Served) -> Iterator[Object]:
    kind = served.kind
    resource: Object = {
        "name": kind.plural,
        "singularName": kind.singular,
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": sorted(kind.verbs),
    }
    if kind.short_names:
        resource["shortNames"] = list(kind.short_names)
    if kind.categories:
        resource["categories"] = list(kind.categories)
    if "list" in kind.verbs and "create" in kind.verbs:
        own = f"{kind.group}/{kind.version}/{kind.kind}"
        resource["storageVersionHash"] = _version_hash(_HASHED.get(own, own))
    yield resource
    for name, verbs, answer in subresources(served):
        sub: Object = {
            "name": f"{kind.plural}/{name}",
            "singularName": "",
            "namespaced": kind.namespaced,
            "kind": answer[2],
            "verbs": sorted(verbs),
        }
        if answer[:2] != (kind.group, kind.version):
            sub["group"], sub["version"] = answer[:2]
        yield sub


def subresources(served: Served) -> Iterator[tuple[str, tuple[str, ...], tuple[str, str, str]]]:
    """Name, verbs, and (group, version, kind) of a kind's subresources, by name."""
    kind = served.kind
    own = (kind.group, kind.version, kind.kind)
    found = {}
    for sub in kind.subresources:
        plain = not sub.group and (sub.kind == kind.kind or sub.kind.endswith("Options") or sub.kind == "Binding")
        answer = (kind.group, kind.version, sub.kind) if plain else (sub.group, sub.version, sub.kind)
        found[sub.name] = (sub.verbs, answer)
    if kind.has_status:
        found["status"] = (subresource_verbs(kind, "status"), own)
    if kind.scale:
        found["scale"] = (subresource_verbs(kind, "scale"), ("autoscaling", "v1", "Scale"))
    for name in sorted(found):
        verbs, answer = found[name]
        yield name, verbs, answer


def _aggregated(served: Served) -> Object:
    kind = served.kind
    resource: Object = {
        "resource": kind.plural,
        "responseKind": _kind(kind.group, kind.version, kind.kind),
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "singularResource": kind.singular,
        "verbs": sorted(kind.verbs),
    }
    if kind.short_names:
        resource["shortNames"] = list(kind.short_names)
    if kind.categories:
        resource["categories"] = list(kind.categories)
    subs = [
        {"subresource": name, "responseKind": _kind(*answer), "verbs": sorted(verbs)}
        for name, verbs, answer in subresources(served)
    ]
    if subs:
        resource["subresources"] = subs
    return resource


def _kind(group: str, version: str, kind: str) -> Object:
    return {"group": group, "version": version, "kind": kind}


def _version_hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()[:8]).decode()
