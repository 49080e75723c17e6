"""Carries out one instruction of a pod's life and answers what came of it.

Every instruction ends in exactly one event, also when it fails: the life waits for it.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal, assert_never

from mizzen.agent import actions, envfile, life, loglinks, sandboxes
from mizzen.agent.actions import Target, Verdict
from mizzen.agent.containers import Ground, container_spec
from mizzen.agent.devices.preparation import ClaimFailure
from mizzen.agent.env import ConfigFailure, Sources, environment, references, subpath_of
from mizzen.agent.equipment import Equipment
from mizzen.agent.images import keyring, policy
from mizzen.agent.images.keyring import Credential
from mizzen.agent.life import Happening, Instruction, Life
from mizzen.agent.logs import remove_older
from mizzen.agent.runtime.base import Device, RuntimeFailure
from mizzen.agent.volumes import teardown
from mizzen.agent.volumes.kinds import VolumeFailure
from mizzen.api.views.podspec import Container, LifecycleHook, Pod
from mizzen.base import log
from mizzen.client.client import Resource
from mizzen.client.resources import CONFIG_MAPS, PODS, RUNTIME_CLASSES, SECRETS
from mizzen.machinery import times
from mizzen.machinery.errors import ApiError, Object

_log = log.get("agent")
_API_TROUBLE = (ApiError, ConnectionError, TimeoutError)
_HOOK_LIMIT = 24 * 3600.0
_STOP_PAUSE = 1.0
_NOT_RECURSIVE = (
    'failed to resolve recursive read-only mode: volume "{}" requested recursive read-only mode, but it is not '
    "supported by the runtime"
)


async def carry_out(tools: Equipment, seen: Life, instruction: Instruction) -> Happening | None:
    """Do it; `seen` is the life as it was when the instruction was given."""
    pod = seen.pod
    match instruction:
        case life.MountVolumes():
            return await _mount(tools, seen)
        case life.OpenSandbox():
            return await _open(tools, pod)
        case life.Pull(container):
            return await _pull(tools, pod, container)
        case life.Start(container, attempt, image_id):
            return await _start(tools, seen, container, attempt, image_id)
        case life.RunHook():
            return await _hook(tools, seen, instruction)
        case life.Stop(name, attempt, id, grace):
            try:
                await tools.runtime.stop(id, grace)
            except RuntimeFailure:
                await tools.clock.sleep(_STOP_PAUSE)  # it is tried again at once
                return life.StopFailed(name, attempt)
            return None  # the end itself is seen by the runtime's watch
        case life.Resize(container, attempt, id):
            return await _resize(tools, seen, container, attempt, id)
        case life.ResizePod(given):
            return await _resize_pod(tools, seen, given)
        case life.Discard(id, name, attempt):
            with contextlib.suppress(RuntimeFailure):
                await tools.runtime.remove(id)
            loglinks.remove(tools.config.logs, id)
            await asyncio.to_thread(remove_older, tools.pod_logs(pod) / name, attempt)
            await asyncio.to_thread(remove_older, tools.message_file(pod.metadata.uid, name, attempt).parent, attempt)
            return None
        case life.CloseSandbox(id):
            return await _close(tools, pod, id)
        case life.UnmountVolumes():
            return await _unmount(tools, pod)
        case life.Forget(delete):
            return life.ForgetDone(await _forget(tools, pod, delete=delete))
        case life.Emit(kind, reason, message, container_name):
            tools.tell(pod, kind, reason, message, container_name)
            return None
        case _:
            assert_never(instruction)


def failed(instruction: Instruction, text: str) -> Happening | None:
    """What a defect in carrying an instruction out comes to: that it has failed."""
    match instruction:
        case life.MountVolumes():
            return life.SetupFailed("volumes", "FailedMount", text)
        case life.OpenSandbox():
            return life.SetupFailed("sandbox", "FailedCreatePodSandBox", text)
        case life.Pull(container):
            return life.PullFailed(container.name, "ErrImagePull", text)
        case life.Start(container, attempt, _):
            return life.StartFailed(container.name, attempt, "CreateContainerError", text)
        case life.RunHook(container, attempt, _, hook, _):
            return life.HookDone(container.name, attempt, hook, text)
        case life.Stop(name, attempt, _, _):
            return life.StopFailed(name, attempt)
        case life.Resize(container, attempt, _):
            return life.Resized(container.name, attempt, container.resources, text)
        case life.ResizePod(given):
            return life.PodResized(given, text)
        case life.CloseSandbox():
            return life.CleanupFailed("sandbox", text)
        case life.UnmountVolumes():
            return life.CleanupFailed("volumes", text)
        case life.Forget():
            return life.ForgetDone(False)
        case _:
            return None


def sources_of(tools: Equipment, pod: Pod, ips: Sequence[str]) -> Sources:
    """What the downward API knows."""
    hosts = tools.config.node_ips
    own = hosts if pod.spec.hostNetwork else tuple(ips)
    return Sources(pod_ips=own, host_ips=hosts, node_allocatable=tools.resources.allocatable)


async def _mount(tools: Equipment, seen: Life) -> Happening:
    home = tools.pod_home(seen.pod.metadata.uid)
    try:
        home.mkdir(parents=True, exist_ok=True)
        await tools.volumes.mount(seen.pod, sources_of(tools, seen.pod, seen.ips))
    except (VolumeFailure, OSError, *_API_TROUBLE) as error:
        return life.SetupFailed("volumes", "FailedMount", str(error))
    return life.VolumesMounted()


async def _open(tools: Equipment, pod: Pod) -> Happening:
    uid = pod.metadata.uid
    try:
        await tools.devices.prepare(pod)
        handler = await _handler(tools, pod)
        spec = sandboxes.sandbox_spec(pod, tools.config, tools.pod_logs(pod), tools.hostname, tools.pod_limits(pod))
        spec = replace(spec, handler=handler)
        sandbox = await tools.runtime.open_sandbox(spec)
        ips = sandbox.ips
        if sandbox.netns is not None:
            ips = await tools.network.attach(sandboxes.attachment(pod), sandbox.netns)
        elif spec.host_network:
            ips = tools.config.node_ips
        for text in sandboxes.omitted_from_resolver(pod, tools.config):
            tools.tell(pod, "Warning", "DNSConfigForming", text)
        sandboxes.write_etc(tools.pod_home(uid) / "etc", pod, ips, tools.config, spec.hostname)
        sandboxes.note_addresses(tools.pod_home(uid), ips)
    except ClaimFailure as error:
        text = f"Failed to prepare dynamic resources: {error}"
        return life.SetupFailed("sandbox", "FailedPrepareDynamicResources", text)
    except (RuntimeFailure, OSError, ValueError, LookupError, *_API_TROUBLE) as error:
        text = f"Failed to create pod sandbox: {error}"
        return life.SetupFailed("sandbox", "FailedCreatePodSandBox", text)
    return life.SandboxOpened(sandbox.id, ips)


async def _handler(tools: Equipment, pod: Pod) -> str:
    """The runtime's handler that the pod's RuntimeClass names. Raises ApiError, RuntimeFailure."""
    name = pod.spec.runtimeClassName
    if not name:
        return ""
    chosen = await tools.client.get(RUNTIME_CLASSES, name, view=dict)
    handler = str(chosen.get("handler") or "")
    if tools.config.runtime != "cri" and handler not in {"", tools.config.runtime, *tools.config.runtime_handlers}:
        raise RuntimeFailure("CreatePodSandboxError", f'no runtime for "{handler}" is configured')
    return handler


async def _pull(tools: Equipment, pod: Pod, container: Container) -> Happening:
    def tell(kind: Literal["Normal", "Warning"], reason: str, message: str) -> None:
        tools.tell(pod, kind, reason, message, container.name)

    try:
        credentials = await pull_credentials(tools, pod)
        present = await policy.ensure(
            tools.images, container.image, container.imagePullPolicy, credentials, tell=tell, clock=tools.clock,
            further=partial(tools.providers.credentials, pod),
        )  # fmt: skip
    except policy.ImageRefused as refused:
        return life.PullFailed(container.name, refused.reason, refused.message)
    except (OSError, *_API_TROUBLE) as error:
        return life.PullFailed(container.name, "ErrImagePull", str(error))
    mounts = {mount.name for mount in container.volumeMounts or ()}
    for volume in pod.spec.volumes or ():
        if volume.image is not None and volume.name in mounts:
            try:
                await tools.volumes.mount_image(pod, volume)
            except policy.ImageRefused as refused:
                return life.PullFailed(container.name, refused.reason, refused.message, volume.image.reference)
            except (VolumeFailure, OSError, *_API_TROUBLE) as error:
                tools.tell(pod, "Warning", "FailedMount", str(error))
                return life.PullFailed(container.name, "ErrImagePull", str(error), volume.image.reference)
    return life.Pulled(container.name, present.id)


async def pull_credentials(tools: Equipment, pod: Pod) -> tuple[Credential, ...]:
    """The credentials of the pod's pull secrets; those that do not exist count for nothing."""
    found: list[Credential] = []
    for reference in pod.spec.imagePullSecrets or ():
        secret = await tools.objects.get(SECRETS, pod.metadata.namespace, reference.name, pod.metadata.uid)
        found += keyring.from_secret(secret or {})
    return tuple(found)


