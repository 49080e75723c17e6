"""Volumes that the cluster writes: config maps, secrets, the pod's own fields, tokens, and several of them in one."""

from collections.abc import Callable, Iterator, Mapping

from mizzen.api.podspec.env import VOLUME_FIELDS, divisor_errors, field_errors, projected_path_errors, resource_errors
from mizzen.api.rules import fields
from mizzen.machinery import labels, names
from mizzen.machinery.errors import FieldError, Object, forbidden, invalid, not_supported, required

_MODE_RULE = "must be a number between 0 and 0777 (octal), both inclusive"
_PROJECTED = ("secret", "configMap", "downwardAPI", "serviceAccountToken", "clusterTrustBundle", "podCertificate")
_SHORTEST_TOKEN = 600
_LONGEST_TOKEN = 1 << 32
_SHORTEST_CERTIFICATE = 3600
_LONGEST_CERTIFICATE = 91 * 24 * 3600
_KEY_TYPES = ("ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519", "RSA3072", "RSA4096")

Check = Callable[[str, Object], Iterator[FieldError]]


def mode_errors(path: str, mode: int | None) -> Iterator[FieldError]:
    if mode is not None and not 0 <= mode <= 0o777:
        yield invalid(path, mode, _MODE_RULE)


def item_errors(path: str, items: list[Object] | None) -> Iterator[FieldError]:
    """Keys and the files that they become."""
    for i, item in enumerate(items or ()):
        at = f"{path}[{i}]"
        if not item.get("key"):
            yield required(f"{at}.key")
        if not (place := item.get("path")):
            yield required(f"{at}.path")
        else:
            yield from projected_path_errors(f"{at}.path", place)
        yield from mode_errors(f"{at}.mode", item.get("mode"))


def _secret_errors(path: str, source: Object) -> Iterator[FieldError]:
    if not source.get("secretName"):
        yield required(f"{path}.secretName")
    yield from mode_errors(f"{path}.defaultMode", source.get("defaultMode"))
    yield from item_errors(f"{path}.items", source.get("items"))


def _config_map_errors(path: str, source: Object) -> Iterator[FieldError]:
    if not source.get("name"):
        yield required(f"{path}.name")
    yield from mode_errors(f"{path}.defaultMode", source.get("defaultMode"))
    yield from item_errors(f"{path}.items", source.get("items"))


def _downward_errors(path: str, source: Object) -> Iterator[FieldError]:
    yield from mode_errors(f"{path}.defaultMode", source.get("defaultMode"))
    yield from _file_errors(path, source.get("items"))


def _file_errors(path: str, items: list[Object] | None) -> Iterator[FieldError]:
    """Files of the downward API; their errors carry no position."""
    for item in items or ():
        if not (place := item.get("path")):
            yield required(f"{path}.path")
        else:
            yield from projected_path_errors(f"{path}.path", place)
        field, resource = item.get("fieldRef"), item.get("resourceFieldRef")
        if field is not None:
            yield from field_errors(f"{path}.fieldRef", field, VOLUME_FIELDS)
            if resource is not None:
                detail = "fieldRef and resourceFieldRef can not be specified simultaneously"
                yield invalid(path, "resource", detail)
        elif resource is None:
            yield required(path, "one of fieldRef and resourceFieldRef is required")
        elif not resource.get("containerName"):
            yield required(f"{path}.resourceFieldRef.containerName")
            yield from divisor_errors(f"{path}.resourceFieldRef", resource)
        else:
            yield from resource_errors(f"{path}.resourceFieldRef", resource)
        yield from mode_errors(f"{path}.mode", item.get("mode"))


def _projected_errors(path: str, source: Object) -> Iterator[FieldError]:
    yield from mode_errors(f"{path}.defaultMode", source.get("defaultMode"))
    taken: set[str] = set()
    for i, projection in enumerate(source.get("sources") or ()):
        at = f"{path}.sources[{i}]"
        chosen = [field for field in _PROJECTED if (projection or {}).get(field) is not None]
        for field in chosen:
            value = projection[field]
            # The path of a token is reported as if it were the volume's.
            yield from _PROJECTIONS[field](f"{at}.{field}", value)
            if field == "serviceAccountToken":
                yield from _token_path_errors(path, value)
            for place in _places(field, value):
                if place in taken:
                    yield invalid(path, value.get("name") or place, "conflicting duplicate paths")
                taken.add(place)
        if len(chosen) > 1:
            yield forbidden(at, "may not specify more than 1 volume type per source")


