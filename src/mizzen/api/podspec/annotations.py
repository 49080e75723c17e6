"""Annotations of pods and of their templates that mean something to the server, and so must be well-formed."""

from collections.abc import Iterator, Mapping

import orjson

from mizzen.api.podspec import scheduling
from mizzen.api.podspec.env import local_path_errors
from mizzen.machinery.errors import FieldError, Object, forbidden, invalid

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
MIRROR = "kubernetes.io/config.mirror"
TOLERATIONS = "scheduler.alpha.kubernetes.io/tolerations"
_APPARMOR = "container.apparmor.security.beta.kubernetes.io/"
_APPARMOR_PROFILES = ("", "runtime/default", "unconfined")
_SECCOMP_POD = "seccomp.security.alpha.kubernetes.io/pod"
_SECCOMP = "container.seccomp.security.alpha.kubernetes.io/"
_SECCOMP_PROFILES = ("runtime/default", "docker/default", "unconfined")
_LOCAL = "localhost/"
_NAMES_OF = {"Unconfined": ("unconfined",), "RuntimeDefault": ("runtime/default", "docker/default")}
"""What annotations call the types of profiles that fields name."""
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
        if key == _SECCOMP_POD or key.startswith(_SECCOMP):
            yield from _seccomp_errors(f"{path}.{key}", profile)
        if key.startswith(_APPARMOR):
            yield from _apparmor_errors(f"{path}[{key}]", key.removeprefix(_APPARMOR), profile, spec)


def profile_errors(path: str, annotations: Mapping[str, str], spec: Object) -> Iterator[FieldError]:
    """What annotations say of profiles must be what the fields of the spec at this path say, if both do."""
    of_pod = spec.get("securityContext") or {}
    if _SECCOMP_POD in annotations and (profile := of_pod.get("seccompProfile")):
        at = f"{path}.securityContext.seccompProfile"
        yield from _match_errors(at, annotations[_SECCOMP_POD], profile, "seccomp")
    for field in ("initContainers", "containers", "ephemeralContainers"):
        for i, container in enumerate(spec.get(field) or ()):
            own, name = container.get("securityContext") or {}, container.get("name") or ""
            at = f"{path}.{field}[{i}].securityContext"
            if (said := annotations.get(_SECCOMP + name)) is not None and (profile := own.get("seccompProfile")):
                yield from _match_errors(f"{at}.seccompProfile", said, profile, "seccomp")
            profile = own.get("appArmorProfile") or of_pod.get("appArmorProfile")
            is_windows = (spec.get("os") or {}).get("name") == "windows"
            if (said := annotations.get(_APPARMOR + name)) is not None and profile and not is_windows:
                yield from _match_errors(f"{at}.appArmorProfile", said, profile, "apparmor")


def name_profiles(pod: Object) -> None:
    """AppArmor profiles that a new pod's annotations name go into its fields, where nodes look for them.

    Ref: https://kubernetes.io/docs/tutorials/security/apparmor/
    """
    spec, said = pod["spec"], pod["metadata"].get("annotations") or {}
    if (spec.get("os") or {}).get("name") == "windows":
        return
    shared = (spec.get("securityContext") or {}).get("appArmorProfile")
    for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ())):
        profile = _profile_of(said.get(f"{_APPARMOR}{container.get('name')}", ""))
        own = container.get("securityContext") or {}
        if profile is not None and profile != shared and own.get("appArmorProfile") is None:
            container["securityContext"] = {**own, "appArmorProfile": profile}


def _profile_of(said: str) -> Object | None:
    name = said.removeprefix(_LOCAL)
    if name != said:
        return {"type": "Localhost", "localhostProfile": name} if name.strip() == name and name else None
    types = (type_ for type_, names in _NAMES_OF.items() if said == names[0])
    return next(({"type": type_} for type_ in types), None)


def _match_errors(path: str, said: str, profile: Object, what: str) -> Iterator[FieldError]:
    type_ = profile.get("type")
    if type_ == "Localhost" and said.startswith(_LOCAL):
        if said.removeprefix(_LOCAL) != profile.get("localhostProfile"):
            yield forbidden(f"{path}.localhostProfile", f"{what} profile in annotation and field must match")
    elif type_ == "Localhost" or said not in _NAMES_OF.get(type_ or "", (said,)):
        yield forbidden(f"{path}.type", f"{what} type in annotation and field must match")


def _seccomp_errors(path: str, profile: str) -> Iterator[FieldError]:
    if profile.startswith(_LOCAL):
        yield from local_path_errors(path, profile.removeprefix(_LOCAL))
    elif profile not in _SECCOMP_PROFILES:
        yield invalid(path, profile, "must be a valid seccomp profile")


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
    lists = ("initContainers", "containers", "ephemeralContainers")
    known = [one for field in lists for one in spec.get(field) or ()]
    if not any(one.get("name") == container for one in known):
        yield invalid(path, container, "container not found")
    if profile not in _APPARMOR_PROFILES and not profile.startswith(_LOCAL):
        yield invalid(path, profile, f'invalid AppArmor profile name: "{profile}"')


def _is_int32(text: str) -> bool:
    """A whole number as pods' costs are written: no plus sign, no leading zeros."""
    digits = text.removeprefix("-")
    if not digits.isascii() or not digits.isdecimal() or (digits != "0" and digits.startswith("0")) or text == "-0":
        return False
    return -_INT32 <= int(text) < _INT32
