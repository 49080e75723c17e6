"""Probes and lifecycle hooks: exactly one action each, and sensible numbers.

Ref: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#container-probes
"""

from collections.abc import Iterator

from mizzen.api.rules import fields, ports
from mizzen.machinery.errors import FieldError, Object, forbidden, invalid, not_supported, required

_PROBE_ACTIONS = ("exec", "httpGet", "tcpSocket", "grpc")
_HOOK_ACTIONS = ("exec", "httpGet", "tcpSocket", "sleep")
_NUMBERS = ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold")
_WINDOWS_SIGNALS = ("SIGKILL", "SIGTERM")
_SIGNAL_NAMES = (
    "ABRT",
    "ALRM",
    "BUS",
    "CHLD",
    "CLD",
    "CONT",
    "FPE",
    "HUP",
    "ILL",
    "INT",
    "IO",
    "IOT",
    "KILL",
    "PIPE",
    "POLL",
    "PROF",
    "PWR",
    "QUIT",
    "SEGV",
    "STKFLT",
    "STOP",
    "SYS",
    "TERM",
    "TRAP",
    "TSTP",
    "TTIN",
    "TTOU",
    "URG",
    "USR1",
    "USR2",
    "VTALRM",
    "WINCH",
    "XCPU",
    "XFSZ",
    "RTMIN",
    "RTMAX",
)
SIGNALS = frozenset(
    (
        *(f"SIG{name}" for name in _SIGNAL_NAMES),
        *(f"SIGRTMIN+{number}" for number in range(1, 16)),
        *(f"SIGRTMAX-{number}" for number in range(1, 15)),
    )
)


def container_probe_errors(path: str, container: Object) -> Iterator[FieldError]:
    """The three probes of a container that may have them."""
    if (probe := container.get("livenessProbe")) is not None:
        yield from _killing_probe_errors(f"{path}.livenessProbe", probe)
    if (probe := container.get("readinessProbe")) is not None:
        yield from probe_errors(f"{path}.readinessProbe", probe)
        if probe.get("terminationGracePeriodSeconds") is not None:
            at = f"{path}.readinessProbe.terminationGracePeriodSeconds"
            yield invalid(at, probe["terminationGracePeriodSeconds"], "must not be set for readinessProbes")
    if (probe := container.get("startupProbe")) is not None:
        yield from _killing_probe_errors(f"{path}.startupProbe", probe)


def _killing_probe_errors(path: str, probe: Object) -> Iterator[FieldError]:
    yield from probe_errors(path, probe)
    if (success := probe.get("successThreshold")) and success != 1:
        yield invalid(f"{path}.successThreshold", success, "must be 1")


def probe_errors(path: str, probe: Object) -> Iterator[FieldError]:
    yield from action_errors(path, probe, _PROBE_ACTIONS)
    for field in _NUMBERS:
        if (probe.get(field) or 0) < 0:
            yield invalid(f"{path}.{field}", probe[field], "must be greater than or equal to 0")
    grace = probe.get("terminationGracePeriodSeconds")
    if grace is not None and grace <= 0:
        yield invalid(f"{path}.terminationGracePeriodSeconds", grace, "must be greater than 0")


def lifecycle_errors(path: str, lifecycle: Object, spec: Object) -> Iterator[FieldError]:
    """Both hooks and the stop signal of a container."""
    grace = spec.get("terminationGracePeriodSeconds")
    for field in ("postStart", "preStop"):
        if (hook := lifecycle.get(field)) is None:
            continue
        yield from action_errors(f"{path}.{field}", hook, _HOOK_ACTIONS)
        if (sleep := hook.get("sleep")) is not None and all(hook.get(other) is None for other in _PROBE_ACTIONS):
            seconds = sleep.get("seconds") or 0
            if grace is not None and not 0 <= seconds <= grace:
                detail = f"must be non-negative and less than terminationGracePeriodSeconds ({grace})"
                yield invalid(f"{path}.{field}.sleep", seconds, detail)
    if (signal := lifecycle.get("stopSignal")) is not None:
        yield from _signal_errors(f"{path}.stopSignal", signal, (spec.get("os") or {}).get("name") or "")


def _signal_errors(path: str, signal: str, system: str) -> Iterator[FieldError]:
    if not system:
        yield forbidden(path, "may not be set for containers with empty `spec.os.name`")
    elif system == "windows" and signal not in _WINDOWS_SIGNALS:
        yield not_supported(path, signal, _WINDOWS_SIGNALS)
    elif signal not in SIGNALS:
        yield not_supported(path, signal, sorted(SIGNALS))


def action_errors(path: str, handler: Object, actions: tuple[str, ...]) -> Iterator[FieldError]:
    """Exactly one action, and that one well-formed."""
    found = False
    for action in actions:
        if (value := handler.get(action)) is None:
            continue
        if found:
            yield forbidden(f"{path}.{action}", "may not specify more than 1 handler type")
            continue
        found = True
        match action:
            case "exec":
                if not value.get("command"):
                    yield required(f"{path}.exec.command")
            case "httpGet":
                yield from _http_errors(f"{path}.httpGet", value)
            case "tcpSocket":
                yield from ports.number_or_name(f"{path}.tcpSocket.port", value.get("port"))
            case "grpc":
                yield from ports.number(f"{path}.grpc.port", value.get("port"))
    if not found:
        yield required(path, "must specify a handler type")


def _http_errors(path: str, http: Object) -> Iterator[FieldError]:
    if not http.get("path"):
        yield required(f"{path}.path")
    yield from ports.number_or_name(f"{path}.port", http.get("port"))
    if (scheme := http.get("scheme")) not in {"HTTP", "HTTPS"}:
        yield not_supported(f"{path}.scheme", scheme, ("HTTP", "HTTPS"))
    for header in http.get("httpHeaders") or ():
        yield from fields.matches(f"{path}.httpHeaders", header.get("name") or "", _header_name)


def _header_name(text: str) -> list[str]:
    if text and text.isascii() and all(mark.isalnum() or mark == "-" for mark in text):
        return []
    return [
        "a valid HTTP header must consist of alphanumeric characters or '-' "
        "(e.g. 'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')"
    ]
