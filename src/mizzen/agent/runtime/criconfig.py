"""From the agent's specifications to CRI's messages: pure translations.

Ref: https://github.com/kubernetes/cri-api
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import PurePath
from typing import Any

import msgspec

from mizzen.agent.runtime.base import ContainerSpec, Limits, Process, SandboxSpec, Security, Used
from mizzen.agent.runtime.oci_config import MASKED, READ_ONLY, user_of
from mizzen.wire import cri

NODE_LABEL = "mizzen.io/node"
STOP_SIGNAL = "mizzen.io/stop-signal"
_SPEC = "mizzen.io/sandbox"
POD_UID = "io.kubernetes.pod.uid"
_POD_NAME, _POD_NAMESPACE = "io.kubernetes.pod.name", "io.kubernetes.pod.namespace"
CONTAINER_NAME = "io.kubernetes.container.name"
_ATTEMPT = "io.kubernetes.container.restartCount"
_OWN_LABELS = frozenset({NODE_LABEL, POD_UID, _POD_NAME, _POD_NAMESPACE})
_encode = msgspec.json.Encoder().encode
Message = dict[str, Any]
_CDI_SINCE, _CDI_ALWAYS = (1, 7, 2), (2,)


def sandbox(spec: SandboxSpec, node: str, cgroup: str, attempt: int) -> Message:
    """A PodSandboxConfig; `node` tells the sandboxes of one node from those of others at the same runtime."""
    linux: Message = {
        "cgroup_parent": cgroup,
        "security_context": {
            "namespace_options": _shared(spec),
            "privileged": spec.privileged,
            "seccomp": {"profile_type": cri.UNCONFINED if spec.privileged else cri.RUNTIME_DEFAULT},
        },
        "sysctls": dict(spec.sysctls),
    }
    return {
        "metadata": {"name": spec.name, "uid": spec.uid, "namespace": spec.namespace, "attempt": attempt},
        "hostname": "" if spec.host_network else spec.hostname,
        "log_directory": spec.log_directory,
        "dns_config": {
            "servers": list(spec.nameservers),
            "searches": list(spec.searches),
            "options": list(spec.dns_options),
        },
        "labels": {
            **spec.labels,
            NODE_LABEL: node,
            POD_UID: spec.uid,
            _POD_NAME: spec.name,
            _POD_NAMESPACE: spec.namespace,
        },
        "annotations": {**spec.annotations, _SPEC: _encode(replace(spec, labels={}, annotations={})).decode()},
        "linux": linux,
    }


def spec_of(seen: Message) -> SandboxSpec:
    """The specification that a listed sandbox was opened with, which it carries as an annotation."""
    labels = {key: value for key, value in seen["labels"].items() if key not in _OWN_LABELS}
    annotations = {key: value for key, value in seen["annotations"].items() if key != _SPEC}
    meta = seen["metadata"]
    try:
        spec = msgspec.json.decode(seen["annotations"].get(_SPEC, ""), type=SandboxSpec)
    except msgspec.DecodeError:
        spec = SandboxSpec(meta["uid"], meta["namespace"], meta["name"])
    return replace(spec, labels=labels, annotations=annotations)


def _shared(spec: SandboxSpec) -> Message:
    return {
        "network": cri.NODE if spec.host_network else cri.POD,
        "pid": cri.NODE if spec.host_pid else cri.POD if spec.shared_pid else cri.CONTAINER,
        "ipc": cri.NODE if spec.host_ipc else cri.POD,
    }


def container(
    spec: ContainerSpec, shared: SandboxSpec, node: str, image: str, target: str, *, unified: bool = False
) -> Message:
    """A ContainerConfig; `image` is what the runtime knows the image by, `target` the id of the container to join."""
    options = _shared(shared)
    if target:
        options |= {"pid": cri.TARGET, "target_id": target}
    return {
        "metadata": {"name": spec.name, "attempt": spec.attempt},
        "image": {"image": image},
        "command": list(spec.command),
        "args": list(spec.args),
        "working_dir": spec.cwd,
        "envs": [{"key": key, "value": value} for key, value in dict(spec.env).items()],
        "mounts": [
            {
                "container_path": mount.target,
                "host_path": mount.source,
                "readonly": mount.read_only,
                "propagation": cri.PROPAGATION[mount.propagation],
                "recursive_read_only": mount.recursive_read_only,
            }
            for mount in spec.mounts
        ],
        "devices": [
            {"container_path": one.target, "host_path": one.source, "permissions": one.permissions}
            for one in spec.devices
        ],
        "cdi_devices": [{"name": name} for name in spec.cdi_devices],
        "labels": {
            NODE_LABEL: node,
            POD_UID: spec.pod_uid,
            _POD_NAME: spec.pod_name,
            _POD_NAMESPACE: spec.pod_namespace,
            CONTAINER_NAME: spec.name,
        },
        "annotations": {
            **spec.annotations,
            _ATTEMPT: str(spec.attempt),
            **({STOP_SIGNAL: spec.stop_signal} if spec.stop_signal else {}),
        },
        "log_path": str(PurePath(spec.log_path).relative_to(shared.log_directory)),
        "stdin": spec.stdin,
        "stdin_once": spec.stdin_once,
        "tty": spec.tty,
        "linux": {
            "resources": resources(spec.limits, unified=unified),
            "security_context": _security(spec.security, options),
        },
    }


def knows_cdi(name: str, version: str, configuration: Mapping[str, Any]) -> bool:
    """Whether a runtime makes the edits of CDI devices itself.

    A containerd does so from 2.0 on unless it is told otherwise, from 1.7.2 on if it is told to, and says which.
    """
    if name != "containerd":
        return True
    numbers = tuple(int(one) for one in re.findall(r"\d+", version)[:3])
    return numbers >= _CDI_SINCE and bool(configuration.get("enableCDI", numbers >= _CDI_ALWAYS))


def trouble(conditions: Iterable[Message]) -> str:
    """What RuntimeConditions say against running containers; their network is the node's own affair."""
    for one in conditions:
        if one["type"] == "RuntimeReady" and not one["status"]:
            return f"container runtime not ready: RuntimeReady=false reason:{one['reason']} message:{one['message']}"
    return ""