async def _start(tools: Equipment, seen: Life, container: Container, attempt: int, image_id: str) -> Happening:
    pod = seen.pod
    try:
        ground = await _ground(tools, seen, container, attempt)
        spec = container_spec(pod, container, attempt, image_id, ground)
    except (ConfigFailure, VolumeFailure, KeyError, *_API_TROUBLE) as error:
        text = f"volume {error} is not mounted" if isinstance(error, KeyError) else str(error)
        tools.tell(pod, "Warning", "Failed", f"Error: {text}", container.name)
        return life.StartFailed(container.name, attempt, "CreateContainerConfigError", text)
    id = ""
    resized = attempt > 0 and (pod.metadata.generation or 0) > 1  # then the pod's bounds may be those of before
    try:
        if resized:
            _make_way(tools, pod)
        id = await tools.runtime.create(seen.sandbox_id, spec)
        tools.tell(pod, "Normal", "Created", "Container created", container.name)
        process = await tools.runtime.process_of(id)
        with contextlib.suppress(OSError):  # collectors may miss a log; the container runs all the same
            loglinks.put(tools.config.logs, pod, container.name, id, tools.log_path(pod, container.name, attempt))
        await tools.runtime.start(id)
    except RuntimeFailure as failure:
        tools.tell(pod, "Warning", "Failed", f"Error: {failure.message}", container.name)
        return life.StartFailed(container.name, attempt, failure.reason, failure.message, id or failure.container)
    if resized:
        with contextlib.suppress(RuntimeFailure):  # it runs; what it may use is bounded all the same
            _bound(tools, seen, container)
    tools.tell(pod, "Normal", "Started", "Container started", container.name)
    return life.Started(container.name, attempt, id, tools.clock.now(), process.user, process.stop_signal)


