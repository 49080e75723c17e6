"""Plugins of the node: each announces itself by a socket in `plugins_registry`, and goes when that socket goes.

Ref: https://github.com/kubernetes/kubelet (pkg/apis/pluginregistration)
"""

import asyncio
import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mizzen.agent.kubeletdir import KubeletDir
from mizzen.agent.runtime import syscalls
from mizzen.base import log
from mizzen.net.rpc import Channel, Refused
from mizzen.wire import csi

_PATIENCE = 5.0
_LOOK_AGAIN = 5.0
_FIRST_TRY = 0.05
"""Seconds after which a plugin that does not answer is tried again, then twice as many: its socket is there before it
listens."""
_log = log.get("agent")
_Identity = tuple[int, int]
"""Inode and time of change: a socket made anew is another plugin, or the same one started again."""


class PluginRefused(Exception):
    """A plugin that cannot be used; the text is told to it."""


class PluginKind(Protocol):
    """Takes in the plugins of one type."""

    async def register(self, name: str, socket: str, versions: Sequence[str]) -> None:
        """Use a plugin from now on. Raises PluginRefused."""

    async def deregister(self, name: str) -> None:
        """Use it no more."""


@dataclass(slots=True)
class _Known:
    identity: _Identity
    kind: str = ""
    name: str = ""


class Plugins:
    """Follows the registry and hands its plugins to those who use them, by type; `came` is told of each."""

    def __init__(self, directory: KubeletDir, kinds: Mapping[str, PluginKind], came: Callable[[], None]) -> None:
        self._directory = directory
        self._kinds = kinds
        self._came = came
        self._known: dict[Path, _Known] = {}
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Follow the registry until cancelled."""
        registry = self._directory.root / "plugins_registry"
        fd = syscalls.inotify_open()
        loop = asyncio.get_running_loop()
        try:
            syscalls.inotify_watch(fd, str(registry), syscalls.IN_CREATE | syscalls.IN_MOVED_TO | syscalls.IN_DELETE)
            loop.add_reader(fd, self._readable, fd)
            delay = _FIRST_TRY
            while True:
                self._changed.clear()
                have_answered = await self.look()
                try:
                    await asyncio.wait_for(self._changed.wait(), _LOOK_AGAIN if have_answered else delay)
                    delay = _FIRST_TRY
                except TimeoutError:
                    delay = min(2 * delay, _LOOK_AGAIN)
        finally:
            loop.remove_reader(fd)
            os.close(fd)

    async def look(self) -> bool:
        """Take in what is new in the registry, and let go of what is gone; whether all that is there has answered."""
        found = _sockets(self._directory.root / "plugins_registry")
        for path in [path for path, known in self._known.items() if found.get(path) != known.identity]:
            await self._lose(path)
        return all(await asyncio.gather(*(self._meet(path, found[path]) for path in found.keys() - self._known.keys())))

    def _readable(self, fd: int) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(fd, 65536)
        self._changed.set()

    async def _lose(self, path: Path) -> None:
        known = self._known.pop(path)
        if known.name and not any((one.kind, one.name) == (known.kind, known.name) for one in self._known.values()):
            _log.info("plugin gone", plugin=known.name, type=known.kind)
            await self._kinds[known.kind].deregister(known.name)

    async def _meet(self, path: Path, identity: _Identity) -> bool:
        channel = Channel(self._directory.address(path))
        try:
            answer = await channel.call(csi.INFO, b"", patience=_PATIENCE)
            info = csi.decode("PluginInfo", answer)
            refused = ""
            try:
                await self._use(info["type"], info["name"], info["endpoint"] or str(path), info["supported_versions"])
                self._known[path] = _Known(identity, info["type"], info["name"])
                _log.info("plugin registered", plugin=info["name"], type=info["type"])
                self._came()
            except PluginRefused as error:
                refused = str(error)
                _log.warning("plugin refused", plugin=info["name"], type=info["type"], error=refused)
            status = {"plugin_registered": not refused, "error": refused}
            await channel.call(csi.NOTIFY, csi.encode("RegistrationStatus", status), patience=_PATIENCE)
        except (Refused, ValueError) as error:
            _log.debug("plugin does not answer", socket=str(path), error=str(error))
            return False
        else:
            return True
        finally:
            await channel.close()

    async def _use(self, kind: str, name: str, endpoint: str, versions: Sequence[str]) -> None:
        if kind not in self._kinds:
            raise PluginRefused(f"no handler registered for plugin type: {kind} at socket {endpoint}")
        socket = self._directory.on_node(endpoint.removeprefix("unix://"))
        await self._kinds[kind].register(name, self._directory.address(socket), versions)


def _sockets(registry: Path) -> dict[Path, _Identity]:
    found = {}
    for path in registry.rglob("*"):
        with contextlib.suppress(OSError):
            if path.is_socket() and not path.name.startswith("."):
                seen = path.stat()
                found[path] = (seen.st_ino, seen.st_ctime_ns)
    return found
