import gzip
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from mizzen.api.kind import Kind
from mizzen.base.clock import VirtualClock
from mizzen.machinery.identity import Identity
from mizzen.server import requestinfo
from mizzen.server.audit import AuditLog, LogFile
from mizzen.server.auditpolicy import parse_policy
from mizzen.server.config import Config
from mizzen.server.seams import Admission, Attributes, Decision, Operation
from mizzen.server.server import Server
from mizzen.store.memory import MemoryStore
from mizzen.wire.message import Request, Response

EVERYTHING = {"rules": [{"level": "RequestResponse"}]}
ANSWER = b'{"kind":"Answer","metadata":{"name":"a","managedFields":[{}]}}'
ANN = Identity("ann", groups=("dev",))
POLICY = {
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "None", "verbs": ["watch"]},
        {"level": "None", "users": ["probe"], "nonResourceURLs": ["/healthz*"]},
        {"level": "RequestResponse", "resources": [{"group": "", "resources": ["configmaps"]}], "namespaces": ["shop"]},
        {"level": "Request", "resources": [{"group": "apps"}]},
        {"level": "Metadata", "resources": [{"group": "", "resources": ["pods/log", "secrets"]}]},
        {"level": "Metadata", "omitStages": ["ResponseComplete"], "userGroups": ["ops"]},
    ],
}


def _events(
    tmp_path: Path, *requests: Request, user: Identity = ANN, policy: dict[str, Any] = POLICY
) -> list[dict[str, Any]]:
    file = LogFile(tmp_path / "audit.log")
    log = AuditLog(parse_policy(policy), file, VirtualClock())
    for request in requests:
        info, trail = requestinfo.parse(request), log.opened(request)
        log.received(trail, request, info, user)
        log.answered(trail, request, info, user, Response(200, {}, ANSWER))
    file.close()
    return [orjson.loads(line) for line in (tmp_path / "audit.log").read_bytes().splitlines()]


def test_the_first_rule_that_matches_says_how_much_is_written(tmp_path: Path) -> None:
    body = b'{"kind":"Sent"}'
    events = _events(
        tmp_path,
        Request("POST", "/api/v1/namespaces/shop/configmaps", body=body),
        Request("POST", "/apis/apps/v1/namespaces/shop/deployments", body=body),
        Request("GET", "/api/v1/namespaces/shop/pods/web/log"),
        Request("GET", "/api/v1/namespaces/shop/pods/web"),
        Request("GET", "/api/v1/configmaps", (("watch", "1"),)),
        Request("GET", "/healthz"),
    )
    told = [(event["level"], "requestObject" in event, "responseObject" in event) for event in events]
    assert told == [("RequestResponse", True, True), ("Request", True, False), ("Metadata", False, False)]


def test_an_event_tells_who_did_what(tmp_path: Path) -> None:
    (event,) = _events(tmp_path, Request("DELETE", "/api/v1/namespaces/shop/secrets/db", remote="10.0.0.9"))
    assert event["verb"] == "delete"
    assert event["user"] == {"username": "ann", "groups": ["dev"]}
    assert event["objectRef"] == {"resource": "secrets", "namespace": "shop", "name": "db", "apiVersion": "v1"}
    assert event["sourceIPs"] == ["10.0.0.9"]
    assert event["responseStatus"] == {"metadata": {}, "code": 200}


def test_a_rule_may_leave_the_stage_out(tmp_path: Path) -> None:
    request = Request("GET", "/api/v1/namespaces/shop/pods/web")
    assert _events(tmp_path, request, user=Identity("bob", groups=("ops",))) == []


def test_every_stage_of_a_request_carries_the_same_id(tmp_path: Path) -> None:
    request = Request("GET", "/api/v1/pods", headers={"audit-id": "mine"})
    told = [(event["stage"], event["auditID"]) for event in _events(tmp_path, request, policy=EVERYTHING)]
    assert told == [("RequestReceived", "mine"), ("ResponseComplete", "mine")]


async def test_an_answer_that_goes_on_is_written_at_its_start_and_at_its_end(tmp_path: Path) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"one"

    log = AuditLog(parse_policy(EVERYTHING), LogFile(tmp_path / "audit.log"), VirtualClock())
    request, response = Request("GET", "/api/v1/pods", (("watch", "1"),)), Response(200, {}, stream=pieces())
    log.answered(log.opened(request), request, requestinfo.parse(request), ANN, response)
    assert _stages(tmp_path) == ["ResponseStarted"]
    assert response.stream is not None
    assert [piece async for piece in response.stream] == [b"one"]
    assert _stages(tmp_path) == ["ResponseStarted", "ResponseComplete"]


def _stages(tmp_path: Path) -> list[str]:
    return [orjson.loads(line)["stage"] for line in (tmp_path / "audit.log").read_bytes().splitlines()]


