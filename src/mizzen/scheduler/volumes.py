"""Binding the volumes of a pod that has been given a node: choose, ask, and wait until every claim is bound.

Ref: https://kubernetes.io/docs/concepts/storage/storage-classes/#volume-binding-mode
"""

from dataclasses import dataclass

from mizzen.api.views.core import PersistentVolume, PersistentVolumeClaim
from mizzen.client.client import Client
from mizzen.client.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES
from mizzen.scheduler.plugins import volumes as plugin
from mizzen.scheduler.snapshot import PodInfo, Snapshot


@dataclass(frozen=True, slots=True)
class Choice:
    """A claim that is to be bound for a pod: to a volume that is there, or by its provisioner for the node."""

    claim: PersistentVolumeClaim
    volume: PersistentVolume | None


def unbound(pod: PodInfo, node: str, snapshot: Snapshot) -> tuple[Choice, ...]:
    """The pod's claims that have no volume yet, with a free volume on the node where there is one."""
    found = [snapshot.lookups.claim(pod.pod.metadata.namespace, name) for name in pod.claims]
    waiting = [claim for claim in found if claim is not None and not claim.spec.volumeName]
    chosen = plugin.Free(waiting, snapshot).chosen(snapshot.nodes[node])
    return tuple(Choice(claim, chosen[claim.metadata.name]) for claim in waiting)


async def ask(client: Client, choice: Choice, node: str) -> None:
    """Reserve the volume for the claim, or tell the claim's provisioner which node it is for. Raises ApiError."""
    meta = choice.claim.metadata
    if choice.volume is not None:
        reference = {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "namespace": meta.namespace,
            "name": meta.name,
            "uid": meta.uid,
        }
        volume = choice.volume.metadata
        patch = {"metadata": {"resourceVersion": volume.resourceVersion}, "spec": {"claimRef": reference}}
        await client.patch(PERSISTENT_VOLUMES, volume.name, patch)
    else:
        patch = {"metadata": {"annotations": {plugin.SELECTED_NODE: node}}}
        await client.patch(PERSISTENT_VOLUME_CLAIMS, meta.name, patch, meta.namespace)
