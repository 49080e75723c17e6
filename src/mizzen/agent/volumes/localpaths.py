"""Give back the directories of deleted local-path volumes: the agent's part of that provisioner's contract.

The volume's finalizer keeps it in the API until the node that holds the data has dealt with it.
"""

import asyncio
from pathlib import Path
from typing import Any

from mizzen.agent.volumes import teardown
from mizzen.base import log
from mizzen.base.clock import Clock
from mizzen.client.client import Client
from mizzen.client.resources import PERSISTENT_VOLUMES
from mizzen.machinery.errors import ApiError, Object

_log = log.get("agent")
FINALIZER = "mizzen.io/local-path"
_HOSTNAME = "kubernetes.io/hostname"
_RETRY = 5.0


def is_ours_to_remove(volume: Object, hostname: str) -> bool:
    """Whether a volume is being deleted, and its data is on this node; other finalizers come first."""
    meta, spec = volume["metadata"], volume.get("spec") or {}
    finalizers = meta.get("finalizers") or ()
    if not meta.get("deletionTimestamp") or tuple(finalizers) != (FINALIZER,) or "local" not in spec:
        return False
    required = ((spec.get("nodeAffinity") or {}).get("required") or {}).get("nodeSelectorTerms") or ()
    return any(
        one.get("key") == _HOSTNAME and hostname in (one.get("values") or ())
        for term in required
        for one in term.get("matchExpressions") or ()
    )


async def reclaim(client: Client, clock: Clock, hostname: str) -> None:
    """Watch volumes and remove what is ours to remove, until cancelled."""
    while True:
        try:
            async for event in client.watch(PERSISTENT_VOLUMES, view=dict, initial=True, timeout=540):
                if event.object is not None and event.type != "DELETED" and is_ours_to_remove(event.object, hostname):
                    await _remove(client, event.object)
        except (ApiError, ConnectionError, TimeoutError, OSError) as error:
            _log.debug("local volumes not followed", error=str(error))
            await clock.sleep(_RETRY)
        await clock.sleep(0.01)


async def _remove(client: Client, volume: dict[str, Any]) -> None:
    meta, spec = volume["metadata"], volume["spec"]
    if spec.get("persistentVolumeReclaimPolicy") == "Delete":
        await asyncio.to_thread(teardown.remove, Path(spec["local"]["path"]))
        _log.info("local volume removed", volume=meta["name"])
    patch: Object = {"metadata": {"uid": meta["uid"], "finalizers": None}}
    try:
        await client.patch(PERSISTENT_VOLUMES, meta["name"], patch)
    except ApiError as error:
        if error.code != 404:
            raise
