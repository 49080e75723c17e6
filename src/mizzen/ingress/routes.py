"""Which host and path leads to which endpoints. Pure: Ingresses and what they name → a routing table.

A path of an Ingress without a host holds for every host, after the paths of that host; then comes the default backend
of an Ingress with that host, then that of any other. Of two equal rules the older Ingress wins.
"""

import base64
import binascii
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from mizzen.api.views.core import Secret, Service
from mizzen.api.views.discovery import EndpointSlice
from mizzen.api.views.networking import HTTPIngressPath, Ingress, IngressBackend, IngressClass

CONTROLLER: Final = "mizzen.io/ingress"
DEFAULT_ANNOTATION: Final = "ingressclass.kubernetes.io/is-default-class"
_CLASS_ANNOTATION: Final = "kubernetes.io/ingress.class"


class Backend(NamedTuple):
    """One port of a Service; `http2`: its pods speak HTTP/2 without TLS."""

    namespace: str
    service: str
    port: int
    http2: bool = False

    @property
    def name(self) -> str:
        return f"{self.namespace}_{self.service}_{self.port}"


class Path(NamedTuple):
    """A path and where it leads; None: to a Service that does not exist."""

    path: str
    exact: bool
    backend: Backend | None


class Host(NamedTuple):
    """A host (`*` for any, `*.example.org` for one label more) and its paths, the most telling first."""

    host: str
    paths: tuple[Path, ...]


class Certificate(NamedTuple):
    """A certificate chain and key as PEM, and the hosts that it is shown to."""

    hosts: tuple[str, ...]
    chain: str
    key: str


class Problem(NamedTuple):
    """Something about an Ingress that its owner should know."""

    namespace: str
    name: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Routing:
    """Everything that the proxy in front needs, and what is wrong with the Ingresses that it came from."""

    hosts: tuple[Host, ...] = ()
    certificates: tuple[Certificate, ...] = ()
    endpoints: tuple[tuple[Backend, tuple[tuple[str, int], ...]], ...] = ()
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Sources:
    """How the objects that an Ingress names are found."""

    service: Callable[[str, str], Service | None]
    slices: Callable[[str, str], Iterable[EndpointSlice]]
    secret: Callable[[str, str], Secret | None]


def is_ours(ingress: Ingress, classes: Iterable[IngressClass]) -> bool:
    """Whether this controller serves the Ingress: its class, or the default class where it names none, is ours."""
    name = ingress.spec.ingressClassName or ingress.metadata.annotations.get(_CLASS_ANNOTATION, "")
    for one in classes:
        default = one.metadata.annotations.get(DEFAULT_ANNOTATION) == "true"
        if one.metadata.name == name or (not name and default):
            return one.spec.controller == CONTROLLER
    return False


def routing(ingresses: Iterable[Ingress], sources: Sources) -> Routing:
    """The routing of the Ingresses that are ours."""
    ordered = sorted(ingresses, key=_age)
    hosts: dict[str, dict[tuple[str, bool], Path]] = {"*": {}}
    problems: list[Problem] = []
    defaults: dict[str, Path] = {}
    for ingress in ordered:
        for rule in ingress.spec.rules:
            paths = hosts.setdefault(rule.host.lower() or "*", {})
            for path in rule.http.paths if rule.http is not None else ():
                made = _path(ingress, path, sources, problems)
                paths.setdefault((made.path, made.exact), made)
        if ingress.spec.defaultBackend is not None:
            default = Path("/", False, _backend(ingress, ingress.spec.defaultBackend, sources, problems))
            for host in ("*", *(rule.host.lower() for rule in ingress.spec.rules if rule.host)):
                defaults.setdefault(host, default)
    everywhere = _ranked(hosts["*"].values())
    found = tuple(
        Host(
            host,
            tuple(
                dict.fromkeys(
                    [
                        *(_ranked(paths.values()) if host != "*" else ()),
                        *everywhere,
                        *(defaults[one] for one in (host, "*") if one in defaults),
                    ]
                )
            ),
        )
        for host, paths in sorted(hosts.items())
    )
    backends = sorted({path.backend for host in found for path in host.paths if path.backend is not None})
    return Routing(
        found,
        _certificates(ordered, sources, problems),
        tuple((backend, endpoints(backend, sources)) for backend in backends),
        tuple(dict.fromkeys(problems)),
    )


