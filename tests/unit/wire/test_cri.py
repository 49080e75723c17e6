"""CRI's messages as bytes."""

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import given
from hypothesis import strategies as st

from mizzen.wire import cri
from mizzen.wire.protobuf import DecodeError

TEXT = st.text(max_size=20)
NUMBER = st.integers(-(1 << 63), (1 << 63) - 1)
RESOURCES = st.fixed_dictionaries({}, optional={"cpu_quota": NUMBER, "oom_score_adj": NUMBER, "cpu_shares": NUMBER})
CONTAINER = st.fixed_dictionaries(
    {},
    optional={
        "metadata": st.fixed_dictionaries({"name": TEXT, "attempt": st.integers(0, 1000)}),
        "args": st.lists(TEXT, max_size=3),
        "labels": st.dictionaries(TEXT, TEXT, max_size=3),
        "envs": st.lists(st.fixed_dictionaries({"key": TEXT, "value": TEXT}), max_size=3),
        "tty": st.integers(0, 1),
        "linux": st.fixed_dictionaries({"resources": RESOURCES}),
    },
)


@given(CONTAINER)
def test_what_is_written_is_read_again(message: dict[str, object]) -> None:
    data = cri.encode("ContainerConfig", message)
    once = cri.decode("ContainerConfig", data)
    for field in ("args", "labels", "envs", "tty"):
        assert once[field] == message.get(field, once[field])
    wanted = message.get("linux", {"resources": {}})["resources"]  # type: ignore[index]
    given_back = (once["linux"] or {"resources": {}})["resources"]
    assert {key: given_back[key] for key in wanted} == wanted


def test_the_bytes_are_those_of_protocol_buffers() -> None:
    file = descriptor_pb2.FileDescriptorProto(name="t.proto", package="t", syntax="proto3")
    kinds = descriptor_pb2.FieldDescriptorProto
    message = file.message_type.add(name="ContainerStatus")
    message.field.add(name="id", number=1, type=kinds.TYPE_STRING, label=kinds.LABEL_OPTIONAL)
    message.field.add(name="finished_at", number=6, type=kinds.TYPE_INT64, label=kinds.LABEL_OPTIONAL)
    message.field.add(name="exit_code", number=7, type=kinds.TYPE_INT32, label=kinds.LABEL_OPTIONAL)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    kind = message_factory.GetMessageClass(pool.FindMessageTypeByName("t.ContainerStatus"))
    seen = {"id": "a" * 200, "finished_at": 1_700_000_000_000_000_000, "exit_code": -7}
    assert cri.encode("ContainerStatus", seen) == kind(**seen).SerializeToString()
    decoded = cri.decode("ContainerStatus", kind(**seen).SerializeToString())
    assert {key: decoded[key] for key in seen} == seen


def test_zero_is_told_from_absent_where_it_matters() -> None:
    root = cri.encode("LinuxContainerSecurityContext", {"run_as_user": {"value": 0}})
    assert root and not cri.encode("LinuxContainerSecurityContext", {})


def test_fields_that_are_not_known_are_skipped() -> None:
    more = cri.encode("ContainerStatus", {"id": "x"}) + b"\xfa\x01\x03abc" + b"\xf5\x01\x00\x00\x00\x00"
    assert cri.decode("ContainerStatus", more)["id"] == "x"


@given(st.binary(max_size=60))
def test_any_bytes_are_a_message_or_refused(data: bytes) -> None:
    try:
        cri.decode("ContainerStatusResponse", data)
    except DecodeError:
        return


@pytest.mark.parametrize("data", [b"\x0a\x05ab", b"\x08", b"\x0b", b"\x09\x00"])
def test_what_is_cut_off_is_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        cri.decode("ContainerStatus", data)


def test_calls_go_to_the_service_that_has_them() -> None:
    assert cri.method("RunPodSandbox") == "/runtime.v1.RuntimeService/RunPodSandbox"
    assert cri.method("PullImage") == "/runtime.v1.ImageService/PullImage"
