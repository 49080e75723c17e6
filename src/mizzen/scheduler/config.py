"""How schedulers are configured: profiles by name, their plugins with arguments and weights, and extenders.

The file is a KubeSchedulerConfiguration; beyond it a plugin, or a whole scheduler, can be a Python object that is
named by its import path under `mizzen.dev/python`.
Ref: https://kubernetes.io/docs/reference/scheduling/config/
"""

import base64
import importlib
import re
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import yaml

from mizzen.net import tls
from mizzen.scheduler.cycle import Placed, Unschedulable
from mizzen.scheduler.framework import Plugin, without_filter, without_score
from mizzen.scheduler.plugins import CONFIGURED, PLUGINS
from mizzen.scheduler.snapshot import PodInfo, Snapshot

DEFAULT_NAME: Final = "default-scheduler"
PYTHON: Final = "mizzen.dev/python"
PREEMPTION: Final = "DefaultPreemption"
_API_VERSION: Final = "kubescheduler.config.k8s.io/v1"
_BUILT_IN: Final = frozenset(
    {PREEMPTION, "PrioritySort", "DefaultBinder", "VolumeRestrictions", "GangScheduling", "NodeDeclaredFeatures"}
)
"""Plugins of the original that are part of the scheduler itself here, or have nothing to do."""
_UNITS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_FILTERS: Final = ("preFilter", "filter")
_SCORES: Final = ("preScore", "score")

Decide = Callable[[PodInfo, Snapshot], Placed | Unschedulable]
"""A whole scheduler: the node for a pod, or why there is none."""


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds that a pod's volumes may take to be bound, and its devices to be ready, until it is decided again."""

    volumes: float = 600.0
    devices: float = 600.0


@dataclass(frozen=True, slots=True)
class Profile:
    """One scheduler, by its name in `spec.schedulerName`. With `decide` a function takes the place of all plugins."""

    name: str = DEFAULT_NAME
    plugins: tuple[Plugin, ...] = PLUGINS
    preempts: bool = True
    decide: Decide | None = None
    foreign: bool = False
    """Whether code of the user's takes part, which may raise whatever it likes."""
    patience: Patience = Patience()


@dataclass(frozen=True, slots=True)
class Extender:
    """A web service that filters, prioritizes, preempts or binds, by the paths of these verbs; seconds.

    `managed`: only pods that ask for these resources. `tls`: None for the system's authorities.
    """

    url: str
    filter: str = ""
    prioritize: str = ""
    preempt: str = ""
    bind: str = ""
    weight: float = 1.0
    timeout: float = 30.0
    knows_nodes: bool = False
    managed: frozenset[str] = frozenset()
    ignorable: bool = False
    tls: ssl.SSLContext | None = None
    server_name: str = ""

    def is_interested(self, pod: PodInfo) -> bool:
        if not self.managed:
            return True
        containers = (*pod.pod.spec.containers, *pod.pod.spec.initContainers)
        return any(
            name in self.managed for one in containers for name in (*one.resources.requests, *one.resources.limits)
        )


@dataclass(frozen=True, slots=True)
class Configuration:
    """All schedulers of a process. Back-off in seconds."""

    profiles: tuple[Profile, ...] = (Profile(),)
    extenders: tuple[Extender, ...] = ()
    first_backoff: float = 1.0
    last_backoff: float = 10.0


def load(path: Path) -> Configuration:
    """The configuration in a file. Raises ValueError with the place that is wrong; OSError."""
    try:
        document = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(document, dict):
        raise ValueError(f"{path}: must be a KubeSchedulerConfiguration")
    return parse(document)


def parse(document: Mapping[str, Any]) -> Configuration:
    """A KubeSchedulerConfiguration. Raises ValueError."""
    if document.get("apiVersion") != _API_VERSION or document.get("kind") != "KubeSchedulerConfiguration":
        raise ValueError(f"apiVersion, kind: must be {_API_VERSION} KubeSchedulerConfiguration")
    listed = tuple(document.get("extenders") or ())
    extenders = tuple(_extender(one, f"extenders[{index}]") for index, one in enumerate(listed))
    resources = [resource for one in listed for resource in one.get("managedResources") or ()]
    ignored = tuple(one["name"] for one in resources if one.get("ignoredByScheduler"))
    given = enumerate(document.get("profiles") or ({},))
    profiles = tuple(_profile(one, f"profiles[{index}]", ignored) for index, one in given)
    names = [one.name for one in profiles]
    if len(set(names)) < len(names):
        raise ValueError("profiles: each needs a schedulerName of its own")
    first = float(document.get("podInitialBackoffSeconds", 1))
    last = float(document.get("podMaxBackoffSeconds", 10))
    if not 0 < first <= last:
        raise ValueError("podMaxBackoffSeconds: must be at least podInitialBackoffSeconds, which must be positive")
    return Configuration(profiles, extenders, first, last)


