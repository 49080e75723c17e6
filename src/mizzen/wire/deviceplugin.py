"""Messages between a node and its device plugins (v1beta1).

Ref: https://kubernetes.io/docs/concepts/extend-kubernetes/compute-storage-net/device-plugins/
"""

from typing import Final

from mizzen.wire.protobuf import Schema

_SCHEMA: Final = Schema("""
Empty:
RegisterRequest: version 1 string, endpoint 2 string, resource_name 3 string, options 4 DevicePluginOptions
DevicePluginOptions: pre_start_required 1 int, get_preferred_allocation_available 2 int
ListAndWatchResponse: devices 1 *Device
Device: ID 1 string, health 2 string
PreferredAllocationRequest: container_requests 1 *ContainerPreferredAllocationRequest
ContainerPreferredAllocationRequest: available_deviceIDs 1 *string, must_include_deviceIDs 2 *string, \
  allocation_size 3 int
PreferredAllocationResponse: container_responses 1 *ContainerPreferredAllocationResponse
ContainerPreferredAllocationResponse: deviceIDs 1 *string
AllocateRequest: container_requests 1 *ContainerAllocateRequest
ContainerAllocateRequest: devices_ids 1 *string
AllocateResponse: container_responses 1 *ContainerAllocateResponse
ContainerAllocateResponse: envs 1 map, mounts 2 *Mount, devices 3 *DeviceSpec, annotations 4 map, \
  cdi_devices 5 *CDIDevice
Mount: container_path 1 string, host_path 2 string, read_only 3 int
DeviceSpec: container_path 1 string, host_path 2 string, permissions 3 string
CDIDevice: name 1 string
PreStartContainerRequest: devices_ids 1 *string
PreStartContainerResponse:
""")
encode, decode = _SCHEMA.encode, _SCHEMA.decode

VERSION: Final = "v1beta1"
HEALTHY: Final = "Healthy"
REGISTER: Final = "/v1beta1.Registration/Register"
_MESSAGES: Final = {
    "GetDevicePluginOptions": ("Empty", "DevicePluginOptions"),
    "ListAndWatch": ("Empty", "ListAndWatchResponse"),
    "GetPreferredAllocation": ("PreferredAllocationRequest", "PreferredAllocationResponse"),
}


def method(call: str) -> str:
    """The gRPC path of a plugin's call, such as `Allocate`."""
    return f"/v1beta1.DevicePlugin/{call}"


def messages(call: str) -> tuple[str, str]:
    """The names of what a call is asked and what it answers."""
    return _MESSAGES.get(call, (f"{call}Request", f"{call}Response"))
