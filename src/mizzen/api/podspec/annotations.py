"""Annotations of pods and of their templates that mean something to the server, and so must be well-formed."""

from collections.abc import Iterator, Mapping

import orjson

from mizzen.api.podspec import scheduling
from mizzen.machinery.errors import FieldError, Object, forbidden, invalid

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
MIRROR = "kubernetes.io/config.mirror"
TOLERATIONS = "scheduler.alpha.kubernetes.io/tolerations"
_APPARMOR = "container.apparmor.security.beta.kubernetes.io/"
_APPARMOR_PROFILES = ("", "runtime/default", "unconfined")
_APPARMOR_LOCAL = "localhost/"
_INT32 = 2**31


def annotation_errors(path: str, annotations: Mapping[str, str], spec: Object) -> Iterator[FieldError]:
    """What is wrong with the annotations of a pod with this spec, beyond the form that all annotations have."""
    if (mirror := annotations.get(MIRROR)) is not None and not spec.get("nodeName"):
        yield invalid(f"{path}[{MIRROR}]", mirror, "must set spec.nodeName if mirror pod annotation is set")
    if tolerations := annotations.get(TOLERATIONS):
        yield from _toleration_errors(f"{path}.{TOLERATIONS}", tolerations)
    if (cost := annotations.get(DELETION_COST)) is not None and not _is_int32(cost):
        yield invalid(f"{path}[{DELETION_COST}]", cost, "must be a 32bit integer")
    for key, profile in annotations.items():
        if key.startswith(_APPARMOR):
            yield from _apparmor_errors(f"{path}[{key}]", key.removeprefix(_APPARMOR), profile, spec)


def update_errors(path: str, new: Mapping[str, str], old: Mapping[str, str]) -> Iterator[FieldError]:
    """Some of a pod's annotations stay as they were at its creation."""
    for key in (*old, *(key for key in new if key not in old)):
        if new.get(key) == old.get(key):
            continue
        deed = "remove or update" if key in old else "add"
        if key.startswith(_APPARMOR):
            yield forbidden(f"{path}[{key}]", f"may not {deed} AppArmor annotations")
        if key == MIRROR:
            yield forbidden(f"{path}[{key}]", f"may not {deed} mirror pod annotation")


def _toleration_errors(path: str, text: str) -> Iterator[FieldError]:
    try:
        tolerations = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        yield invalid(path, text, str(error))
        return
    if isinstance(tolerations, list) and all(isinstance(toleration, dict) for toleration in tolerations):
        yield from scheduling.toleration_errors(path, tolerations)
    else:
        yield invalid(path, text, "must be a list of tolerations")


def _apparmor_errors(path: str, container: str, profile: str, spec: Object) -> Iterator[FieldError]:
    known = (*(spec.get("initContainers") or ()), *(spec.get("containers") or ()))
    if not any(one.get("name") == container for one in known):
        yield invalid(path, container, "container not found")
    if profile not in _APPARMOR_PROFILES and not profile.startswith(_APPARMOR_LOCAL):
        yield invalid(path, profile, f'invalid AppArmor profile name: "{profile}"')


def _is_int32(text: str) -> bool:
    """A whole number as pods' costs are written: no plus sign, no leading zeros."""
    digits = text.removeprefix("-")
    if not digits.isascii() or not digits.isdecimal() or (digits != "0" and digits.startswith("0")) or text == "-0":
        return False
    return -_INT32 <= int(text) < _INT32
