"""What pods and templates say that is allowed and yet hardly meant, as texts for `Warning` headers.

Ref: https://kubernetes.io/blog/2020/09/03/warnings/
"""

from collections.abc import Iterator, Mapping, Sequence

from mizzen.api.kind import Warn
from mizzen.api.rules.node_labels import DEPRECATED, term_warnings
from mizzen.api.rules.resources import fraction_warnings
from mizzen.machinery import names
from mizzen.machinery.errors import Object

_ANNOTATIONS = {
    "scheduler.alpha.kubernetes.io/critical-pod": 'non-functional in v1.16+; use the "priorityClassName" field instead',
    "security.alpha.kubernetes.io/sysctls": 'non-functional in v1.11+; use the "sysctls" field instead',
    "security.alpha.kubernetes.io/unsafe-sysctls": 'non-functional in v1.11+; use the "sysctls" field instead',
}
VOLUMES = {
    "photonPersistentDisk": "deprecated in v1.11, non-functional in v1.16+",
    "gitRepo": "deprecated in v1.11, and disabled by default in v1.33+",
    "scaleIO": "deprecated in v1.16, non-functional in v1.22+",
    "flocker": "deprecated in v1.22, non-functional in v1.25+",
    "storageos": "deprecated in v1.22, non-functional in v1.25+",
    "quobyte": "deprecated in v1.22, non-functional in v1.25+",
    "glusterfs": "deprecated in v1.25, non-functional in v1.26+",
    "cephfs": "deprecated in v1.28, non-functional in v1.31+",
    "rbd": "deprecated in v1.28, non-functional in v1.31+",
}
_SECCOMP_POD = "seccomp.security.alpha.kubernetes.io/pod"
_SECCOMP = "container.seccomp.security.alpha.kubernetes.io/"
_APPARMOR = "container.apparmor.security.beta.kubernetes.io/"
_USE_SECCOMP = 'non-functional in v1.27+; use the "seccompProfile" field instead'
_USE_APPARMOR = 'deprecated since v1.30; use the "appArmorProfile" field instead'
_NO_POD = "a null labelSelector results in matching no pod"
_RECOMMENDED = "which can result in surprising behavior; a DNS label is recommended"


def of_pod(pod: Object, old: Object | None) -> Iterator[str]:
    """A pod's warnings; only its creator hears of them."""
    if old is not None:
        return
    yield from name_warnings(pod, "the Pod's hostname")
    yield from _warnings("", pod, is_template=False)


def of_template(template: Object | None, path: str) -> Iterator[str]:
    """The warnings of a template at a path."""
    if template:
        yield from _warnings(f"{path}.", template, is_template=True)


def of_workload(object_: Object, old: Object | None) -> Iterator[str]:
    """The warnings of an object that makes pods of its template; nothing while the spec stays as it is."""
    if not is_same_generation(object_, old):
        yield from of_template(object_["spec"].get("template"), "spec.template")


def of_named_workload(use: str) -> Warn:
    """As `of_workload`, and the creator hears of a name that does not do where it is used."""

    def warn(object_: Object, old: Object | None) -> Iterator[str]:
        if old is None:
            yield from name_warnings(object_, use)
        yield from of_workload(object_, old)

    return warn


def is_same_generation(object_: Object, old: Object | None) -> bool:
    return old is not None and object_["metadata"].get("generation") == old["metadata"].get("generation")


def name_warnings(object_: Object, use: str) -> Iterator[str]:
    if problems := names.dns1123_label(object_["metadata"].get("name") or ""):
        yield f"metadata.name: this is used in {use}, {_RECOMMENDED}: [{' '.join(problems)}]"


def _warnings(at: str, pod: Object, *, is_template: bool) -> Iterator[str]:
    """`at` is the path of the pod or template with a dot at its end, or nothing."""
    spec, annotations = pod.get("spec") or {}, (pod.get("metadata") or {}).get("annotations") or {}
    yield from _placement_warnings(f"{at}spec", spec)
    for key, text in _ANNOTATIONS.items() if annotations else ():
        if key in annotations:
            yield f"{at}metadata.annotations[{key}]: {text}"
    for i, volume in enumerate(spec.get("volumes") or ()):
        yield from _volume_warnings(f"{at}spec.volumes[{i}]", volume)
    yield from _repeated(f"{at}spec.hostAliases", spec.get("hostAliases") or (), "ip")
    secrets = spec.get("imagePullSecrets") or ()
    yield from _repeated(f"{at}spec.imagePullSecrets", secrets, "name")
    for i, secret in enumerate(secrets):
        if not secret.get("name"):
            yield f'{at}spec.imagePullSecrets[{i}].name: invalid empty name ""'
    yield from fraction_warnings(f"{at}spec.overhead", spec.get("overhead"))
    containers = list(_containers(f"{at}spec", spec))
    for path, container in containers:
        yield from _container_warnings(path, container)
    if annotations:
        yield from _profile_warnings(at, spec, annotations, is_template=is_template)
    yield from _port_warnings(containers)
    if (spec.get("terminationGracePeriodSeconds") or 0) < 0:
        detail = "must be >= 0; negative values are invalid and will be treated as 1"
        yield f"{at}spec.terminationGracePeriodSeconds: {detail}"
    yield from _affinity_warnings(f"{at}spec.affinity", spec.get("affinity") or {})


def _containers(path: str, spec: Object) -> Iterator[tuple[str, Object]]:
    for field in ("initContainers", "containers", "ephemeralContainers"):
        for i, container in enumerate(spec.get(field) or ()):
            yield f"{path}.{field}[{i}]", container


