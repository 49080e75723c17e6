"""Containers of a pod: ordinary ones, init containers with side-cars among them, and ephemeral ones.

Ref: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#Container
"""

from collections.abc import Collection, Iterable, Iterator

from mizzen.api.podspec import mounts, probes, security
from mizzen.api.podspec.env import env_errors, env_from_errors
from mizzen.api.podspec.volumes import Volumes
from mizzen.api.rules import fields, ports, resources
from mizzen.machinery import names
from mizzen.machinery.errors import (
    FieldError,
    Object,
    duplicate,
    forbidden,
    invalid,
    not_found,
    not_supported,
    required,
    too_many,
)

_PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_MESSAGE_POLICIES = ("File", "FallbackToLogsOnError")
_RESTARTS = ("Always", "Never", "OnFailure")
_ONLY_SIDE_CARS = "may not be set for init containers without restartPolicy=Always"
_NOT_EPHEMERAL = (
    "lifecycle",
    "livenessProbe",
    "ports",
    "readinessProbe",
    "resizePolicy",
    "resources",
    "restartPolicy",
    "restartPolicyRules",
    "startupProbe",
)
_MAX_RULES = 20
_MAX_EXIT_CODES = 255


def container_errors(path: str, spec: Object, volumes: Volumes, claims: Collection[str]) -> Iterator[FieldError]:
    """The ordinary containers, of which there is at least one."""
    containers = spec.get("containers")
    if not containers:
        yield required(path)
        return
    seen: set[str] = set()
    for i, container in enumerate(containers):
        at = f"{path}[{i}]"
        yield from _shared_errors(at, container, spec, volumes, claims)
        name = container.get("name") or ""
        if name in seen:
            yield duplicate(f"{at}.name", name)
        seen.add(name)
        yield from _running_errors(at, container, spec)
        yield from _restart_errors(at, container)
    yield from _host_port_errors(path, containers)


def init_container_errors(path: str, spec: Object, volumes: Volumes, claims: Collection[str]) -> Iterator[FieldError]:
    """Containers that run before the others, and side-cars that start before them."""
    seen = {container.get("name") or "" for container in spec.get("containers") or ()}
    for i, container in enumerate(spec.get("initContainers") or ()):
        at = f"{path}[{i}]"
        yield from _shared_errors(at, container, spec, volumes, claims)
        name = container.get("name") or ""
        if name in seen:
            yield duplicate(f"{at}.name", name)
        elif name:
            seen.add(name)
        yield from _host_port_errors(path, (container,))
        if container.get("restartPolicy") == "Always":
            yield from _running_errors(at, container, spec)
        else:
            for field in ("lifecycle", "livenessProbe", "readinessProbe", "startupProbe"):
                if container.get(field) is not None:
                    yield forbidden(f"{at}.{field}", _ONLY_SIDE_CARS)
        yield from _restart_errors(at, container)


def ephemeral_container_errors(path: str, spec: Object, volumes: Volumes) -> Iterator[FieldError]:
    """Containers added to a running pod; they have nothing that others could rely on."""
    lasting = {
        container.get("name") or "" for field in ("containers", "initContainers") for container in spec.get(field) or ()
    }
    seen = set(lasting)
    for i, container in enumerate(spec.get("ephemeralContainers") or ()):
        at = f"{path}[{i}]"
        yield from _shared_errors(at, container, spec, volumes, ())
        name = container.get("name") or ""
        if name and name in seen:
            yield duplicate(f"{at}.name", name)
        seen.add(name)
        target = container.get("targetContainerName")
        if target and target not in lasting:
            yield not_found(f"{at}.targetContainerName", target)
        for field in _NOT_EPHEMERAL:
            given = container.get(field)
            if given or (given is not None and field != "resources"):
                yield forbidden(f"{at}.{field}", "cannot be set for an Ephemeral Container")
        yield from image_errors_of(at, container)
        for j, mount in enumerate(container.get("volumeMounts") or ()):
            for field in ("subPath", "subPathExpr"):
                if mount.get(field):
                    yield forbidden(f"{at}.volumeMounts[{j}].{field}", "cannot be set for an Ephemeral Container")


def _shared_errors(
    path: str, container: Object, spec: Object, volumes: Volumes, claims: Collection[str]
) -> Iterator[FieldError]:
    """What holds of every container."""
    get = container.get
    if not (name := get("name")):
        yield required(f"{path}.name")
    elif problems := names.dns1123_label(name):
        yield from (invalid(f"{path}.name", name, problem) for problem in problems)
    if not get("image"):
        yield required(f"{path}.image")
    if (policy := get("terminationMessagePolicy")) not in _MESSAGE_POLICIES:
        yield not_supported(f"{path}.terminationMessagePolicy", policy, _MESSAGE_POLICIES)
    if (policy := get("imagePullPolicy")) not in _PULL_POLICIES:
        yield not_supported(f"{path}.imagePullPolicy", policy, _PULL_POLICIES)
    if value := get("ports"):
        yield from _port_errors(f"{path}.ports", value)
    if value := get("env"):
        yield from env_errors(f"{path}.env", value)
    if value := get("envFrom"):
        yield from env_from_errors(f"{path}.envFrom", value)
    if get("volumeMounts"):
        yield from mounts.mount_errors(path, container, volumes)
    if get("volumeDevices"):
        yield from mounts.device_errors(path, container, volumes)
    if value := get("resources"):
        yield from resources.requirement_errors(f"{path}.resources", value, claims)
    if value := get("resizePolicy"):
        yield from _resize_errors(f"{path}.resizePolicy", value, spec)
    if value := get("securityContext"):
        yield from security.container_errors(f"{path}.securityContext", value, spec.get("hostUsers"))


