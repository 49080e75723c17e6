"""A node's settings as a KubeletConfiguration says them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mizzen.agent import admission, node
from mizzen.agent.config import AgentConfig
from mizzen.agent.kubeletconfig import configured
from mizzen.agent.thresholds import Bound, Thresholds
from mizzen.api.views.podspec import Pod, PodSecurityContext, PodSpec, Sysctl
from mizzen.machinery import quantity

PLAIN = AgentConfig("n", Path("/r"), Path("/i"), ("10.0.0.1",))


def document(**settings: Any) -> dict[str, Any]:
    return {"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration", **settings}


def test_every_setting_finds_its_place_and_what_means_nothing_is_named() -> None:
    said = document(
        maxPods=20, podPidsLimit=500, systemReserved={"cpu": "100m", "memory": "1Gi"}, kubeReserved={"cpu": "50m"},
        evictionHard={"memory.available": "200Mi", "nodefs.available": "15%", "imagefs.available": "15%"},
        imageGCHighThresholdPercent=90, staticPodPath="/etc/pods", containerLogMaxSize="1Mi", containerLogMaxFiles=3,
        shutdownGracePeriodCriticalPods="10s", shutdownGracePeriod="30s",
        registerWithTaints=[{"key": "gpu", "effect": "NoSchedule"}], allowedUnsafeSysctls=["kernel.msg*"],
        nodeStatusUpdateFrequency="5s", cgroupDriver="systemd", enforceNodeAllocatable=["none"],
        evictionSoft={"memory.available": "1Gi"}, evictionSoftGracePeriod={"memory.available": "1m30s"},
        evictionMaxPodGracePeriod=20, evictionMinimumReclaim={"nodefs.available": "500Mi"},
        evictionPressureTransitionPeriod="30s", imageMinimumGCAge="1m", imageMaximumGCAge="12h",
        crashLoopBackOff={"maxContainerRestartPeriod": "20s"},
        serializeImagePulls=False, maxParallelImagePulls=3, cpuCFSQuota=False,
        topologyManagerPolicy="restricted", topologyManagerScope="pod",
        cpuManagerPolicy="static", reservedSystemCPUs="0,2-3", cpuManagerPolicyOptions={"full-pcpus-only": "true"},
        failSwapOn=True, memorySwap={"swapBehavior": "LimitedSwap"}, singleProcessOOMKill=True, nodeStatusMaxImages=-1,
    )  # fmt: skip
    seen, unknown = configured(PLAIN, said)
    assert unknown == ("cgroupDriver",)
    assert seen == replace(
        PLAIN, max_pods=20, pod_pids=500, reserved={"cpu": "3", "memory": "1Gi"},
        thresholds=Thresholds(
            {
                "memory.available": Bound(200 << 20), "nodefs.available": Bound(part=0.15),
                "imagefs.available": Bound(part=0.15),
            },
            {"memory.available": Bound(1 << 30)}, {"memory.available": 90.0}, 20.0,
            {"nodefs.available": Bound(500 << 20)}, 30.0, 0.9, image_least_age=60.0, image_most_age=43200.0,
        ),
        parallel_pulls=3, quotas=False,
        alignment="restricted", alignment_scope="pod",
        static_cpus=True, reserved_cpus="0,2-3", cpu_options=frozenset({"full-pcpus-only"}),
        longest_crash_delay=20.0, fails_on_swap=True, limited_swap=True, ends_whole=False, images_shown=-1,
        enforces=False,
        static_pods=Path("/etc/pods"), log_size=1 << 20, log_files=3, shutdown_grace=20.0, shutdown_grace_critical=10.0,
        taints=({"key": "gpu", "effect": "NoSchedule"},), unsafe_sysctls=("kernel.msg*",), heartbeat=5.0,
    )  # fmt: skip


def test_priorities_may_have_their_own_time_at_a_shutdown() -> None:
    graces = [{"priority": 0, "shutdownGracePeriodSeconds": 60}, {"priority": 1000, "shutdownGracePeriodSeconds": 10}]
    seen, _ = configured(PLAIN, document(shutdownGracePeriodByPodPriority=graces))
    assert seen.shutdown_graces == {0: 60, 1000: 10}


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("text", "not a KubeletConfiguration"),
        ({"kind": "Pod"}, "not a KubeletConfiguration"),
        (document(maxPods="many"), "maxPods: "),
        (document(nodeStatusMaxImages=-2), "nodeStatusMaxImages: "),
        (
            document(
                shutdownGracePeriod="5s",
                shutdownGracePeriodByPodPriority=[{"priority": 0, "shutdownGracePeriodSeconds": 9}],
            ),
            "shutdownGracePeriodByPodPriority: stands beside shutdownGracePeriod",
        ),
        (document(maxParallelImagePulls=0), "maxParallelImagePulls: must be at least 1"),
        (document(serializeImagePulls=True, maxParallelImagePulls=2), "no more while serializeImagePulls is true"),
        (document(topologyManagerPolicy="strict"), "topologyManagerPolicy: 'strict' is none of none, best-effort,"),
        (document(cpuManagerPolicy="dynamic"), "cpuManagerPolicy: 'dynamic' is neither none nor static"),
        (document(cpuManagerPolicyOptions={"fast": "true"}), "cpuManagerPolicyOptions: fast: true is no option"),
        (document(memorySwap={"swapBehavior": "UnlimitedSwap"}), "memorySwap: swapBehavior 'UnlimitedSwap' is neither"),
        (document(evictionHard={"disk": "1Gi"}), "evictionHard: unknown eviction signal disk"),
        (document(evictionHard={"nodefs.available": "much"}), "evictionHard: "),
        (
            document(evictionSoft={"pid.available": "10%"}, evictionSoftGracePeriod={"memory.available": "1m"}),
            "evictionSoftGracePeriod: pid.available of evictionSoft has no grace period",
        ),
        (document(imageMaximumGCAge="1m"), "imageMaximumGCAge: is not longer"),
        (
            document(crashLoopBackOff={"maxContainerRestartPeriod": "10m"}),
            "crashLoopBackOff: maxContainerRestartPeriod",
        ),
        (document(shutdownGracePeriodCriticalPods="10s"), "shutdownGracePeriodCriticalPods: is longer"),
    ],
)
def test_a_setting_that_cannot_be_read_is_named(said: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        configured(PLAIN, said)


def test_unsafe_sysctls_may_be_allowed_by_name_or_beginning() -> None:
    context = PodSecurityContext(sysctls=(Sysctl(name="kernel.msgmax", value="1"),))
    pod = Pod(spec=PodSpec(securityContext=context))
    assert admission.rejection(pod, (), {}, {}, (), ("net.core.*",)) is not None
    assert admission.rejection(pod, (), {}, {}, (), ("kernel.msg*",)) is None
    assert admission.rejection(pod, (), {}, {}, (), ("kernel/msgmax",)) is None


def test_thresholds_that_are_not_named_keep_their_defaults_only_where_that_is_asked_for() -> None:
    named = {"evictionHard": {"memory.available": "1Gi", "pid.available": "0%"}}
    plain, _ = configured(PLAIN, document(**named))
    assert plain.thresholds.hard == {"memory.available": Bound(1 << 30)}
    merged, _ = configured(PLAIN, document(mergeDefaultEvictionSettings=True, **named))
    assert merged.thresholds.hard == {
        "memory.available": Bound(1 << 30), "nodefs.available": Bound(part=0.1), "nodefs.inodesFree": Bound(part=0.05),
        "imagefs.available": Bound(part=0.15), "imagefs.inodesFree": Bound(part=0.05),
    }  # fmt: skip


def test_pods_are_promised_neither_what_is_reserved_nor_what_must_stay_free() -> None:
    capacity = {"cpu": "4", "memory": "8Gi", "ephemeral-storage": "100Gi", "pods": "110"}
    config, _ = configured(PLAIN, document(systemReserved={"cpu": "500m", "memory": "1Gi"}))
    free = {"cpu": "3500m", "memory": "7068Mi", "ephemeral-storage": "90Gi", "pods": "110"}
    seen = node.allocatable_of(config, capacity)
    assert {name: quantity.parse(value) for name, value in seen.items()} == {
        name: quantity.parse(value) for name, value in free.items()
    }
    assert node.unreserved_of(config, capacity)["memory"] == "7Gi"
    assert node.allocatable_of(PLAIN, {"memory": "10Mi"}) == {"memory": "0"}
    pages = node.allocatable_of(PLAIN, {"memory": "1Gi", "hugepages-2Mi": "512Mi", "hugepages-1Gi": "0"})
    assert pages == {"memory": "412Mi", "hugepages-2Mi": "512Mi", "hugepages-1Gi": "0"}