def _age(ingress: Ingress) -> tuple[str, str, str]:
    meta = ingress.metadata
    return meta.creationTimestamp or "", meta.namespace, meta.name


def endpoints(backend: Backend, sources: Sources) -> tuple[tuple[str, int], ...]:
    """Where the pods of a Service's port listen: the ready ones, or, when there are none, those still serving."""
    service = sources.service(backend.namespace, backend.service)
    port = next((one for one in service.spec.ports if one.port == backend.port), None) if service else None
    if port is None:
        return ()
    ready: set[tuple[str, int]] = set()
    last: set[tuple[str, int]] = set()
    for piece in sources.slices(backend.namespace, backend.service):
        number = next((one.port for one in piece.ports if one.name == port.name), None)
        if number is None:
            continue
        for endpoint in piece.endpoints:
            state = endpoint.conditions
            if state.ready is not False:
                ready.update((address, number) for address in endpoint.addresses)
            elif state.terminating and state.serving is not False:
                last.update((address, number) for address in endpoint.addresses)
    return tuple(sorted(ready or last))


def _path(ingress: Ingress, path: HTTPIngressPath, sources: Sources, problems: list[Problem]) -> Path:
    exact = path.pathType == "Exact"
    text = path.path or "/"
    text = text if exact else text.rstrip("/") or "/"
    return Path(text, exact, _backend(ingress, path.backend, sources, problems))


def _ranked(paths: Iterable[Path]) -> list[Path]:
    """The longest path first, an exact one before a prefix of the same length."""
    return sorted(paths, key=lambda path: (-len(path.path), not path.exact, path.path))


def _backend(ingress: Ingress, backend: IngressBackend, sources: Sources, problems: list[Problem]) -> Backend | None:
    meta = ingress.metadata
    if backend.service is None:
        problems.append(Problem(meta.namespace, meta.name, "UnsupportedBackend", "only Services can be backends"))
        return None
    name, wanted = backend.service.name, backend.service.port
    service = sources.service(meta.namespace, name)
    if service is None:
        problems.append(Problem(meta.namespace, meta.name, "BackendNotFound", f"service {name!r} does not exist"))
        return None
    for port in service.spec.ports:
        if (wanted.number and port.port == wanted.number) or (wanted.name and port.name == wanted.name):
            return Backend(meta.namespace, name, port.port, port.appProtocol == "kubernetes.io/h2c")
    message = f"service {name!r} has no port {wanted.name or wanted.number}"
    problems.append(Problem(meta.namespace, meta.name, "BackendNotFound", message))
    return None


def _certificates(ingresses: Iterable[Ingress], sources: Sources, problems: list[Problem]) -> tuple[Certificate, ...]:
    found: list[Certificate] = []
    taken: set[str] = set()
    for ingress in ingresses:
        meta = ingress.metadata
        for tls in ingress.spec.tls:
            hosts = tls.hosts or tuple(rule.host for rule in ingress.spec.rules if rule.host)
            fresh = tuple(sorted({host.lower() for host in hosts} - taken))
            if not tls.secretName or not fresh:
                continue
            pair = _pair(sources.secret(meta.namespace, tls.secretName))
            if pair is None:
                message = f"secret {tls.secretName!r} does not exist or holds no tls.crt and tls.key"
                problems.append(Problem(meta.namespace, meta.name, "CertificateNotFound", message))
                continue
            taken.update(fresh)
            found.append(Certificate(fresh, *pair))
    return tuple(found)


def _pair(secret: Secret | None) -> tuple[str, str] | None:
    if secret is None:
        return None
    try:
        chain, key = (base64.b64decode(secret.data.get(name, "")).decode() for name in ("tls.crt", "tls.key"))
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (chain, key) if "BEGIN CERTIFICATE" in chain and "PRIVATE KEY" in key else None