def test_managed_fields_are_left_out_unless_a_rule_wants_them(tmp_path: Path) -> None:
    rules = [
        {"level": "RequestResponse", "verbs": ["get"]},
        {"level": "RequestResponse", "omitManagedFields": False},
    ]
    requests = [Request(verb, "/api/v1/namespaces/shop/configmaps/c") for verb in ("GET", "DELETE")]
    policy = {"omitManagedFields": True, "omitStages": ["RequestReceived"], "rules": rules}
    answers = [event["responseObject"]["metadata"] for event in _events(tmp_path, *requests, policy=policy)]
    assert answers == [{"name": "a"}, {"name": "a", "managedFields": [{}]}]


def _answered(tmp_path: Path, level: str, response: Response) -> dict[str, Any]:
    log = AuditLog(parse_policy({"rules": [{"level": level}]}), LogFile(tmp_path / "audit.log"), VirtualClock())
    request = Request("GET", "/api/v1/pods")
    log.answered(log.opened(request), request, requestinfo.parse(request), ANN, response)
    event: dict[str, Any] = orjson.loads((tmp_path / "audit.log").read_bytes())
    return event


def test_an_answer_that_was_compressed_is_written_down_as_it_was(tmp_path: Path) -> None:
    packed = gzip.compress(ANSWER)
    response = Response(200, {"content-encoding": "gzip"}, [packed[:9], packed[9:]])
    assert _answered(tmp_path, "RequestResponse", response)["responseObject"]["metadata"]["name"] == "a"


@pytest.mark.parametrize(
    ("response", "status"),
    [
        (Response(200, {}, [b"no ", b"JSON"]), {"metadata": {}, "code": 200}),
        (
            Response(200, {}, b'{"kind":"Status","status":"Success"}'),
            {"metadata": {}, "status": "Success", "code": 200},
        ),
        (
            Response(422, {}, b'{"kind":"Status","message":"%b"}' % (b"x" * 5_000)),
            {"metadata": {}, "message": "x" * 5_000, "code": 422},
        ),
    ],
)
def test_of_an_answer_that_is_not_wanted_its_status_is_written_down(
    tmp_path: Path, response: Response, status: dict[str, Any]
) -> None:
    event = _answered(tmp_path, "Metadata", response)
    assert (event["responseStatus"], "responseObject" in event) == (status, False)


def test_an_unknown_stage_is_no_policy() -> None:
    with pytest.raises(ValueError, match="stages"):
        parse_policy({"omitStages": ["Later"], "rules": [{"level": "Metadata"}]})


async def test_the_log_tells_who_allowed_it_who_impersonates_and_what_admission_noted(tmp_path: Path) -> None:
    log = AuditLog(parse_policy(EVERYTHING), LogFile(tmp_path / "audit.log"), VirtualClock())
    config = Config(authorizers=(Everybody(),), admission=(Noting(),), auditor=log)
    server = Server(MemoryStore(), VirtualClock(), lambda _reader, _writer: config)
    await server.start()
    body = b'{"metadata":{"name":"n"}}'
    request = Request("POST", "/api/v1/namespaces", headers={"impersonate-user": "bob"}, body=body)
    response = await server.handle(request)
    await server.close()
    assert response.status == 201
    event = orjson.loads((tmp_path / "audit.log").read_bytes().splitlines()[-1])
    assert event["annotations"] == {
        "authorization.k8s.io/decision": "allow",
        "authorization.k8s.io/reason": "everybody may",
        "noting/seen": "yes",
    }
    assert (event["user"]["username"], event["impersonatedUser"]["username"]) == ("admin", "bob")
    assert event["auditID"] == response.headers["audit-id"]


class Everybody:
    def authorize(self, attributes: Attributes) -> Decision:
        return Decision(True, "everybody may")


class Noting:
    name = "Noting"

    def handles(self, operation: Operation, kind: Kind, subresource: str) -> bool:
        return True

    def mutate(self, admission: Admission) -> None:
        return None

    def validate(self, admission: Admission) -> None:
        admission.annotations["noting/seen"] = "yes"


def test_the_log_makes_the_directory_that_it_stands_in(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "logs" / "audit.log")
    file.write(b"line\n")
    file.close()
    assert (tmp_path / "logs" / "audit.log").read_bytes() == b"line\n"


def test_a_full_file_is_put_aside_and_the_oldest_forgotten(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "audit.log", most_bytes=10, backups=2)
    for number in range(4):
        file.write(b"line %d....\n" % number)
    file.close()
    kept = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert kept == {"audit.log": b"line 3....\n", "audit.log.1": b"line 2....\n", "audit.log.2": b"line 1....\n"}


def test_lines_for_which_there_is_no_room_are_lost_and_told_of_once(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    path = tmp_path / "audit.log"
    path.symlink_to("/dev/full")
    file = LogFile(path)
    for _ in range(3):
        file.write(b"line\n")
    file.close()
    path.unlink()
    file.write(b"room again\n")
    file.close()
    assert path.read_bytes() == b"room again\n"
    assert capsysbinary.readouterr().err.count(b"audit events are lost") == 1
