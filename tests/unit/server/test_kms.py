"""Values under a key management plugin, which is a gRPC server of another making with protobuf of another making."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from mizzen.base.clock import SystemClock, VirtualClock
from mizzen.client.resources import SECRETS
from mizzen.cluster.config import ClusterConfig, ConfigError
from mizzen.cluster.control import ControlPlane, Options
from mizzen.machinery.errors import ApiError
from mizzen.server.encryption import Encryption, Unreadable, configured
from mizzen.server.kms import COAST_SECONDS, HEALTHY_SECONDS, Kms
from mizzen.server.sealedstore import SealedStore
from mizzen.store.memory import MemoryStore

_FIELDS = {
    "StatusRequest": "",
    "StatusResponse": "version 1 string, healthz 2 string, key_id 3 string",
    "EncryptRequest": "plaintext 1 bytes, uid 2 string",
    "EncryptResponse": "ciphertext 1 bytes, key_id 2 string, annotations 3 map",
    "DecryptRequest": "ciphertext 1 bytes, uid 2 string, key_id 3 string, annotations 4 map",
    "DecryptResponse": "plaintext 1 bytes",
    "EncryptedObject": "encryptedData 1 bytes, keyID 2 string, encryptedDEKSource 3 bytes, annotations 4 map, "
    "encryptedDEKSourceType 5 int32",
}


def _messages() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="kms.proto", package="v2", syntax="proto3")
    kinds = descriptor_pb2.FieldDescriptorProto
    for name, fields in _FIELDS.items():
        message = file.message_type.add(name=name)
        for field, number, kind in (one.split() for one in fields.split(", ") if one):
            if kind != "map":
                message.field.add(
                    name=field,
                    number=int(number),
                    type=getattr(kinds, f"TYPE_{kind.upper()}"),
                    label=kinds.LABEL_OPTIONAL,
                )
                continue
            entry = message.nested_type.add(name="AnnotationsEntry")
            entry.options.map_entry = True
            entry.field.add(name="key", number=1, type=kinds.TYPE_STRING, label=kinds.LABEL_OPTIONAL)
            entry.field.add(name="value", number=2, type=kinds.TYPE_BYTES, label=kinds.LABEL_OPTIONAL)
            where = f".v2.{name}.AnnotationsEntry"
            message.field.add(
                name=field, number=int(number), type=kinds.TYPE_MESSAGE, label=kinds.LABEL_REPEATED, type_name=where
            )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"v2.{name}")) for name in _FIELDS}


M = _messages()


class Plugin(grpc.GenericRpcHandler):
    """Hides seeds badly, and notes what it is asked."""

    def __init__(self) -> None:
        self.key, self.healthz, self.version = "key-1", "ok", "v2"
        self.asked: list[str] = []
        self.told = asyncio.Event()
        self.server = grpc.aio.server(handlers=(self,))

    def service(self, details: Any) -> Any:
        package, _, name = details.method.lstrip("/").rpartition("/")
        if package != "v2.KeyManagementService":
            return None
        return grpc.unary_unary_rpc_method_handler(
            getattr(self, name.lower()), M[f"{name}Request"].FromString, M[f"{name}Response"].SerializeToString
        )

    async def status(self, _request: Any, _context: Any) -> Any:
        self.told.set()
        return M["StatusResponse"](version=self.version, healthz=self.healthz, key_id=self.key)

    async def encrypt(self, request: Any, _context: Any) -> Any:
        assert request.uid
        self.asked.append("Encrypt")
        sealed = self.key.encode() + bytes(one ^ 0x5A for one in request.plaintext)
        return M["EncryptResponse"](ciphertext=sealed, key_id=self.key, annotations={"plugin.example.com": b"\xff\0"})

    async def decrypt(self, request: Any, context: Any) -> Any:
        assert request.uid and dict(request.annotations) == {"plugin.example.com": b"\xff\0"}
        self.asked.append(f"Decrypt {request.key_id}")
        if not request.ciphertext.startswith(request.key_id.encode()):
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such key")
        opened = bytes(one ^ 0x5A for one in request.ciphertext[len(request.key_id) :])
        return M["DecryptResponse"](plaintext=opened)

    async def listen(self, path: Path) -> "Plugin":
        self.server.add_insecure_port(f"unix:{path}")
        await self.server.start()
        return self


@pytest.fixture
async def plugin(tmp_path: Path) -> AsyncIterator[Plugin]:
    one = await Plugin().listen(tmp_path / "kms.sock")
    yield one
    await one.server.stop(None)


def _configuration(tmp_path: Path, **more: object) -> dict[str, Any]:
    given = {"apiVersion": "v2", "name": "vault", "endpoint": f"unix://{tmp_path}/kms.sock", **more}
    return {
        "kind": "EncryptionConfiguration",
        "resources": [{"resources": ["secrets"], "providers": [{"kms": given}, {"identity": {}}]}],
    }


async def _ready(tmp_path: Path, clock: VirtualClock) -> tuple[Encryption, Kms]:
    encryption = configured(_configuration(tmp_path), None, clock)
    (kms,) = encryption.plugins
    await kms.refresh()
    return encryption, kms


async def test_values_are_sealed_with_a_seed_that_the_plugin_seals_once_and_opens_once(
    tmp_path: Path, plugin: Plugin
) -> None:
    store, clock = MemoryStore(), VirtualClock()
    encryption, kms = await _ready(tmp_path, clock)
    sealed = SealedStore(store, encryption)
    for name in "abc":
        await sealed.put(f"secrets/shop/{name}", b"plain text")
    assert plugin.asked == ["Encrypt"]
    raw = (await store.list("secrets/")).values
    for value in raw:
        assert value.data.startswith(b"k8s:enc:kms:v2:vault:")
        kept = M["EncryptedObject"].FromString(value.data.removeprefix(b"k8s:enc:kms:v2:vault:"))
        assert (kept.keyID, kept.encryptedDEKSourceType) == ("key-1", 1)
        assert kept.encryptedDEKSource.startswith(b"key-1") and dict(kept.annotations)
    assert len({value.data for value in raw}) == 3
    again, other = await _ready(tmp_path, clock)
    found = (await SealedStore(store, again).list("secrets/")).values
    assert [value.data for value in found] == [b"plain text"] * 3
    assert plugin.asked == ["Encrypt", "Encrypt", "Decrypt key-1"]
    for one in (kms, other):
        await one.close()


async def test_values_are_sealed_anew_when_the_plugin_has_another_key(tmp_path: Path, plugin: Plugin) -> None:
    store, clock = MemoryStore(), VirtualClock()
    encryption, kms = await _ready(tmp_path, clock)
    sealed = SealedStore(store, encryption)
    await sealed.put("secrets/shop/a", b"plain text")
    assert await sealed.reseal() == 0
    plugin.key = "key-2"
    await kms.refresh()
    assert await sealed.reseal() == 1
    assert (await sealed.get("secrets/shop/a")).data == b"plain text"  # type: ignore[union-attr]
    await kms.close()


async def test_the_plugin_is_asked_every_minute_how_it_does(tmp_path: Path, plugin: Plugin) -> None:
    clock = VirtualClock()
    _, kms = await _ready(tmp_path, clock)
    running = asyncio.create_task(kms.run())
    await asyncio.sleep(0)
    plugin.told.clear()
    await clock.advance(HEALTHY_SECONDS - 1)
    assert not plugin.told.is_set()
    await clock.advance(1)
    await asyncio.wait_for(plugin.told.wait(), 5)
    running.cancel()
    await kms.close()


async def test_writes_go_on_for_three_minutes_without_the_plugin_and_reads_go_on(
    tmp_path: Path, plugin: Plugin
) -> None:
    store, clock = MemoryStore(), VirtualClock()
    encryption, kms = await _ready(tmp_path, clock)
    sealed = SealedStore(store, encryption)
    plugin.healthz = "the vault is locked"
    await kms.refresh()
    assert kms.problem == "it says of itself: the vault is locked"
    await clock.advance(COAST_SECONDS)
    await sealed.put("secrets/shop/a", b"plain text")
    await clock.advance(1)
    with pytest.raises(ApiError, match="vault"):
        await sealed.put("secrets/shop/b", b"plain text")
    assert (await sealed.get("secrets/shop/a")).data == b"plain text"  # type: ignore[union-attr]
    plugin.healthz = "ok"
    await kms.refresh()
    await sealed.put("secrets/shop/b", b"plain text")
    plugin.version = "v9"
    await kms.refresh()
    assert kms.problem == "it speaks version 'v9', not v2"
    await kms.close()


async def test_what_the_plugin_does_not_open_is_unreadable(tmp_path: Path, plugin: Plugin) -> None:
    store, clock = MemoryStore(), VirtualClock()
    encryption, kms = await _ready(tmp_path, clock)
    await SealedStore(store, encryption).put("secrets/shop/a", b"plain text")
    moved = (await store.get("secrets/shop/a")).data  # type: ignore[union-attr]
    await store.put("secrets/shop/b", moved)
    with pytest.raises(Unreadable):
        await SealedStore(store, encryption).get("secrets/shop/b")
    await store.put("secrets/shop/c", moved.replace(b"key-1", b"key-0", 1))
    again, other = await _ready(tmp_path, clock)
    with pytest.raises(Unreadable, match=r"secrets/shop/c: key management plugin 'vault': .*no such key"):
        await SealedStore(store, again).get("secrets/shop/c")
    with pytest.raises(Unreadable):
        await SealedStore(store, configured(_configuration(tmp_path, name="other"), None, clock)).get("secrets/shop/a")
    for one in (kms, other):
        await one.close()


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({"apiVersion": "v1"}, "apiVersion v1 is not supported"),
        ({"name": ""}, "needs a name of its own"),
        ({"name": "a:b"}, "needs a name of its own"),
        ({"endpoint": "tcp://1.2.3.4:5"}, "the endpoint is a socket"),
        ({"timeout": "-1s"}, "longer than nothing"),
    ],
)
def test_a_plugin_that_cannot_be_is_refused(tmp_path: Path, more: dict[str, object], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        configured(_configuration(tmp_path, **more))


def test_two_plugins_have_two_names(tmp_path: Path) -> None:
    twice = _configuration(tmp_path)
    twice["resources"] *= 2
    with pytest.raises(ValueError, match="a name of its own"):
        configured(twice)


async def test_a_control_plane_keeps_its_secrets_under_a_plugin_and_tells_how_it_does(
    tmp_path: Path, plugin: Plugin
) -> None:
    path = tmp_path / "encryption.yaml"
    path.write_text(yaml.safe_dump(_configuration(tmp_path)))
    options = Options(ClusterConfig("kms", tmp_path, nodes=0), 0, ("127.0.0.1",), controllers=False)
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "data": {"x": "cGxhaW4="}}
    plane = ControlPlane(options, SystemClock(), random.Random())
    await plane.start()
    await plane.client("writer", "writer").create(SECRETS, secret, "default")
    assert plane.server.nonresource.health.checks["kms-providers"]() == ""
    await asyncio.sleep(0)  # what runs beside it begins
    await plane.close()
    assert b"cGxhaW4=" not in (tmp_path / "store.db").read_bytes()
    plane = ControlPlane(options, SystemClock(), random.Random())
    await plane.start()
    found = await plane.client("reader", "reader").get(SECRETS, "a", "default", view=dict)
    assert found["data"] == {"x": "cGxhaW4="}
    await asyncio.sleep(0)  # what runs beside it begins
    await plane.close()


async def test_a_control_plane_does_not_start_without_the_plugin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mizzen.cluster.control._PLUGIN_SECONDS", 0.0)
    path = tmp_path / "encryption.yaml"
    path.write_text(yaml.safe_dump(_configuration(tmp_path)))
    options = Options(ClusterConfig("kms", tmp_path, nodes=0), 0, ("127.0.0.1",), controllers=False)
    plane = ControlPlane(options, SystemClock(), random.Random())
    with pytest.raises(ConfigError, match=r"key management plugin 'vault': .*dial unix"):
        await plane.start()
    await plane.close()
