from pathlib import Path

import orjson

from mizzen.base.clock import VirtualClock
from mizzen.machinery.identity import Identity
from mizzen.server import requestinfo
from mizzen.server.audit import AuditLog, LogFile, parse_policy
from mizzen.wire.message import Request, Response

ANN = Identity("ann", groups=("dev",))
POLICY = {
    "rules": [
        {"level": "None", "verbs": ["watch"]},
        {"level": "None", "users": ["probe"], "nonResourceURLs": ["/healthz*"]},
        {"level": "RequestResponse", "resources": [{"group": "", "resources": ["configmaps"]}], "namespaces": ["shop"]},
        {"level": "Request", "resources": [{"group": "apps"}]},
        {"level": "Metadata", "resources": [{"group": "", "resources": ["pods/log", "secrets"]}]},
        {"level": "Metadata", "omitStages": ["ResponseComplete"], "userGroups": ["ops"]},
    ]
}


def _events(tmp_path: Path, *requests: Request, user: Identity = ANN) -> list[dict[str, object]]:
    file = LogFile(tmp_path / "audit.log")
    log = AuditLog(parse_policy(POLICY), file, VirtualClock())
    for request in requests:
        log.completed(request, requestinfo.parse(request), user, Response(200, {}, b'{"kind":"Answer"}'))
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


def test_a_full_file_is_put_aside_and_the_oldest_forgotten(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "audit.log", most_bytes=10, backups=2)
    for number in range(4):
        file.write(b"line %d....\n" % number)
    file.close()
    kept = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert kept == {"audit.log": b"line 3....\n", "audit.log.1": b"line 2....\n", "audit.log.2": b"line 1....\n"}
