"""Tokens of a pod's service account, bound to the pod."""

from mizzen.api.views.podspec import Pod
from mizzen.client.client import Client
from mizzen.client.resources import SERVICE_ACCOUNTS
from mizzen.machinery.errors import Object


async def requested(client: Client, pod: Pod, audience: str, seconds: int | None) -> Object:
    """The status of a fresh token request: `token` and `expirationTimestamp`. Raises ApiError, ConnectionError."""
    meta = pod.metadata
    spec: Object = {
        "audiences": [audience] if audience else [],
        "boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": meta.name, "uid": meta.uid},
    }
    if seconds is not None:
        spec["expirationSeconds"] = seconds
    body: Object = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    account = pod.spec.serviceAccountName or "default"
    answer = await client.create(SERVICE_ACCOUNTS, body, meta.namespace, name=account, subresource="token")
    status: Object = answer["status"]
    return status
