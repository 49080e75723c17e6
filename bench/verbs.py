"""What every verb costs the API server's event loop, without TLS and disk: µs of processor time beside a GET's.

`python bench/verbs.py [--only TEXT,TEXT] [--rounds 20]`: one process, the memory store, all of admission, RBAC and
fairness; each figure is the best of many rounds, which other work on the machine disturbs least.
"""

import argparse
import asyncio
import gc
import itertools
import random
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import uvloop

import objects
from mizzen.base import log
from mizzen.base.clock import SystemClock
from mizzen.cluster.bootstrap import reconcile as bootstrap
from mizzen.cluster.bootstrap.objects import Facts
from mizzen.cluster.pki import Pki
from mizzen.machinery.identity import AUTHENTICATED, MASTERS, Identity
from mizzen.machinery.protobuf import envelope
from mizzen.server.security import Security, Settings
from mizzen.server.server import Server
from mizzen.store.memory import MemoryStore
from mizzen.wire.message import Request

ADMIN = Identity("admin", groups=(MASTERS, AUTHENTICATED))
JANE = Identity("jane", groups=(AUTHENTICATED,))
BINDINGS = 1_000
PROTOBUF = "application/vnd.kubernetes.protobuf"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
METADATA = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
MERGE, STRATEGIC = "application/merge-patch+json", "application/strategic-merge-patch+json"
JSON_PATCH, APPLY = "application/json-patch+json", "application/apply-patch+yaml"
MAPS, PODS, EVENTS = (f"/api/v1/namespaces/bench/{plural}" for plural in ("configmaps", "pods", "events"))
DEPLOYMENTS = "/apis/apps/v1/namespaces/bench/deployments"
WIDGETS, RULED = (f"/apis/bench.example.com/v1/namespaces/bench/{plural}" for plural in ("widgets", "ruledwidgets"))
LEASES = "/apis/coordination.k8s.io/v1/namespaces/bench/leases"
LISTED = "/api/v1/namespaces/listed/pods"
REVIEWS = "/apis/authorization.k8s.io/v1"


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of request. In path and body `@` is a name of its own, `#` a number below 100."""

    name: str
    method: str
    path: str
    body: Any = None
    content_type: str = "application/json"
    accept: str = "application/json"
    user: Identity = ADMIN
    batch: int = 100
    per: int = 1
    """How many objects one request concerns; the figure is for one of them."""
    headers: tuple[tuple[str, str], ...] = ()


ASKED = {"resourceAttributes": {"namespace": "bench", "verb": "get", "resource": "pods"}}
_SCALE = [
    {"op": "replace", "path": "/spec/replicas", "value": 5},
    {"op": "add", "path": "/metadata/labels", "value": {"a": "@"}},
]
_IMAGE = {"spec": {"template": {"spec": {"containers": [{"name": "app", "image": "registry.example/app:@"}]}}}}
_LABEL = {"metadata": {"labels": {"a": "@"}}}
_CONDITION = {
    "type": "Ready",
    "status": "True",
    "reason": "Fine",
    "message": "@",
    "lastTransitionTime": "2026-01-01T00:00:00Z",
}
_SHARED = "shared-#"
QUERY = "?fieldManager=bench&force=true"
CASES = (
    Case("GET ConfigMap", "GET", f"{MAPS}/{_SHARED}"),
    Case("GET ConfigMap, 1,000 bindings", "GET", f"{MAPS}/{_SHARED}", user=JANE),
    Case("GET pod protobuf", "GET", f"{PODS}/{_SHARED}", accept=PROTOBUF),
    Case("GET pod as Table", "GET", f"{PODS}/{_SHARED}", accept=TABLE),
    Case("GET pod as YAML", "GET", f"{PODS}/{_SHARED}", accept="application/yaml"),
    Case("CREATE ConfigMap", "POST", MAPS, objects.config_map("@")),
    Case(
        "CREATE Secret", "POST", "/api/v1/namespaces/bench/secrets", {"metadata": {"name": "@"}, "data": {"a": "eA=="}}
    ),
    Case("CREATE pod", "POST", PODS, objects.pod("@")),
    Case("CREATE pod, quota and limits", "POST", "/api/v1/namespaces/quota/pods", objects.pod("@")),
    Case("CREATE pod, policy", "POST", "/api/v1/namespaces/policy/pods", objects.pod("@")),
    Case("CREATE pod, restricted", "POST", "/api/v1/namespaces/secure/pods?dryRun=All", objects.pod("@")),
    Case("CREATE pod protobuf", "POST", PODS, objects.pod("@"), PROTOBUF, PROTOBUF),
    Case("CREATE Deployment", "POST", DEPLOYMENTS, objects.deployment("@")),
    Case(
        "CREATE Service",
        "POST",
        "/api/v1/namespaces/bench/services",
        {"metadata": {"name": "s-@"}, "spec": {"clusterIP": "None", "ports": [{"port": 80}], "selector": {"a": "b"}}},
    ),
    Case("CREATE Event", "POST", EVENTS, objects.event("@")),
    Case("CREATE Event protobuf", "POST", EVENTS, objects.event("@"), PROTOBUF, PROTOBUF),
    Case("CREATE custom", "POST", WIDGETS, objects.widget("@")),
    Case("CREATE custom, CEL", "POST", RULED, objects.widget("@", "RuledWidget")),
    Case("CREATE Namespace", "POST", "/api/v1/namespaces", {"metadata": {"name": "n-@"}}),
    Case(
        "CREATE RoleBinding",
        "POST",
        "/apis/rbac.authorization.k8s.io/v1/namespaces/bench/rolebindings",
        {
            "metadata": {"name": "@"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
            "subjects": [{"kind": "User", "name": "u", "apiGroup": "rbac.authorization.k8s.io"}],
        },
    ),
    Case(
        "PUT ConfigMap",
        "PUT",
        f"{MAPS}/{_SHARED}",
        {**objects.config_map(_SHARED), "data": {"a": "@", "b": "x" * 3000}},
    ),
    Case("PUT Lease", "PUT", f"{LEASES}/{_SHARED}?put"),
    Case("PUT Lease protobuf", "PUT", f"{LEASES}/{_SHARED}?put", None, PROTOBUF, PROTOBUF),
    Case(
        "PUT Deployment",
        "PUT",
        f"{DEPLOYMENTS}/{_SHARED}",
        {**objects.deployment(_SHARED), "metadata": {"name": _SHARED, "labels": {"a": "@"}}},
    ),
    Case("PUT custom", "PUT", f"{RULED}/{_SHARED}?put", None),
    Case("PUT custom status", "PUT", f"{RULED}/{_SHARED}/status?put", None),
    Case("PATCH merge Deployment", "PATCH", f"{DEPLOYMENTS}/{_SHARED}", _LABEL, MERGE),
    Case("PATCH JSON Deployment", "PATCH", f"{DEPLOYMENTS}/{_SHARED}", _SCALE, JSON_PATCH),
    Case("PATCH strategic Deployment", "PATCH", f"{DEPLOYMENTS}/{_SHARED}", _IMAGE, STRATEGIC),
    Case("PATCH strategic pod status", "PATCH", f"{PODS}/{_SHARED}/status", objects.pod_status("@"), STRATEGIC),
    Case("PATCH pod, no change", "PATCH", f"{PODS}/{_SHARED}", {"metadata": {"labels": {"app": "bench"}}}, STRATEGIC),
    Case("PATCH merge custom", "PATCH", f"{RULED}/{_SHARED}", _LABEL, MERGE),
    Case(
        "PATCH merge custom status",
        "PATCH",
        f"{RULED}/{_SHARED}/status",
        {"status": {"conditions": [_CONDITION]}},
        MERGE,
    ),
    Case("PATCH scale", "PATCH", f"{DEPLOYMENTS}/{_SHARED}/scale", {"spec": {"replicas": 3}}, MERGE),
    Case(
        "APPLY ConfigMap",
        "PATCH",
        f"{MAPS}/applied-#{QUERY}",
        {**objects.config_map("applied-#"), "data": {"a": "@", "b": "x" * 3000}},
        APPLY,
    ),
    Case(
        "APPLY Deployment",
        "PATCH",
        f"{DEPLOYMENTS}/applied-#{QUERY}",
        {**objects.deployment("applied-#"), "metadata": {"name": "applied-#", "labels": {"a": "@"}}},
        APPLY,
    ),
    Case("APPLY Deployment, no change", "PATCH", f"{DEPLOYMENTS}/same-#{QUERY}", objects.deployment("same-#"), APPLY),
    Case(
        "APPLY custom",
        "PATCH",
        f"{RULED}/applied-#{QUERY}",
        {**objects.widget("applied-#", "RuledWidget"), "metadata": {"name": "applied-#", "labels": {"a": "@"}}},
        APPLY,
    ),
    Case(
        "SubjectAccessReview",
        "POST",
        f"{REVIEWS}/subjectaccessreviews",
        objects.review("SubjectAccessReview", {"user": "jane", **ASKED}),
    ),
    Case(
        "SubjectAccessReview, all new",
        "POST",
        f"{REVIEWS}/subjectaccessreviews",
        objects.review(
            "SubjectAccessReview",
            {"user": "jane", "resourceAttributes": {"namespace": "@", "verb": "get", "resource": "pods", "name": "@"}},
        ),
    ),
    Case(
        "SelfSubjectAccessReview",
        "POST",
        f"{REVIEWS}/selfsubjectaccessreviews",
        objects.review("SelfSubjectAccessReview", ASKED),
        user=JANE,
    ),
    Case(
        "SelfSubjectRulesReview",
        "POST",
        f"{REVIEWS}/selfsubjectrulesreviews",
        objects.review("SelfSubjectRulesReview", {"namespace": "bench"}),
        user=JANE,
    ),
    Case(
        "TokenRequest",
        "POST",
        "/api/v1/namespaces/bench/serviceaccounts/default/token",
        objects.review("TokenRequest", {}, "authentication"),
    ),
    Case(
        "TokenReview",
        "POST",
        "/apis/authentication.k8s.io/v1/tokenreviews",
        objects.review("TokenReview", {"token": "TOKEN"}, "authentication"),
    ),
    Case("LIST 2,000 pods", "GET", LISTED, batch=5),
    Case("LIST, page of 500", "GET", f"{LISTED}?limit=500", batch=10),
    Case("LIST at resourceVersion 0", "GET", f"{LISTED}?resourceVersion=0", batch=5),
    Case("LIST by label, half match", "GET", f"{LISTED}?labelSelector=half%3Dyes", batch=5),
    Case("LIST by label, none matches", "GET", f"{LISTED}?labelSelector=app%3Dnone", batch=20),
    Case("LIST by label set, none", "GET", f"{LISTED}?labelSelector=app in (a,b),!c", batch=20),
    Case("LIST by node, none matches", "GET", f"{LISTED}?fieldSelector=spec.nodeName%3Dnode", batch=20),
    Case("LIST metadata", "GET", LISTED, accept=METADATA, batch=5),
    Case("LIST Table", "GET", LISTED, accept=TABLE, batch=5),
    Case("LIST protobuf", "GET", LISTED, accept=PROTOBUF, batch=5),
    Case("LIST gzip", "GET", LISTED, headers=(("accept-encoding", "gzip"),), batch=3),
    Case("after a write: LIST", "CHANGED", LISTED, batch=5),
    Case("after a write: LIST half match", "CHANGED", f"{LISTED}?labelSelector=half%3Dyes", batch=5),
    Case("after a write: LIST metadata", "CHANGED", LISTED, accept=METADATA, batch=3),
    Case("after a write: LIST Table", "CHANGED", LISTED, accept=TABLE, batch=3),
    Case("after a write: LIST protobuf", "CHANGED", LISTED, accept=PROTOBUF, batch=3),
    Case("after a write: LIST gzip", "CHANGED", LISTED, headers=(("accept-encoding", "gzip"),), batch=3),
    Case("DELETE ConfigMap", "DELETE", MAPS),
    Case("DELETE pod", "DELETE", f"{PODS}?gracePeriodSeconds=0"),
    Case("DELETE collection, an object", "DELETECOLLECTION", MAPS, batch=1, per=200),
    Case("beside others' hooks: CREATE ConfigMap", "POST", MAPS, objects.config_map("@")),
    Case("beside others' hooks: CREATE pod", "POST", PODS, objects.pod("@")),
    Case("discovery", "GET", "/apis", accept="application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"),
    Case("openapi v3 index", "GET", "/openapi/v3"),
)


class Bench:
    """A server to ask, in this process."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._names = itertools.count()
        self.crowded = False

    async def ask(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Any:
        """One request as the administrator. Raises RuntimeError for an answer that is no success."""
        data = b"" if body is None else orjson.dumps(body)
        return await self._sent(_request(Case("", method, path, content_type=content_type), path, data))

    async def _sent(self, request: Request) -> bytes:
        response = await self._server.handle(request)
        body = response.body if isinstance(response.body, bytes) else b"".join(response.body)
        if response.status >= 300:
            raise RuntimeError(f"{request.method} {request.path}: {response.status} {body[:300]!r}")
        return body

    async def measure(self, case: Case, rounds: int) -> float:
        """The best µs of processor time of one request (of one object, where it concerns several)."""
        best = float("inf")
        for _ in range(rounds):
            requests = [request async for request in self._requests(case)]
            gc.collect()
            if case.method == "CHANGED":
                best = min(best, await self._changed(requests))
                continue
            gc.disable()
            answers = []
            before = time.thread_time()
            for request in requests:
                answer = self._server.dispatch(request)
                answers.append(answer if hasattr(answer, "status") else await answer)
            best = min(best, (time.thread_time() - before) / len(requests) / case.per)
            gc.enable()
            bad = next((one for one in answers if one.status >= 300), None)
            if bad is not None:
                raise RuntimeError(f"{case.name}: {bad.status} {bad.body[:500]!r}")
        return best * 1e6

    async def _changed(self, requests: list[Request]) -> float:
        """Seconds of one request that follows a write, which is not counted."""
        total = 0.0
        for request in requests:
            await self.ask(
                "PATCH",
                f"{LISTED}/pod-{next(self._names) % 2000:05d}",
                {"metadata": {"labels": {"at": str(next(self._names))}}},
                MERGE,
            )
            before = time.thread_time()
            answer = self._server.dispatch(request)
            if not hasattr(answer, "status"):
                await answer
            total += time.thread_time() - before
        return total / len(requests)

    async def _requests(self, case: Case) -> AsyncIterator[Request]:
        for number in range(case.batch):
            name = f"x{next(self._names)}"
            path, body = case.path.replace("#", str(number)), case.body
            if case.method in ("DELETE", "DELETECOLLECTION"):
                yield await self._doomed(case, path, name)
                continue
            if path.endswith("?put"):
                yield await self._read(case, path.removesuffix("?put"), name)
                continue
            data = (
                b""
                if body is None
                else orjson.dumps(body)
                .replace(b"@", name.encode())
                .replace(b"#", b"%d" % number)
                .replace(b"TOKEN", self.token)
            )
            if case.content_type == PROTOBUF:
                data = envelope.write(orjson.loads(data))
            yield _request(case, path, data)

    async def _read(self, case: Case, path: str, name: str) -> Request:
        """The update of what is there, as controllers send it: read, changed, written back."""
        obj = orjson.loads(await self.ask("GET", path.removesuffix("/status")))
        if "leases" in path:
            obj["spec"]["holderIdentity"] = name
        else:
            obj["spec"]["settings"]["s0"] = name
            obj["status"] = {"conditions": [{**_CONDITION, "message": name}]}
        return _request(case, path, envelope.write(obj) if case.content_type == PROTOBUF else orjson.dumps(obj))

    async def _doomed(self, case: Case, path: str, name: str) -> Request:
        collection, _, query = path.partition("?")
        query = f"?{query}" if query else ""
        many = case.method == "DELETECOLLECTION"
        for number in range(case.per):
            labels = {"doomed": name} if many else {}
            made = objects.pod(f"{name}-{number}") if "pods" in path else objects.config_map(f"{name}-{number}")
            made["metadata"]["labels"] |= labels
            await self.ask("POST", collection, made)
        wanted = f"{collection}?labelSelector=doomed%3D{name}" if many else f"{collection}/{name}-0{query}"
        return _request(Case("", "DELETE", ""), wanted, b"")

    async def fill(self) -> None:
        """What the cases ask for."""
        for name in ("bench", "listed", "quota", "policy", "secure"):
            labels = {"pod-security.kubernetes.io/warn": "restricted"} if name == "secure" else {}
            await self.ask("POST", "/api/v1/namespaces", {"metadata": {"name": name, "labels": labels}})
            await self.ask("POST", f"/api/v1/namespaces/{name}/serviceaccounts", {"metadata": {"name": "default"}})
        definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        await self.ask("POST", definitions, objects.definition("widgets", "Widget", []))
        rules = [
            {"rule": "self.replicas <= self.most", "message": "too many"},
            {"rule": "self.parts.all(p, p.size < 1000)", "message": "too big"},
            {"rule": "self.mode == oldSelf.mode", "message": "the mode stays"},
        ]
        await self.ask("POST", definitions, objects.definition("ruledwidgets", "RuledWidget", rules))
        await asyncio.sleep(0.5)
        for number in range(100):
            name = f"shared-{number}"
            await self.ask("POST", MAPS, objects.config_map(name))
            await self.ask("POST", PODS, objects.pod(name))
            await self.ask("POST", DEPLOYMENTS, objects.deployment(name))
            await self.ask("POST", LEASES, objects.lease(name, "nobody"))
            await self.ask("POST", WIDGETS, objects.widget(name))
            await self.ask("POST", RULED, objects.widget(name, "RuledWidget"))
        for number in range(2000):
            made = objects.pod(f"pod-{number:05d}")
            made["metadata"]["labels"]["half"] = "yes" if number % 2 else "no"
            await self.ask("POST", LISTED, made)
        hard = {"pods": "1000000", "requests.cpu": "1000000", "requests.memory": "1000000Gi"}
        await self.ask(
            "POST", "/api/v1/namespaces/quota/resourcequotas", {"metadata": {"name": "q"}, "spec": {"hard": hard}}
        )
        limit = {"type": "Container", "default": {"cpu": "1"}, "defaultRequest": {"cpu": "100m"}, "max": {"cpu": "4"}}
        await self.ask(
            "POST", "/api/v1/namespaces/quota/limitranges", {"metadata": {"name": "l"}, "spec": {"limits": [limit]}}
        )
        await self._bind()
        await self._judge()
        asked = await self.ask(
            "POST",
            "/api/v1/namespaces/bench/serviceaccounts/default/token",
            objects.review("TokenRequest", {}, "authentication"),
        )
        self.token = orjson.loads(asked)["status"]["token"].encode()

    async def crowd(self) -> None:
        """Webhooks and policies of others, none of which concerns what is asked."""
        group = "/apis/admissionregistration.k8s.io/v1"
        rules = [
            {"apiGroups": [name], "apiVersions": ["v1"], "resources": ["things"], "operations": ["CREATE", "UPDATE"]}
            for name in ("a.example.com", "b.example.com")
        ]
        for number in range(20):
            hook = {
                "name": f"h{number}.example.com",
                "clientConfig": {"url": "https://127.0.0.1:1/"},
                "rules": rules,
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
            }
            body = {"metadata": {"name": f"h{number}"}, "webhooks": [hook]}
            await self.ask("POST", f"{group}/validatingwebhookconfigurations", body)
            await self.ask("POST", f"{group}/mutatingwebhookconfigurations", body)
            spec = {"matchConstraints": {"resourceRules": rules}, "validations": [{"expression": "true"}]}
            name = {"metadata": {"name": f"h{number}"}}
            await self.ask("POST", f"{group}/validatingadmissionpolicies", {**name, "spec": spec})
            bound = {"policyName": f"h{number}", "validationActions": ["Deny"]}
            await self.ask("POST", f"{group}/validatingadmissionpolicybindings", {**name, "spec": bound})
        self.crowded = True

    async def _bind(self) -> None:
        rbac = "/apis/rbac.authorization.k8s.io/v1"
        everything = [{"apiGroups": ["", "apps"], "resources": ["configmaps", "pods", "secrets"], "verbs": ["*"]}]
        await self.ask("POST", f"{rbac}/clusterroles", {"metadata": {"name": "bench"}, "rules": everything})
        for number in range(BINDINGS):
            role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "bench"}
            user = "jane" if number % 10 == 0 else f"user-{number}"
            subjects = [{"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"}]
            body = {"metadata": {"name": f"b-{number}"}, "roleRef": role, "subjects": subjects}
            place = f"{rbac}/namespaces/bench/rolebindings" if number % 2 else f"{rbac}/clusterrolebindings"
            await self.ask("POST", place, body)

    async def _judge(self) -> None:
        group = "/apis/admissionregistration.k8s.io/v1"
        rules = [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE", "UPDATE"]}]
        validations = [{"expression": "object.spec.containers.all(c, c.image.startsWith('registry.example/'))"}]
        spec = {"matchConstraints": {"resourceRules": rules}, "validations": validations}
        await self.ask("POST", f"{group}/validatingadmissionpolicies", {"metadata": {"name": "p"}, "spec": spec})
        chosen = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "policy"}}}
        bound = {"policyName": "p", "validationActions": ["Deny"], "matchResources": chosen}
        await self.ask("POST", f"{group}/validatingadmissionpolicybindings", {"metadata": {"name": "p"}, "spec": bound})