async def _ground(tools: Equipment, seen: Life, container: Container, attempt: int) -> Ground:
    pod = seen.pod
    uid = pod.metadata.uid
    env = await _environment(tools, seen, container)
    mounted = tools.volumes.of(uid)
    sources: list[tuple[str, bool]] = []
    able = tools.runtime.abilities.recursive_read_only
    for index, wanted in enumerate(container.volumeMounts or ()):
        if wanted.recursiveReadOnly == "Enabled" and not able:
            raise ConfigFailure(_NOT_RECURSIVE.format(wanted.name))
        volume = mounted[wanted.name]
        path = volume.path
        sub = subpath_of(wanted.subPathExpr, dict(env)) if wanted.subPathExpr else wanted.subPath
        if sub:
            path = await tools.volumes.subpath(uid, wanted.name, sub, container.name, index)
        sources.append((str(path), volume.read_only))
    devices = tuple(
        Device(str(mounted[one.name].path.resolve()), one.devicePath) for one in container.volumeDevices or ()
    )
    message = tools.message_file(uid, container.name, attempt)
    message.parent.mkdir(parents=True, exist_ok=True)
    message.touch(0o666)
    message.chmod(0o666)
    return Ground(
        env=env,
        sources=tuple(sources),
        devices=devices,
        pod_home=tools.pod_home(uid) / "etc",
        log_path=str(tools.log_path(pod, container.name, attempt)),
        message_file=message,
        limits=tools.container_limits(pod, container),
        seccomp_root=_seccomp_root(tools),
        recursive_read_only=able,
        granted=await tools.devices.granted(pod, container),
    )


