"""The embedded runtime and its images, put together; and what removes a node from its machine again."""

import asyncio
import contextlib
import os
import signal
from dataclasses import replace
from typing import Final

from mizzen.agent.config import AgentConfig
from mizzen.agent.http import Dial
from mizzen.agent.images.policy import StoredImages
from mizzen.agent.images.pull import Puller
from mizzen.agent.images.records import PullRecords
from mizzen.agent.images.store import ImageStore
from mizzen.agent.network.routed import PodNetwork
from mizzen.agent.runtime import cgroups, machine
from mizzen.agent.runtime.base import Runtime
from mizzen.agent.runtime.cgroups import Groups
from mizzen.agent.runtime.crun import CrunRuntime
from mizzen.agent.runtime.ungrouped import Ungrouped
from mizzen.agent.volumes import teardown
from mizzen.base import log

_GROUP_ATTEMPTS: Final = 60
_GROUP_PAUSE: Final = 0.05
_log = log.get("agent")


def images_of(config: AgentConfig, dial: Dial | None = None) -> StoredImages:
    """The machine's images; `dial` reaches registries."""
    store = ImageStore(config.images_root)
    store.sweep()
    records = PullRecords(config.images_root, config.image_verification, config.unverified_images)
    turns = asyncio.Semaphore(config.parallel_pulls) if config.parallel_pulls else contextlib.nullcontext()
    return StoredImages(store, Puller(store, dial), records, turns)


def runtime_of(config: AgentConfig, images: StoredImages) -> CrunRuntime:
    """The node's containers; needs a running event loop. Raises RuntimeFailure, OSError."""
    groups, programs = groups_of(config), machine.find_programs()
    if isinstance(groups, Ungrouped):
        programs = replace(programs, flags=("--cgroup-manager=disabled",))
    directories = (*config.cdi_directories, *((config.cdi,) if config.cdi is not None else ()))
    return CrunRuntime(config.root, images.store, groups, programs, directories)


def groups_of(config: AgentConfig) -> Groups:
    """The node's control groups, or what stands for them where an ordinary user has none."""
    with contextlib.suppress(OSError):
        found = cgroups.find(config.cgroup_parent)
        if cgroups.are_ours(found):
            return found
    return Ungrouped(config.root, config.cgroup_parent)


async def purge(
    config: AgentConfig, network: PodNetwork | None, *, grace: float = 0.0, runtime: Runtime | None = None
) -> None:
    """End every container of a node and remove all that it keeps on the machine, its directory included.

    Containers have `grace` seconds to end by themselves; `runtime` is the embedded one unless given.
    """
    if config.root.exists():
        await _end_all(config, network, grace, runtime)
        await asyncio.to_thread(teardown.remove, config.root)


async def halt(
    config: AgentConfig, network: PodNetwork | None, *, grace: float = 0.0, runtime: Runtime | None = None
) -> None:
    """As `purge`, but what pods have written stays for their next containers, as when a machine goes off."""
    if config.root.exists():
        await _end_all(config, network, grace, runtime)
        kept = (config.kubelet / "pods", config.logs / "pods")
        await asyncio.to_thread(teardown.remove_all_but, config.root, kept)


async def _end_all(config: AgentConfig, network: PodNetwork | None, grace: float, runtime: Runtime | None) -> None:
    runtime = runtime or runtime_of(config, images_of(config))
    seen = await runtime.observe()
    if grace:
        await asyncio.gather(*(runtime.stop(one.id, grace) for one in seen.containers if one.state == "running"))
    for container in seen.containers:
        await runtime.remove(container.id)
    pods = config.kubelet / "pods"
    uids = {one.uid for one in seen.sandboxes} | {path.name for path in (pods.iterdir() if pods.exists() else ())}
    for uid in sorted(uids):
        if network is not None:
            await network.detach(uid)
        await runtime.close_sandbox(uid)
    await runtime.close()
    await _remove_groups(groups_of(config), config.cgroup_parent)


async def _remove_groups(groups: Groups, parent: str) -> None:
    """Remove a node's control groups; the kernel counts an ended process in them until it is reaped, a moment later."""
    for pid in groups.members(parent):  # of a container that its runtime has lost; all others have ended
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    for _ in range(_GROUP_ATTEMPTS):
        try:
            groups.remove(parent)
            return
        except OSError:
            await asyncio.sleep(_GROUP_PAUSE)
    _log.warning("control groups are still in use", group=parent)