def _places(kind: str, source: Object) -> Iterator[str]:
    """The files that must not be in each other's way; those of tokens are not looked at."""
    for item in source.get("items") or ():
        if item.get("path"):
            yield item["path"]
    if kind == "clusterTrustBundle":
        yield source.get("path") or ""
    for field in ("keyPath", "certificateChainPath", "credentialBundlePath"):
        if source.get(field):
            yield source[field]


def _projected_map_errors(path: str, source: Object) -> Iterator[FieldError]:
    if not source.get("name"):
        yield required(f"{path}.name")
    yield from item_errors(f"{path}.items", source.get("items"))


def _projected_downward_errors(path: str, source: Object) -> Iterator[FieldError]:
    return _file_errors(path, source.get("items"))


def _token_errors(path: str, token: Object) -> Iterator[FieldError]:
    seconds = token.get("expirationSeconds") or 0
    if seconds < _SHORTEST_TOKEN:
        yield invalid(f"{path}.expirationSeconds", seconds, "may not specify a duration less than 10 minutes")
    if seconds > _LONGEST_TOKEN:
        yield invalid(f"{path}.expirationSeconds", seconds, "may not specify a duration larger than 2^32 seconds")


def _token_path_errors(path: str, token: Object) -> Iterator[FieldError]:
    if not (place := token.get("path")):
        yield required(f"{path}.path")
    else:
        yield from projected_path_errors(f"{path}.path", place)


def _trust_bundle_errors(path: str, bundle: Object) -> Iterator[FieldError]:
    name, signer = bundle.get("name"), bundle.get("signerName")
    if name is not None and signer is not None:
        yield invalid(path, bundle, "only one of name and signerName may be used")
    elif name is None and signer is None:
        yield required(path, "either name or signerName must be specified")
    elif name is not None:
        if bundle.get("labelSelector") is not None:
            yield invalid(
                f"{path}.labelSelector", bundle["labelSelector"], "labelSelector must be unset if name is specified"
            )
        if not name:
            yield required(f"{path}.name")
    else:
        yield from labels.validate_selector(bundle.get("labelSelector"), f"{path}.labelSelector")
        if not signer:
            yield required(f"{path}.signerName")
    if not (place := bundle.get("path")):
        yield required(f"{path}.path")
    else:
        yield from projected_path_errors(f"{path}.path", place)


def _certificate_errors(path: str, certificate: Object) -> Iterator[FieldError]:
    if not (signer := certificate.get("signerName")):
        yield required(f"{path}.signerName")
    else:
        yield from fields.matches(f"{path}.signerName", signer, names.qualified_name)
    if (key := certificate.get("keyType") or "") not in _KEY_TYPES:
        yield not_supported(f"{path}.keyType", key, _KEY_TYPES)
    seconds = certificate.get("maxExpirationSeconds")
    if seconds is not None and not _SHORTEST_CERTIFICATE <= seconds <= _LONGEST_CERTIFICATE:
        detail = f"must be between {_SHORTEST_CERTIFICATE} and {_LONGEST_CERTIFICATE}, inclusive"
        yield invalid(f"{path}.maxExpirationSeconds", seconds, detail)
    places = [field for field in ("credentialBundlePath", "keyPath", "certificateChainPath") if certificate.get(field)]
    if not places:
        yield required(path, "specify at least one of credentialBundlePath, keyPath, and certificateChainPath")
    for field in places:
        yield from projected_path_errors(f"{path}.{field}", certificate[field])


_PROJECTIONS: Mapping[str, Check] = {
    "secret": _projected_map_errors,
    "configMap": _projected_map_errors,
    "downwardAPI": _projected_downward_errors,
    "serviceAccountToken": _token_errors,
    "clusterTrustBundle": _trust_bundle_errors,
    "podCertificate": _certificate_errors,
}
SOURCES: Mapping[str, Check] = {
    "secret": _secret_errors,
    "configMap": _config_map_errors,
    "downwardAPI": _downward_errors,
    "projected": _projected_errors,
}