def _profile(document: Mapping[str, Any], where: str, ignored: Sequence[str] = ()) -> Profile:
    """A profile. `ignored`: resources that extenders alone look after."""
    name = document.get("schedulerName") or DEFAULT_NAME
    if PYTHON in document:
        decide = _imported(document[PYTHON], f"{where}.{PYTHON}", Callable)
        return Profile(name, (), preempts=False, decide=decide, foreign=True)
    arguments = {one.get("name", ""): one.get("args") or {} for one in document.get("pluginConfig") or ()}
    if ignored:
        args = dict(arguments.get("NodeResourcesFit") or {})
        args["ignoredResources"] = [*(args.get("ignoredResources") or ()), *ignored]
        arguments["NodeResourcesFit"] = args
    plugins = document.get("plugins") or {}
    chosen = _Chosen({one.name: one for one in PLUGINS}, where=f"{where}.plugins")
    for plugin, args in arguments.items():
        if plugin in CONFIGURED:
            try:
                chosen.known[plugin] = CONFIGURED[plugin](args)
            except (ValueError, TypeError, KeyError) as error:
                raise ValueError(f"{where}.pluginConfig[{plugin}]: {error}") from error
    chosen.active = dict.fromkeys(one.name for one in PLUGINS)
    chosen.apply_everywhere(plugins.get("multiPoint") or {})
    chosen.apply_at(_FILTERS, plugins, without_filter, without_score)
    chosen.apply_at(_SCORES, plugins, without_score, without_filter)
    post = (plugins.get("postFilter") or {}).get("disabled") or ()
    kept = not any(one.get("name") in ("*", PREEMPTION) for one in post) and PREEMPTION not in chosen.removed
    active = tuple(chosen.known[one] for one in chosen.active)
    patience = _patience(arguments, f"{where}.pluginConfig")
    return Profile(name, active, preempts=kept, foreign=chosen.foreign, patience=patience)


def _patience(arguments: Mapping[str, Mapping[str, Any]], where: str) -> Patience:
    """What VolumeBindingArgs and DynamicResourcesArgs say. Raises ValueError."""
    binding, devices = (arguments.get(one) or {} for one in ("VolumeBinding", "DynamicResources"))
    volumes = binding.get("bindTimeoutSeconds")
    if volumes is not None and (not isinstance(volumes, int) or volumes < 0):
        raise ValueError(f"{where}[VolumeBinding]: bindTimeoutSeconds: must be a whole number and not negative")
    known = Patience()
    ready = devices.get("bindingTimeout")
    return Patience(
        known.volumes if volumes is None else float(volumes),
        known.devices if ready is None else _seconds(str(ready), f"{where}[DynamicResources].bindingTimeout"),
    )


