"""Calls to a CRI runtime over its unix socket."""

import asyncio
from collections.abc import Mapping
from typing import Any

import orjson

from mizzen.agent.runtime import machine
from mizzen.agent.runtime.base import Abilities, RuntimeFailure
from mizzen.net.rpc import Channel, Refused
from mizzen.wire import cri

_PATIENCE = 120.0
_GREETINGS, GREETING_PAUSE = 50, 0.1
_NOT_YET = frozenset({"UNAVAILABLE", "UNKNOWN"})


class CallFailed(RuntimeFailure):
    """A call the runtime refused; `code` is gRPC's name of the reason, such as `NOT_FOUND`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__("RuntimeUnavailable" if code == "UNAVAILABLE" else "CreateContainerError", message)
        self.code = code


class CriChannel:
    """One connection to a runtime."""

    def __init__(self, socket: str) -> None:
        self.socket = socket
        self._channel = Channel(socket)

    async def call(self, name: str, request: dict[str, Any] | None = None, *, patience: float = _PATIENCE) -> Any:
        """The answer, with all of its fields. Raises CallFailed."""
        try:
            data = cri.encode(f"{name}Request", request or {})
            answer = await self._channel.call(cri.method(name), data, patience=patience)
        except Refused as error:
            raise CallFailed(error.code, error.message) from error
        return cri.decode(f"{name}Response", answer)

    async def greeting(self) -> tuple[str, str]:
        """The runtime's name and version, once it answers if it has just been started. Raises RuntimeFailure."""
        for attempt in range(_GREETINGS, -1, -1):
            try:
                said = await self.call("Version", {"version": "v1"}, patience=10)
                return said["runtime_name"], said["runtime_version"]
            except CallFailed as error:
                if not attempt or error.code not in _NOT_YET:
                    await self.close()
                    text = f"no CRI v1 runtime at {self.socket}: {error}"
                    raise RuntimeFailure("RuntimeUnavailable", text) from error
            await asyncio.sleep(GREETING_PAUSE)
        raise AssertionError

    async def abilities(self) -> Abilities:
        """What the runtime says that it can do; older ones say nothing of it. Raises CallFailed."""
        told = await self.call("Status")
        own: dict[str, Any] = next((one["features"] for one in told["runtime_handlers"] if not one["name"]), {})
        groups, mounts = told["features"].get("supplemental_groups_policy"), own.get("recursive_read_only_mounts")
        return Abilities(bool(groups), bool(mounts), machine.apparmor())

    async def configuration(self) -> Mapping[str, Any]:
        """What the runtime tells of its configuration; containerd does, others have none. Raises CallFailed."""
        told = await self.call("Status", {"verbose": True})
        try:
            found = orjson.loads(told["info"].get("config") or b"{}")
        except orjson.JSONDecodeError:
            return {}
        return found if isinstance(found, dict) else {}

    async def close(self) -> None:
        """Let go of the connection."""
        await self._channel.close()
