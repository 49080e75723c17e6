import re
from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from mizzen.proxy import script
from mizzen.proxy.rules import Backend, Frontend, RuleSet, Target
from mizzen.proxy.slots import Placements, place

VIP = Frontend("10.96.0.5", "tcp", 80)
TARGETS = st.lists(st.integers(2, 9).map(lambda n: Target(f"10.1.0.{n}", 8080)), max_size=6, unique=True).map(tuple)
FRONTENDS = st.sampled_from([VIP, Frontend("10.96.0.6", "udp", 53), Frontend("", "tcp", 30080)])


@st.composite
def backends(draw: st.DrawFn) -> Backend:
    return Backend(
        draw(TARGETS),
        within=draw(st.one_of(st.just(()), TARGETS)),
        masquerade=draw(st.booleans()),
        affinity=draw(st.sampled_from([0, 60])),
        drops=draw(st.booleans()),
        sources=draw(st.sampled_from([(), ("192.0.2.0/24",)])),
    )


RULESETS = st.builds(
    RuleSet,
    st.dictionaries(FRONTENDS, backends(), max_size=3),
    st.frozensets(st.sampled_from(["10.1.0.2", "10.1.0.3"])),
    st.just({}),
    st.frozensets(st.sampled_from(["10.1.0.0/24", "10.1.1.0/24"])),
)


def targets(*numbers: int) -> tuple[Target, ...]:
    return tuple(Target(f"10.1.0.{n}", 8080) for n in numbers)


def held(now: Placements) -> tuple[Target, ...]:
    """Who has each place."""
    return tuple(slot.target for slot in now[VIP].slots)


def placed(*numbers: int, affinity: int = 0, before: Placements | None = None) -> Placements:
    return place(before or {}, {VIP: Backend(targets(*numbers), affinity=affinity)})


def test_a_removed_endpoint_is_replaced_by_the_last() -> None:
    after = placed(3, 4, before=placed(2, 3, 4))
    assert held(after) == targets(4, 3)


def test_a_new_endpoint_takes_the_place_of_one_that_left() -> None:
    after = placed(3, 4, 5, before=placed(2, 3, 4))
    assert held(after) == targets(5, 3, 4)


def test_with_affinity_a_place_is_lent_and_taken_back() -> None:
    lent = placed(3, 4, affinity=60, before=placed(2, 3, 4, affinity=60))
    assert held(lent) == targets(3, 3, 4)
    back = placed(2, 3, 4, affinity=60, before=lent)
    assert held(back) == targets(2, 3, 4)


@given(st.lists(st.tuples(TARGETS, st.sampled_from([0, 60])), min_size=1, max_size=6))
def test_places_hold_exactly_the_endpoints_whatever_came_before(steps: list[tuple[tuple[Target, ...], int]]) -> None:
    now: Placements = {}
    for wanted, affinity in steps:
        now = place(now, {VIP: Backend(wanted, affinity=affinity)})
        assert set(held(now)) == set(wanted)
        if not affinity:
            assert len(held(now)) == len(wanted)


@given(st.lists(TARGETS.filter(bool), min_size=2, max_size=6))
def test_with_affinity_no_endpoint_that_stays_moves(steps: list[tuple[Target, ...]]) -> None:
    now: Placements = {}
    for wanted in steps:
        before = now[VIP].slots if now else ()
        now = place(now, {VIP: Backend(wanted, affinity=60)})
        for slot, after in zip(before, now[VIP].slots, strict=False):
            assert slot.is_lent or slot.target not in wanted or after == slot


def test_one_changed_endpoint_changes_one_element() -> None:
    before, after = (RuleSet({VIP: Backend(targets(*numbers))}) for numbers in ((2, 3, 4), (2, 3, 5)))
    old = place({}, before.frontends)
    commands = script.changes((before, old), (after, place(old, after.frontends)), script.draws(old))
    key = "10.96.0.5 . tcp . 80 . 0x3"
    assert commands.splitlines() == [
        f"delete element ip mizzen_services endpoints {{ {key} : 10.1.0.4 . 8080 }}",
        f"add element ip mizzen_services endpoints {{ {key} : 10.1.0.5 . 8080 }}",
    ]


def test_nothing_changed_is_no_command() -> None:
    ruleset = RuleSet({VIP: Backend(targets(2, 3))}, frozenset({"10.1.0.2"}))
    now = place({}, ruleset.frontends)
    assert script.changes((ruleset, now), (ruleset, place(now, dict(ruleset.frontends))), script.draws(now)) == ""


@given(st.lists(RULESETS, min_size=1, max_size=5))
def test_increments_lead_to_the_same_elements_and_chains_as_a_whole_load(steps: list[RuleSet]) -> None:
    ruleset, now = steps[0], place({}, steps[0].frontends)
    table = _applied({}, script.whole(ruleset, now))
    chains = script.draws(now)
    for step in steps[1:]:
        then = place(now, step.frontends)
        table = _applied(table, script.changes((ruleset, now), (step, then), chains))
        chains |= script.draws(then)
        ruleset, now = step, then
        assert table == _applied({}, script.whole(ruleset, now))
        assert script.draws(now) <= chains


def _applied(table: Mapping[str, Mapping[str, str]], commands: str) -> dict[str, dict[str, str]]:
    """What a table holds after commands; deleting what is not there, or adding it twice otherwise, is an error."""
    now = {name: dict(found) for name, found in table.items()}
    for verb, name, listed in re.findall(r"^(add|delete) element ip \S+ (\S+) \{ (.*) \}$", commands, re.MULTILINE):
        for one in listed.split(", "):
            key, _, value = one.partition(" : ")
            if verb == "add":
                assert key not in now.setdefault(name, {})
                now[name][key] = value
            else:
                assert now[name].pop(key) == value
    return {name: found for name, found in now.items() if found}
