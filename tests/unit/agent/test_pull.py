"""Pulling from a registry that asks for a token and breaks off in the middle of a blob."""

import asyncio
import gzip
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest

from mizzen.agent.images import reference
from mizzen.agent.images.keyring import Credential
from mizzen.agent.images.pull import Puller
from mizzen.agent.images.registries import Settings
from mizzen.agent.images.registry import PullFailure
from mizzen.agent.images.registry import Registry as Session
from mizzen.agent.images.store import ImageStore, own_platform


class Registry:
    """One image behind a token; the first answer for its layer stops half-way."""

    def __init__(self) -> None:
        layer = b"\0" * 10240
        self.layer = gzip.compress(layer)
        self.config = orjson.dumps(
            {"os": "linux", "architecture": own_platform()[1], "config": {},
             "rootfs": {"type": "layers", "diff_ids": [digest(layer)]}}
        )  # fmt: skip
        self.address = ""
        self.ranges: list[str] = []
        self.whole = False
        """Answers do not stop half-way."""
        self.forms: list[str] = []
        self.offers_both = False
        """Passwords are offered beside tokens (and not taken)."""
        self.promised = ""
        self.size = 0
        """Of the layer, where the manifest says another one."""
        self.logins: list[str] = []

    @property
    def manifest(self) -> bytes:
        layer = {"digest": self.promised or digest(self.layer), "size": self.size or len(self.layer)}
        kind = "application/vnd.oci.image.manifest.v1+json"
        config = {"digest": digest(self.config)}
        return orjson.dumps({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": [layer]})

    def spoil(self) -> None:
        """Answer other bytes than the manifest says."""
        self.promised, self.layer = digest(self.layer), self.layer[:-1] + b"\xff"

    def rename_configuration(self) -> None:
        """Another image with the same layer."""
        self.config = self.config.replace(b'"config":{}', b'"config":{"User":"other"}')

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        path = head[0].split()[1]
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if ": " in line)
        if path.startswith("/token"):
            self.logins.append(headers.get("authorization", ""))
            self.forms.append((await reader.read(int(headers.get("content-length", 0)))).decode())
            answer(writer, 200, orjson.dumps({"token": "open-sesame"}))
        elif headers.get("authorization") != "bearer open-sesame":
            challenge = f'Bearer realm="http://{self.address}/token",service=tests,scope="repository:a:pull"'
            other = 'www-authenticate: Basic realm="tests"\r\n'
            answer(writer, 401, b"", f"www-authenticate: {challenge}\r\n{other if self.offers_both else ''}")
        elif "/manifests/" in path:
            answer(writer, 200, self.manifest)
        elif path.endswith(digest(self.config)):
            answer(writer, 200, self.config)
        else:
            self._blob(writer, headers.get("range", ""))
        writer.close()

    def _blob(self, writer: asyncio.StreamWriter, wanted: str) -> None:
        self.ranges.append(wanted)
        if not wanted and self.whole:
            answer(writer, 200, self.layer)
            return
        if not wanted:
            half = self.layer[: len(self.layer) // 2]
            writer.write(f"HTTP/1.1 200 OK\r\ncontent-length: {len(self.layer)}\r\n\r\n".encode() + half)
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-"))
        if start >= len(self.layer):
            answer(writer, 416, b"")
            return
        answer(writer, 206, self.layer[start:])


def answer(writer: asyncio.StreamWriter, status: int, body: bytes, more: str = "") -> None:
    writer.write(f"HTTP/1.1 {status} x\r\ncontent-length: {len(body)}\r\n{more}\r\n".encode() + body)


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


@pytest.fixture
async def registry() -> AsyncIterator[Registry]:
    one = Registry()
    server = await asyncio.start_server(one.serve, "127.0.0.1", 0)
    one.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield one
    server.close()
    await server.wait_closed()


async def test_a_download_goes_on_where_it_broke_off(registry: Registry, tmp_path: Path) -> None:
    store = ImageStore(tmp_path)
    login = Credential(registry.address, "robot", "swordfish")
    image = await Puller(store).pull(reference.parse(f"{registry.address}/a:1"), [login])
    assert image.id == digest(registry.config)
    assert registry.ranges == ["", f"bytes={len(registry.layer) // 2}-"]
    assert set(registry.logins) == {"basic cm9ib3q6c3dvcmrmaxno"}
    assert not list((tmp_path / "partial").iterdir())


async def test_content_with_another_digest_is_refused(registry: Registry, tmp_path: Path) -> None:
    registry.spoil()
    with pytest.raises(PullFailure, match="digest"):
        await Puller(ImageStore(tmp_path)).pull(reference.parse(f"{registry.address}/a:1"))


async def test_digests_that_lead_out_of_the_store_are_refused(registry: Registry, tmp_path: Path) -> None:
    registry.whole = True
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(registry.layer)
    registry.promised = "sha256:../../../outside/file"
    with pytest.raises(PullFailure, match="no digest"):
        await Puller(ImageStore(tmp_path / "store")).pull(reference.parse(f"{registry.address}/a:1"))
    registry.promised = ""
    inside = b"\0" * 10240
    registry.config = registry.config.replace(digest(inside).encode(), b"sha256:../../outside")
    with pytest.raises(PullFailure, match="no digest"):
        await Puller(ImageStore(tmp_path / "store")).pull(reference.parse(f"{registry.address}/a:1"))
    assert [path.name for path in outside.iterdir()] == ["file"]


async def test_a_blob_that_does_not_end_is_given_up_at_its_size(registry: Registry, tmp_path: Path) -> None:
    registry.whole = True
    layer, registry.layer = registry.layer, registry.layer + bytes(1 << 20)
    registry.promised, registry.size = digest(layer), len(layer)
    with pytest.raises(PullFailure, match=f"more than the {len(layer)} bytes"):
        await Puller(ImageStore(tmp_path)).pull(reference.parse(f"{registry.address}/a:1"))
    assert not list((tmp_path / "partial").iterdir())


async def test_a_layer_that_is_here_already_is_not_fetched_again(registry: Registry, tmp_path: Path) -> None:
    store = ImageStore(tmp_path)
    await Puller(store).pull(reference.parse(f"{registry.address}/a:1"))
    registry.ranges.clear()
    registry.rename_configuration()
    image = await Puller(store).pull(reference.parse(f"{registry.address}/a:2"))
    assert (image.id, registry.ranges) == (digest(registry.config), [])


async def test_what_a_killed_agent_has_fetched_is_gone_on_with(registry: Registry, tmp_path: Path) -> None:
    store = ImageStore(tmp_path)
    part = tmp_path / "partial" / digest(registry.layer).removeprefix("sha256:")
    part.write_bytes(registry.layer[:5])
    await Puller(store).pull(reference.parse(f"{registry.address}/a:1"))
    assert registry.ranges == ["bytes=5-"]


async def test_what_a_killed_agent_has_fetched_whole_or_wrong_does_no_harm(registry: Registry, tmp_path: Path) -> None:
    for number, left in enumerate((registry.layer, registry.layer + b"more")):
        store = ImageStore(tmp_path / str(number))
        (store.root / "partial" / digest(registry.layer).removeprefix("sha256:")).write_bytes(left)
        image = await Puller(store).pull(reference.parse(f"{registry.address}/a:1"))
        assert image.id == digest(registry.config)


async def test_two_agents_that_share_a_store_fetch_a_layer_once(registry: Registry, tmp_path: Path) -> None:
    registry.whole = True
    pullers = [Puller(ImageStore(tmp_path)) for _ in range(3)]
    found = await asyncio.gather(*(one.pull(reference.parse(f"{registry.address}/a:1")) for one in pullers))
    assert {image.id for image in found} == {digest(registry.config)} and registry.ranges == [""]
    assert not list((tmp_path / "partial").iterdir())


async def test_progress_is_told_in_bytes(registry: Registry, tmp_path: Path) -> None:
    told: dict[str, int] = {}
    puller = Puller(ImageStore(tmp_path), progress=lambda layer, done, _whole: told.update({layer: done}))
    await puller.pull(reference.parse(f"{registry.address}/a:1"))
    assert told[digest(registry.layer)] == len(registry.layer)


async def test_an_identity_token_is_exchanged_for_one_that_opens(registry: Registry, tmp_path: Path) -> None:
    registry.whole = True
    login = Credential(registry.address, "", "", "passport")
    await Puller(ImageStore(tmp_path)).pull(reference.parse(f"{registry.address}/a:1"), [login])
    assert "refresh_token=passport" in registry.forms[0] and "grant_type=refresh_token" in registry.forms[0]


async def test_mirrors_are_asked_first_and_get_no_login_but_their_own(registry: Registry, tmp_path: Path) -> None:
    text = {
        "example.test": {"mirrors": ["http://127.0.0.1:1", f"http://{registry.address}"]},
        registry.address: {"username": "robot", "password": "swordfish"},
    }
    (tmp_path / "registries.yaml").write_bytes(orjson.dumps(text))
    login = Credential("example.test", "owner", "secret")
    image = await Puller(ImageStore(tmp_path)).pull(reference.parse("example.test/a:1"), [login])
    assert image.id == digest(registry.config)
    assert set(registry.logins) == {"basic cm9ib3q6c3dvcmrmaxno"}
    assert ImageStore(tmp_path).find("example.test/a:1") is not None


async def test_settings_that_nobody_understands_are_the_reason_for_no_image(tmp_path: Path) -> None:
    (tmp_path / "registries.yaml").write_text("docker.io: {mirror: [x]}")
    with pytest.raises(PullFailure, match="unknown field `mirror`"):
        await Puller(ImageStore(tmp_path)).pull(reference.parse("example.test/a:1"))


def test_plain_http_is_for_loopback_and_for_whom_the_owner_says() -> None:
    image = reference.parse("lab:5000/a:1")
    assert Session(image).endpoints() == ["https://lab:5000"]
    assert Session(image, settings={"lab:5000": Settings(http=True)}).endpoints() == ["http://lab:5000"]
    assert Session(reference.parse("localhost:5000/a:1")).endpoints() == ["http://localhost:5000"]
    assert Session(reference.parse("nginx")).endpoints() == ["https://registry-1.docker.io"]


async def test_of_several_ways_to_get_in_the_token_is_taken(registry: Registry, tmp_path: Path) -> None:
    registry.offers_both = registry.whole = True
    image = await Puller(ImageStore(tmp_path)).pull(reference.parse(f"{registry.address}/a:1"))
    assert image.id == digest(registry.config)
