"""The Container Device Interface: what files on the machine say that a container with a device gets.

Ref: https://github.com/cncf-tags/container-device-interface (SPEC.md)
"""

import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import orjson

from mizzen.agent.runtime.base import ContainerSpec, Device, Mount, RuntimeFailure

DIRECTORIES = (Path("/etc/cdi"), Path("/var/run/cdi"))
"""Where the files are; of two that describe a device, the one in the later directory counts."""
Stat = Callable[[str], tuple[str, int, int]]
"""Path of a device node on the machine → (`c` or `b`, major, minor)."""


class DeviceNode(msgspec.Struct, frozen=True, kw_only=True):
    """A device node that is made in the container; what it is, is looked up on the machine unless said."""

    path: str
    hostPath: str = ""
    type: str = ""
    major: int = 0
    minor: int = 0
    fileMode: int | None = None
    permissions: str = ""
    uid: int | None = None
    gid: int | None = None


class CdiMount(msgspec.Struct, frozen=True, kw_only=True):
    hostPath: str
    containerPath: str
    type: str = ""
    options: tuple[str, ...] = ()


class Hook(msgspec.Struct, frozen=True, kw_only=True):
    hookName: str
    path: str
    args: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    timeout: int | None = None


class Edits(msgspec.Struct, frozen=True, kw_only=True):
    """What is changed in a container."""

    env: tuple[str, ...] = ()
    deviceNodes: tuple[DeviceNode, ...] = ()
    mounts: tuple[CdiMount, ...] = ()
    hooks: tuple[Hook, ...] = ()
    additionalGids: tuple[int, ...] = ()

    def and_then(self, other: "Edits") -> "Edits":
        """Both, the second on top of the first."""
        return Edits(**{name: getattr(self, name) + getattr(other, name) for name in self.__struct_fields__})


