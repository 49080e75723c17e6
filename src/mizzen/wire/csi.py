"""Messages between a node and its plugins: their registration, and the node's side of the Container Storage Interface.

Ref: https://github.com/container-storage-interface/spec, https://github.com/kubernetes/kubelet (pluginregistration)
"""

from typing import Final

from mizzen.wire.protobuf import Schema

_SCHEMA: Final = Schema("""
InfoRequest:
PluginInfo: type 1 string, name 2 string, endpoint 3 string, supported_versions 4 *string
RegistrationStatus: plugin_registered 1 int, error 2 string
RegistrationStatusResponse:
NodeGetInfoRequest:
NodeGetInfoResponse: node_id 1 string, max_volumes_per_node 2 int, accessible_topology 3 Topology
Topology: segments 1 map
NodeGetCapabilitiesRequest:
NodeGetCapabilitiesResponse: capabilities 1 *NodeServiceCapability
NodeServiceCapability: rpc 1 RPC
RPC: type 1 int
NodeStageVolumeRequest: volume_id 1 string, publish_context 2 map, staging_target_path 3 string, \
  volume_capability 4 VolumeCapability, secrets 5 map, volume_context 6 map
NodeStageVolumeResponse:
NodeUnstageVolumeRequest: volume_id 1 string, staging_target_path 2 string
NodeUnstageVolumeResponse:
NodePublishVolumeRequest: volume_id 1 string, publish_context 2 map, staging_target_path 3 string, \
  target_path 4 string, volume_capability 5 VolumeCapability, readonly 6 int, secrets 7 map, volume_context 8 map
NodePublishVolumeResponse:
NodeUnpublishVolumeRequest: volume_id 1 string, target_path 2 string
NodeUnpublishVolumeResponse:
NodeExpandVolumeRequest: volume_id 1 string, volume_path 2 string, capacity_range 3 CapacityRange, \
  staging_target_path 4 string, volume_capability 5 VolumeCapability, secrets 6 map
NodeExpandVolumeResponse: capacity_bytes 1 int
CapacityRange: required_bytes 1 int, limit_bytes 2 int
NodeGetVolumeStatsRequest: volume_id 1 string, volume_path 2 string, staging_target_path 3 string
NodeGetVolumeStatsResponse: usage 1 *VolumeUsage, volume_condition 2 VolumeCondition
VolumeUsage: available 1 int, total 2 int, used 3 int, unit 4 int
VolumeCondition: abnormal 1 int, message 2 string
VolumeCapability: block 1 BlockVolume, mount 2 MountVolume, access_mode 3 AccessMode
BlockVolume:
MountVolume: fs_type 1 string, mount_flags 2 *string, volume_mount_group 3 string
AccessMode: mode 1 int
""")
encode, decode = _SCHEMA.encode, _SCHEMA.decode

STAGE_UNSTAGE, GET_STATS, EXPAND, SINGLE_NODE_MULTI_WRITER, MOUNT_GROUP = 1, 2, 3, 5, 6
"""Capabilities of a node plugin."""
BYTES, INODES = 1, 2
"""Units of a volume's usage."""
INFO: Final = "/pluginregistration.Registration/GetInfo"
NOTIFY: Final = "/pluginregistration.Registration/NotifyRegistrationStatus"


def method(call: str) -> str:
    """The gRPC path of a node call, such as `NodeGetInfo`; its messages are `{call}Request` and `{call}Response`."""
    return f"/csi.v1.Node/{call}"
