"""All that is wrong with a pod spec, in a pod or in a template of pods.

Ref: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/
"""

import re
from collections.abc import Iterator
from typing import Final

import orjson

from mizzen.api import meta
from mizzen.api.podspec import annotations, containers, scheduling, security, volumes
from mizzen.api.rules import addresses, fields, resources
from mizzen.machinery import labels, names
from mizzen.machinery.errors import FieldError, Object, duplicate, forbidden, invalid, not_supported, required

_RESTARTS = ("Always", "OnFailure", "Never")
_DNS_POLICIES = ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None")
_PREEMPTION = ("PreemptLowerPriority", "Never")
_MAX_SECONDS = 2147483647
_MAX_NAMESERVERS = 3
_MAX_SEARCHES = 32
_MAX_SEARCH_LENGTH = 2048
_MAX_HOSTNAME = 64
_REMEMBERED: Final = 1_000
_MEMORABLE: Final = 8_192
"""How many specs are known to be right, and of how many bytes each at most: the replicas of a workload share theirs."""
_right: set[bytes] = set()
_token_volume: Final = re.compile(rb'"kube-api-access-[a-z0-9]{5}"')
_NOT_FOR_TEMPLATES = "ephemeral containers not allowed in pod template"
_SIMPLE_NAMES = (
    ("serviceAccountName", names.dns1123_subdomain),
    ("nodeName", names.dns1123_subdomain),
    ("hostname", names.dns1123_label),
    ("subdomain", names.dns1123_label),
    ("priorityClassName", names.dns1123_subdomain),
)


def template_errors(path: str, template: Object) -> Iterator[FieldError]:
    """All that is wrong with a template of pods."""
    metadata = template.get("metadata") or {}
    spec = template.get("spec") or {}
    if value := metadata.get("labels"):
        yield from meta.labels(f"{path}.labels", value)
    if value := metadata.get("annotations"):
        yield from meta.annotations(f"{path}.annotations", value)
        yield from annotations.annotation_errors(f"{path}.annotations", value, spec)
        yield from annotations.profile_errors(f"{path}.spec", value, spec)
    yield from spec_errors(f"{path}.spec", spec)
    if spec.get("ephemeralContainers"):
        yield forbidden(f"{path}.spec.ephemeralContainers", _NOT_FOR_TEMPLATES)


def spec_errors(path: str, spec: Object) -> Iterator[FieldError]:
    """All that is wrong with a pod spec; one that was right before is known by its bytes."""
    written = _alike(orjson.dumps(spec))
    if written in _right:
        return
    flawless = True
    for error in _spec_errors(path, spec):
        flawless = False
        yield error
    if flawless and len(written) <= _MEMORABLE:
        if len(_right) >= _REMEMBERED:
            _right.clear()
        _right.add(written)


def _alike(written: bytes) -> bytes:
    """The bytes of a spec, with the one random name in it that admission gives every replica put aside."""
    if len(set(_token_volume.findall(written))) != 1:
        return written
    return _token_volume.sub(b'"kube-api-access-00000"', written)


def _spec_errors(path: str, spec: Object) -> Iterator[FieldError]:
    known: volumes.Volumes = {}
    claims = tuple(claim.get("name") or "" for claim in spec.get("resourceClaims") or ())
    if spec.get("volumes"):
        known, wrong = volumes.checked(f"{path}.volumes", spec["volumes"])
        yield from wrong
    yield from containers.container_errors(f"{path}.containers", spec, known, claims)
    if spec.get("initContainers"):
        yield from containers.init_container_errors(f"{path}.initContainers", spec, known, claims)
    if spec.get("ephemeralContainers"):
        yield from containers.ephemeral_container_errors(f"{path}.ephemeralContainers", spec, known)
    yield from _policy_errors(path, spec)
    yield from _name_errors(path, spec)
    yield from security.pod_errors(path, spec)
    yield from security.host_process_errors(path, spec)
    yield from _placement_errors(path, spec)
    yield from _network_errors(path, spec)
    yield from _rest_errors(path, spec)


def _policy_errors(path: str, spec: Object) -> Iterator[FieldError]:
    if (policy := spec.get("restartPolicy")) not in _RESTARTS:
        yield not_supported(f"{path}.restartPolicy", policy, _RESTARTS)
    if (policy := spec.get("dnsPolicy")) not in _DNS_POLICIES:
        yield not_supported(f"{path}.dnsPolicy", policy, _DNS_POLICIES)
    if (policy := spec.get("preemptionPolicy")) is not None and policy not in _PREEMPTION:
        yield not_supported(f"{path}.preemptionPolicy", policy, _PREEMPTION)
    if (seconds := spec.get("activeDeadlineSeconds")) is not None and not 1 <= seconds <= _MAX_SECONDS:
        detail = f"must be between 1 and {_MAX_SECONDS}, inclusive"
        yield invalid(f"{path}.activeDeadlineSeconds", seconds, detail)


