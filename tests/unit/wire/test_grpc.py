"""What gRPC puts into headers and bodies."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mizzen.wire import grpc


@given(st.lists(st.binary(max_size=60), max_size=6), st.integers(1, 40))
def test_messages_are_found_however_the_bytes_arrive(messages: list[bytes], size: int) -> None:
    whole = b"".join(grpc.framed(one) for one in messages)
    reader = grpc.Messages()
    found = [one for at in range(0, len(whole), size) for one in reader.feed(whole[at : at + size])]
    assert found == messages


@pytest.mark.parametrize(("head", "code"), [(b"\1\0\0\0\1", "UNIMPLEMENTED"), (b"\0\5\0\0\0", "RESOURCE_EXHAUSTED")])
def test_what_is_compressed_or_too_big_is_refused(head: bytes, code: str) -> None:
    with pytest.raises(grpc.Malformed) as refused:
        grpc.Messages().feed(head)
    assert refused.value.code == code


@given(st.sampled_from(grpc.CODES[1:]), st.text())
def test_a_status_comes_back_as_it_was_sent(code: str, message: str) -> None:
    sent = dict(grpc.trailers(code, message))
    assert all(value.isascii() and value.isprintable() for value in sent.values())
    assert grpc.outcome(sent) == (code, message)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"grpc-status": "0"}, "OK"),
        ({"grpc-status": "99"}, "UNKNOWN"),
        ({":status": "503"}, "UNAVAILABLE"),
        ({":status": "404"}, "UNIMPLEMENTED"),
        ({":status": "418"}, "UNKNOWN"),
        ({":status": "200"}, "INTERNAL"),
    ],
)
def test_every_end_has_a_code(fields: dict[str, str], code: str) -> None:
    assert grpc.outcome(fields)[0] == code


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.0, "1m"), (0.0005, "1m"), (1.5, "1500m"), (99_999.999, "99999999m"), (100_000.0, "100000S")],
)
def test_a_time_limit_never_has_more_than_eight_digits(seconds: float, shown: str) -> None:
    assert dict(grpc.request("/a/B", "localhost", seconds))["grpc-timeout"] == shown
