"""A container's environment: sources in order, `$(VAR)` expansion, the downward API, service links.

Pure: whoever calls has fetched the ConfigMaps, Secrets and Services (`references` says which).
Ref: https://kubernetes.io/docs/tasks/inject-data-application/
"""

import base64
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mizzen.agent.life import all_containers
from mizzen.agent.resources import resource_field
from mizzen.api.views.podspec import Container, EnvSource, Pod
from mizzen.machinery.errors import Object

_REFERENCE = re.compile(r"\$(\$|\(([^()]*)\))")
_SUBSCRIPT = re.compile(r"metadata\.(labels|annotations)\['([^']*)'\]")


class ConfigFailure(Exception):
    """The environment cannot be made; the text is shown with CreateContainerConfigError."""


@dataclass(frozen=True, slots=True)
class Sources:
    """What environments are made of. Objects are JSON, by name, in the pod's namespace; None: it does not exist."""

    config_maps: Mapping[str, Object | None] = field(default_factory=dict)
    secrets: Mapping[str, Object | None] = field(default_factory=dict)
    services: tuple[Object, ...] = ()
    """Those of the pod's namespace, and `default/kubernetes`."""
    pod_ips: tuple[str, ...] = ()
    host_ips: tuple[str, ...] = ()
    node_allocatable: Mapping[str, int] = field(default_factory=dict)
    """Nanos by resource."""
    files: Mapping[tuple[str, str], Mapping[str, str] | None] = field(default_factory=dict)
    """Variables by (volume, path), for fileKeyRef."""


def references(container: Container) -> tuple[frozenset[str], frozenset[str]]:
    """The names of the ConfigMaps and Secrets that the container's environment needs."""
    maps: set[str] = set()
    secrets: set[str] = set()
    for group in container.envFrom or ():
        maps.update([group.configMapRef.name] if group.configMapRef else ())
        secrets.update([group.secretRef.name] if group.secretRef else ())
    for one in container.env or ():
        source = one.valueFrom
        if source is not None:
            maps.update([source.configMapKeyRef.name] if source.configMapKeyRef else ())
            secrets.update([source.secretKeyRef.name] if source.secretKeyRef else ())
    return frozenset(maps), frozenset(secrets)


