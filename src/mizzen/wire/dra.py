"""Messages between a node and the drivers of its dynamic resources (v1; v1beta1 has the same ones).

Ref: https://github.com/kubernetes/kubelet (pkg/apis/dra)
"""

from typing import Final

from mizzen.wire.protobuf import Schema

_SCHEMA: Final = Schema("""
NodePrepareResourcesRequest: claims 1 *Claim
NodePrepareResourcesResponse: claims 1 *Prepared
Prepared: key 1 string, value 2 NodePrepareResourceResponse
NodePrepareResourceResponse: devices 1 *Device, error 2 string
Device: request_names 1 *string, pool_name 2 string, device_name 3 string, cdi_device_ids 4 *string
NodeUnprepareResourcesRequest: claims 1 *Claim
NodeUnprepareResourcesResponse: claims 1 *Unprepared
Unprepared: key 1 string, value 2 NodeUnprepareResourceResponse
NodeUnprepareResourceResponse: error 1 string
Claim: namespace 1 string, uid 2 string, name 3 string
""")
encode, decode = _SCHEMA.encode, _SCHEMA.decode

SERVICES: Final = ("v1.DRAPlugin", "v1beta1.DRAPlugin")
"""What a driver may say that it serves, the best first."""


def method(service: str, call: str) -> str:
    """The gRPC path of a call, such as `NodePrepareResources`, of one of `SERVICES`."""
    return f"/k8s.io.kubelet.pkg.apis.dra.{service}/{call}"