def _name_errors(path: str, spec: Object) -> Iterator[FieldError]:
    for field, rule in _SIMPLE_NAMES:
        if (value := spec.get(field)) and (problems := rule(value)):
            yield from (invalid(f"{path}.{field}", value, problem) for problem in problems)
    if (value := spec.get("runtimeClassName")) is not None:
        yield from fields.subdomain(f"{path}.runtimeClassName", value)
    if (value := spec.get("hostnameOverride")) is not None:
        at = f"{path}.hostnameOverride"
        if spec.get("setHostnameAsFQDN"):
            yield forbidden(at, "may not be set together with `setHostnameAsFQDN`")
        if spec.get("hostNetwork"):
            yield forbidden(at, "may not be set when `hostNetwork` is true")
        if len(value) > _MAX_HOSTNAME:
            yield invalid(at, value, f"must be no more than {_MAX_HOSTNAME} bytes")
        yield from fields.matches(at, value, names.dns1123_subdomain)


def _placement_errors(path: str, spec: Object) -> Iterator[FieldError]:
    if value := spec.get("nodeSelector"):
        yield from labels.validate_labels(value, f"{path}.nodeSelector")
    if value := spec.get("affinity"):
        yield from scheduling.affinity_errors(f"{path}.affinity", value)
    if value := spec.get("tolerations"):
        yield from scheduling.toleration_errors(f"{path}.tolerations", value)
    if value := spec.get("topologySpreadConstraints"):
        yield from scheduling.spread_errors(f"{path}.topologySpreadConstraints", value)
    if value := spec.get("schedulingGates"):
        yield from scheduling.gate_errors(f"{path}.schedulingGates", value)
    for i, gate in enumerate(spec.get("readinessGates") or ()):
        at = f"{path}.readinessGates[{i}].conditionType"
        yield from fields.matches(at, gate.get("conditionType") or "", names.qualified_name)


def _network_errors(path: str, spec: Object) -> Iterator[FieldError]:
    config = spec.get("dnsConfig")
    if spec.get("dnsPolicy") == "None":
        if config is None:
            yield required(f"{path}.dnsConfig", "must provide `dnsConfig` when `dnsPolicy` is None")
        elif not config.get("nameservers"):
            detail = "must provide at least one DNS nameserver when `dnsPolicy` is None"
            yield required(f"{path}.dnsConfig.nameservers", detail)
            config = None
    if config:
        yield from _dns_errors(f"{path}.dnsConfig", config)
    for alias in spec.get("hostAliases") or ():
        yield from addresses.address(f"{path}.hostAliases.ip", alias.get("ip") or "", "must be valid IP address")
        for hostname in alias.get("hostnames") or ():
            yield from fields.matches(f"{path}.hostAliases.hostnames", hostname, names.dns1123_subdomain)


def _dns_errors(path: str, config: Object) -> Iterator[FieldError]:
    servers, searches = config.get("nameservers") or (), config.get("searches") or ()
    if len(servers) > _MAX_NAMESERVERS:
        yield invalid(f"{path}.nameservers", servers, f"must not have more than {_MAX_NAMESERVERS} nameservers")
    for i, server in enumerate(servers):
        yield from addresses.address(f"{path}.nameservers[{i}]", server, "must be valid IP address")
    if len(searches) > _MAX_SEARCHES:
        yield invalid(f"{path}.searches", searches, f"must not have more than {_MAX_SEARCHES} search paths")
    if sum(map(len, searches)) + max(len(searches) - 1, 0) > _MAX_SEARCH_LENGTH:
        detail = f"must not have more than {_MAX_SEARCH_LENGTH} characters (including spaces) in the search list"
        yield invalid(f"{path}.searches", searches, detail)
    for i, search in enumerate(searches):
        if search == ".":
            continue
        plain = search.removesuffix(".").replace("_", "x")
        if problems := names.dns1123_subdomain(plain):
            yield from (invalid(f"{path}.searches[{i}]", search, problem) for problem in problems)
    for i, option in enumerate(config.get("options") or ()):
        if not option.get("name"):
            yield required(f"{path}.options[{i}]", "must not be empty")


def _rest_errors(path: str, spec: Object) -> Iterator[FieldError]:
    if spec.get("os") is not None:
        yield from security.system_errors(path, spec)
    if value := spec.get("overhead"):
        yield from resources.overhead_errors(f"{path}.overhead", value)
    if value := spec.get("resources"):
        yield from resources.pod_level_errors(f"{path}.resources", spec)
    if value := spec.get("resourceClaims"):
        yield from _claim_errors(f"{path}.resourceClaims", value)


def _claim_errors(path: str, claims: list[Object]) -> Iterator[FieldError]:
    seen = set()
    for i, claim in enumerate(claims):
        at = f"{path}[{i}]"
        name = claim.get("name") or ""
        if not name:
            yield required(f"{at}.name")
        elif name in seen:
            yield duplicate(f"{at}.name", name)
        else:
            yield from fields.matches(f"{at}.name", name, names.dns1123_label)
        seen.add(name)
        chosen = [field for field in ("resourceClaimName", "resourceClaimTemplateName") if claim.get(field) is not None]
        if not chosen:
            yield invalid(at, claim, "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`")
        elif len(chosen) > 1:
            yield invalid(
                at, claim, "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"
            )
        for field in chosen:
            yield from fields.matches(f"{at}.{field}", claim[field], names.dns1123_subdomain)