@dataclass(slots=True)
class _Chosen:
    """The plugins of a profile while its sets are applied."""

    known: dict[str, Plugin]
    where: str
    active: dict[str, None] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)
    foreign: bool = False

    def apply_everywhere(self, entry: Mapping[str, Any]) -> None:
        for one in entry.get("disabled") or ():
            self.removed.add(one.get("name", ""))
            if one.get("name") == "*":
                self.active.clear()
                self.removed.add(PREEMPTION)
            else:
                self.active.pop(self._name(one), None)
        for one in entry.get("enabled") or ():
            name = self._enabled(one)
            self.removed.discard(name)
            if name not in _BUILT_IN:
                self.active[name] = None

    def apply_at(
        self,
        points: Sequence[str],
        plugins: Mapping[str, Any],
        drop: Callable[[Plugin], Plugin],
        keep_only: Callable[[Plugin], Plugin],
    ) -> None:
        """Disable and enable plugins at one point: `drop` removes what they do there, `keep_only` all but that."""
        for point in points:
            entry = plugins.get(point) or {}
            enabled = tuple(entry.get("enabled") or ())
            again = {one.get("name") for one in enabled}
            for one in entry.get("disabled") or ():
                names = tuple(self.active) if one.get("name") == "*" else (self._name(one),)
                for name in names:
                    if name in self.active and name not in again:
                        self.known[name] = drop(self.known[name])
            for one in enabled:
                name = self._enabled(one)
                if name not in self.active and name not in _BUILT_IN:
                    self.known[name] = keep_only(self.known[name])
                    self.active[name] = None

    def _enabled(self, entry: Mapping[str, Any]) -> str:
        """The name of an enabled plugin, imported if need be, with its weight."""
        name = entry.get("name", "")
        if PYTHON in entry:
            found = _imported(entry[PYTHON], f"{self.where}: {name}", Plugin)
            self.known[name] = replace(found, name=name)
            self.foreign = True
        self._name(entry)
        if entry.get("weight") and name in self.known:
            self.known[name] = replace(self.known[name], weight=float(entry["weight"]))
        return str(name)

    def _name(self, entry: Mapping[str, Any]) -> str:
        name = str(entry.get("name", ""))
        if name not in self.known and name not in _BUILT_IN:
            raise ValueError(f"{self.where}: there is no plugin {name!r}; known are {', '.join(sorted(self.known))}")
        return name


def _imported(path: object, where: str, kind: Any) -> Any:
    """The object at `pkg.module:NAME`. Raises ValueError."""
    module, colon, name = str(path).partition(":")
    if not colon:
        raise ValueError(f"{where}: {path!r} is no import path like pkg.module:NAME")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"{where}: {path!r} cannot be imported: {error}") from error
    if not isinstance(found, kind):
        raise ValueError(f"{where}: {path!r} is a {type(found).__name__}, not a {kind.__name__}")
    return found


def _extender(document: Mapping[str, Any], where: str) -> Extender:
    url = document.get("urlPrefix") or ""
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"{where}.urlPrefix: must be an http or https URL")
    weight = float(document.get("weight") or 0)
    if document.get("prioritizeVerb") and weight <= 0:
        raise ValueError(f"{where}.weight: must be positive where there is a prioritizeVerb")
    secured = document.get("tlsConfig") or {}
    return Extender(
        url=url.rstrip("/"),
        filter=document.get("filterVerb") or "",
        prioritize=document.get("prioritizeVerb") or "",
        preempt=document.get("preemptVerb") or "",
        bind=document.get("bindVerb") or "",
        weight=weight or 1.0,
        timeout=_seconds(str(document.get("httpTimeout") or "30s"), f"{where}.httpTimeout"),
        knows_nodes=bool(document.get("nodeCacheCapable")),
        managed=frozenset(one["name"] for one in document.get("managedResources") or ()),
        ignorable=bool(document.get("ignorable")),
        tls=_tls(secured, f"{where}.tlsConfig", unchecked=bool(document.get("enableHTTPS"))),
        server_name=secured.get("serverName") or "",
    )


def _tls(document: Mapping[str, Any], where: str, *, unchecked: bool) -> ssl.SSLContext | None:
    """What an ExtenderTLSConfig says; None without a word. `unchecked`: without an authority nobody is checked."""
    try:
        authority, certificate, key = (_pem(document, name) for name in ("ca", "cert", "key"))
        if document.get("insecure") and authority:
            raise ValueError("insecure: must be unset where there is an authority")
        if not document and not unchecked:
            return None
        if document.get("insecure") or (unchecked and not authority):
            context = tls.unverified_context()
        else:
            context = tls.client_context(ca_data=authority.decode())
        if certificate:
            tls.show(context, certificate, key)
    except (OSError, ValueError) as error:  # unusable certificates are OSErrors, too
        raise ValueError(f"{where}: {error}") from error
    return context


def _pem(document: Mapping[str, Any], name: str) -> bytes:
    """What stands under `nameData`, or in the file that `nameFile` names; nothing without either."""
    if document.get(f"{name}Data"):
        return base64.b64decode(document[f"{name}Data"], validate=True)
    return Path(document[f"{name}File"]).read_bytes() if document.get(f"{name}File") else b""


def _seconds(text: str, where: str) -> float:
    """A duration like `1m30s` or `500ms`. Raises ValueError."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(h|ms|m|s)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{where}: {text!r} is no duration like 30s")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)
