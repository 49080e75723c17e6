"""What the API server does in a second, beside what the original did on this class of machine.

`python bench/api.py [--seconds 1] [--rounds 3] [--only NAME] [--connections 1,32,256]`: starts `mizzen server
--no-controllers` in a directory of its own, asks it through wrk over TLS with a bearer token, and stops it. wrk shares
the machine's cores with the server, as the original's load generator did; `server µs` is the processor time that the
server itself used for one request, which other work on the machine disturbs least. Rates at 32 connections are the
median of the rounds; the others are of one round, of twice the time where the connections take long to make.
"""

import argparse
import json
import re
import statistics
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass

import fanout
import objects
import process
from process import Running

COMPARED = 32
"""Connections at which the original was measured."""
NAMESPACE = "/api/v1/namespaces/bench"
PODS = 2_000


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of request. `original` is the original's rate at 32 connections, 0 where it was not measured.

    In path and body `@` stands for a name that no other request of the run has, `#` for a number below 100.
    """

    name: str
    method: str
    path: str
    body: str = ""
    content_type: str = "application/json"
    original: float = 0
    accept: str = "application/json"
    encoding: str = "identity"


_MAP = json.dumps(objects.config_map("@"), separators=(",", ":"))
_SHARED = json.dumps(objects.config_map("shared-#"), separators=(",", ":"))
_APPLIED = {"name": "applied-#", "labels": {"app": "@"}}
_APPLY = "application/apply-patch+yaml"
_TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
_PODS = "/api/v1/namespaces/pods/pods"
CASES = (
    Case("GET ConfigMap 3 KB", "GET", f"{NAMESPACE}/configmaps/shared", original=2560),
    Case("LIST 2,000 pods", "GET", _PODS, original=21),
    Case("LIST 2,000 pods, gzip", "GET", _PODS, encoding="gzip"),
    Case("LIST pods limit=500", "GET", f"{_PODS}?limit=500", original=45),
    Case("LIST pods, none matches", "GET", f"{_PODS}?labelSelector=app%3Dnone"),
    Case("LIST pods as Table", "GET", _PODS, accept=_TABLE),
    Case("LIST pods protobuf", "GET", _PODS, accept="application/vnd.kubernetes.protobuf"),
    Case("CREATE ConfigMap", "POST", f"{NAMESPACE}/configmaps", _MAP, original=976),
    Case("CREATE pod", "POST", f"{NAMESPACE}/pods", json.dumps(objects.pod("@"), separators=(",", ":")), original=716),
    Case("UPDATE ConfigMap", "PUT", f"{NAMESPACE}/configmaps/shared-#", _SHARED.replace('"bench"', '"@"', 1)),
    Case(
        "PATCH ConfigMap",
        "PATCH",
        f"{NAMESPACE}/configmaps/shared-#",
        '{"metadata":{"labels":{"app":"@"}}}',
        "application/merge-patch+json",
    ),
    Case(
        "PATCH pod status",
        "PATCH",
        f"{_PODS}/shared-#/status",
        json.dumps(objects.pod_status("@"), separators=(",", ":")),
        "application/strategic-merge-patch+json",
    ),
    Case(
        "APPLY ConfigMap",
        "PATCH",
        f"{NAMESPACE}/configmaps/applied-#?fieldManager=bench&force=true",
        json.dumps({**objects.config_map("@"), "metadata": _APPLIED}, separators=(",", ":")),
        _APPLY,
    ),
    Case(
        "APPLY Deployment",
        "PATCH",
        "/apis/apps/v1/namespaces/bench/deployments/applied-#?fieldManager=bench&force=true",
        json.dumps({**objects.deployment("@"), "metadata": _APPLIED}, separators=(",", ":")),
        _APPLY,
    ),
)
_SCRIPT = """
local method, path, body, prefix, count = %s, %s, %s, "", 0
wrk.headers["Authorization"], wrk.headers["Content-Type"], wrk.headers["Accept"] = "Bearer %s", %s, %s
wrk.headers["Accept-Encoding"] = %s
function init(args) prefix = "w" .. args[1] .. "-" end
function request()
  count = count + 1
  local name = prefix .. count
  local number = tostring(count %% 100)
  local sent = body ~= "" and body:gsub("@", name):gsub("#", number) or nil
  return wrk.format(method, (path:gsub("#", number)), nil, sent)
