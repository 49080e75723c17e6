"""Security contexts of pods and containers.

Ref: https://kubernetes.io/docs/tasks/configure-pod-container/security-context/
"""

import re
from collections.abc import Iterator

from mizzen.api.podspec.env import local_path_errors
from mizzen.api.rules import fields
from mizzen.machinery import names
from mizzen.machinery.errors import FieldError, Object, duplicate, forbidden, invalid, not_supported, required, too_long

MAX_ID = 2147483647
_ID_RANGE = f"must be between 0 and {MAX_ID}, inclusive"
_PROFILES = ("Localhost", "RuntimeDefault", "Unconfined")
_sysctl = re.compile(r"([a-z0-9]([-_a-z0-9]*[a-z0-9])?[./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?").fullmatch
_SYSCTL_RULE = (
    r"must have at most 253 characters and match regex "
    r"^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$"
)
_NET_BIOS = re.compile(r'[^\\/:*?"<>|.][^\\/:*?"<>|]{0,14}').fullmatch
_DNS_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DNS = re.compile(rf"{_DNS_LABEL}(?:\.{_DNS_LABEL})*").fullmatch
_IPC_SYSCTLS = ("kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue.")
_LINUX_ONLY_OF_POD = (
    "appArmorProfile",
    "fsGroup",
    "fsGroupChangePolicy",
    "runAsGroup",
    "runAsUser",
    "seLinuxChangePolicy",
    "seLinuxOptions",
    "seccompProfile",
    "supplementalGroups",
    "supplementalGroupsPolicy",
    "sysctls",
)
_LINUX_ONLY_OF_CONTAINER = (
    "allowPrivilegeEscalation",
    "appArmorProfile",
    "capabilities",
    "privileged",
    "procMount",
    "readOnlyRootFilesystem",
    "runAsGroup",
    "runAsUser",
    "seLinuxOptions",
    "seccompProfile",
)
_NOT_FOR_WINDOWS = "cannot be set for a windows pod"
_CONTAINER_FIELDS = ("initContainers", "containers", "ephemeralContainers")


def container_errors(path: str, context: Object, host_users: bool | None) -> Iterator[FieldError]:
    for field in ("runAsUser", "runAsGroup"):
        if (value := context.get(field)) is not None:
            yield from _id_errors(f"{path}.{field}", value)
    if (profile := context.get("seccompProfile")) is not None:
        yield from _seccomp_errors(f"{path}.seccompProfile", profile)
    if (profile := context.get("appArmorProfile")) is not None:
        yield from _app_armor_errors(f"{path}.appArmorProfile", profile)
    if context.get("allowPrivilegeEscalation") is False:
        if context.get("privileged"):
            yield invalid(path, context, "cannot set `allowPrivilegeEscalation` to false and `privileged` to true")
        if "CAP_SYS_ADMIN" in ((context.get("capabilities") or {}).get("add") or ()):
            detail = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"
            yield invalid(path, context, detail)
    if (mount := context.get("procMount")) is not None:
        if mount not in {"Default", "Unmasked"}:
            yield not_supported(f"{path}.procMount", mount, ("Default", "Unmasked"))
        elif mount == "Unmasked" and host_users is not False:
            yield invalid(f"{path}.procMount", mount, "`hostUsers` must be false to use `Unmasked`")
    if (windows := context.get("windowsOptions")) is not None:
        yield from _windows_errors(f"{path}.windowsOptions", windows)


def pod_errors(path: str, spec: Object) -> Iterator[FieldError]:
    """The pod's own security context, with the host namespaces it shares."""
    context = spec.get("securityContext") or {}
    at = f"{path}.securityContext"
    if spec.get("shareProcessNamespace") and spec.get("hostPID"):
        detail = "ShareProcessNamespace and HostPID cannot both be enabled"
        yield invalid(f"{at}.shareProcessNamespace", True, detail)
    if spec.get("hostNetwork"):
        yield from _host_network_errors(f"{path}.containers", spec)
    if spec.get("hostUsers") is False:
        for field, shown in (("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC")):
            if spec.get(field):
                yield forbidden(f"{path}.{shown}", "when `hostUsers` is false")
    if not context:
        return
    for field in ("fsGroup", "runAsUser", "runAsGroup"):
        if (value := context.get(field)) is not None:
            yield from _id_errors(f"{at}.{field}", value)
    for i, group in enumerate(context.get("supplementalGroups") or ()):
        yield from _id_errors(f"{at}.supplementalGroups[{i}]", group)
    yield from _choice_errors(at, context)
    if sysctls := context.get("sysctls"):
        yield from _sysctl_errors(f"{at}.sysctls", sysctls, spec)
    if (profile := context.get("seccompProfile")) is not None:
        yield from _seccomp_errors(f"{at}.seccompProfile", profile)
    if (profile := context.get("appArmorProfile")) is not None:
        yield from _app_armor_errors(f"{at}.appArmorProfile", profile)
    if (windows := context.get("windowsOptions")) is not None:
        yield from _windows_errors(f"{at}.windowsOptions", windows)


