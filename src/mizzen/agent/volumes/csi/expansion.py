"""Growing a volume on the node, after its driver's controller has grown it in the storage system.

Ref: https://kubernetes.io/docs/concepts/storage/persistent-volumes/#expanding-persistent-volumes-claims
"""

from collections.abc import Mapping
from typing import Any

from mizzen.agent.volumes.csi import requests
from mizzen.agent.volumes.csi.drivers import Driver
from mizzen.agent.volumes.kinds import ResizeFailure
from mizzen.client.client import Client
from mizzen.client.resources import PERSISTENT_VOLUME_CLAIMS
from mizzen.machinery import quantity
from mizzen.machinery.errors import Object
from mizzen.net.rpc import Refused


def is_due(claim: Object, persistent: Object) -> bool:
    """Whether the volume is larger than the claim's status knows."""
    has = (claim.get("status") or {}).get("capacity") or {}
    size = (persistent["spec"].get("capacity") or {}).get("storage")
    return bool(size) and "storage" in has and quantity.compare(str(size), str(has["storage"])) > 0


async def expand(client: Client, driver: Driver, claim: Object, persistent: Object, request: Mapping[str, Any]) -> bool:
    """Grow a published volume where it is due; answers whether it was. Raises ResizeFailure, ApiError, ConnectionError.

    `request` is the driver's, but for the size.
    """
    if not is_due(claim, persistent):
        return False
    size = str(persistent["spec"]["capacity"]["storage"])
    name = persistent["metadata"]["name"]
    try:
        asked = {**request, "capacity_range": {"required_bytes": quantity.in_bytes(size)}}
        await driver.call("NodeExpandVolume", asked)
    except Refused as error:
        raise ResizeFailure(f'MountVolume.NodeExpandVolume failed for volume "{name}" : {error}') from error
    if (change := requests.grown_claim(claim, size)) is not None:
        meta = claim["metadata"]
        await client.patch(PERSISTENT_VOLUME_CLAIMS, meta["name"], change, meta["namespace"], subresource="status")
    return True
