"""Messages of a node's account of its pods' devices (podresources v1), which monitoring agents and networks read.

Ref: https://github.com/kubernetes/kubelet (pkg/apis/podresources)
"""

from typing import Final

from mizzen.wire.protobuf import Schema

_SCHEMA: Final = Schema("""
ListPodResourcesRequest:
ListPodResourcesResponse: pod_resources 1 *PodResources
GetPodResourcesRequest: pod_name 1 string, pod_namespace 2 string
GetPodResourcesResponse: pod_resources 1 PodResources
AllocatableResourcesRequest:
AllocatableResourcesResponse: devices 1 *ContainerDevices, cpu_ids 2 *int
PodResources: name 1 string, namespace 2 string, containers 3 *ContainerResources
ContainerResources: name 1 string, devices 2 *ContainerDevices, cpu_ids 3 *int, dynamic_resources 5 *DynamicResource
ContainerDevices: resource_name 1 string, device_ids 2 *string
DynamicResource: claim_name 2 string, claim_namespace 3 string, claim_resources 4 *ClaimResource
ClaimResource: cdi_devices 1 *CDIDevice, driver_name 2 string, pool_name 3 string, device_name 4 string
CDIDevice: name 1 string
""")
encode, decode = _SCHEMA.encode, _SCHEMA.decode

LIST: Final = "/v1.PodResourcesLister/List"
GET: Final = "/v1.PodResourcesLister/Get"
ALLOCATABLE: Final = "/v1.PodResourcesLister/GetAllocatableResources"