def _seccomp_root(tools: Equipment) -> Path:
    """Where local profiles are: where pods of this node put them, or else where the machine has them."""
    own = tools.config.kubelet / "seccomp"
    return own if own.is_dir() else tools.config.seccomp_root


async def _environment(tools: Equipment, seen: Life, container: Container) -> tuple[tuple[str, str], ...]:
    pod = seen.pod
    meta = pod.metadata
    maps, secrets = references(container)

    async def fetched(kind: Resource, names: frozenset[str]) -> dict[str, Object | None]:
        values = await asyncio.gather(*(tools.objects.get(kind, meta.namespace, name, meta.uid) for name in names))
        return dict(zip(names, values, strict=True))

    sources = replace(
        sources_of(tools, pod, seen.ips),
        config_maps=await fetched(CONFIG_MAPS, maps) if maps else {},
        secrets=await fetched(SECRETS, secrets) if secrets else {},
        services=tuple(tools.services(meta.namespace)),
        files=_env_files(tools, pod, container),
    )
    name = sandboxes.shown_name(pod, tools.config.cluster_domain, tools.hostname)
    return (("HOSTNAME", name), *environment(pod, container, sources))


def _env_files(tools: Equipment, pod: Pod, container: Container) -> dict[tuple[str, str], dict[str, str] | None]:
    """The variables of the files that a container refers to. Raises ConfigFailure."""
    found: dict[tuple[str, str], dict[str, str] | None] = {}
    for one in container.env or ():
        source = one.valueFrom.fileKeyRef if one.valueFrom is not None else None
        if source is None:
            continue
        volume = tools.volumes.of(pod.metadata.uid)[source.volumeName]
        try:
            found[source.volumeName, source.path] = envfile.read(volume.path, source.path)
        except (ValueError, OSError) as error:
            raise ConfigFailure(f'couldn\'t parse environment variable file "{source.path}": {error}') from error
    return found


async def _hook(tools: Equipment, seen: Life, asked: life.RunHook) -> Happening:
    hooks = asked.container.lifecycle
    action = None
    if hooks is not None:
        action = hooks.postStart if asked.hook == "postStart" else hooks.preStop
    ip = next(iter(seen.ips), "") or "127.0.0.1"
    target = Target(asked.container, asked.id, ip)
    limit = asked.timeout or _HOOK_LIMIT
    try:
        async with asyncio.timeout(limit):
            verdict = await _act(tools, action, target, limit)
    except TimeoutError:
        verdict = Verdict(False, f"{asked.hook} hook did not finish in {times.format_duration(round(limit))}")
    # The event does not say how it failed: what the hook answers may be a secret.
    failure = "" if verdict.ok else f"{asked.hook[0].upper()}{asked.hook[1:]}Hook failed"
    if failure:
        _log.info("hook failed", pod=seen.pod.metadata.name, container=asked.container.name, why=verdict.output[:200])
    return life.HookDone(asked.container.name, asked.attempt, asked.hook, failure)


async def _act(tools: Equipment, action: LifecycleHook | None, target: Target, limit: float) -> Verdict:
    if action is None:
        return Verdict(True, "")
    if action.exec is not None:
        return await actions.run_command(tools.runtime, action.exec, target, limit)
    if action.httpGet is not None:
        return await actions.get(action.httpGet, target, limit, probe=False)
    if action.tcpSocket is not None:
        return await actions.connect(action.tcpSocket, target, limit)
    if action.sleep is not None:
        await tools.clock.sleep(float(action.sleep.seconds))
    return Verdict(True, "")


async def _resize(tools: Equipment, seen: Life, container: Container, attempt: int, id: str) -> Happening:
    pod = seen.pod
    limits = tools.container_limits(pod, container)
    whole = tools.pod_limits(pod)
    try:
        await _check_usage(tools, seen, container, limits.memory, whole.memory, id)
        _make_way(tools, pod)
        await tools.runtime.update(id, limits)
        _bound(tools, seen, container)
    except RuntimeFailure as failure:
        given = seen.containers[container.name].resources
        return life.Resized(container.name, attempt, given, str(failure))
    return life.Resized(container.name, attempt, container.resources)