def _placement_warnings(path: str, spec: Object) -> Iterator[str]:
    for key in spec.get("nodeSelector") or ():
        if key in DEPRECATED:
            yield f"{path}.nodeSelector[{key}]: {DEPRECATED[key]}"
    for i, constraint in enumerate(spec.get("topologySpreadConstraints") or ()):
        at, key = f"{path}.topologySpreadConstraints[{i}]", constraint.get("topologyKey") or ""
        if key in DEPRECATED:
            yield f"{at}.topologyKey: {key} is {DEPRECATED[key]}"
        if constraint.get("labelSelector") is None:
            yield f"{at}.labelSelector: {_NO_POD}"


def _affinity_warnings(path: str, affinity: Object) -> Iterator[str]:
    required, preferred = (
        "requiredDuringSchedulingIgnoredDuringExecution",
        "preferredDuringSchedulingIgnoredDuringExecution",
    )
    if nodes := affinity.get("nodeAffinity"):
        for i, term in enumerate((nodes.get(required) or {}).get("nodeSelectorTerms") or ()):
            yield from term_warnings(f"{path}.nodeAffinity.{required}.nodeSelectorTerms[{i}]", term)
        for i, term in enumerate(nodes.get(preferred) or ()):
            yield from term_warnings(f"{path}.nodeAffinity.{preferred}[{i}].preference", term.get("preference") or {})
    for field in ("podAffinity", "podAntiAffinity"):
        pods = affinity.get(field) or {}
        for i, term in enumerate(pods.get(required) or ()):
            if term.get("labelSelector") is None:
                yield f"{path}.{field}.{required}[{i}].labelSelector: {_NO_POD}"
        for i, term in enumerate(pods.get(preferred) or ()):
            if (term.get("podAffinityTerm") or {}).get("labelSelector") is None:
                yield f"{path}.{field}.{preferred}[{i}].podAffinityTerm.labelSelector: {_NO_POD}"


def _volume_warnings(path: str, volume: Object) -> Iterator[str]:
    for field in volume:
        if field in VOLUMES and volume[field] is not None:
            shown = "storageOS" if field == "storageos" else field
            yield f"{path}.{shown}: {VOLUMES[field]}"
    claim = ((volume.get("ephemeral") or {}).get("volumeClaimTemplate") or {}).get("spec")
    if claim:
        yield from claim_warnings(f"{path}.ephemeral.volumeClaimTemplate.spec", claim)


def claim_warnings(path: str, claim: Object) -> Iterator[str]:
    """The warnings of the spec of a claim."""
    resources = claim.get("resources") or {}
    for field in ("requests", "limits"):
        yield from fraction_warnings(f"{path}.resources.{field}", resources.get(field), ("storage",))


def _repeated(path: str, entries: Sequence[Object], field: str) -> Iterator[str]:
    if len(entries) < 2:
        return
    seen: set[str] = set()
    for i, entry in enumerate(entries):
        value = entry.get(field) or ""
        if value in seen:
            yield f'{path}[{i}].{field}: duplicate {field} "{value}"'
        seen.add(value)


def _container_warnings(path: str, container: Object) -> Iterator[str]:
    resources = container.get("resources") or {}
    for field in ("limits", "requests"):
        yield from fraction_warnings(f"{path}.resources.{field}", resources.get(field))
    seen: set[str] = set()
    for i, variable in enumerate(container.get("env") or ()):
        name, value = variable.get("name") or "", variable.get("value") or ""
        reference = f"$({name})"
        if name in seen and (variable.get("valueFrom") is not None or value == reference or reference not in value):
            yield (f'{path}.env[{i}]: hides previous definition of "{name}", which may be dropped when using apply')
        seen.add(name)


def _profile_warnings(at: str, spec: Object, annotations: Mapping[str, str], *, is_template: bool) -> Iterator[str]:
    """Profiles by annotation where a field should name them; of a pod's own AppArmor profiles nothing is said."""
    own = spec.get("securityContext") or {}
    if _SECCOMP_POD in annotations and own.get("seccompProfile") is None:
        yield f"{at}metadata.annotations[{_SECCOMP_POD}]: {_USE_SECCOMP}"
    for _, container in _containers("", spec):
        context, name = container.get("securityContext") or {}, container.get("name") or ""
        if f"{_SECCOMP}{name}" in annotations and context.get("seccompProfile") is None:
            yield f"{at}metadata.annotations[{_SECCOMP}{name}]: {_USE_SECCOMP}"
        named = own.get("appArmorProfile") is not None or context.get("appArmorProfile") is not None
        if is_template and not named and f"{_APPARMOR}{name}" in annotations:
            yield f"{at}metadata.annotations[{_APPARMOR}{name}]: {_USE_APPARMOR}"


def _port_warnings(containers: Sequence[tuple[str, Object]]) -> Iterator[str]:
    """Ports that several containers, or one of them twice, tell of."""
    known: dict[tuple[int, str], list[tuple[str, Object]]] = {}
    for path, container in containers:
        for i, port in enumerate(container.get("ports") or ()):
            others = known.setdefault((port.get("containerPort") or 0, port.get("protocol") or "TCP"), [])
            for other_path, other in others:
                if clash := _clash(port, other):
                    yield f"{path}.ports[{i}]: {clash} port definition with {other_path}"
            others.append((f"{path}.ports[{i}]", port))


def _clash(port: Object, other: Object) -> str:
    """In which way two definitions of one port are at odds, if they are."""
    ours, theirs = port.get("hostPort") or 0, other.get("hostPort") or 0
    address, other_address = port.get("hostIP") or "", other.get("hostIP") or ""
    if (ours, address) == (theirs, other_address):
        return "duplicate"
    if ours == 0 or theirs == 0:
        return "overlapping"
    return "dangerously ambiguous" if ours == theirs and (address == "") != (other_address == "") else ""
