from base64 import b64encode

import pytest

from mizzen.api.core.configmap import CONFIG_MAP
from mizzen.api.core.secret import SECRET

from ..written import causes, cells, written


def test_a_config_map_may_not_hold_a_key_twice_or_a_key_that_is_no_file_name() -> None:
    content = {"data": {"a": "1", "b/c": "2", "..": "3"}, "binaryData": {"a": "AA=="}}
    assert causes(CONFIG_MAP, content) == {("data[b/c]", "Invalid"), ("data[..]", "Invalid"), ("data[a]", "Invalid")}


def test_a_config_map_holds_at_most_a_mebibyte() -> None:
    assert causes(CONFIG_MAP, {"data": {"a": "x" * 2**20}}) == set()
    assert causes(CONFIG_MAP, {"data": {"a": "x" * (2**20 + 1)}}) == {("[]", "TooLong")}
    assert causes(SECRET, {"data": {"a": b64encode(b"x" * (2**20 + 1)).decode()}}) == {("data", "TooLong")}


def test_what_is_immutable_stays_so_and_keeps_its_values() -> None:
    old = {"metadata": {"name": "x"}, "data": {"a": "1"}, "immutable": True}
    assert causes(CONFIG_MAP, {"data": {"a": "2"}, "immutable": False}, old) == {
        ("immutable", "Forbidden"),
        ("data", "Forbidden"),
    }
    assert causes(CONFIG_MAP, old | {"metadata": {"labels": {"a": "b"}}}, old) == set()


def test_plain_values_of_a_secret_are_folded_in_and_win() -> None:
    secret = written(SECRET, {"data": {"a": "eA==", "b": "eQ=="}, "stringData": {"a": "new"}})
    assert secret["data"] == {"a": b64encode(b"new").decode(), "b": "eQ=="}
    assert "stringData" not in secret
    assert secret["type"] == "Opaque"


@pytest.mark.parametrize(
    ("type_", "data", "wanted"),
    [
        ("kubernetes.io/tls", {"tls.crt": ""}, {("data[tls.key]", "Required")}),
        ("kubernetes.io/basic-auth", {"username": "eA=="}, set()),
        ("kubernetes.io/ssh-auth", {"ssh-privatekey": ""}, {("data[ssh-privatekey]", "Required")}),
        ("kubernetes.io/dockercfg", {".dockercfg": "e30="}, set()),
        ("kubernetes.io/dockerconfigjson", {".dockerconfigjson": "WzFd"}, {("data[.dockerconfigjson]", "Invalid")}),
        (
            "kubernetes.io/service-account-token",
            {},
            {("metadata.annotations[kubernetes.io/service-account.name]", "Required")},
        ),
        ("acme.test/own", {}, set()),
    ],
)
def test_known_types_hold_the_keys_that_their_users_expect(
    type_: str, data: dict[str, str], wanted: set[tuple[str, str]]
) -> None:
    assert causes(SECRET, {"type": type_, "data": data}) == wanted


def test_the_type_of_a_secret_may_not_change() -> None:
    old = written(SECRET, {"data": {"a": ""}})
    assert causes(SECRET, {"data": {"a": ""}, "type": "acme.test/own"}, old) == {("type", "Invalid")}


def test_columns_count_values() -> None:
    assert cells(CONFIG_MAP, {"data": {"a": "1"}, "binaryData": {"b": ""}})["Data"] == 2
    assert cells(SECRET, {"data": {"a": ""}}) == {"Name": "x", "Type": "Opaque", "Data": 1, "Age": "5m"}
    assert SECRET.selectable["type"]({"type": "Opaque"}) == "Opaque"
