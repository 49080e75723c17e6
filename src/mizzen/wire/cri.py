"""Messages of the Container Runtime Interface (runtime.v1) as bytes: protocol buffers from a table of field numbers.

A message is a dict with the field names of the public API; fields that are absent have their zero value. What the
table does not name is skipped when reading, so newer runtimes may say more.
Ref: https://github.com/kubernetes/cri-api
"""

import struct
from collections.abc import Iterator, Mapping
from typing import Any, Final

_TABLE: Final = """
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
  oom_score_adj 5 int, hugepage_limits 8 *HugepageLimit, memory_swap_limit_in_bytes 10 int
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
  log_path 11 string, stdin 12 int, stdin_once 13 int, tty 14 int, linux 15 LinuxContainerConfig
ContainerMetadata: name 1 string, attempt 2 int
ImageSpec: image 1 string
KeyValue: key 1 string, value 2 string
Mount: container_path 1 string, host_path 2 string, readonly 3 int, propagation 5 int
Device: container_path 1 string, host_path 2 string, permissions 3 string
LinuxContainerConfig: resources 1 LinuxContainerResources, security_context 2 LinuxContainerSecurityContext
LinuxContainerSecurityContext: capabilities 1 Capability, privileged 2 int, namespace_options 3 NamespaceOption, \
  run_as_user 5 Int64Value, readonly_rootfs 7 int, supplemental_groups 8 *int, no_new_privs 11 int, \
  run_as_group 12 Int64Value, masked_paths 13 *string, readonly_paths 14 *string, seccomp 15 SecurityProfile
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
FilesystemUsage: fs_id 2 FilesystemIdentifier
FilesystemIdentifier: mountpoint 1 string
Entry: key 1 string, value 2 string
"""
"""A line for each message; `*` marks a list, `int` every kind of varint (booleans and enumerations too)."""

IMAGE_CALLS: Final = frozenset({"ListImages", "PullImage", "RemoveImage", "ImageFsInfo"})
POD, CONTAINER, NODE, TARGET = 0, 1, 2, 3
"""Whose namespace is used (NamespaceMode)."""
RUNTIME_DEFAULT, UNCONFINED, LOCALHOST = 0, 1, 2
SANDBOX_READY: Final = 0
RUNNING, EXITED = 1, 2
PROPAGATION: Final = {"rprivate": 0, "rslave": 1, "rshared": 2}
Message = dict[str, Any]


def _parsed(table: str) -> dict[str, dict[str, tuple[int, bool, str]]]:
    """Message → field → (number, is a list, type)."""
    messages: dict[str, dict[str, tuple[int, bool, str]]] = {}
    for line in table.strip().splitlines():
        name, _, rest = line.partition(":")
        fields = (one.split() for one in rest.split(",") if one.strip())
        messages[name] = {field: (int(number), kind[0] == "*", kind.lstrip("*")) for field, number, kind in fields}
    return messages


_MESSAGES: Final = _parsed(_TABLE)
_BY_NUMBER: Final = {
    name: {number: (field, repeated, kind) for field, (number, repeated, kind) in fields.items()}
    for name, fields in _MESSAGES.items()
}


class DecodeError(ValueError):
    """The bytes are not such a message."""


def method(call: str) -> str:
    """The gRPC path of a call, such as `RunPodSandbox`; its messages are `{call}Request` and `{call}Response`."""
    return f"/runtime.v1.{'ImageService' if call in IMAGE_CALLS else 'RuntimeService'}/{call}"


def encode(name: str, message: Mapping[str, Any]) -> bytes:
    """A message as bytes. Raises KeyError for a field that it does not have."""
    out = bytearray()
    fields = _MESSAGES[name]
    for field, value in message.items():
        number, repeated, kind = fields[field]
        if kind == "map":
            for key, text in value.items():
                _append(out, number, "Entry", {"key": key, "value": text})
        elif repeated:
            for one in value:
                _append(out, number, kind, one)
        elif value or (kind not in {"int", "string"} and value is not None):
            _append(out, number, kind, value)
    return bytes(out)


def _append(out: bytearray, number: int, kind: str, value: Any) -> None:
    if kind == "int":
        out += _varint(number << 3) + _varint(int(value) & 0xFFFF_FFFF_FFFF_FFFF)
        return
    data = value.encode() if kind == "string" else encode(kind, value)
    out += _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def decode(name: str, data: bytes) -> Message:
    """Bytes as a message; every field is there. Raises DecodeError."""
    fields = _BY_NUMBER[name]
    message: Message = {
        field: {} if kind == "map" else [] if repeated else 0 if kind == "int" else "" if kind == "string" else {}
        for field, repeated, kind in fields.values()
    }
    for number, value in _values(data):
        if number not in fields:
            continue
        field, repeated, kind = fields[number]
        if kind == "map":
            entry = decode("Entry", _bytes(value))
            message[field][entry["key"]] = entry["value"]
        elif repeated and kind == "int" and isinstance(value, bytes):
            message[field] += [_signed(one) for one in _packed(value)]
        else:
            one = _one(kind, value)
            if repeated:
                message[field].append(one)
            else:
                message[field] = one
    return message


def _one(kind: str, value: int | bytes) -> Any:
    if kind == "int":
        if not isinstance(value, int):
            raise DecodeError("a number was expected")
        return _signed(value)
    if kind == "string":
        return _bytes(value).decode("utf-8", "replace")
    return decode(kind, _bytes(value))


def _bytes(value: int | bytes) -> bytes:
    if not isinstance(value, bytes):
        raise DecodeError("bytes were expected")
    return value


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _packed(data: bytes) -> Iterator[int]:
    at = 0
    while at < len(data):
        value, at = _read_varint(data, at)
        yield value


def _values(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Field numbers and raw values, in the order of the bytes."""
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        match tag & 7:
            case 0:
                value, at = _read_varint(data, at)
                yield tag >> 3, value
            case 2:
                size, at = _read_varint(data, at)
                if at + size > len(data):
                    raise DecodeError("a field is cut off")
                yield tag >> 3, data[at : at + size]
                at += size
            case 1 | 5 as width:
                size = 8 if width == 1 else 4
                if at + size > len(data):
                    raise DecodeError("a field is cut off")
                yield tag >> 3, int(struct.unpack_from("<Q" if size == 8 else "<I", data, at)[0])
                at += size
            case other:
                raise DecodeError(f"unknown wire type {other}")


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 70:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at
    raise DecodeError("a number is cut off")