def _choice_errors(path: str, context: Object) -> Iterator[FieldError]:
    for field, choices in (
        ("fsGroupChangePolicy", ("Always", "OnRootMismatch")),
        ("supplementalGroupsPolicy", ("Merge", "Strict")),
        ("seLinuxChangePolicy", ("MountOption", "Recursive")),
    ):
        if (value := context.get(field)) is not None and value not in choices:
            yield not_supported(f"{path}.{field}", value, choices)


def _id_errors(path: str, value: int) -> Iterator[FieldError]:
    if not 0 <= value <= MAX_ID:
        yield invalid(path, value, _ID_RANGE)


def _host_network_errors(path: str, spec: Object) -> Iterator[FieldError]:
    for i, container in enumerate(spec.get("containers") or ()):
        for j, port in enumerate(container.get("ports") or ()):
            if port.get("hostPort") and port["hostPort"] != port.get("containerPort"):
                at = f"{path}[{i}].ports[{j}].hostPort"
                yield invalid(at, port["hostPort"], "must match `containerPort` when `hostNetwork` is true")


def _sysctl_errors(path: str, sysctls: list[Object], spec: Object) -> Iterator[FieldError]:
    seen = set()
    for i, sysctl in enumerate(sysctls):
        name = sysctl.get("name") or ""
        at = f"{path}[{i}].name"
        if not name:
            yield required(at)
        elif len(name) > 253 or not _sysctl(name):
            yield invalid(at, name, _SYSCTL_RULE)
        elif name in seen:
            yield duplicate(at, name)
        dotted = name.replace("/", ".")
        if spec.get("hostNetwork") and dotted.startswith("net."):
            yield invalid(at, name, "may not be specified when 'hostNetwork' is true")
        if spec.get("hostIPC") and dotted.startswith(_IPC_SYSCTLS):
            yield invalid(at, name, "may not be specified when 'hostIPC' is true")
        seen.add(name)


def _seccomp_errors(path: str, profile: Object) -> Iterator[FieldError]:
    type_ = profile.get("type") or ""
    local = profile.get("localhostProfile")
    if not type_:
        yield required(f"{path}.type", "type is required when seccompProfile is set")
    elif type_ not in _PROFILES:
        yield not_supported(f"{path}.type", type_, _PROFILES)
    if type_ != "Localhost":
        if local is not None:
            detail = "can only be set when seccomp type is Localhost"
            yield invalid(f"{path}.localhostProfile", profile, detail)
    elif local is None:
        yield required(f"{path}.localhostProfile", "must be set when seccomp type is Localhost")
    else:
        yield from local_path_errors(f"{path}.localhostProfile", local)


def _app_armor_errors(path: str, profile: Object) -> Iterator[FieldError]:
    type_ = profile.get("type") or ""
    local: str | None = profile.get("localhostProfile")
    at = f"{path}.localhostProfile"
    if not type_:
        yield required(f"{path}.type", "type is required when appArmorProfile is set")
    elif type_ not in _PROFILES:
        yield not_supported(f"{path}.type", type_, _PROFILES)
    elif type_ != "Localhost":
        if local is not None:
            yield invalid(at, local, "can only be set when AppArmor type is Localhost")
    elif not local:
        yield required(at, "must be set when AppArmor type is Localhost")
    else:
        if local != local.strip():
            yield invalid(at, local, "must not be padded with whitespace")
        if len(local.encode()) > 4095:
            yield too_long(at, 4095)


def _windows_errors(path: str, windows: Object) -> Iterator[FieldError]:
    if (name := windows.get("gmsaCredentialSpecName")) is not None:
        yield from fields.matches(f"{path}.gmsaCredentialSpecName", name, names.dns1123_subdomain)
    if (text := windows.get("gmsaCredentialSpec")) is not None:
        if not text:
            yield invalid(f"{path}.gmsaCredentialSpec", text, "gmsaCredentialSpec cannot be an empty string")
        elif len(text.encode()) > 64 << 10:
            yield invalid(f"{path}.gmsaCredentialSpec", text, "gmsaCredentialSpec size must be under 64 KiB")
    if (user := windows.get("runAsUserName")) is not None:
        for problem in _user_problems(user):
            yield invalid(f"{path}.runAsUserName", user, problem)


