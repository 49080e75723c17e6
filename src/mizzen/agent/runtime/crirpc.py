"""Calls to a CRI runtime over its unix socket."""

from collections.abc import Mapping
from typing import Any

import orjson

from mizzen.agent.runtime.base import RuntimeFailure
from mizzen.net.rpc import Channel, Refused
from mizzen.wire import cri

_PATIENCE = 120.0


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
