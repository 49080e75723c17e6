"""For whom the tokens of a pod are: a node may ask for those alone.

Ref: https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#noderestriction
"""

from collections.abc import Iterator

from mizzen.api.core.persistentvolume import PERSISTENT_VOLUME
from mizzen.api.core.persistentvolumeclaim import PERSISTENT_VOLUME_CLAIM
from mizzen.api.storage.csidriver import CSI_DRIVER
from mizzen.machinery.errors import Object
from mizzen.server.seams import Reader


def of_pod(reader: Reader, pod: Object) -> Iterator[str]:
    """The audiences that a pod's volumes name, and those of the drivers of its volumes; empty: the API server."""
    for volume in pod["spec"].get("volumes") or ():
        for source in (volume.get("projected") or {}).get("sources") or ():
            if (token := source.get("serviceAccountToken")) is not None:
                yield token.get("audience") or ""
        driver = reader.get(CSI_DRIVER, "", _driver(reader, pod, volume))
        for request in ((driver or {}).get("spec") or {}).get("tokenRequests") or ():
            yield request.get("audience") or ""


def _driver(reader: Reader, pod: Object, volume: Object) -> str:
    """The driver that mounts a volume."""
    name = (volume.get("csi") or {}).get("driver") or ""
    if name:
        return str(name)
    claim_name = (volume.get("persistentVolumeClaim") or {}).get("claimName") or ""
    if volume.get("ephemeral") is not None:
        claim_name = f"{pod['metadata']['name']}-{volume['name']}"
    claim = reader.get(PERSISTENT_VOLUME_CLAIM, pod["metadata"]["namespace"], claim_name) if claim_name else None
    bound = (claim or {}).get("spec", {}).get("volumeName") or ""
    held = reader.get(PERSISTENT_VOLUME, "", bound) if bound else None
    return str((((held or {}).get("spec") or {}).get("csi") or {}).get("driver") or "")
