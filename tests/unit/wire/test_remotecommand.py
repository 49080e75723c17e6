"""The status that ends a command, in every version of the protocol, and the size of a terminal."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mizzen.wire import remotecommand


def test_an_exit_code_is_told_as_kubectl_reads_it() -> None:
    status = orjson.loads(remotecommand.encoded_status(remotecommand.exit_status(7), "v4.channel.k8s.io"))
    assert status["status"] == "Failure"
    assert status["reason"] == "NonZeroExitCode"
    assert status["details"]["causes"] == [{"reason": "ExitCode", "message": "7"}]


@pytest.mark.parametrize("protocol", ["channel.k8s.io", "v2.channel.k8s.io", "v3.channel.k8s.io", ""])
def test_older_clients_are_told_in_words(protocol: str) -> None:
    failed = remotecommand.encoded_status(remotecommand.exit_status(7), protocol)
    assert failed == b"command terminated with non-zero exit code: exit status 7"
    assert remotecommand.encoded_status(remotecommand.exit_status(0), protocol) == b""


def test_a_command_that_could_not_run_is_an_internal_error() -> None:
    status = orjson.loads(remotecommand.encoded_status(remotecommand.failure_status("no such file"), "v5.channel"))
    assert (status["reason"], status["message"], status["code"]) == ("InternalError", "no such file", 500)


@given(st.integers(1, 65535), st.integers(1, 65535))
def test_a_size_comes_as_columns_and_rows(columns: int, rows: int) -> None:
    assert remotecommand.window(orjson.dumps({"Width": columns, "Height": rows})) == (columns, rows)


@pytest.mark.parametrize(
    "payload",
    [b"", b"[]", b"7", b"{}", b'{"Width":0,"Height":5}', b'{"Width":70000,"Height":5}', b'{"Width":"x","Height":5}'],
)
def test_a_size_that_makes_no_sense_is_passed_over(payload: bytes) -> None:
    assert remotecommand.window(payload) is None


@given(st.binary(max_size=60))
def test_noise_is_no_size(payload: bytes) -> None:
    size = remotecommand.window(payload)
    assert size is None or all(0 < side < 65536 for side in size)
