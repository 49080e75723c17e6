"""When a token in a Secret is marked, and when it goes."""

from typing import Any

import msgspec
import pytest

from mizzen.api.views.core import Secret
from mizzen.controllers.legacy_tokens import INVALID_SINCE, LAST_USED, TYPE, Snapshot, reconcile
from mizzen.machinery import times
from mizzen.reconcile.plan import NOTHING, Delete, Patch

NOW = 1_800_000_000.0
DAY = 86400.0


def day(ago: float) -> str:
    return times.format(NOW - ago * DAY)[:10]


def seen(created: float = 900, since: float | None = 800, **more: Any) -> Snapshot:
    facts = {"made_for_account": True, "mounted": False}
    facts |= {name: more.pop(name) for name in tuple(facts) if name in more}
    stamp = times.format(NOW - created * DAY)
    meta = {"name": "t", "namespace": "d", "uid": "u", "creationTimestamp": stamp, "labels": more}
    secret = msgspec.convert({"metadata": meta, "type": TYPE}, Secret)
    return Snapshot(secret, None if since is None else NOW - since * DAY, **facts)


def test_a_token_unused_for_a_year_is_marked_and_a_year_later_deleted() -> None:
    [mark] = reconcile(seen(), NOW).actions
    assert isinstance(mark, Patch)
    assert mark.patch == {"metadata": {"labels": {INVALID_SINCE: day(0)}}}
    assert reconcile(seen(**{INVALID_SINCE: day(300)}), NOW) == NOTHING
    [gone] = reconcile(seen(**{INVALID_SINCE: day(370)}), NOW).actions
    assert isinstance(gone, Delete)


@pytest.mark.parametrize(
    "one",
    [
        seen(created=100),
        seen(since=100),
        seen(since=None),
        seen(mounted=True),
        seen(made_for_account=False),
        seen(**{LAST_USED: day(100)}),
    ],
    ids=["young", "not watched for long", "not watched", "mounted", "made by hand", "used"],
)
def test_a_token_that_may_be_needed_stays(one: Snapshot) -> None:
    assert reconcile(one, NOW) == NOTHING
