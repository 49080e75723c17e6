import asyncio

import pytest
from tests.fakes.reader import FakeReader, FakeWriter

from mizzen.api.flowcontrol.flowschema import FLOW_SCHEMA
from mizzen.api.flowcontrol.prioritylevelconfiguration import PRIORITY_LEVEL_CONFIGURATION
from mizzen.base.clock import VirtualClock
from mizzen.cluster.bootstrap.flow import FLOW_SCHEMAS, PRIORITY_LEVELS
from mizzen.machinery.errors import ApiError
from mizzen.machinery.identity import MASTERS, Identity
from mizzen.server import requestinfo
from mizzen.server.fairness import FLOW_HEADER, LEVEL_HEADER, Fairness
from mizzen.server.flowstatus import FlowStatuses, condition
from mizzen.server.requestinfo import RequestInfo
from mizzen.wire.message import Request

ANN = Identity("ann", groups=("system:authenticated",))
BOB = Identity("bob", groups=("system:authenticated",))
ROOT = Identity("root", groups=(MASTERS, "system:authenticated"))
SCHEDULER = Identity("system:kube-scheduler", groups=("system:authenticated",))
WRITE = requestinfo.parse(Request("POST", "/api/v1/namespaces/shop/pods"))
READ = requestinfo.parse(Request("GET", "/api/v1/namespaces/shop/pods"))
LEASE = requestinfo.parse(Request("PUT", "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/x"))


def _fairness(seats: int = 8) -> Fairness:
    """With 8 seats, users of the global default share one."""
    reader = FakeReader()
    fairness = Fairness(reader, seats)
    for level in PRIORITY_LEVELS:
        reader.put(PRIORITY_LEVEL_CONFIGURATION, level)
    for schema in FLOW_SCHEMAS:
        reader.put(FLOW_SCHEMA, schema)
    return fairness


def _watch() -> RequestInfo:
    return requestinfo.parse(Request("GET", "/api/v1/pods", (("watch", "1"),)))


async def test_reads_need_no_seat_while_nobody_waits_and_watches_never() -> None:
    fairness = _fairness()
    assert fairness.is_free(READ, ANN)
    assert not fairness.is_free(WRITE, ANN)
    assert fairness.is_free(WRITE, ROOT)
    await fairness.seat(WRITE, ANN)
    assert not fairness.is_free(READ, ANN)
    assert fairness.is_free(_watch(), ANN)


async def test_health_and_leader_election_go_on_while_users_crowd_the_server() -> None:
    fairness = _fairness()
    await fairness.seat(WRITE, ANN)
    assert fairness.is_free(requestinfo.parse(Request("GET", "/healthz")), ANN)
    await asyncio.wait_for(fairness.seat(LEASE, SCHEDULER), 1)


async def test_a_seat_that_is_left_goes_to_the_flows_in_turn() -> None:
    fairness = _fairness()
    seat = await fairness.seat(WRITE, ANN)
    order: list[str] = []

    async def work(user: Identity) -> None:
        taken = await fairness.seat(WRITE, user)
        order.append(user.name)
        taken.leave()

    tasks = []
    for user in (ANN, ANN, ANN, BOB):
        tasks.append(asyncio.create_task(work(user)))
        await asyncio.sleep(0)
    seat.leave()
    await asyncio.gather(*tasks)
    assert order == ["ann", "bob", "ann", "ann"]
    await asyncio.wait_for(fairness.seat(WRITE, ANN), 1)


async def test_a_client_that_gives_up_leaves_the_queue() -> None:
    fairness = _fairness()
    seat = await fairness.seat(WRITE, ANN)
    waiting = asyncio.create_task(fairness.seat(WRITE, BOB))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    seat.leave()
    await asyncio.wait_for(fairness.seat(WRITE, ANN), 1)