def environment(pod: Pod, container: Container, sources: Sources) -> tuple[tuple[str, str], ...]:
    """All variables in order. Raises ConfigFailure."""
    links = dict(service_links(sources.services)) if pod.spec.enableServiceLinks is not False else {}
    if pod.spec.enableServiceLinks is False:
        links = dict(service_links(one for one in sources.services if _is_kubernetes(one)))
    result: dict[str, str] = {}
    for group in container.envFrom or ():
        result.update(_group(group, sources))
    for one in container.env or ():
        if one.valueFrom is None:
            result[one.name] = expand(one.value or "", {**links, **result})
            continue
        value = _value(pod, container, one.valueFrom, sources)
        if value is not None:
            result[one.name] = value
    return tuple({**links, **result}.items())


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replace `$(NAME)`; unknown names stay as they are, `$$` is a dollar sign that ends the search."""

    def replaced(match: re.Match[str]) -> str:
        if match[1] == "$":
            return "$"
        return variables.get(match[2], match[0])

    return _REFERENCE.sub(replaced, text)


def subpath_of(expression: str, variables: Mapping[str, str]) -> str:
    """A subPathExpr expanded. Raises ConfigFailure when a variable is empty or missing: the path would be another."""
    names = (match[2] for match in _REFERENCE.finditer(expression) if match[1] != "$")
    missing = sorted({f'"{name}"' for name in names if not variables.get(name)})
    if missing:
        raise ConfigFailure(f"missing value for {', '.join(missing)}")
    return expand(expression, variables)


def _group(group: Any, sources: Sources) -> dict[str, str]:
    reference, objects, kind = (
        (group.configMapRef, sources.config_maps, "configmap")
        if group.configMapRef is not None
        else (group.secretRef, sources.secrets, "secret")
    )
    if reference is None:
        return {}
    found = objects.get(reference.name)
    if found is None:
        if reference.optional:
            return {}
        raise ConfigFailure(f'{kind} "{reference.name}" not found')
    return {f"{group.prefix or ''}{key}": value for key, value in texts(found, kind).items()}


def texts(found: Object, kind: str) -> dict[str, str]:
    """The data of a ConfigMap or Secret as text."""
    data = found.get("data") or {}
    if kind == "secret":
        return {key: base64.b64decode(value).decode("utf-8", "surrogateescape") for key, value in data.items()}
    return dict(data)


def _value(pod: Pod, container: Container, source: EnvSource, sources: Sources) -> str | None:
    if source.fieldRef is not None:
        return field_value(pod, source.fieldRef.fieldPath, sources)
    if source.resourceFieldRef is not None:
        wanted = source.resourceFieldRef
        named = next((one for one in all_containers(pod) if one.name == wanted.containerName), container)
        return resource_field(pod, named, wanted.resource, wanted.divisor, sources.node_allocatable)
    if source.fileKeyRef is not None:
        file = source.fileKeyRef
        variables = sources.files.get((file.volumeName, file.path))
        if variables is not None and file.key in variables:
            return variables[file.key]
        if file.optional:
            return None
        raise ConfigFailure(f'environment variable key "{file.key}" not found in file "{file.path}"')
    reference, objects, kind = (
        (source.configMapKeyRef, sources.config_maps, "configmap")
        if source.configMapKeyRef is not None
        else (source.secretKeyRef, sources.secrets, "secret")
    )
    if reference is None:
        return ""
    found = objects.get(reference.name)
    if found is None:
        if reference.optional:
            return None
        raise ConfigFailure(f'{kind} "{reference.name}" not found')
    values = texts(found, kind)
    if reference.key not in values:
        if reference.optional:
            return None
        shown = "ConfigMap" if kind == "configmap" else "Secret"
        raise ConfigFailure(f"couldn't find key {reference.key} in {shown} {pod.metadata.namespace}/{reference.name}")
    return values[reference.key]


def field_value(pod: Pod, path: str, sources: Sources) -> str:
    """A downward API field. Raises ConfigFailure for fields that there are not."""
    meta, spec = pod.metadata, pod.spec
    if match := _SUBSCRIPT.fullmatch(path):
        return str((getattr(meta, match[1]) or {}).get(match[2], ""))
    simple = {
        "metadata.name": meta.name,
        "metadata.namespace": meta.namespace,
        "metadata.uid": meta.uid,
        "metadata.labels": _lines(meta.labels),
        "metadata.annotations": _lines(meta.annotations),
        "spec.nodeName": spec.nodeName or "",
        "spec.serviceAccountName": spec.serviceAccountName or "",
        "status.podIP": next(iter(sources.pod_ips), ""),
        "status.podIPs": ",".join(sources.pod_ips),
        "status.hostIP": next(iter(sources.host_ips), ""),
        "status.hostIPs": ",".join(sources.host_ips),
    }
    if path not in simple:
        raise ConfigFailure(f"unsupported fieldPath: {path}")
    return simple[path]


def _lines(entries: Mapping[str, str] | None) -> str:
    quoted = {ord("\\"): "\\\\", ord('"'): '\\"', ord("\n"): "\\n"}
    return "\n".join(f'{key}="{value.translate(quoted)}"' for key, value in sorted((entries or {}).items()))


def _is_kubernetes(service: Object) -> bool:
    meta = service["metadata"]
    return bool(meta["name"] == "kubernetes" and meta.get("namespace") == "default")


def service_links(services: Iterable[Object]) -> Iterable[tuple[str, str]]:
    """The variables that announce services, in the two traditional forms."""
    for service in services:
        spec = service.get("spec") or {}
        ports, address = spec.get("ports") or (), spec.get("clusterIP") or ""
        if not ports or address in {"", "None"}:
            continue
        prefix = service["metadata"]["name"].upper().replace("-", "_")
        yield f"{prefix}_SERVICE_HOST", address
        yield f"{prefix}_SERVICE_PORT", str(ports[0]["port"])
        for port in ports:
            if port.get("name"):
                yield f"{prefix}_SERVICE_PORT_{port['name'].upper().replace('-', '_')}", str(port["port"])
        host = f"[{address}]" if ":" in address else address
        for index, port in enumerate(ports):
            protocol = port.get("protocol", "TCP")
            url = f"{protocol.lower()}://{host}:{port['port']}"
            if index == 0:
                yield f"{prefix}_PORT", url
            stem = f"{prefix}_PORT_{port['port']}_{protocol}"
            yield stem, url
            yield f"{stem}_PROTO", protocol.lower()
            yield f"{stem}_PORT", str(port["port"])
            yield f"{stem}_ADDR", address
