"""Who may act as whom: for everything, or for some requests alone."""

from collections.abc import Mapping

import pytest

from mizzen.machinery.errors import ApiError
from mizzen.machinery.identity import Identity
from mizzen.server.identity import Identification
from mizzen.server.seams import Attributes
from mizzen.wire.message import Request

NODE_NAME = "authentication.kubernetes.io/node-name"
ALICE = Identity("alice", groups=("dev",))
AGENT = Identity("system:serviceaccount:kube-system:agent", extra={NODE_NAME: ("n1",), "other": ("x",)})


def acting(by: Identity, allowed: set[tuple[str, ...]], **headers: str) -> tuple[Identity, list[Attributes]]:
    """As whom a list of pods in `default` is made, and what was asked for that. `allowed`: (verb, resource, name)."""
    asked: list[Attributes] = []

    def check(attributes: Attributes) -> None:
        asked.append(attributes)
        if (attributes.verb, attributes.resource, attributes.name) not in allowed:
            raise ApiError(403, "Forbidden", f"no {attributes.verb} of {attributes.resource}")

    sent = {f"impersonate-{name.replace('_', '-')}": value for name, value in headers.items()}
    request = Request("GET", "/api/v1/namespaces/default/pods", headers=sent, user=by)
    found = Identification((), check).identify(
        request, lambda user: Attributes(user, "list", version="v1", resource="pods", namespace="default")
    )
    return found, asked


def on(mode: str) -> tuple[str, ...]:
    return (f"impersonate-on:{mode}:list", "pods", "")


def test_who_may_impersonate_may_do_so_for_everything() -> None:
    allowed: set[tuple[str, ...]] = {("impersonate", "users", "bob"), ("impersonate", "groups", "ops")}
    assert acting(ALICE, allowed, user="bob", group="ops")[0] == Identity("bob", groups=("ops", "system:authenticated"))
    account = ("impersonate", "serviceaccounts", "builder")
    assert acting(ALICE, {account}, user="system:serviceaccount:ci:builder")[0].groups == (
        *("system:serviceaccounts", "system:serviceaccounts:ci", "system:authenticated"),
    )


def test_an_identity_that_nobody_allows_is_refused_as_ever() -> None:
    with pytest.raises(ApiError, match="no impersonate of users"):
        acting(ALICE, {on("user-info")}, user="bob")


def test_a_user_with_all_details_may_be_impersonated_for_one_kind_of_request() -> None:
    identity = {("users", "bob"), ("groups", "ops"), ("uids", "7"), ("userextras", "red")}
    allowed = {on("user-info"), *(("impersonate:user-info", *one) for one in identity)}
    given = {"user": "bob", "group": "ops", "uid": "7", "extra_colour": "red"}
    found, asked = acting(ALICE, allowed, **given)
    assert (found.name, found.uid, found.extra) == ("bob", "7", {"colour": ("red",)})
    assert {one.group for one in asked[1:]} == {"authentication.k8s.io"}
    for one in identity:
        with pytest.raises(ApiError):
            acting(ALICE, allowed - {("impersonate:user-info", *one)}, **given)


@pytest.mark.parametrize(
    ("user", "mode", "identity"),
    [
        ("system:serviceaccount:ci:builder", "serviceaccount", ("serviceaccounts", "builder")),
        ("system:node:n1", "arbitrary-node", ("nodes", "n1")),
    ],
)
def test_accounts_and_nodes_have_modes_of_their_own(user: str, mode: str, identity: tuple[str, ...]) -> None:
    allowed = {on(mode), (f"impersonate:{mode}", *identity)}
    found, asked = acting(ALICE, allowed, user=user)
    assert found.name == user
    assert [one.verb for one in asked] == [f"impersonate-on:{mode}:list", f"impersonate:{mode}"]
    with pytest.raises(ApiError):
        acting(ALICE, allowed, user=user, group="ops")
    with pytest.raises(ApiError):
        acting(ALICE, {on("user-info"), ("impersonate:user-info", "users", user)}, user=user)


@pytest.mark.parametrize(("user", "node", "may"), [(AGENT, "n1", True), (AGENT, "n2", False), (ALICE, "n1", False)])
def test_an_account_on_a_node_may_be_that_node_alone(user: Identity, node: str, may: bool) -> None:
    allowed = {on("associated-node"), ("impersonate:associated-node", "nodes", "*")}
    if not may:
        with pytest.raises(ApiError):
            acting(user, allowed, user=f"system:node:{node}")
        return
    found, asked = acting(user, allowed, user=f"system:node:{node}")
    assert found == Identity("system:node:n1", groups=("system:nodes", "system:authenticated"))
    seen: Mapping[str, tuple[str, ...]] = {"authentication.kubernetes.io/associated-node-keys": (NODE_NAME, "other")}
    assert {one.user.name: one.user.extra for one in asked} == {user.name: seen}


def test_a_comma_is_a_part_of_a_group_and_every_line_names_one() -> None:
    headers = {"impersonate-user": "bob", "impersonate-group": "ops,,,,chameleon", "impersonate-extra-at": "a, b"}
    lines = {"impersonate-group": ("ops", ",,,chameleon")}
    request = Request("GET", "/api/v1/pods", headers=headers, user=ALICE, several=lines)
    found = Identification((), lambda _: None).identify(request, lambda user: Attributes(user, "list"))
    assert found.groups[:2] == ("ops", ",,,chameleon")
    assert found.extra == {"at": ("a, b",)}