end
"""


@dataclass(frozen=True, slots=True)
class Measured:
    """Requests in a second, and two percentiles in milliseconds."""

    rate: float
    p50: float
    p99: float


def main() -> None:
    """Print a line a measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--only", default="", help="cases whose name holds this text, or one of several with commas between"
    )
    parser.add_argument("--connections", default="1,32,256")
    asked = parser.parse_args()
    wanted = asked.only.lower().split(",")
    with process.server("--no-controllers") as running:
        idle = process.resident_bytes(running.pid)
        print(f"ready after {running.ready_seconds:.2f} s (original 3.1), {idle / 1e6:.0f} MB idle (original 280)")
        fill(running)
        _show("request", "connections", "per second", "ratio", "p50 ms", "p99 ms", "server µs")
        for case in CASES:
            if any(text in case.name.lower() for text in wanted):
                connections = [int(number) for number in asked.connections.split(",")]
                for row in _measured(running, case, connections, asked.seconds, asked.rounds):
                    _show(*row)
        print(f"{process.resident_bytes(running.pid) / 1e6:.0f} MB after this load (original 1,500)")
        if any(text in "watch" for text in wanted):
            fanout.main(running)


def _show(*cells: str) -> None:
    print("  ".join(cell.ljust(width) for cell, width in zip(cells, (24, 11, 10, 6, 8, 8, 9), strict=True)), flush=True)


def fill(running: Running) -> None:
    """Make what the cases ask for."""
    for name in ("bench", "pods"):
        running.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        account = {"metadata": {"name": "default"}}
        running.request("POST", f"/api/v1/namespaces/{name}/serviceaccounts", account)
    connection = process.connect(running.port)
    for name in ("shared", *(f"shared-{number}" for number in range(100))):
        process.ask(connection, "POST", f"{NAMESPACE}/configmaps", objects.config_map(name))
    for name in (*(f"shared-{number}" for number in range(100)), *(f"pod-{number:05d}" for number in range(100, PODS))):
        process.ask(connection, "POST", _PODS, objects.pod(name))
    connection.close()


def _measured(
    running: Running, case: Case, connections: list[int], seconds: int, rounds: int
) -> Iterator[tuple[str, ...]]:
    for count in connections:
        before = process.cpu_seconds(running.pid)
        turns, length = rounds if count == COMPARED else 1, seconds * 2 if count > COMPARED else seconds
        runs = [_wrk(running, case, count, length, f"c{count}r{turn}") for turn in range(turns)]
        rate = statistics.median(run.rate for run in runs)
        middle = next(run for run in runs if run.rate == rate) if turns % 2 else runs[0]
        ratio = f"×{rate / case.original:.1f}" if case.original and count == COMPARED else ""
        used = (process.cpu_seconds(running.pid) - before) / max(1, sum(run.rate * length for run in runs)) * 1e6
        figures = f"{rate:,.0f}", ratio, f"{middle.p50:.2f}", f"{middle.p99:.2f}", f"{used:.0f}"
        yield case.name, str(count), *figures


def _wrk(running: Running, case: Case, connections: int, seconds: int, salt: str) -> Measured:
    quoted = [_lua(text) for text in (case.method, case.path, case.body)]
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        headers = _lua(case.content_type), _lua(case.accept), _lua(case.encoding)
        script.write(_SCRIPT % (*quoted, process.TOKEN, *headers))
        script.flush()
        argv = [
            "wrk",
            "-t1",
            f"-c{connections}",
            f"-d{seconds}",
            "--latency",
            "--timeout",
            "30s",
            "-s",
            script.name,
            running.url,
            "--",
        ]
        found = subprocess.run([*argv, salt + _slug(case.name)], capture_output=True, text=True, check=True)
    text = found.stdout
    if "Non-2xx" in text or "Socket errors" in text:
        raise RuntimeError(f"{case.name}: {text}")
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    assert rate is not None
    return Measured(float(rate[1]), _latency(text, "50%"), _latency(text, "99%"))


def _latency(text: str, name: str) -> float:
    found = re.search(rf"{name}\s+([\d.]+)(us|ms|s)", text)
    assert found is not None
    return float(found[1]) * {"us": 1e-3, "ms": 1, "s": 1e3}[found[2]]


def _lua(text: str) -> str:
    return f"[==[{text}]==]"


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


if __name__ == "__main__":
    main()
