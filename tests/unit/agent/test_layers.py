"""Layers as directories under an overlay. Needs root: layers have owners and devices."""

import hashlib
import io
import os
import stat
import tarfile
from pathlib import Path

import orjson
import pytest

from mizzen.agent.images.archive import import_path
from mizzen.agent.images.layers import LayerFailure, unpack
from mizzen.agent.images.policy import StoredImages
from mizzen.agent.images.pull import Puller
from mizzen.agent.images.records import PullRecords
from mizzen.agent.images.reference import parse
from mizzen.agent.images.store import ImageStore, own_platform

Entry = tuple[str, bytes, dict[str, object]]
OPAQUE = "trusted.overlay.opaque"
CAPABILITY = b"\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"


def tar(*entries: Entry) -> bytes:
    """A tar of (name, content, attributes of its member)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, data, more in entries:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            for key, value in more.items():
                setattr(member, key, value)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def unpacked(tmp_path: Path, *entries: Entry) -> Path:
    (tmp_path / "blob").write_bytes(tar(*entries))
    (tmp_path / "layer").mkdir()
    unpack(tmp_path / "blob", tmp_path / "layer")
    return tmp_path / "layer"


def directory(name: str, **more: object) -> Entry:
    return name, b"", {"type": tarfile.DIRTYPE, "mode": 0o755, **more}


def is_whiteout(path: Path) -> bool:
    seen = path.lstat()
    return stat.S_ISCHR(seen.st_mode) and seen.st_rdev == 0


def test_a_hard_link_to_a_set_user_id_program_takes_nothing_from_it(tmp_path: Path) -> None:
    program = {"mode": 0o4755, "uid": 3, "gid": 4}
    link = {"type": tarfile.LNKTYPE, "linkname": "bin/su", **program}
    layer = unpacked(tmp_path, ("bin/su", b"x", program), ("bin/other", b"", link))
    seen = (layer / "bin/su").stat()
    assert (stat.S_IMODE(seen.st_mode), seen.st_uid, seen.st_gid, seen.st_nlink) == (0o4755, 3, 4, 2)


def test_a_programs_capabilities_are_kept(tmp_path: Path) -> None:
    text = CAPABILITY.decode("latin-1")
    layer = unpacked(tmp_path, ("ping", b"x", {"pax_headers": {"SCHILY.xattr.security.capability": text}}))
    assert os.getxattr(layer / "ping", "security.capability") == CAPABILITY


@pytest.mark.parametrize("first", ["whiteout", "entry"])
def test_a_whiteout_hides_lower_layers_and_nothing_of_its_own(tmp_path: Path, first: str) -> None:
    hiding: list[Entry] = [("a/.wh.file", b"", {}), ("a/.wh.dir", b"", {}), ("a/.wh.gone", b"", {})]
    own: list[Entry] = [("a/file", b"new", {}), directory("a/dir"), ("a/dir/x", b"", {})]
    parts = [*hiding, *own] if first == "whiteout" else [*own, *hiding]
    layer = unpacked(tmp_path, directory("a"), *parts)
    assert (layer / "a/file").read_bytes() == b"new" and (layer / "a/dir/x").exists()
    assert os.getxattr(layer / "a/dir", OPAQUE) == b"y"
    assert is_whiteout(layer / "a/gone")


def test_no_entry_leads_out_of_its_layer(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    out: dict[str, object] = {"type": tarfile.SYMTYPE, "linkname": str(tmp_path / "outside")}
    layer = unpacked(tmp_path, ("way", b"", out), ("way/file", b"x", {}), ("../../up", b"x", {}), ("/abs", b"x", {}))
    assert not list((tmp_path / "outside").iterdir()) and not (tmp_path / "up").exists()
    assert (layer / "up").exists() and (layer / "abs").exists()


def test_a_hard_link_cannot_reach_a_file_of_the_machine(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("no")
    link: dict[str, object] = {"type": tarfile.LNKTYPE, "linkname": "../secret"}
    with pytest.raises(OSError, match="secret"):
        unpacked(tmp_path, ("taken", b"", link))


def test_a_layer_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(tar(("file", b"x" * 5000, {}))[:3000])
    (tmp_path / "layer").mkdir()
    with pytest.raises(LayerFailure):
        unpack(tmp_path / "blob", tmp_path / "layer")


def test_long_names_devices_and_pipes_are_what_they_were(tmp_path: Path) -> None:
    long = "d" * 120 + "/" + "f" * 200
    null: dict[str, object] = {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3, "mode": 0o666}
    pipe: dict[str, object] = {"type": tarfile.FIFOTYPE, "mode": 0o600}
    layer = unpacked(tmp_path, (long, b"x", {}), ("null", b"", null), ("pipe", b"", pipe))
    assert (layer / long).read_bytes() == b"x"
    assert (layer / "null").stat().st_rdev == os.makedev(1, 3) and (layer / "pipe").is_fifo()


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def configured(layer: bytes, **config: object) -> bytes:
    system, architecture = own_platform()
    rootfs = {"type": "layers", "diff_ids": [digest(layer)]}
    return orjson.dumps({"os": system, "architecture": architecture, "config": config, "rootfs": rootfs})


async def test_an_old_archive_names_a_repeated_layer_by_a_link(tmp_path: Path) -> None:
    layer = tar(("file", b"x", {}))
    system, architecture = own_platform()
    rootfs = {"type": "layers", "diff_ids": [digest(layer)] * 2}
    config = orjson.dumps({"os": system, "architecture": architecture, "config": {}, "rootfs": rootfs})
    manifest = [{"Config": "c.json", "RepoTags": ["local/x:1"], "Layers": ["1/layer.tar", "2/layer.tar"]}]
    link: dict[str, object] = {"type": tarfile.SYMTYPE, "linkname": "../1/layer.tar"}
    (tmp_path / "old.tar").write_bytes(
        tar(
            ("2/layer.tar", b"", link),
            ("1/layer.tar", layer, {}),
            ("c.json", config, {}),
            ("manifest.json", orjson.dumps(manifest), {}),
        )
    )
    (image,) = await import_path(ImageStore(tmp_path / "store"), tmp_path / "old.tar")
    assert image.layers == (digest(layer), digest(layer))


async def test_of_a_layout_for_several_platforms_this_machines_is_imported(tmp_path: Path) -> None:
    blobs = tmp_path / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def put(data: bytes) -> str:
        (blobs / digest(data)[7:]).write_bytes(data)
        return digest(data)

    entries = []
    for architecture in ("strange", own_platform()[1]):
        layer = tar(("name", architecture.encode(), {}))
        config = configured(layer, User=architecture)
        manifest = orjson.dumps({"config": {"digest": put(config)}, "layers": [{"digest": put(layer)}]})
        entries.append({"digest": put(manifest), "platform": {"os": "linux", "architecture": architecture}})
    index = put(orjson.dumps({"manifests": entries}))
    (tmp_path / "index.json").write_bytes(orjson.dumps({"manifests": [{"digest": index}]}))
    (image,) = await import_path(ImageStore(tmp_path / "store"), tmp_path, "local/x:1")
    assert image.config["User"] == own_platform()[1]


async def stored(store: ImageStore, name: str) -> str:
    layer = tar(("file", name.encode(), {}))
    return (await store.add((name,), configured(layer), (store.put_blob(layer),))).id


async def test_an_image_that_is_mounted_as_a_volume_stays_until_the_pod_has_gone(tmp_path: Path) -> None:
    store = ImageStore(tmp_path)
    images = StoredImages(store, Puller(store), PullRecords(tmp_path))
    image = await stored(store, "local/x:1")
    (path,) = images.hold_layers(image, "volumes-u")
    assert not images.unused()
    images.let_go("volumes-u")
    images.records.record(image, parse("local/x:1"), None, "2026-11-29T12:00:00Z")
    await store.remove(image)
    assert path not in {str(one) for one in (tmp_path / "layers").iterdir()}
    assert not list((tmp_path / "blobs" / "sha256").iterdir())
    assert not list((tmp_path / "pulled").iterdir())


async def test_what_broken_off_work_has_left_goes_after_a_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ImageStore(tmp_path)
    image = await stored(store, "local/x:1")
    (tmp_path / "layers" / "orphan").mkdir()
    (tmp_path / "partial" / "blob").touch()
    store.sweep()
    assert (tmp_path / "layers" / "orphan").exists()
    monkeypatch.setattr("mizzen.agent.images.store._OLD", -1.0)
    store.sweep()
    assert not (tmp_path / "layers" / "orphan").exists() and not list((tmp_path / "partial").iterdir())
    assert set(store.layers(image)) == {str(one) for one in (tmp_path / "layers").iterdir()}
