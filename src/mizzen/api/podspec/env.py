"""Environment variables: names, values, and where values come from."""

import re
from collections.abc import Collection, Iterator

from mizzen.api.rules import fields
from mizzen.machinery import names, quantity
from mizzen.machinery.errors import FieldError, Object, invalid, not_supported, required

_FIELDS = frozenset(
    (
        "metadata.annotations",
        "metadata.labels",
        "metadata.name",
        "metadata.namespace",
        "metadata.uid",
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "status.hostIP",
        "status.hostIPs",
        "status.phase",
        "status.podIP",
        "status.podIPs",
    )
)
ENV_FIELDS = (
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
)
VOLUME_FIELDS = ("metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid")
_RESOURCES = (
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
)
_HUGE_PAGES = ("limits.hugepages-", "requests.hugepages-")
_SOURCES = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")
_CPU_DIVISORS = frozenset(("1m", "1"))
_BYTE_DIVISORS = frozenset(("1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"))
_subscripted = re.compile(r"(.*?)\['(.*)'\]", re.DOTALL).fullmatch


def env_errors(path: str, variables: list[Object]) -> Iterator[FieldError]:
    for i, variable in enumerate(variables):
        name = variable.get("name")
        if not name:
            yield required(f"{path}[{i}].name")
        else:
            for problem in names.env_name(name):
                yield invalid(f"{path}[{i}].name", name, problem)
        if (source := variable.get("valueFrom")) is not None:
            yield from _source_errors(f"{path}[{i}].valueFrom", source, variable.get("value"))


def _source_errors(path: str, source: Object, value: str | None) -> Iterator[FieldError]:
    count = sum(source.get(field) is not None for field in _SOURCES)
    if (reference := source.get("fieldRef")) is not None:
        yield from field_errors(f"{path}.fieldRef", reference, ENV_FIELDS)
    if (reference := source.get("resourceFieldRef")) is not None:
        yield from resource_errors(f"{path}.resourceFieldRef", reference)
    for field in ("configMapKeyRef", "secretKeyRef"):
        if (reference := source.get(field)) is not None:
            yield from _key_errors(f"{path}.{field}", reference)
    if (reference := source.get("fileKeyRef")) is not None:
        yield from _file_key_errors(f"{path}.fileKeyRef", reference)
    if not count:
        yield invalid(
            path, "", "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`"
        )
    elif value:
        yield invalid(path, "", "may not be specified when `value` is not empty")
    elif count > 1:
        yield invalid(path, "", "may not have more than one field specified at a time")


def field_errors(path: str, reference: Object, supported: Collection[str]) -> Iterator[FieldError]:
    """A reference to a field of the pod itself."""
    field = reference.get("fieldPath")
    if not reference.get("apiVersion"):
        yield required(f"{path}.apiVersion")
        return
    if not field:
        yield required(f"{path}.fieldPath")
        return
    if (version := reference["apiVersion"]) != "v1":
        yield invalid(f"{path}.fieldPath", field, f"error converting fieldPath: unsupported pod version: {version}")
    elif match := _subscripted(field):
        base, key = match.groups()
        if base not in {"metadata.annotations", "metadata.labels"}:
            detail = f"error converting fieldPath: field label does not support subscript: {field}"
            yield invalid(f"{path}.fieldPath", field, detail)
            return
        yield from fields.matches(path, key.lower() if base == "metadata.annotations" else key, names.qualified_name)
    elif field not in _FIELDS and field != "spec.host":
        detail = f"error converting fieldPath: field label not supported: {field}"
        yield invalid(f"{path}.fieldPath", field, detail)
    elif field not in supported and field != "spec.host":
        yield not_supported(f"{path}.fieldPath", field, supported)


def resource_errors(path: str, reference: Object) -> Iterator[FieldError]:
    """A reference to a container's request or limit."""
    resource = reference.get("resource") or ""
    if not resource:
        yield required(f"{path}.resource")
    elif resource not in _RESOURCES and not resource.startswith(_HUGE_PAGES):
        yield not_supported(f"{path}.resource", resource, _RESOURCES)
    yield from divisor_errors(path, reference)


def divisor_errors(path: str, reference: Object) -> Iterator[FieldError]:
    """The unit in which a container's request or limit is given."""
    resource = reference.get("resource") or ""
    divisor = quantity.canonical(reference.get("divisor") or "0")
    if divisor == "0":
        return
    if resource.endswith(".cpu"):
        if divisor not in _CPU_DIVISORS:
            detail = "only divisor's values 1m and 1 are supported with the cpu resource"
            yield invalid(f"{path}.divisor", resource, detail)
    elif divisor not in _BYTE_DIVISORS and (resource in _RESOURCES or resource.startswith(_HUGE_PAGES)):
        detail = (
            "only divisor's values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are supported with the "
            f"{resource.partition('.')[2]} resource"
        )
        yield invalid(f"{path}.divisor", resource, detail)


def _key_errors(path: str, reference: Object) -> Iterator[FieldError]:
    for problem in names.dns1123_subdomain(reference.get("name") or ""):
        yield invalid(f"{path}.name", reference.get("name") or "", problem)
    if not reference.get("key"):
        yield required(f"{path}.key")
    else:
        yield from fields.matches(f"{path}.key", reference["key"], names.config_key)


def _file_key_errors(path: str, reference: Object) -> Iterator[FieldError]:
    for field in ("volumeName", "path", "key"):
        if not reference.get(field):
            yield required(f"{path}.{field}")
    if place := reference.get("path"):
        yield from local_path_errors(f"{path}.path", place)
    if key := reference.get("key"):
        yield from fields.matches(f"{path}.key", key, names.env_name)


def env_from_errors(path: str, sources: list[Object]) -> Iterator[FieldError]:
    for i, source in enumerate(sources):
        if prefix := source.get("prefix"):
            yield from fields.matches(f"{path}[{i}].prefix", prefix, names.env_name)
        count = 0
        for field in ("configMapRef", "secretRef"):
            if (reference := source.get(field)) is None:
                continue
            count += 1
            if not reference.get("name"):
                yield required(f"{path}[{i}].{field}.name")
            else:
                prefix_of = names.as_prefix(reference["name"])
                for problem in names.dns1123_subdomain(prefix_of):
                    yield invalid(f"{path}[{i}].{field}.name", reference["name"], problem)
        if not count:
            yield invalid(path, "", "must specify one of: `configMapRef` or `secretRef`")
        elif count > 1:
            yield invalid(path, "", "may not have more than one field specified at a time")


def local_path_errors(path: str, value: str) -> Iterator[FieldError]:
    """A path that stays below where it starts."""
    if value.startswith("/"):
        yield invalid(path, value, "must be a relative path")
    yield from backstep_errors(path, value)


def backstep_errors(path: str, value: str) -> Iterator[FieldError]:
    if ".." in value and ".." in value.split("/"):
        yield invalid(path, value, "must not contain '..'")


def projected_path_errors(path: str, value: str) -> Iterator[FieldError]:
    """A path of a file in a volume that is written atomically: names that begin with two dots are taken."""
    yield from local_path_errors(path, value)
    if value.startswith("..") and not value.startswith("../"):
        yield invalid(path, value, "must not start with '..'")
