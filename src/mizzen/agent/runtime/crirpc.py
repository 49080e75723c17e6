"""Calls to a CRI runtime over its unix socket."""

from typing import TYPE_CHECKING, Any

from mizzen.agent.runtime.base import RuntimeFailure
from mizzen.wire import cri

if TYPE_CHECKING:
    import grpc

_PATIENCE = 120.0
_LIMIT = 64 << 20
_RECONNECT_MS = 250


class CallFailed(RuntimeFailure):
    """A call the runtime refused; `code` is gRPC's name of the reason, such as `NOT_FOUND`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__("RuntimeUnavailable" if code == "UNAVAILABLE" else "CreateContainerError", message)
        self.code = code


class CriChannel:
    """One connection to a runtime; it is made at the first call, and again after it was lost."""

    def __init__(self, socket: str) -> None:
        self.socket = socket
        self._channel: grpc.aio.Channel | None = None

    async def call(self, name: str, request: dict[str, Any] | None = None, *, patience: float = _PATIENCE) -> Any:
        """The answer, with all of its fields. Raises CallFailed."""
        import grpc  # lazily: it costs 10 MB, and only nodes with a CRI runtime need it

        if self._channel is None:
            options = (
                ("grpc.max_receive_message_length", _LIMIT),
                ("grpc.enable_http_proxy", 0),
                ("grpc.initial_reconnect_backoff_ms", _RECONNECT_MS),
                ("grpc.max_reconnect_backoff_ms", _RECONNECT_MS),  # else up to two minutes after it is back
            )
            self._channel = grpc.aio.insecure_channel(f"unix://{self.socket}", options=options)
        invoke = self._channel.unary_unary(cri.method(name), _same, _same)
        try:
            answer = await invoke(cri.encode(f"{name}Request", request or {}), timeout=patience)
        except grpc.aio.AioRpcError as error:
            raise CallFailed(error.code().name, error.details() or error.code().name) from error
        return cri.decode(f"{name}Response", bytes(answer))

    async def close(self) -> None:
        """Let go of the connection."""
        if self._channel is not None:
            await self._channel.close(None)


def _same(data: bytes) -> bytes:
    return data