class CdiDevice(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    containerEdits: Edits = Edits()


class File(msgspec.Struct, frozen=True, kw_only=True):
    """One file: devices of one kind, and the edits that come with any of them."""

    cdiVersion: str
    kind: str
    devices: tuple[CdiDevice, ...]
    containerEdits: Edits = Edits()


def found(directories: Iterable[Path]) -> list[list[File]]:
    """The files of each directory; those that cannot be read describe nothing."""
    return [[one for path in _paths(directory) if (one := _read(path)) is not None] for directory in directories]


def _paths(directory: Path) -> list[Path]:
    try:
        return sorted(path for path in directory.iterdir() if path.suffix in {".json", ".yaml", ".yml"})
    except OSError:
        return []


def _read(path: Path) -> File | None:
    import yaml  # lazily: most nodes have no such files

    try:
        content = path.read_bytes()
        document = orjson.loads(content) if path.suffix == ".json" else yaml.safe_load(content)
        return msgspec.convert(document, File)
    except (OSError, ValueError, yaml.YAMLError):
        return None


def edits(names: Sequence[str], files: Iterable[Iterable[File]]) -> Edits:
    """What devices of these names come to; `files` by directory. Raises RuntimeFailure for devices without a file."""
    known: dict[str, tuple[File, CdiDevice] | None] = {}
    for directory in files:
        here: dict[str, tuple[File, CdiDevice] | None] = {}
        for file in directory:
            for device in file.devices:
                name = f"{file.kind}={device.name}"
                here[name] = None if name in here else (file, device)  # two files contradict each other
        known |= here
    if missing := [name for name in names if known.get(name) is None]:
        text = f"CDI device injection failed: unresolvable CDI devices {', '.join(missing)}"
        raise RuntimeFailure("CreateContainerError", text)
    whole, seen = Edits(), list[File]()
    for name in dict.fromkeys(names):
        if (pair := known[name]) is None:
            continue
        file, device = pair
        if not any(one is file for one in seen):
            seen.append(file)
            whole = whole.and_then(file.containerEdits)
        whole = whole.and_then(device.containerEdits)
    return whole


def applied(config: Mapping[str, Any], wanted: Edits, look: Stat) -> dict[str, Any]:
    """An OCI configuration with the edits made. Raises RuntimeFailure."""
    process, linux = dict(config["process"]), dict(config["linux"])
    names = {_name(line) for line in wanted.env}
    process["env"] = [line for line in process["env"] if _name(line) not in names] + _last_of_each(wanted.env)
    user = process["user"]
    groups = dict.fromkeys((*(user.get("additionalGids") or ()), *(one for one in wanted.additionalGids if one)))
    process["user"] = {**user, "additionalGids": list(groups)}
    nodes = {one["path"]: one for one in linux.get("devices") or ()}
    rules = list(linux["resources"].get("devices") or ())
    for one in wanted.deviceNodes:
        node, rule = _node(one, look)
        nodes[one.path] = node
        rules += [rule] if rule else []
    if nodes:
        linux["devices"] = list(nodes.values())
    linux["resources"] = {**linux["resources"], "devices": rules}
    changed = {**config, "process": process, "linux": linux}
    if wanted.mounts:
        taken = {one.containerPath for one in wanted.mounts}
        mounts = [one for one in config["mounts"] if one["destination"] not in taken]
        mounts += [_mount(one) for one in wanted.mounts]
        changed["mounts"] = sorted(mounts, key=lambda one: one["destination"].rstrip("/").count("/"))
    if wanted.hooks:
        hooks = {name: list(entries) for name, entries in (config.get("hooks") or {}).items()}
        for hook in wanted.hooks:
            hooks.setdefault(hook.hookName, []).append(_hook(hook))
        changed["hooks"] = hooks
    return changed


def with_edits(spec: ContainerSpec, wanted: Edits) -> ContainerSpec:
    """A specification with those edits that a runtime can be told of in words of its own: all but the hooks."""
    env = tuple((_name(line), line.partition("=")[2]) for line in wanted.env)
    mounts = tuple(
        Mount(one.hostPath, one.containerPath, read_only="ro" in one.options, propagation=_propagation(one.options))
        for one in wanted.mounts
    )
    targets = {one.target for one in mounts}
    devices = tuple(Device(one.hostPath or one.path, one.path, one.permissions or "rwm") for one in wanted.deviceNodes)
    groups = tuple(dict.fromkeys((*spec.security.groups, *(one for one in wanted.additionalGids if one))))
    return replace(
        spec,
        env=(*spec.env, *env),
        mounts=(*(one for one in spec.mounts if one.target not in targets), *mounts),
        devices=(*spec.devices, *devices),
        security=replace(spec.security, groups=groups),
        cdi_devices=(),
    )


def _name(line: str) -> str:
    return line.partition("=")[0]


def _last_of_each(lines: Iterable[str]) -> list[str]:
    return list({_name(line): line for line in lines}.values())


def _node(one: DeviceNode, look: Stat) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """A device node, and the rule that lets the container use it."""
    kind, major, minor = one.type, one.major, one.minor
    if not kind or (kind != "p" and not (major or minor)):
        kind, major, minor = look(one.hostPath or one.path)
    node: dict[str, Any] = {"path": one.path, "type": kind, "major": major, "minor": minor}
    mode = one.fileMode if one.fileMode is not None else 0o666
    node["fileMode"] = stat.S_IMODE(mode)
    node |= {key: value for key, value in (("uid", one.uid), ("gid", one.gid)) if value is not None}
    if kind not in {"b", "c"}:
        return node, None
    access = one.permissions or "rwm"
    return node, {"allow": True, "type": kind, "major": major, "minor": minor, "access": access}


def _mount(one: CdiMount) -> dict[str, Any]:
    kind, options = one.type or "bind", list(one.options)
    if kind == "bind" and not {"bind", "rbind"} & set(options):
        options = ["rbind", *options]
    return {"destination": one.containerPath, "type": kind, "source": one.hostPath, "options": options}


def _propagation(options: Iterable[str]) -> str:
    return next((one for one in options if one in {"rslave", "rshared"}), "rprivate")


def _hook(hook: Hook) -> dict[str, Any]:
    made: dict[str, Any] = {"path": hook.path, "args": list(hook.args), "env": list(hook.env)}
    return made if hook.timeout is None else {**made, "timeout": hook.timeout}
