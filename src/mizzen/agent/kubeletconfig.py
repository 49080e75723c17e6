"""A node's settings from a KubeletConfiguration: the file that operators of nodes know.

Ref: https://kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1/
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from mizzen.agent.config import AgentConfig
from mizzen.agent.cpus import topology
from mizzen.agent.cpus.assignment import ALIGNMENTS, FULL_CORES, STRICT
from mizzen.agent.images import reference
from mizzen.agent.images.records import Policy
from mizzen.agent.thresholds import SIGNALS, Bound
from mizzen.machinery import quantity, times

_KIND = ("kubelet.config.k8s.io/v1beta1", "KubeletConfiguration")
Setting = Callable[[AgentConfig, Any], AgentConfig]


def configured(config: AgentConfig, document: Any) -> tuple[AgentConfig, tuple[str, ...]]:
    """The configuration with a document's settings, and the names of those that mean nothing to this agent.

    Raises: ValueError, naming the setting.
    """
    check_form(document)
    settings = {name: value for name, value in document.items() if name not in {"apiVersion", "kind"}}
    for name, setting in _SETTINGS.items():  # in this order: one may build on another
        if settings.get(name) is None:
            continue
        try:
            config = setting(config, settings[name])
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"{name}: {error}") from error
    return config, tuple(sorted(name for name in settings if name not in _SETTINGS))


def check_form(document: Any) -> None:
    """Raises ValueError for what is no KubeletConfiguration."""
    if not isinstance(document, dict) or (document.get("apiVersion"), document.get("kind")) != _KIND:
        raise ValueError(f"not a {_KIND[1]} of {_KIND[0]}")


def _reserve(config: AgentConfig, amounts: Mapping[str, str]) -> AgentConfig:
    added = {name: quantity.add(config.reserved.get(name, "0"), amount) for name, amount in amounts.items()}
    return replace(config, reserved={**config.reserved, **added})


def _bound(text: str) -> Bound:
    if text.endswith("%"):
        return Bound(part=float(text[:-1]) / 100)
    return Bound(quantity.in_bytes(text))


def _bounds(signals: Mapping[str, str]) -> dict[str, Bound]:
    for signal in signals:
        if signal not in SIGNALS:
            raise ValueError(f"unknown eviction signal {signal}")
    return {signal: _bound(str(text)) for signal, text in signals.items()}


def _evict(config: AgentConfig, signals: Mapping[str, str]) -> AgentConfig:
    """Signals that are not named have no threshold, unless `mergeDefaultEvictionSettings` has said otherwise."""
    hard = {**config.thresholds.hard, **_bounds(signals)} if config.merges_thresholds else _bounds(signals)
    return _defended(config, hard={signal: bound for signal, bound in hard.items() if bound != Bound()})


def _soften(config: AgentConfig, graces: Mapping[str, str]) -> AgentConfig:
    for signal in config.thresholds.soft:
        if signal not in graces:
            raise ValueError(f"{signal} of evictionSoft has no grace period")
    return _defended(config, soft_after={signal: times.parse_duration(text) for signal, text in graces.items()})


def _defended(config: AgentConfig, **fields: Any) -> AgentConfig:
    return replace(config, thresholds=replace(config.thresholds, **fields))


def _enforce(config: AgentConfig, groups: list[str]) -> AgentConfig:
    return replace(config, enforces="pods" in groups)


def _shutdown(config: AgentConfig, total: str) -> AgentConfig:
    return replace(config, shutdown_grace=times.parse_duration(total))


def _shutdown_critical(config: AgentConfig, part: str) -> AgentConfig:
    critical = times.parse_duration(part)
    if critical > config.shutdown_grace:
        raise ValueError("is longer than shutdownGracePeriod, of which it is a part")
    return replace(config, shutdown_grace=config.shutdown_grace - critical, shutdown_grace_critical=critical)


def _shutdown_by_priority(config: AgentConfig, graces: list[Mapping[str, int]]) -> AgentConfig:
    if graces and (config.shutdown_grace or config.shutdown_grace_critical):
        raise ValueError("stands beside shutdownGracePeriod, in place of which it is")
    return replace(config, shutdown_graces={one["priority"]: one["shutdownGracePeriodSeconds"] for one in graces})


def _taints(config: AgentConfig, taints: list[Mapping[str, str]]) -> AgentConfig:
    return replace(config, taints=tuple({name: str(value) for name, value in one.items()} for one in taints))


def _age(config: AgentConfig, most: str) -> AgentConfig:
    seconds = times.parse_duration(most)
    if seconds and seconds <= config.thresholds.image_least_age:
        raise ValueError("is not longer than imageMinimumGCAge")
    return _defended(config, image_most_age=seconds)


def _manage_cpus(config: AgentConfig, policy: str) -> AgentConfig:
    if policy not in {"none", "static"}:
        raise ValueError(f"{policy!r} is neither none nor static")
    return replace(config, static_cpus=policy == "static")


def _choose_cpus(config: AgentConfig, options: Mapping[str, str]) -> AgentConfig:
    for name, value in options.items():
        if name not in {FULL_CORES, STRICT} or value not in {"true", "false"}:
            raise ValueError(f"{name}: {value} is no option that this agent knows")
    return replace(config, cpu_options=frozenset(name for name, value in options.items() if value == "true"))


def _reserve_cpus(config: AgentConfig, cpus: str) -> AgentConfig:
    reserved = {**config.reserved, "cpu": str(len(topology.parse(cpus)))} if cpus else config.reserved
    return replace(config, reserved_cpus=cpus, reserved=reserved)


def _pull(config: AgentConfig, most: int) -> AgentConfig:
    if int(most) < 1 or (config.parallel_pulls == 1 and int(most) > 1):
        raise ValueError("must be at least 1, and no more while serializeImagePulls is true")
    return replace(config, parallel_pulls=int(most))


def _one_of(field: str, *choices: str) -> Setting:
    """A setting that is one of some words."""

    def setting(config: AgentConfig, value: str) -> AgentConfig:
        if value not in choices:
            raise ValueError(f"{value!r} is none of {', '.join(choices)}")
        return replace(config, **{field: value})  # type: ignore[arg-type]

    return setting


def _swap(config: AgentConfig, settings: Mapping[str, str]) -> AgentConfig:
    behaviour = settings.get("swapBehavior") or "NoSwap"
    if behaviour not in {"NoSwap", "LimitedSwap"}:
        raise ValueError(f"swapBehavior {behaviour!r} is neither NoSwap nor LimitedSwap")
    return replace(config, limited_swap=behaviour == "LimitedSwap")


def _back_off(config: AgentConfig, settings: Mapping[str, str]) -> AgentConfig:
    longest = times.parse_duration(settings["maxContainerRestartPeriod"])
    if not 1 <= longest <= 300:
        raise ValueError("maxContainerRestartPeriod must be between 1s and 300s")
    return replace(config, longest_crash_delay=longest)


def _show_images(config: AgentConfig, most: int) -> AgentConfig:
    if int(most) < -1:
        raise ValueError("must be -1, for all of them, or more")
    return replace(config, images_shown=int(most))


def _verify(config: AgentConfig, policy: str) -> AgentConfig:
    chosen = next((one for one in get_args(Policy) if one == policy), None)
    if chosen is None:
        raise ValueError(f"{policy!r} is none of {', '.join(get_args(Policy))}")
    return replace(config, image_verification=chosen)


def _leave_unverified(config: AgentConfig, patterns: list[str]) -> AgentConfig:
    for pattern in patterns:
        name = reference.parse(pattern.removesuffix("/*"))
        if "*" in pattern.removesuffix("/*") or name.digest or ":" in pattern.rpartition("/")[2]:
            raise ValueError(f"{pattern!r} is no image's name without tag and digest, which may end in /*")
    return replace(config, unverified_images=tuple(map(_normal, patterns)))


def _normal(pattern: str) -> str:
    """A pattern in the form in which images are compared with it."""
    if not pattern.endswith("/*"):
        return reference.parse(pattern).name
    stem = pattern.removesuffix("/*")
    host = stem.partition("/")[0]
    return pattern if "." in host or ":" in host or host == "localhost" else f"docker.io/{pattern}"


_SETTINGS: dict[str, Setting] = {
    "maxPods": lambda config, value: replace(config, max_pods=int(value)),
    "podPidsLimit": lambda config, value: replace(config, pod_pids=max(0, int(value))),
    "systemReserved": _reserve,
    "kubeReserved": _reserve,
    "reservedSystemCPUs": _reserve_cpus,
    "cpuManagerPolicy": _manage_cpus,
    "cpuManagerPolicyOptions": _choose_cpus,
    "topologyManagerPolicy": _one_of("alignment", *ALIGNMENTS),
    "topologyManagerScope": _one_of("alignment_scope", "container", "pod"),
    "enforceNodeAllocatable": _enforce,
    "mergeDefaultEvictionSettings": lambda config, value: replace(config, merges_thresholds=bool(value)),
    "evictionHard": _evict,
    "evictionSoft": lambda config, value: _defended(config, soft=_bounds(value)),
    "evictionSoftGracePeriod": _soften,
    "evictionMaxPodGracePeriod": lambda config, value: _defended(config, longest_grace=float(value)),
    "evictionMinimumReclaim": lambda config, value: _defended(config, reclaim=_bounds(value)),
    "evictionPressureTransitionPeriod": lambda config, value: _defended(config, calm_after=times.parse_duration(value)),
    "imageGCHighThresholdPercent": lambda config, value: _defended(config, image_disk_high=float(value) / 100),
    "imageGCLowThresholdPercent": lambda config, value: _defended(config, image_disk_low=float(value) / 100),
    "serializeImagePulls": lambda config, value: replace(config, parallel_pulls=1 if value else 0),
    "maxParallelImagePulls": _pull,
    "cpuCFSQuota": lambda config, value: replace(config, quotas=bool(value)),
    "singleProcessOOMKill": lambda config, value: replace(config, ends_whole=not value),
    "imagePullCredentialsVerificationPolicy": _verify,
    "preloadedImagesVerificationAllowlist": _leave_unverified,
    "imageMinimumGCAge": lambda config, value: _defended(config, image_least_age=times.parse_duration(value)),
    "imageMaximumGCAge": _age,
    "crashLoopBackOff": _back_off,
    "failSwapOn": lambda config, value: replace(config, fails_on_swap=bool(value)),
    "memorySwap": _swap,
    "staticPodPath": lambda config, value: replace(config, static_pods=Path(value) if value else None),
    "containerLogMaxSize": lambda config, value: replace(config, log_size=quantity.in_bytes(value)),
    "containerLogMaxFiles": lambda config, value: replace(config, log_files=max(2, int(value))),
    "shutdownGracePeriod": _shutdown,
    "shutdownGracePeriodCriticalPods": _shutdown_critical,
    "shutdownGracePeriodByPodPriority": _shutdown_by_priority,
    "registerWithTaints": _taints,
    "allowedUnsafeSysctls": lambda config, value: replace(config, unsafe_sysctls=tuple(value)),
    "providerID": lambda config, value: replace(config, provider_id=str(value)),
    "clusterDomain": lambda config, value: replace(config, cluster_domain=str(value)),
    "resolvConf": lambda config, value: replace(config, host_resolv_conf=Path(value)),
    "nodeStatusUpdateFrequency": lambda config, value: replace(config, heartbeat=times.parse_duration(value)),
    "nodeStatusReportFrequency": lambda config, value: replace(config, report_every=times.parse_duration(value)),
    "nodeStatusMaxImages": _show_images,
    "nodeLeaseDurationSeconds": lambda config, value: replace(config, lease_seconds=int(value)),
}
