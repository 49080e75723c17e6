"""/healthz, /livez and /readyz, whole, verbose, and check by check."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from mizzen.base import metrics
from mizzen.wire.message import Request, Response

_PLAIN: Final = {
    "content-type": "text/plain; charset=utf-8",
    "x-content-type-options": "nosniff",
    "cache-control": "no-cache, private",
}
PATHS: Final = ("healthz", "livez", "readyz")
HOOKS: Final = (
    *(
        "poststarthook/start-apiserver-admission-initializer",
        "poststarthook/start-kube-apiserver-admission-initializer",
    ),
    *("poststarthook/generic-apiserver-start-informers", "poststarthook/priority-and-fairness-config-consumer"),
    *("poststarthook/priority-and-fairness-filter", "poststarthook/storage-object-count-tracker-hook"),
    *("poststarthook/start-apiextensions-informers", "poststarthook/start-apiextensions-controllers"),
    *("poststarthook/crd-informer-synced", "poststarthook/start-system-namespaces-controller"),
    *("poststarthook/start-cluster-authentication-info-controller", "poststarthook/bootstrap-controller"),
    *("poststarthook/start-legacy-token-tracking-controller", "poststarthook/rbac/bootstrap-roles"),
    *("poststarthook/scheduling/bootstrap-system-priority-classes",),
    *("poststarthook/priority-and-fairness-config-producer", "poststarthook/start-kube-aggregator-informers"),
    *("poststarthook/apiservice-registration-controller", "poststarthook/apiservice-status-available-controller"),
    *("poststarthook/kube-apiserver-autoregistration", "autoregister-completion"),
    *("poststarthook/apiservice-openapi-controller", "poststarthook/apiservice-openapiv3-controller"),
)
"""The steps of the original's start, by which its clients ask: here they are one."""

Check = Callable[[], str]
"""What is wrong; empty when all is well."""


class Health:
    """Named checks; liveness leaves out those that only tell whether the server is ready."""

    def __init__(self, checks: Mapping[str, Check]) -> None:
        self.checks = dict(checks)
        self.readiness: dict[str, Check] = {}
        self.started = False
        """Whether the server has read its store and follows it."""
        self.leaving = False
        """Whether the server is about to end, so that nobody should come any more."""

    def names(self, path: str) -> list[str]:
        """The checks of a path."""
        return list(self._checks(path))

    def metrics(self) -> Iterator[str]:
        """Whether each check is passed now, in Prometheus' text format."""
        samples = (
            (metrics.labels({"name": name, "type": path}), 0 if check() else 1)
            for path in PATHS
            for name, check in self._checks(path).items()
        )
        yield from metrics.family("kubernetes_healthcheck", "gauge", "Whether a health check is passed", samples)

    def _checks(self, path: str) -> dict[str, Check]:
        hooks = dict.fromkeys(HOOKS, self._start)
        if path != "readyz":
            return {**self.checks, **hooks}
        shutdown = {"shutdown": lambda: "process is shutting down" if self.leaving else ""}
        return {**self.checks, **self.readiness, **hooks, **shutdown}

    def _start(self) -> str:
        return "" if self.started else "not finished"

    def answer(self, request: Request) -> Response | None:
        """The answer for a health path; None for any other."""
        parts = request.path.strip("/").split("/", 1)
        if parts[0] not in PATHS:
            return None
        checks = self._checks(parts[0])
        if len(parts) == 2:
            return self._single(parts[1], checks)
        return self._all(request, parts[0], checks)

    @staticmethod
    def _single(name: str, checks: Mapping[str, Check]) -> Response | None:
        if name not in checks:
            return None
        problem = checks[name]()
        if problem:
            return Response(500, dict(_PLAIN), f"internal server error: {problem}\n".encode())
        return Response(200, dict(_PLAIN), b"ok")

    @staticmethod
    def _all(request: Request, path: str, checks: Mapping[str, Check]) -> Response:
        excluded = {value for key, value in request.query if key == "exclude"}
        verbose = any(key == "verbose" for key, _ in request.query)
        lines, failed = [], False
        for name, check in checks.items():
            if name in excluded:
                lines.append(f"[+]{name} excluded: ok")
                continue
            problem = check()
            failed = failed or bool(problem)
            lines.append(f"[-]{name} failed: reason withheld" if problem else f"[+]{name} ok")
        if unknown := sorted(excluded - checks.keys()):
            names = ", ".join(f'"{name}"' for name in unknown)
            lines.append(f"warn: some health checks cannot be excluded: no matches for {names}")
        text = "\n".join(lines)
        if failed:
            return Response(500, dict(_PLAIN), f"{text}\n{path} check failed\n".encode())
        if not verbose:
            return Response(200, dict(_PLAIN), b"ok")
        return Response(200, dict(_PLAIN), f"{text}\n{path} check passed\n".encode())
