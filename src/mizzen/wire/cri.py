"""Messages of the Container Runtime Interface (runtime.v1) as bytes.

Ref: https://github.com/kubernetes/cri-api
"""

from typing import Final

from mizzen.wire.protobuf import Schema

_SCHEMA: Final = Schema("""
RunPodSandboxRequest: config 1 PodSandboxConfig, runtime_handler 2 string
RunPodSandboxResponse: pod_sandbox_id 1 string
PodSandboxConfig: metadata 1 PodSandboxMetadata, hostname 2 string, log_directory 3 string, dns_config 4 DNSConfig, \
  labels 6 map, annotations 7 map, linux 8 LinuxPodSandboxConfig
PodSandboxMetadata: name 1 string, uid 2 string, namespace 3 string, attempt 4 int
DNSConfig: servers 1 *string, searches 2 *string, options 3 *string
LinuxPodSandboxConfig: cgroup_parent 1 string, security_context 2 LinuxSandboxSecurityContext, sysctls 3 map
LinuxSandboxSecurityContext: namespace_options 1 NamespaceOption, privileged 6 int, seccomp 9 SecurityProfile
NamespaceOption: network 1 int, pid 2 int, ipc 3 int, target_id 4 string
SecurityProfile: profile_type 1 int, localhost_ref 2 string
Int64Value: value 1 int
LinuxContainerResources: cpu_period 1 int, cpu_quota 2 int, cpu_shares 3 int, memory_limit_in_bytes 4 int, \
  oom_score_adj 5 int, cpuset_cpus 6 string, hugepage_limits 8 *HugepageLimit, unified 9 map, \
  memory_swap_limit_in_bytes 10 int
HugepageLimit: page_size 1 string, limit 2 int
StopPodSandboxRequest: pod_sandbox_id 1 string
StopPodSandboxResponse:
RemovePodSandboxRequest: pod_sandbox_id 1 string
RemovePodSandboxResponse:
PodSandboxStatusRequest: pod_sandbox_id 1 string, verbose 2 int
PodSandboxStatusResponse: status 1 PodSandboxStatus, info 2 map
PodSandboxStatus: id 1 string, metadata 2 PodSandboxMetadata, state 3 int, created_at 4 int, \
  network 5 PodSandboxNetworkStatus
PodSandboxNetworkStatus: ip 1 string, additional_ips 2 *PodIP
PodIP: ip 1 string
ListPodSandboxRequest: filter 1 PodSandboxFilter
ListPodSandboxResponse: items 1 *PodSandbox
PodSandboxFilter: id 1 string, label_selector 3 map
PodSandbox: id 1 string, metadata 2 PodSandboxMetadata, state 3 int, created_at 4 int, labels 5 map, annotations 6 map
CreateContainerRequest: pod_sandbox_id 1 string, config 2 ContainerConfig, sandbox_config 3 PodSandboxConfig
CreateContainerResponse: container_id 1 string
ContainerConfig: metadata 1 ContainerMetadata, image 2 ImageSpec, command 3 *string, args 4 *string, \
  working_dir 5 string, envs 6 *KeyValue, mounts 7 *Mount, devices 8 *Device, labels 9 map, annotations 10 map, \
  log_path 11 string, stdin 12 int, stdin_once 13 int, tty 14 int, linux 15 LinuxContainerConfig, \
  cdi_devices 17 *CDIDevice
CDIDevice: name 1 string
ContainerMetadata: name 1 string, attempt 2 int
ImageSpec: image 1 string
KeyValue: key 1 string, value 2 string
Mount: container_path 1 string, host_path 2 string, readonly 3 int, propagation 5 int, recursive_read_only 8 int
Device: container_path 1 string, host_path 2 string, permissions 3 string
LinuxContainerConfig: resources 1 LinuxContainerResources, security_context 2 LinuxContainerSecurityContext
LinuxContainerSecurityContext: capabilities 1 Capability, privileged 2 int, namespace_options 3 NamespaceOption, \
  run_as_user 5 Int64Value, readonly_rootfs 7 int, supplemental_groups 8 *int, no_new_privs 11 int, \
  run_as_group 12 Int64Value, masked_paths 13 *string, readonly_paths 14 *string, seccomp 15 SecurityProfile, \
  apparmor 16 SecurityProfile, supplemental_groups_policy 17 int
Capability: add_capabilities 1 *string, drop_capabilities 2 *string
StartContainerRequest: container_id 1 string
StartContainerResponse:
StopContainerRequest: container_id 1 string, timeout 2 int
StopContainerResponse:
RemoveContainerRequest: container_id 1 string
RemoveContainerResponse:
ListContainersRequest: filter 1 ContainerFilter
ListContainersResponse: containers 1 *Container
ContainerFilter: id 1 string, pod_sandbox_id 3 string, label_selector 4 map
Container: id 1 string, pod_sandbox_id 2 string, metadata 3 ContainerMetadata, image 4 ImageSpec, image_ref 5 string, \
  state 6 int, created_at 7 int, labels 8 map, annotations 9 map
ContainerStatusRequest: container_id 1 string, verbose 2 int
ContainerStatusResponse: status 1 ContainerStatus, info 2 map
ContainerStatus: id 1 string, metadata 2 ContainerMetadata, state 3 int, created_at 4 int, started_at 5 int, \
  finished_at 6 int, exit_code 7 int, image 8 ImageSpec, image_ref 9 string, reason 10 string, message 11 string, \
  labels 12 map, annotations 13 map
UpdateContainerResourcesRequest: container_id 1 string, linux 2 LinuxContainerResources
UpdateContainerResourcesResponse:
CheckpointContainerRequest: container_id 1 string, location 2 string, timeout 3 int
CheckpointContainerResponse:
ExecRequest: container_id 1 string, cmd 2 *string, tty 3 int, stdin 4 int, stdout 5 int, stderr 6 int
ExecResponse: url 1 string
AttachRequest: container_id 1 string, stdin 2 int, tty 3 int, stdout 4 int, stderr 5 int
AttachResponse: url 1 string
ReopenContainerLogRequest: container_id 1 string
ReopenContainerLogResponse:
VersionRequest: version 1 string
VersionResponse: version 1 string, runtime_name 2 string, runtime_version 3 string, runtime_api_version 4 string
ListImagesRequest:
ListImagesResponse: images 1 *Image
Image: id 1 string, repo_tags 2 *string, repo_digests 3 *string, size 4 int, uid 5 Int64Value, username 6 string, \
  pinned 8 int
PullImageRequest: image 1 ImageSpec, auth 2 AuthConfig
PullImageResponse: image_ref 1 string
AuthConfig: username 1 string, password 2 string, server_address 4 string
RemoveImageRequest: image 1 ImageSpec
RemoveImageResponse:
ImageFsInfoRequest:
ImageFsInfoResponse: image_filesystems 1 *FilesystemUsage
FilesystemUsage: fs_id 2 FilesystemIdentifier, used_bytes 3 UInt64Value, inodes_used 4 UInt64Value
UInt64Value: value 1 int
ListContainerStatsRequest: filter 1 ContainerStatsFilter
ListContainerStatsResponse: stats 1 *ContainerStats
ContainerStatsFilter: id 1 string, pod_sandbox_id 2 string, label_selector 3 map
ContainerStats: attributes 1 ContainerAttributes, writable_layer 4 FilesystemUsage
ContainerAttributes: id 1 string
StatusRequest: verbose 1 int
StatusResponse: status 1 RuntimeStatus, info 2 map, runtime_handlers 3 *RuntimeHandler, features 4 RuntimeFeatures
RuntimeHandler: name 1 string, features 2 RuntimeHandlerFeatures
RuntimeHandlerFeatures: recursive_read_only_mounts 1 int, user_namespaces 2 int
RuntimeFeatures: supplemental_groups_policy 1 int
RuntimeStatus: conditions 1 *RuntimeCondition
RuntimeCondition: type 1 string, status 2 int, reason 3 string, message 4 string
FilesystemIdentifier: mountpoint 1 string
""")
encode, decode = _SCHEMA.encode, _SCHEMA.decode

IMAGE_CALLS: Final = frozenset({"ListImages", "PullImage", "RemoveImage", "ImageFsInfo"})
POD, CONTAINER, NODE, TARGET = 0, 1, 2, 3
"""Whose namespace is used (NamespaceMode)."""
RUNTIME_DEFAULT, UNCONFINED, LOCALHOST = 0, 1, 2
SANDBOX_READY: Final = 0
RUNNING, EXITED = 1, 2
PROPAGATION: Final = {"rprivate": 0, "rslave": 1, "rshared": 2}


def method(call: str) -> str:
    """The gRPC path of a call, such as `RunPodSandbox`; its messages are `{call}Request` and `{call}Response`."""
    return f"/runtime.v1.{'ImageService' if call in IMAGE_CALLS else 'RuntimeService'}/{call}"
