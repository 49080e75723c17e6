"""A small real storage driver, run in a pod: `csidriver.py NAME SOCKET REGISTRATION STORE ENDPOINT`.

A volume is a directory below STORE (or a loop device over a file there); to stage and to publish is to bind it. Every
call is written to `STORE/calls`, a line each: what tests read.
"""

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import orjson

from mizzen.agent.runtime import syscalls
from mizzen.agent.volumes import teardown
from mizzen.wire import csi

NODE_ID = "the-drivers-name-of-the-node"
ABILITIES = (csi.STAGE_UNSTAGE, csi.GET_STATS, csi.EXPAND)
Call = Callable[[dict[str, Any]], dict[str, Any]]


class Driver:
    """The calls of the node service."""

    def __init__(self, name: str, endpoint: str, store: Path) -> None:
        self.name = name
        self.endpoint = endpoint
        self.store = store
        self.devices: dict[str, str] = {}

    def GetInfo(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"type": "CSIPlugin", "name": self.name, "endpoint": self.endpoint, "supported_versions": ["1.0.0"]}

    def NotifyRegistrationStatus(self, request: dict[str, Any]) -> dict[str, Any]:
        return {}

    def NodeGetInfo(self, request: dict[str, Any]) -> dict[str, Any]:
        topology = {"segments": {f"topology.{self.name}/node": "here"}}
        return {"node_id": NODE_ID, "max_volumes_per_node": 7, "accessible_topology": topology}

    def NodeGetCapabilities(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"capabilities": [{"rpc": {"type": ability}} for ability in ABILITIES]}

    def NodeStageVolume(self, request: dict[str, Any]) -> dict[str, Any]:
        if "block" in request["volume_context"]:
            backing = self.store / request["volume_id"]
            with backing.open("wb") as file:
                file.truncate(1 << 20)
            found = subprocess.run(["losetup", "--show", "-f", backing], check=True, capture_output=True, text=True)
            self.devices[request["volume_id"]] = found.stdout.strip()
            return {}
        (self.store / request["volume_id"]).mkdir(exist_ok=True)
        syscalls.bind(str(self.store / request["volume_id"]), request["staging_target_path"])
        return {}

    def NodePublishVolume(self, request: dict[str, Any]) -> dict[str, Any]:
        target = Path(request["target_path"])
        if request["volume_context"].get("fail"):
            raise ValueError(request["volume_context"]["fail"])
        if device := self.devices.get(request["volume_id"]):
            target.touch()
            syscalls.bind(device, str(target))
            return {}
        source = request["staging_target_path"]
        if not source:  # an inline volume
            source = str(self.store / request["volume_id"])
            Path(source).mkdir(exist_ok=True)
        target.mkdir(exist_ok=True)
        if teardown.is_mounted(target):  # to publish again changes nothing here
            return {}
        syscalls.bind(source, str(target), read_only=bool(request["readonly"]))
        return {}

    def NodeUnpublishVolume(self, request: dict[str, Any]) -> dict[str, Any]:
        target = Path(request["target_path"])
        if target.exists():
            syscalls.unmount(str(target))
            target.rmdir() if target.is_dir() else target.unlink()
        return {}

    def NodeUnstageVolume(self, request: dict[str, Any]) -> dict[str, Any]:
        if device := self.devices.pop(request["volume_id"], ""):
            subprocess.run(["losetup", "-d", device], check=True)
            return {}
        syscalls.unmount(request["staging_target_path"])
        return {}

    def NodeExpandVolume(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"capacity_bytes": request["capacity_range"]["required_bytes"]}

    def NodeGetVolumeStats(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"usage": [{"available": 75, "total": 100, "used": 25, "unit": csi.BYTES}]}


_MESSAGES = {
    "GetInfo": ("InfoRequest", "PluginInfo"),
    "NotifyRegistrationStatus": ("RegistrationStatus", "RegistrationStatusResponse"),
}


class _Methods(grpc.GenericRpcHandler):
    def __init__(self, driver: Driver) -> None:
        self.driver = driver

    def service(self, details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[bytes, bytes] | None":
        name = details.method.rpartition("/")[2]
        call: Call | None = getattr(self.driver, name, None)
        return grpc.unary_unary_rpc_method_handler(self._answered(name, call)) if call is not None else None

    def _answered(self, name: str, call: Call) -> Callable[[bytes, Any], Awaitable[bytes]]:
        asked, answered = _MESSAGES.get(name, (f"{name}Request", f"{name}Response"))

        async def serve(data: bytes, context: Any) -> bytes:
            request = csi.decode(asked, data)
            with (self.driver.store / "calls").open("ab") as calls:
                calls.write(orjson.dumps([name, request]) + b"\n")
            try:
                return csi.encode(answered, call(request))
            except ValueError as error:
                await context.abort(grpc.StatusCode.INTERNAL, str(error))
                raise

        return serve


async def main(name: str, socket: Path, registration: Path, store: Path, endpoint: str) -> None:
    servers, driver = [], Driver(name, endpoint, store)
    for path in (socket, registration):
        path.unlink(missing_ok=True)
        server = grpc.aio.server(handlers=(_Methods(driver),))
        server.add_insecure_port(f"unix:{path}")
        await server.start()
        servers.append(server)
    await asyncio.gather(*(server.wait_for_termination() for server in servers))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4]), sys.argv[5]))
