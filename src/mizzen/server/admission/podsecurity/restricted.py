"""The restricted level: current best practice for hardening, beyond the baseline.

Ref: https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
"""

from typing import Final

from mizzen.machinery.errors import Object
from mizzen.server.admission.podsecurity import baseline
from mizzen.server.admission.podsecurity.check import (
    Check,
    Violation,
    containers,
    is_windows,
    offenders,
    plural,
    quoted,
    security,
)

_VOLUMES: Final = frozenset(
    (
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "image",
        "persistentVolumeClaim",
        "projected",
        "secret",
    )
)
_SECCOMP: Final = ("RuntimeDefault", "Localhost")


def _privilege_escalation(metadata: Object, spec: Object) -> Violation | None:
    if is_windows(spec):
        return None
    bad = offenders(spec, lambda container: security(container).get("allowPrivilegeEscalation") is not False)
    if not bad:
        return None
    detail = f"{plural('container', bad)} must set securityContext.allowPrivilegeEscalation=false"
    return Violation("allowPrivilegeEscalation != false", detail)


def _capabilities(metadata: Object, spec: Object) -> Violation | None:
    if is_windows(spec):
        return None
    undropped: list[str] = []
    adding: list[str] = []
    added: set[str] = set()
    for container in containers(spec):
        capabilities = security(container).get("capabilities") or {}
        if "ALL" not in (capabilities.get("drop") or ()):
            undropped.append(container.get("name", ""))
        if more := set(capabilities.get("add") or ()) - {"NET_BIND_SERVICE"}:
            adding.append(container.get("name", ""))
            added |= more
    details: list[str] = []
    if undropped:
        details.append(f'{plural("container", undropped)} must set securityContext.capabilities.drop=["ALL"]')
    if adding:
        names = quoted(sorted(added))
        details.append(f"{plural('container', adding)} must not include {names} in securityContext.capabilities.add")
    return Violation("unrestricted capabilities", "; ".join(details)) if details else None


def _volumes(metadata: Object, spec: Object) -> Violation | None:
    bad: list[str] = []
    types: set[str] = set()
    for volume in spec.get("volumes") or ():
        others = {key for key in volume if key != "name" and key not in _VOLUMES}
        if others:
            bad.append(volume.get("name", ""))
            types |= others
    if not bad:
        return None
    verb = "uses" if len(bad) == 1 else "use"
    noun = "type" if len(types) == 1 else "types"
    detail = f"{plural('volume', bad)} {verb} restricted volume {noun} {quoted(sorted(types))}"
    return Violation("restricted volume types", detail)


def _non_root(metadata: Object, spec: Object) -> Violation | None:
    if spec.get("hostUsers") is False:
        return None
    of_pod = security(spec).get("runAsNonRoot")
    wrong = offenders(spec, lambda container: security(container).get("runAsNonRoot") is False)
    silent = offenders(spec, lambda container: security(container).get("runAsNonRoot") is None)
    if wrong:
        detail = f"{plural('container', wrong)} must not set securityContext.runAsNonRoot=false"
        return Violation("runAsNonRoot != true", detail)
    if of_pod is False:
        return Violation("runAsNonRoot != true", "pod must not set securityContext.runAsNonRoot=false")
    if of_pod is None and silent:
        detail = f"pod or {plural('container', silent)} must set securityContext.runAsNonRoot=true"
        return Violation("runAsNonRoot != true", detail)
    return None


def _user(metadata: Object, spec: Object) -> Violation | None:
    if spec.get("hostUsers") is False:
        return None
    subjects = ["pod"] if security(spec).get("runAsUser") == 0 else []
    if bad := offenders(spec, lambda container: security(container).get("runAsUser") == 0):
        subjects.append(plural("container", bad))
    return Violation("runAsUser=0", f"{' and '.join(subjects)} must not set runAsUser=0") if subjects else None


def _seccomp(metadata: Object, spec: Object) -> Violation | None:
    if is_windows(spec):
        return None
    of_pod = (security(spec).get("seccompProfile") or {}).get("type")
    types = {
        container.get("name", ""): (security(container).get("seccompProfile") or {}).get("type")
        for container in containers(spec)
    }
    wrong = [name for name, type_ in types.items() if type_ is not None and type_ not in _SECCOMP]
    subjects = ["pod"] if of_pod is not None and of_pod not in _SECCOMP else []
    if wrong:
        subjects.append(plural("container", wrong))
    if subjects:
        values = quoted(sorted({str(t) for t in (of_pod, *types.values()) if t is not None and t not in _SECCOMP}))
        detail = f"{' and '.join(subjects)} must not set securityContext.seccompProfile.type to {values}"
        return Violation("seccompProfile", detail)
    silent = [name for name, type_ in types.items() if type_ is None]
    if of_pod is None and silent:
        wish = 'securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"'
        return Violation("seccompProfile", f"pod or {plural('container', silent)} must set {wish}")
    return None


_REPLACED: Final = (baseline.CAPABILITIES, baseline.HOST_PATHS, baseline.SECCOMP)
CHECKS: Final[tuple[Check, ...]] = (
    *(check for check in baseline.CHECKS if check not in _REPLACED),
    _privilege_escalation,
    _capabilities,
    _volumes,
    _non_root,
    _user,
    _seccomp,
)
