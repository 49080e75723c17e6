"""Whom a node ends so that a critical pod finds room."""

from mizzen.agent.preemption import lacking, shown, victims
from mizzen.api.views.podspec import Container, Pod, PodMeta, PodSpec, Quantity, Resources
from mizzen.machinery.quantity import NANO

GIB = (1 << 30) * NANO
ROOM = {"cpu": 4 * NANO, "memory": 8 * GIB, "pods": 10 * NANO}


def pod(name: str, cpu: Quantity = 0, memory: Quantity = 0, *, priority: int = 0, guaranteed: bool = False) -> Pod:
    asked: dict[str, Quantity] = {"cpu": cpu, "memory": memory}
    resources = Resources(requests=asked, limits=asked if guaranteed else None)
    spec = PodSpec(containers=(Container(name="c", image="i", resources=resources),), priority=priority)
    return Pod(metadata=PodMeta(name=name, namespace="d", uid=name), spec=spec)


CRITICAL = pod("critical", "2", "4Gi", priority=2_000_000_000)


def names(pods: tuple[Pod, ...] | None) -> list[str] | None:
    return None if pods is None else [one.metadata.name for one in pods]


def test_what_is_missing_is_what_the_pod_asks_for_beyond_what_is_left() -> None:
    assert lacking(CRITICAL, [pod("a", "3", "1Gi")], ROOM) == {"cpu": NANO}
    assert lacking(CRITICAL, [], ROOM) == {}
    assert lacking(pod("none"), [pod(str(number)) for number in range(10)], ROOM) == {"pods": NANO}


def test_as_few_as_possible_go_and_of_those_that_would_do_the_smallest() -> None:
    others = [pod("small", "500m"), pod("right", "1"), pod("large", "2")]
    assert names(victims(CRITICAL, others, lacking(CRITICAL, others, {**ROOM, "cpu": 4500 * NANO // 1000}))) == [
        "right"
    ]


def test_those_of_the_lowest_class_go_first_and_no_more_of_the_higher_ones_than_must() -> None:
    others = [
        pod("idle"),
        pod("burst", "1"),
        pod("sure", "1", "1Gi", guaranteed=True),
        pod("also", "2", "1Gi", guaranteed=True),
    ]
    assert names(victims(CRITICAL, others, {"cpu": NANO})) == ["burst"]
    assert names(victims(CRITICAL, others, {"cpu": 2 * NANO})) == ["burst", "sure"]
    assert names(victims(CRITICAL, others, {"pods": NANO})) == ["idle"]


def test_critical_pods_yield_only_to_those_of_higher_priority() -> None:
    other = pod("other", "4", "1Gi", priority=2_000_000_000)
    short = lacking(CRITICAL, [other], ROOM)
    assert victims(CRITICAL, [other], short) is None
    assert shown(short).endswith("no set of running pods found to reclaim resources: [(res: cpu, q: 2000), ]")
    first = pod("first", "2", priority=2_000_001_000)
    assert names(victims(first, [other], short)) == ["other"]