def _user_problems(user: str) -> Iterator[str]:
    if not user:
        yield "runAsUserName cannot be an empty string"
        return
    if any(ord(mark) < 32 or ord(mark) == 127 for mark in user):
        yield "runAsUserName cannot contain control characters"
        return
    domain, slash, name = user.rpartition("\\")
    if "\\" in domain:
        yield "runAsUserName cannot contain more than one backslash"
        return
    if len(domain) >= 256:
        yield "runAsUserName's Domain length must be under 256 characters"
    if slash and not (_NET_BIOS(domain) or _DNS(domain)):
        yield "runAsUserName's Domain doesn't match the NetBIOS nor the DNS format"
    if not name:
        yield "runAsUserName's User cannot be empty"
        return
    if len(name) > 104:
        yield "runAsUserName's User length must not be longer than 104 characters"
    if not name.strip(". "):
        yield "runAsUserName's User cannot contain only periods or spaces"
    if re.search(r'["/\\:;|=,+*?<>@\[\]]', name):
        yield "runAsUserName's User cannot contain the following characters: \"/\\:;|=,+*?<>@[]"


def host_process_errors(path: str, spec: Object) -> Iterator[FieldError]:
    """Host-process containers of Windows: all or none, and only on the host's network."""
    of_pod = ((spec.get("securityContext") or {}).get("windowsOptions") or {}).get("hostProcess")
    found = []
    for field in _CONTAINER_FIELDS:
        for i, container in enumerate(spec.get(field) or ()):
            own = ((container.get("securityContext") or {}).get("windowsOptions") or {}).get("hostProcess")
            if own is not None and of_pod is not None and own != of_pod:
                at = f"{path}.{field}[{i}].securityContext.windowsOptions.hostProcess"
                detail = f"pod hostProcess value must be identical if both are specified, was: {str(of_pod).lower()}"
                yield invalid(at, own, detail)
            found.append(bool(of_pod if own is None else own))
    if not any(found):
        return
    if not all(found):
        detail = "If pod contains any hostProcess containers then all containers must be HostProcess containers"
        yield invalid(path, "", detail)
    if not spec.get("hostNetwork"):
        detail = "hostNetwork must be true if pod contains any hostProcess containers"
        yield invalid(f"{path}.hostNetwork", False, detail)


def system_errors(path: str, spec: Object) -> Iterator[FieldError]:
    """What the pod's operating system, if it is named, does not know."""
    name = spec["os"].get("name")
    if not name:
        yield required(f"{path}.os.name", "cannot be empty")
    elif name not in {"linux", "windows"}:
        yield not_supported(f"{path}.os", name, ("linux", "windows"))
    elif name == "windows":
        yield from _linux_only_errors(path, spec)
    else:
        for at, context in _contexts(path, spec):
            if context.get("windowsOptions") is not None:
                yield forbidden(f"{at}.windowsOptions", "windows options cannot be set for a linux pod")


def _linux_only_errors(path: str, spec: Object) -> Iterator[FieldError]:
    for field in ("hostPID", "hostIPC"):
        if spec.get(field):
            yield forbidden(f"{path}.{field}", _NOT_FOR_WINDOWS)
    for field in ("hostUsers", "shareProcessNamespace"):
        if spec.get(field) is not None:
            yield forbidden(f"{path}.{field}", _NOT_FOR_WINDOWS)
    for at, context in _contexts(path, spec):
        of_pod = at == f"{path}.securityContext"
        for field in _LINUX_ONLY_OF_POD if of_pod else _LINUX_ONLY_OF_CONTAINER:
            if context.get(field) is not None:
                yield forbidden(f"{at}.{field}", _NOT_FOR_WINDOWS)


def _contexts(path: str, spec: Object) -> Iterator[tuple[str, Object]]:
    """Every security context of the pod with its path."""
    if context := spec.get("securityContext"):
        yield f"{path}.securityContext", context
    for field in _CONTAINER_FIELDS:
        for i, container in enumerate(spec.get(field) or ()):
            if context := container.get("securityContext"):
                yield f"{path}.{field}[{i}].securityContext", context