def _request(case: Case, path: str, data: bytes) -> Request:
    path, _, query = path.partition("?")
    pairs = [tuple(part.split("=", 1)) for part in query.replace("%3D", "=").split("&") if part]
    method = "GET" if case.method == "CHANGED" else case.method
    headers = {"content-type": case.content_type, "accept": case.accept, "user-agent": "bench/1", **dict(case.headers)}
    return Request(method, path, pairs, headers, data, user=case.user, remote="127.0.0.1")  # type: ignore[arg-type]


async def _main(only: list[str], rounds: int, note: Callable[[str, float], None], audited: bool) -> None:
    with tempfile.TemporaryDirectory(prefix="mizzen-bench-") as scratch:
        directory, clock = Path(scratch), SystemClock()
        policy = directory / "policy.yaml"
        policy.write_text("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: RequestResponse\n")
        settings = Settings(
            Pki(directory, clock.now()).service_account_key(),
            audit_policy=policy if audited else None,
            audit_log=directory / "audit.log",
        )
        store = MemoryStore()
        server = Server(
            store, clock, lambda reader, writer: Security(settings, reader, writer, clock, random.Random(1)).config()
        )
        await server.start()
        facts = Facts("10.96.0.0/16", "10.96.0.1", ("192.0.2.1",), 6443, "the CA")
        await bootstrap.reconcile(facts, server.reader, server.writer)
        bench = Bench(server)
        await bench.fill()
        gc.collect()
        gc.freeze()
        for case in CASES:
            if any(text in case.name.lower() for text in only):
                if case.name.startswith("beside") and not bench.crowded:
                    await bench.crowd()
                note(case.name, await bench.measure(case, rounds))
        await server.close()
        await store.close()


def main() -> None:
    """Print a line a kind of request."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="cases whose name holds this text, or one of several with commas")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--audit", action="store_true", help="with an audit policy that records everything")
    asked = parser.parse_args()
    log.set_level("error")
    base: list[float] = []

    def note(name: str, microseconds: float) -> None:
        base.append(microseconds)
        print(
            f"{name:34}{microseconds:10,.1f} µs{microseconds / base[0]:10.1f} × {'GET' if base[0] else ''}", flush=True
        )

    uvloop.run(_main(asked.only.lower().split(","), asked.rounds, note, asked.audit))


if __name__ == "__main__":
    main()
