"""Small real drivers of devices, run in a pod: `devicedriver.py device|dra STORE`, with the node's sockets mounted.

`device` is a device plugin for `test.io/null`: its devices are the lines of `STORE/devices`, one that ends in `!` is
ill. `dra` is the driver `null.test.io` of dynamic resources, with its CDI files in `/cdi`. Both write each call to
`STORE/calls`, a line each, and one that `STORE/fail` begins with fails with the rest.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import orjson

from mizzen.wire import csi, deviceplugin, dra
from mizzen.wire.protobuf import Schema

RESOURCE, DRIVER, KIND = "test.io/null", "null.test.io", "test.io/null"
PLUGINS = Path("/var/lib/kubelet/device-plugins")
_LOOK_EVERY = 0.02
Object = dict[str, Any]
Call = Callable[[Object], Object]


class Store:
    """What a driver is told by the test, and tells it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def read(self, name: str) -> str:
        path = self.root / name
        return path.read_text().strip() if path.exists() else ""

    def answered(self, schema: Any, asked: str, answered: str, call: Call) -> Callable[[bytes, Any], Awaitable[bytes]]:
        """A method that notes what it is asked."""

        async def serve(data: bytes, context: Any) -> bytes:
            request = schema.decode(asked, data)
            with (self.root / "calls").open("ab") as calls:
                calls.write(orjson.dumps([call.__name__, request]) + b"\n")
            failing, _, failure = self.read("fail").partition(" ")
            if failing == call.__name__:
                await context.abort(grpc.StatusCode.INTERNAL, failure)
            return bytes(schema.encode(answered, call(request)))

        return serve


class DevicePlugin:
    """The calls of a device plugin."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def GetDevicePluginOptions(self, request: Object) -> Object:
        return {"pre_start_required": 1, "get_preferred_allocation_available": 1}

    def GetPreferredAllocation(self, request: Object) -> Object:
        (one,) = request["container_requests"]
        liked = sorted(one["available_deviceIDs"], reverse=True)[: one["allocation_size"]]
        return {"container_responses": [{"deviceIDs": liked}]}

    def Allocate(self, request: Object) -> Object:
        (one,) = request["container_requests"]
        given = {
            "envs": {"DEVICES": ",".join(one["devices_ids"])},
            "mounts": [{"host_path": str(self.store.root / "shared"), "container_path": "/shared", "read_only": 1}],
            "devices": [
                {"host_path": "/dev/null", "container_path": "/dev/mine", "permissions": "rw"},
                {"host_path": str(self.store.root / "nodes"), "container_path": "/dev/many", "permissions": "rw"},
            ],
        }
        return {"container_responses": [given]}

    def PreStartContainer(self, request: Object) -> Object:
        return {}

    async def list_and_watch(self, data: bytes, context: Any) -> AsyncIterator[bytes]:
        shown = None
        while True:
            names = self.store.read("devices").split()
            if names != shown:
                shown = names
                devices = [{"ID": one.rstrip("!"), "health": "Unhealthy" if "!" in one else "Healthy"} for one in names]
                yield deviceplugin.encode("ListAndWatchResponse", {"devices": devices})
            await asyncio.sleep(_LOOK_EVERY)

    async def serve(self) -> None:
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(
                self.store.answered(deviceplugin, *deviceplugin.messages(name), getattr(self, name))
            )
            for name in ("GetDevicePluginOptions", "GetPreferredAllocation", "Allocate", "PreStartContainer")
        }
        handlers["ListAndWatch"] = grpc.unary_stream_rpc_method_handler(self.list_and_watch)
        while True:
            await _listen(PLUGINS / "null.sock", "v1beta1.DevicePlugin", handlers)
            kubelet = PLUGINS / "kubelet.sock"
            seen = _identity(kubelet)
            request = {"version": "v1beta1", "endpoint": "null.sock", "resource_name": RESOURCE}
            async with grpc.aio.insecure_channel(f"unix:{kubelet}") as channel:
                await channel.unary_unary(deviceplugin.REGISTER)(deviceplugin.encode("RegisterRequest", request))
            # A node that is started anew has another socket, and wants to hear of its plugins again.
            while _identity(kubelet) in {seen, None}:  # noqa: ASYNC110 - a file tells nobody
                await asyncio.sleep(_LOOK_EVERY)


class ClaimDriver:
    """The calls of a driver of dynamic resources."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def GetInfo(self, request: Object) -> Object:
        endpoint = f"/var/lib/kubelet/plugins/{DRIVER}/dra.sock"
        return {"type": "DRAPlugin", "name": DRIVER, "endpoint": endpoint, "supported_versions": ["v1.DRAPlugin"]}

    def NotifyRegistrationStatus(self, request: Object) -> Object:
        return {}

    def NodePrepareResources(self, request: Object) -> Object:
        claims = []
        for one in request["claims"]:
            edits = {
                "env": [f"CLAIM={one['name']}"],
                "deviceNodes": [{"path": "/dev/claimed", "hostPath": "/dev/null"}],
                "mounts": [
                    {"hostPath": str(self.store.root / "shared"), "containerPath": "/shared", "options": ["ro"]}
                ],
            }
            devices = [{"name": one["uid"], "containerEdits": edits}]
            path = Path(f"/cdi/{one['uid']}.json")
            path.write_bytes(orjson.dumps({"cdiVersion": "0.6.0", "kind": KIND, "devices": devices}))
            device = {"pool_name": "p", "device_name": "d", "cdi_device_ids": [f"{KIND}={one['uid']}"]}
            claims.append({"key": one["uid"], "value": {"devices": [device]}})
        return {"claims": claims}

    def NodeUnprepareResources(self, request: Object) -> Object:
        for one in request["claims"]:
            Path(f"/cdi/{one['uid']}.json").unlink(missing_ok=True)
        return {"claims": [{"key": one["uid"], "value": {}} for one in request["claims"]]}

    async def serve(self) -> None:
        def handler(schema: Schema | Any, asked: str, answered: str, call: Call) -> Any:
            return grpc.unary_unary_rpc_method_handler(self.store.answered(schema, asked, answered, call))

        calls = (self.NodePrepareResources, self.NodeUnprepareResources)
        methods = {
            one.__name__: handler(dra, f"{one.__name__}Request", f"{one.__name__}Response", one) for one in calls
        }
        await _listen(Path("/own/dra.sock"), "k8s.io.kubelet.pkg.apis.dra.v1.DRAPlugin", methods)
        methods = {
            "GetInfo": handler(csi, "InfoRequest", "PluginInfo", self.GetInfo),
            "NotifyRegistrationStatus": handler(
                csi, "RegistrationStatus", "RegistrationStatusResponse", self.NotifyRegistrationStatus
            ),
        }
        await _listen(Path(f"/registration/{DRIVER}-reg.sock"), "pluginregistration.Registration", methods)
        await asyncio.Event().wait()


_servers: list[Any] = []


def _identity(path: Path) -> tuple[int, int] | None:
    return (path.stat().st_ino, path.stat().st_ctime_ns) if path.exists() else None


async def _listen(path: Path, service: str, methods: dict[str, Any]) -> None:
    path.unlink(missing_ok=True)  # noqa: ASYNC240 - one call, and it does not wait
    server = grpc.aio.server(handlers=(grpc.method_handlers_generic_handler(service, methods),))
    server.add_insecure_port(f"unix:{path}")
    await server.start()
    _servers.append(server)


if __name__ == "__main__":
    kind = DevicePlugin if sys.argv[1] == "device" else ClaimDriver
    asyncio.run(kind(Store(Path(sys.argv[2]))).serve())
