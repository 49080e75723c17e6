"""From a container of a pod to what the runtime runs: a pure translation, given environment and mount sources."""

from dataclasses import dataclass, field
from pathlib import Path

from mizzen.agent.devices.ledger import Granted
from mizzen.agent.env import expand
from mizzen.agent.runtime.base import ContainerSpec, Device, Limits, Mount, Security
from mizzen.api.views.podspec import AppArmorProfile, Capabilities, Container, Pod, PodSecurityContext, SecurityContext

_PROPAGATION = {"HostToContainer": "rslave", "Bidirectional": "rshared"}
DEFAULT_MESSAGE_PATH = "/dev/termination-log"


@dataclass(frozen=True, slots=True)
class Ground:
    """What a container stands on: its environment, mount sources by index of volumeMounts, devices, and files."""

    env: tuple[tuple[str, str], ...]
    sources: tuple[tuple[str, bool], ...]
    """For each volumeMount: path on the host, and whether the volume itself is read-only."""
    devices: tuple[Device, ...]
    pod_home: Path
    log_path: str
    message_file: Path
    limits: Limits
    seccomp_root: Path
    hosts_managed: bool = True
    recursive_read_only: bool = True
    """Whether the runtime can make mounts read-only with all below them."""
    granted: Granted = field(default_factory=Granted)


def container_spec(pod: Pod, container: Container, attempt: int, image_id: str, ground: Ground) -> ContainerSpec:
    """The runtime's view of one attempt."""
    variables = dict(ground.env)
    return ContainerSpec(
        pod_uid=pod.metadata.uid,
        pod_namespace=pod.metadata.namespace,
        pod_name=pod.metadata.name,
        name=container.name,
        attempt=attempt,
        image=container.image,
        image_id=image_id,
        log_path=ground.log_path,
        command=tuple(expand(one, variables) for one in container.command or ()),
        args=tuple(expand(one, variables) for one in container.args or ()),
        env=(*ground.granted.env, *ground.env),
        cwd=container.workingDir or "",
        tty=bool(container.tty),
        stdin=bool(container.stdin),
        stdin_once=bool(container.stdinOnce),
        mounts=_mounts(container, ground),
        devices=(*ground.devices, *ground.granted.devices),
        limits=ground.limits,
        security=security_of(pod, container, ground.seccomp_root),
        stop_signal=(container.lifecycle.stopSignal or "") if container.lifecycle is not None else "",
        target=container.targetContainerName or "",
        annotations=ground.granted.annotations,
        cdi_devices=ground.granted.cdi,
    )


def _mounts(container: Container, ground: Ground) -> tuple[Mount, ...]:
    mounts = []
    modes = {"Enabled", "IfPossible"} if ground.recursive_read_only else set()
    for wanted, (source, volume_read_only) in zip(container.volumeMounts or (), ground.sources, strict=True):
        mounts.append(
            Mount(
                source=source,
                target=wanted.mountPath if wanted.mountPath.startswith("/") else f"/{wanted.mountPath}",
                read_only=bool(wanted.readOnly) or volume_read_only,
                recursive_read_only=bool(wanted.readOnly) and wanted.recursiveReadOnly in modes,
                propagation=_PROPAGATION.get(wanted.mountPropagation or "", "rprivate"),
            )
        )
    taken = {mount.target for mount in mounts}
    managed = [("etc-hosts", "/etc/hosts"), ("hostname", "/etc/hostname"), ("resolv.conf", "/etc/resolv.conf")]
    read_only = container.securityContext is not None and bool(container.securityContext.readOnlyRootFilesystem)
    for name, target in managed:
        if target not in taken and (ground.hosts_managed or target != "/etc/hosts"):
            mounts.append(Mount(str(ground.pod_home / name), target, read_only=read_only and target != "/etc/hosts"))
    message_path = container.terminationMessagePath or DEFAULT_MESSAGE_PATH
    if message_path not in taken:
        mounts.append(Mount(str(ground.message_file), message_path))
    mounts += [one for one in ground.granted.mounts if one.target not in taken]
    return tuple(mounts)


def security_of(pod: Pod, container: Container, seccomp_root: Path) -> Security:
    """The container's security settings over the pod's."""
    own = container.securityContext or SecurityContext()
    shared = pod.spec.securityContext or PodSecurityContext()
    capabilities = own.capabilities or Capabilities()
    groups = set(shared.supplementalGroups or ())
    if shared.fsGroup is not None:
        groups.add(shared.fsGroup)
    privileged = bool(own.privileged)
    adds_admin = any(one.upper().removeprefix("CAP_") == "SYS_ADMIN" for one in capabilities.add or ())
    escalates = own.allowPrivilegeEscalation is not False or privileged or adds_admin
    profile = own.seccompProfile or shared.seccompProfile
    seccomp = profile.type if profile is not None else "Unconfined"
    if profile is not None and profile.type == "Localhost":
        seccomp = str(seccomp_root / (profile.localhostProfile or ""))
    armor = own.appArmorProfile or shared.appArmorProfile or AppArmorProfile()
    return Security(
        run_as_user=own.runAsUser if own.runAsUser is not None else shared.runAsUser,
        run_as_group=own.runAsGroup if own.runAsGroup is not None else shared.runAsGroup,
        run_as_non_root=bool(own.runAsNonRoot if own.runAsNonRoot is not None else shared.runAsNonRoot),
        groups=tuple(sorted(groups)),
        merge_image_groups=shared.supplementalGroupsPolicy != "Strict",
        add=capabilities.add or (),
        drop=capabilities.drop or (),
        privileged=privileged,
        read_only_root=bool(own.readOnlyRootFilesystem),
        no_new_privileges=not escalates,
        seccomp="Unconfined" if privileged else seccomp,
        unmasked_proc=own.procMount == "Unmasked",
        apparmor=f"localhost/{armor.localhostProfile}" if armor.type == "Localhost" else armor.type,
    )
