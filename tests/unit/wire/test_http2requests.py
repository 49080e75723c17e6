"""Requests out of the headers of HTTP/2, and the headers of their answers."""

import hpack as other
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mizzen.wire import http2requests
from mizzen.wire.hpack import Headers
from mizzen.wire.http2requests import Malformed
from mizzen.wire.message import Request, Response

_FIRST = [(":method", "GET"), (":scheme", "https"), (":authority", "x:1"), (":path", "/a%2Fb?c=1&c=&d")]


def _read(fields: Headers) -> Request:
    return http2requests.request(fields, set(), b"certificate", "192.0.2.1")


def test_a_request_is_that_of_http1() -> None:
    request = _read([*_FIRST, ("te", "trailers"), ("accept", "a"), ("accept", "b"), ("cookie", "a"), ("cookie", "b")])
    headers = {"te": "trailers", "accept": "a,b", "cookie": "a; b", "host": "x:1"}
    query = [("c", "1"), ("c", ""), ("d", "")]
    several = {"accept": ["a", "b"], "cookie": ["a", "b"]}
    assert request == Request("GET", "/a/b", query, headers, b"", None, b"certificate", "192.0.2.1", several=several)
    assert (request.lines("accept"), request.lines("te"), request.lines("range")) == (["a", "b"], ("trailers",), ())


def test_space_around_a_value_is_not_of_it() -> None:
    request = _read([*_FIRST, ("user-agent", "e2e -- a test "), ("accept", "\ta, b "), ("accept", " c")])
    assert request.headers == {"user-agent": "e2e -- a test", "accept": "a, b,c", "host": "x:1"}


def test_headers_that_were_seen_before_are_few_and_their_places_are_checked_nonetheless() -> None:
    seen: set[tuple[str, str]] = set()
    for number in range(500):
        fields = [*_FIRST[:3], (":path", f"/{number}")]
        assert http2requests.request(fields, seen, None, "").path == f"/{number}"
        for broken in ([*fields, fields[0]], [("a", "b"), *fields]):
            with pytest.raises(Malformed):
                http2requests.request(broken, seen, None, "")
    assert 4 <= len(seen) <= 64


def test_options_may_ask_about_everything() -> None:
    assert _read([(":method", "OPTIONS"), (":scheme", "https"), (":path", "*")]).path == "*"


@pytest.mark.parametrize(
    "fields",
    [
        [], _FIRST[1:], [_FIRST[0], *_FIRST[2:]], _FIRST[:3], [*_FIRST, _FIRST[0]], [("a", "b"), *_FIRST],
        [*_FIRST, (":status", "200")], [*_FIRST, (":protocol", "websocket")], [*_FIRST[:3], (":path", "")],
        [*_FIRST[:3], (":path", "a")], [*_FIRST[:3], (":path", "*")], [(":method", "G T"), *_FIRST[1:]],
        [(":method", "CONNECT"), (":authority", "x:1")], [*_FIRST, ("Accept", "a")], [*_FIRST, ("a b", "")],
        [*_FIRST, ("", "")], [*_FIRST, ("a", "b\0")], [*_FIRST, ("a", "b\r")], [*_FIRST, ("a", "b\n")],
        [*_FIRST[:3], (":path", " /a")], [(":method", "GET "), *_FIRST[1:]], [*_FIRST, ("connection", "close")],
        [*_FIRST, ("upgrade", "websocket")], [*_FIRST, ("keep-alive", "1")], [*_FIRST, ("te", "trailers, gzip")],
        [*_FIRST, ("transfer-encoding", "chunked")], [*_FIRST, ("proxy-connection", "close")], [*_FIRST, ("a\n", "")],
    ],
)  # fmt: skip
def test_what_breaks_the_rules_is_malformed(fields: Headers) -> None:
    with pytest.raises(Malformed):
        _read(fields)


@given(st.lists(st.tuples(st.text(st.characters(max_codepoint=255), max_size=8), st.text(max_size=8))))
def test_headers_are_read_or_malformed(fields: Headers) -> None:
    try:
        request = _read([*_FIRST, *fields])
    except Malformed:
        return
    assert set(request.headers) == {"host", *(name for name, _ in fields)}


@pytest.mark.parametrize(
    ("said", "length"),
    [("0", 0), ("17", 17), (None, None), ("", -1), ("-1", -1), ("1,1", -1), ("٣", -1), ("9" * 30, -1)],
)
def test_a_length_is_a_number(said: str | None, length: int | None) -> None:
    headers = {"content-length": said} if said is not None else {}
    if length == -1:
        with pytest.raises(Malformed):
            http2requests.content_length(headers)
    else:
        assert http2requests.content_length(headers) == length


def test_the_headers_of_an_answer_are_what_others_read_however_often() -> None:
    headers = {"Content-Type": "application/json", "x-own": "ü", "audit-id": "1", "connection": "close"}
    for status in (200, 201, 404, 299):
        for turn in range(2):
            block = http2requests.block(Response(status, headers | {"audit-id": str(turn)}), 5)
            read = other.Decoder().decode(block, raw=True)
            assert [(name.decode(), value.decode("latin-1")) for name, value in read] == [
                (":status", str(status)), ("content-type", "application/json"), ("x-own", "ü"),
                ("audit-id", str(turn)), ("content-length", "5"),
            ]  # fmt: skip


def test_a_length_is_told_once() -> None:
    block = http2requests.block(Response(200, {"content-length": "7"}), 7)
    assert other.Decoder().decode(block) == [(":status", "200"), ("content-length", "7")]


def test_headers_that_are_kept_encoded_are_not_kept_without_end() -> None:
    for number in range(5000):
        http2requests.block(Response(200, {"x": str(number)}), None)
    assert len(http2requests._fields) <= http2requests._FIELDS_KEPT