def image_errors(path: str, containers: Iterable[Object] | None) -> Iterator[FieldError]:
    """What only the images of pods must satisfy: those of templates may be placeholders with blanks around them."""
    for i, container in enumerate(containers or ()):
        yield from image_errors_of(f"{path}[{i}]", container)


def image_errors_of(path: str, container: Object) -> Iterator[FieldError]:
    if (image := container.get("image")) and image != image.strip():
        yield invalid(f"{path}.image", image, "must not have leading or trailing whitespace")


def _running_errors(path: str, container: Object, spec: Object) -> Iterator[FieldError]:
    """What only containers have that keep running."""
    if (lifecycle := container.get("lifecycle")) is not None:
        yield from probes.lifecycle_errors(f"{path}.lifecycle", lifecycle, spec)
    yield from probes.container_probe_errors(path, container)


def _port_errors(path: str, container_ports: list[Object]) -> Iterator[FieldError]:
    seen: set[str] = set()
    for i, port in enumerate(container_ports):
        if name := port.get("name"):
            problems = names.port_name(name)
            yield from (invalid(f"{path}[{i}].name", name, problem) for problem in problems)
            if not problems and name in seen:
                yield duplicate(f"{path}[{i}].name", name)
            seen.add(name)
        if not port.get("containerPort"):
            yield required(f"{path}[{i}].containerPort")
        elif not 1 <= port["containerPort"] <= 65535:
            yield from ports.number(f"{path}[{i}].containerPort", port["containerPort"])
        if (host_port := port.get("hostPort")) and not 1 <= host_port <= 65535:
            yield from ports.number(f"{path}[{i}].hostPort", host_port)
        if (protocol := port.get("protocol")) not in ports.PROTOCOLS:
            yield not_supported(f"{path}[{i}].protocol", protocol, ports.PROTOCOLS)


def _host_port_errors(path: str, containers: Iterable[Object]) -> Iterator[FieldError]:
    seen: set[str] = set()
    for i, container in enumerate(containers):
        for j, port in enumerate(container.get("ports") or ()):
            if not (number := port.get("hostPort")):
                continue
            taken = f"{port.get('protocol')}/{port.get('hostIP') or ''}/{number}"
            if taken in seen:
                yield duplicate(f"{path}[{i}].ports[{j}].hostPort", taken)
            seen.add(taken)


def _resize_errors(path: str, policies: list[Object], spec: Object) -> Iterator[FieldError]:
    """How each resource may be resized; only what is there twice is reported with its position."""
    seen: set[str] = set()
    for i, policy in enumerate(policies):
        name, restart = policy.get("resourceName") or "", policy.get("restartPolicy") or ""
        if name in seen:
            yield duplicate(f"{path}[{i}]", name)
        seen.add(name)
        yield from fields.one_of(path, name, ("cpu", "memory"))
        yield from fields.one_of(path, restart, ("NotRequired", "RestartContainer"))
        if restart != "NotRequired" and spec.get("restartPolicy") == "Never":
            yield invalid(path, restart, "must be 'NotRequired' when `restartPolicy` is 'Never'")


def _restart_errors(path: str, container: Object) -> Iterator[FieldError]:
    """A container's own restart policy and the rules that make exceptions from it."""
    policy = container.get("restartPolicy")
    if policy is not None and policy not in _RESTARTS:
        yield not_supported(f"{path}.restartPolicy", policy, _RESTARTS)
    rules = container.get("restartPolicyRules")
    if not rules:
        return
    if policy is None:
        yield required(f"{path}.restartPolicy", "must specify restartPolicy when restart rules are used")
    if len(rules) > _MAX_RULES:
        yield too_many(f"{path}.restartPolicyRules", _MAX_RULES)
    for i, rule in enumerate(rules):
        yield from _restart_rule_errors(f"{path}.restartPolicyRules[{i}]", rule)


def _restart_rule_errors(path: str, rule: Object) -> Iterator[FieldError]:
    if not (action := rule.get("action")):
        yield required(f"{path}.action")
    elif action not in {"Restart", "RestartAllContainers"}:
        yield not_supported(f"{path}.action", action, ("Restart", "RestartAllContainers"))
    if (codes := rule.get("exitCodes")) is None:
        yield required(f"{path}.exitCodes", "must be specified")
        return
    if not (operator := codes.get("operator")):
        yield required(f"{path}.exitCodes.operator")
    elif operator not in {"In", "NotIn"}:
        yield not_supported(f"{path}.exitCodes.operator", operator, ("In", "NotIn"))
    values = codes.get("values") or ()
    if not values:
        yield required(f"{path}.exitCodes.values", "must have at least one value")
    elif len(values) > _MAX_EXIT_CODES:
        yield too_many(f"{path}.exitCodes.values", _MAX_EXIT_CODES)