async def test_a_full_queue_answers_429_with_a_time_to_come_back() -> None:
    reader = FakeReader()
    fairness = Fairness(reader, 1)
    level = {"metadata": {"name": "one"}, "spec": {"limited": {"limitResponse": {"type": "Reject"}}}}
    reader.put(PRIORITY_LEVEL_CONFIGURATION, level)
    everyone = {"kind": "Group", "group": {"name": "*"}}
    anything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"]}
    rules = [{"subjects": [everyone], "resourceRules": [anything]}]
    spec = {"priorityLevelConfiguration": {"name": "one"}, "rules": rules}
    reader.put(FLOW_SCHEMA, {"metadata": {"name": "all"}, "spec": spec})
    seat = await fairness.seat(WRITE, ANN)
    with pytest.raises(ApiError) as caught:
        await fairness.seat(WRITE, ANN)
    assert (caught.value.code, caught.value.retry_after) == (429, 1)
    seat.leave()
    await fairness.seat(WRITE, ANN)


def test_an_answer_tells_by_what_it_was_judged() -> None:
    fairness = _fairness()
    assert set(fairness.marks(READ, ANN)) == {FLOW_HEADER, LEVEL_HEADER}
    assert all(fairness.marks(READ, ANN).values())
    assert fairness.marks(READ, ANN) != fairness.marks(READ, ROOT)


async def test_a_schema_whose_level_is_missing_is_passed_over() -> None:
    reader = FakeReader()
    fairness = Fairness(reader, 1)
    everyone = {"kind": "Group", "group": {"name": "*"}}
    anything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"]}
    rules = [{"subjects": [everyone], "resourceRules": [anything]}]
    level = {"metadata": {"name": "one"}, "spec": {"limited": {"limitResponse": {"type": "Reject"}}}}
    reader.put(PRIORITY_LEVEL_CONFIGURATION, level)
    for name, level, precedence in (("dangling", "gone", 1), ("all", "one", 2)):
        spec = {"priorityLevelConfiguration": {"name": level}, "matchingPrecedence": precedence, "rules": rules}
        reader.put(FLOW_SCHEMA, {"metadata": {"name": name}, "spec": spec})
    assert not fairness.is_free(requestinfo.parse(Request("POST", "/api/v1/namespaces/d/pods")), ANN)


async def test_the_seats_of_a_level_are_metrics() -> None:
    fairness = _fairness()
    await fairness.seat(WRITE, ANN)
    shown = list(fairness.metrics())
    assert 'apiserver_flowcontrol_nominal_limit_seats{priority_level="global-default"} 1' in shown
    assert 'apiserver_flowcontrol_current_executing_seats{priority_level="global-default"} 1' in shown
    assert 'apiserver_flowcontrol_dispatched_requests_total{priority_level="global-default"} 1' in shown


def test_a_flow_schema_dangles_while_its_level_is_missing() -> None:
    schema = {"spec": {"priorityLevelConfiguration": {"name": "gold"}}}
    assert condition(schema, {"silver"})["status"] == "True"
    assert condition(schema, {"silver", "gold"})["status"] == "False"


async def test_the_status_of_flow_schemas_follows_the_levels() -> None:
    reader = FakeReader()
    schema = {"metadata": {"name": "mine"}, "spec": {"priorityLevelConfiguration": {"name": "gold"}}}
    reader.put(FLOW_SCHEMA, schema)
    task = asyncio.create_task(FlowStatuses(reader, FakeWriter(reader), VirtualClock()).run())

    async def told() -> str:
        for _ in range(5):
            await asyncio.sleep(0)
        found = reader.get(FLOW_SCHEMA, "", "mine")
        assert found is not None
        (shown,) = found["status"]["conditions"]
        return str(shown["status"])

    assert await told() == "True"
    reader.put(PRIORITY_LEVEL_CONFIGURATION, {"metadata": {"name": "gold"}, "spec": {"type": "Exempt"}})
    assert await told() == "False"
    task.cancel()
