"""A node's settings as a KubeletConfiguration says them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mizzen.agent import admission
from mizzen.agent.config import AgentConfig, Thresholds
from mizzen.agent.kubeletconfig import configured
from mizzen.api.views.podspec import Pod, PodSecurityContext, PodSpec, Sysctl

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
        nodeStatusUpdateFrequency="5s", cgroupDriver="systemd",
    )  # fmt: skip
    seen, unknown = configured(PLAIN, said)
    assert unknown == ("cgroupDriver",)
    assert seen == replace(
        PLAIN, max_pods=20, pod_pids=500, reserved={"cpu": "150m", "memory": "1Gi"},
        thresholds=Thresholds(memory_available=200 << 20, disk_available=0.15, image_disk_high=0.9),
        static_pods=Path("/etc/pods"), log_size=1 << 20, log_files=3, shutdown_grace=20.0, shutdown_grace_critical=10.0,
        taints=({"key": "gpu", "effect": "NoSchedule"},), unsafe_sysctls=("kernel.msg*",), heartbeat=5.0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("text", "not a KubeletConfiguration"),
        ({"kind": "Pod"}, "not a KubeletConfiguration"),
        (document(maxPods="many"), "maxPods: "),
        (document(evictionHard={"nodefs.available": "1Gi"}), "evictionHard: nodefs.available must be a percentage"),
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
