"""gRPC calls over a unix socket, bytes in and bytes out: runtimes and plugins are spoken to this way."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import grpc

_LIMIT = 64 << 20
_RECONNECT_MS = 250


class Refused(Exception):
    """A call that failed; `code` is gRPC's name of the reason, such as `NOT_FOUND`."""

    def __init__(self, code: str, message: str) -> None:
        shown = "".join(word.capitalize() for word in code.split("_"))
        super().__init__(f"rpc error: code = {shown} desc = {message}")
        self.code = code
        self.message = message


class Channel:
    """One connection; it is made at the first call, and again after it was lost."""

    def __init__(self, socket: str) -> None:
        self.socket = socket
        self._channel: grpc.aio.Channel | None = None

    async def call(self, method: str, request: bytes, *, patience: float, insist: bool = False) -> bytes:
        """The answer to a call such as `/csi.v1.Node/NodeGetInfo`; `insist` waits for a peer that is not there yet.

        Raises Refused.
        """
        import grpc  # lazily: it costs 10 MB, and many nodes need none of it

        invoke = self._connection().unary_unary(method, _same, _same)
        try:
            return bytes(await invoke(request, timeout=patience, wait_for_ready=insist))
        except grpc.aio.AioRpcError as error:
            raise Refused(error.code().name, error.details() or error.code().name) from error

    async def stream(self, method: str, request: bytes) -> AsyncIterator[bytes]:
        """The answers to a call that has many. Raises Refused, also when the peer goes."""
        import grpc

        invoke = self._connection().unary_stream(method, _same, _same)
        try:
            async for one in invoke(request):
                yield bytes(one)
        except grpc.aio.AioRpcError as error:
            raise Refused(error.code().name, error.details() or error.code().name) from error

    def _connection(self) -> "grpc.aio.Channel":
        import grpc

        if self._channel is None:
            options = (
                ("grpc.max_receive_message_length", _LIMIT),
                ("grpc.enable_http_proxy", 0),
                ("grpc.initial_reconnect_backoff_ms", _RECONNECT_MS),
                ("grpc.max_reconnect_backoff_ms", _RECONNECT_MS),  # else up to two minutes after it is back
            )
            self._channel = grpc.aio.insecure_channel(f"unix:{self.socket}", options=options)
        return self._channel

    async def close(self) -> None:
        """Let go of the connection."""
        if self._channel is not None:
            await self._channel.close(None)


def _same(data: bytes) -> bytes:
    return data