def used(seen: Message | None) -> Used:
    """A FilesystemUsage."""
    fields = ((seen or {}).get(name) or {} for name in ("used_bytes", "inodes_used"))
    return Used(*(field.get("value", 0) for field in fields))


def resources(limits: Limits, *, unified: bool = False) -> Message:
    """A LinuxContainerResources, for groups of version 2 if `unified`."""
    return {
        "cpu_period": limits.cpu_period if limits.cpu_quota else 0,
        "cpu_quota": limits.cpu_quota,
        "cpu_shares": limits.cpu_shares,
        "memory_limit_in_bytes": limits.memory,
        "memory_swap_limit_in_bytes": limits.memory + limits.swap if limits.memory else 0,
        "oom_score_adj": limits.oom_score_adj,
        "cpuset_cpus": limits.cpus,
        "hugepage_limits": [{"page_size": size, "limit": limit} for size, limit in limits.hugepages.items()],
        "unified": limits.unified if unified else {},
    }


def _security(security: Security, options: Message) -> Message:
    context: Message = {
        "capabilities": {"add_capabilities": _bare(security.add), "drop_capabilities": _bare(security.drop)},
        "privileged": security.privileged,
        "namespace_options": options,
        "readonly_rootfs": security.read_only_root,
        "supplemental_groups": list(security.groups),
        "supplemental_groups_policy": not security.merge_image_groups,
        "no_new_privs": security.no_new_privileges,
        "seccomp": _profile(security.seccomp),
    }
    if security.apparmor:
        context["apparmor"] = _profile(security.apparmor.removeprefix("localhost/"))
    if security.run_as_user is not None:
        context["run_as_user"] = {"value": security.run_as_user}
    if security.run_as_group is not None:
        context["run_as_group"] = {"value": security.run_as_group}
    if not security.unmasked_proc and not security.privileged:
        context |= {"masked_paths": list(MASKED), "readonly_paths": list(READ_ONLY)}
    return context


def _profile(profile: str) -> Message:
    if profile in {"", "Unconfined"}:
        return {"profile_type": cri.UNCONFINED}
    if profile == "RuntimeDefault":
        return {"profile_type": cri.RUNTIME_DEFAULT}
    return {"profile_type": cri.LOCALHOST, "localhost_ref": profile}


def _bare(names: tuple[str, ...]) -> list[str]:
    return [name.upper().removeprefix("CAP_") for name in names]


def process_of(info: Mapping[str, Any]) -> Process:
    """What a container runs, from the details that a runtime tells of it."""
    annotations = (info.get("config") or {}).get("annotations") or {}
    return Process(user_of(info.get("runtimeSpec") or {}), annotations.get(STOP_SIGNAL, ""))
