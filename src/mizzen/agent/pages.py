"""What a node tells of itself: /configz, /statusz and /flagz, by the names of a kubelet's flags, and how well it is.

Ref: https://kubernetes.io/docs/reference/instrumentation/zpages/
"""

from typing import Any, Final

import orjson

from mizzen.agent.config import AgentConfig
from mizzen.agent.thresholds import Thresholds
from mizzen.wire import zpages
from mizzen.wire.message import Request, Response

_CHECKS: Final = ("ping", "log", "syncloop")
"""What a node that answers at all has passed."""
PATHS: Final = frozenset(
    {"/configz", "/flagz", "/statusz", "/metrics/slis", "/healthz", *(f"/healthz/{name}" for name in _CHECKS)}
)
_NAME: Final = "kubelet"
_SHOWN: Final = (
    *("/configz", "/flagz", "/healthz", "/metrics", "/metrics/cadvisor", "/metrics/probes", "/metrics/resource"),
    *("/metrics/slis", "/pods", "/stats/summary", "/statusz"),
)


def answer(config: AgentConfig, request: Request, began: float, now: float) -> Response:
    """The answer for one of `PATHS`; the agent began at `began`, both in seconds since the epoch."""
    accept = request.headers.get("accept", "")
    path = request.path.rstrip("/")
    match path:
        case "/metrics/slis":
            return _text(_slis())
        case "/healthz" if any(name == "verbose" for name, _ in request.query):
            return _text("".join(f"[+]{name} ok\n" for name in _CHECKS) + "healthz check passed\n")
        case _ if path.startswith("/healthz"):
            return _text("ok")
        case "/statusz":
            version = config.version.removeprefix("v")
            return zpages.statusz(accept, zpages.Component(_NAME, began, version, _SHOWN), now)
        case "/flagz":
            return zpages.flagz(accept, _NAME, flags(config))
        case _:
            body = orjson.dumps({"kubeletconfig": configuration(config)})
            return Response(200, {"content-type": "application/json"}, body)


def _text(text: str) -> Response:
    return Response(200, {"content-type": "text/plain; charset=utf-8"}, text.encode())


def _slis() -> str:
    """Ref: https://kubernetes.io/docs/reference/instrumentation/slis/"""
    head = "# HELP kubernetes_healthcheck Whether a health check is passed.\n# TYPE kubernetes_healthcheck gauge\n"
    return head + "".join(f'kubernetes_healthcheck{{name="{name}",type="healthz"}} 1\n' for name in _CHECKS)


def flags(config: AgentConfig) -> dict[str, str]:
    """What the node was started with."""
    return {
        "container-runtime-endpoint": f"unix://{config.cri_socket}" if config.cri_socket else "",
        "hostname-override": config.node_name,
        "node-ip": ",".join(config.node_ips),
        "node-labels": ",".join(f"{key}={value}" for key, value in sorted(config.labels.items())),
        "register-schedulable": str(not config.unschedulable).lower(),
        "root-dir": str(config.kubelet),
    }


def configuration(config: AgentConfig) -> dict[str, Any]:
    """The settings in force, as a KubeletConfiguration."""
    return {
        "kind": "KubeletConfiguration",
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "clusterDNS": list(config.cluster_dns),
        "clusterDomain": config.cluster_domain,
        "maxPods": config.max_pods,
        "port": config.port,
        "containerLogMaxSize": str(config.log_size),
        "containerLogMaxFiles": config.log_files,
        "systemReserved": dict(config.reserved),
        "cgroupDriver": "cgroupfs",
        "podPidsLimit": config.pod_pids or -1,
        "staticPodPath": str(config.static_pods or ""),
        "nodeLeaseDurationSeconds": config.lease_seconds,
        "nodeStatusUpdateFrequency": f"{config.heartbeat:g}s",
        "nodeStatusReportFrequency": f"{config.report_every:g}s",
        "shutdownGracePeriod": f"{config.shutdown_grace + config.shutdown_grace_critical:g}s",
        "shutdownGracePeriodCriticalPods": f"{config.shutdown_grace_critical:g}s",
        "shutdownGracePeriodByPodPriority": [
            {"priority": priority, "shutdownGracePeriodSeconds": round(seconds)}
            for priority, seconds in sorted(config.shutdown_graces.items())
        ],
        "serializeImagePulls": config.parallel_pulls == 1,
        **({"maxParallelImagePulls": config.parallel_pulls} if config.parallel_pulls else {}),
        "cpuCFSQuota": config.quotas,
        "imageMinimumGCAge": f"{config.thresholds.image_least_age:g}s",
        "imageMaximumGCAge": f"{config.thresholds.image_most_age:g}s",
        "imagePullCredentialsVerificationPolicy": config.image_verification,
        "cpuManagerPolicy": "static" if config.static_cpus else "none",
        "cpuManagerPolicyOptions": dict.fromkeys(sorted(config.cpu_options), "true"),
        "topologyManagerPolicy": config.alignment,
        "topologyManagerScope": config.alignment_scope,
        "reservedSystemCPUs": config.reserved_cpus,
        "failSwapOn": config.fails_on_swap,
        "memorySwap": {"swapBehavior": "LimitedSwap" if config.limited_swap else "NoSwap"},
        "crashLoopBackOff": {"maxContainerRestartPeriod": f"{config.longest_crash_delay:g}s"},
        "allowedUnsafeSysctls": list(config.unsafe_sysctls),
        "registerWithTaints": [dict(taint) for taint in config.taints],
        "providerID": config.provider_id,
        "resolvConf": str(config.host_resolv_conf),
        **_bounds(config.thresholds),
        "enforceNodeAllocatable": ["pods"] if config.enforces else [],
    }


def _bounds(thresholds: Thresholds) -> dict[str, Any]:
    """When the node removes images and ends pods."""
    return {
        "imageGCHighThresholdPercent": round(thresholds.image_disk_high * 100),
        "imageGCLowThresholdPercent": round(thresholds.image_disk_low * 100),
        "evictionHard": {signal: str(bound) for signal, bound in thresholds.hard.items()},
        "evictionSoft": {signal: str(bound) for signal, bound in thresholds.soft.items()},
        "evictionSoftGracePeriod": {signal: f"{time:g}s" for signal, time in thresholds.soft_after.items()},
        "evictionMaxPodGracePeriod": round(thresholds.longest_grace),
        "evictionMinimumReclaim": {signal: str(bound) for signal, bound in thresholds.reclaim.items()},
        "evictionPressureTransitionPeriod": f"{thresholds.calm_after:g}s",
    }