def _make_way(tools: Equipment, pod: Pod) -> None:
    """Lift the pod's own bounds while a container's change: control groups refuse a child beyond its parent.

    Raises RuntimeFailure.
    """
    whole = replace(tools.pod_limits(pod), cpu_quota=0, memory=0)
    try:
        tools.runtime.limit_sandbox(pod.metadata.uid, whole)
    except OSError as error:
        raise RuntimeFailure("ResizeError", str(error)) from error


def _bound(tools: Equipment, seen: Life, changed: Container) -> None:
    """Hold the pod to the sum of its containers, or leave that to those that are still to become smaller.

    Raises RuntimeFailure.
    """
    pod = seen.pod
    try:
        tools.runtime.limit_sandbox(pod.metadata.uid, tools.pod_limits(pod))
    except OSError as error:
        others = [one for one in (*(pod.spec.initContainers or ()), *pod.spec.containers) if one.name != changed.name]
        if all(seen.containers[one.name].resources == one.resources for one in others):
            raise RuntimeFailure("ResizeError", str(error)) from error


async def _resize_pod(tools: Equipment, seen: Life, given: object) -> Happening:
    pod = seen.pod
    whole = tools.pod_limits(pod)
    try:
        await _check_usage(tools, seen, None, 0, whole.memory, "")
        tools.runtime.limit_sandbox(pod.metadata.uid, whole)
    except (RuntimeFailure, OSError) as failure:
        return life.PodResized(given, str(failure))
    return life.PodResized(pod.spec.resources)


async def _check_usage(
    tools: Equipment, seen: Life, container: Container | None, own: int, whole: int, id: str
) -> None:
    """Memory that is in use cannot be taken away. Raises RuntimeFailure."""
    usage = await tools.runtime.stats()
    used = {key: seen_of.working_set_bytes for key, seen_of in usage.items()}
    problems = []
    for what, limit, current in (
        ("pod", whole, used.get(f"pod/{seen.pod.metadata.uid}", 0)),
        (f'container "{container.name}"' if container is not None else "", own, used.get(id, 0)),
    ):
        if what and 0 < limit < current:
            problems.append(f"attempting to set {what} memory limit ({limit}) below current usage ({current})")
    if problems:
        listed = problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]"
        raise RuntimeFailure("ResizeError", f"cannot decrease memory limits: {listed}")


async def _close(tools: Equipment, pod: Pod, sandbox: str) -> Happening:
    try:
        if not pod.spec.hostNetwork:
            await tools.network.detach(pod.metadata.uid)
        await tools.runtime.close_sandbox(sandbox)
    except (RuntimeFailure, OSError) as error:
        return life.CleanupFailed("sandbox", str(error))
    return life.SandboxClosed()


async def _unmount(tools: Equipment, pod: Pod) -> Happening:
    try:
        await tools.devices.release(pod.metadata.uid)
        await tools.volumes.unmount(pod.metadata.uid)
    except (OSError, *_API_TROUBLE) as error:
        return life.CleanupFailed("volumes", str(error))
    tools.objects.release(pod.metadata.uid)
    return life.VolumesUnmounted()


async def _forget(tools: Equipment, pod: Pod, *, delete: bool) -> bool:
    meta = pod.metadata
    if delete:
        try:
            await tools.client.delete(PODS, meta.name, meta.namespace, uid=meta.uid, grace_seconds=0)
        except ApiError as error:
            if error.code not in {404, 409}:
                return False
        except (ConnectionError, TimeoutError):
            return False
    try:
        await tools.devices.release(meta.uid)
        await tools.volumes.unmount(meta.uid)  # of a pod that ended while no agent was there
        await asyncio.to_thread(teardown.remove, tools.pod_home(meta.uid))
        await asyncio.to_thread(teardown.remove, tools.pod_logs(pod))
        await asyncio.to_thread(loglinks.sweep, tools.config.logs)
    except (OSError, *_API_TROUBLE):
        return False
    return True
