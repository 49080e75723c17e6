"""Directories that layers imply: images show them as lower layers made them. Needs root, as layers have owners."""

import hashlib
import json
import stat
from pathlib import Path

from tests.unit.agent.test_layers import Entry, directory, tar

from mizzen.agent.images.layers import unpack
from mizzen.agent.images.parents import Layer, restore
from mizzen.agent.images.store import ImageStore

WORKER = {"mode": 0o700, "uid": 65532, "gid": 7}


def layer(root: Path, *entries: Entry) -> Layer:
    root.mkdir()
    blob = root.with_suffix(".tar")
    blob.write_bytes(tar(*entries))
    _, implied = unpack(blob, root)
    return Layer(root, implied)


def made(tmp_path: Path, *layers: Layer) -> dict[str, tuple[int, int, int]]:
    """Mode, user and group of the directories in the layer on top."""
    target = tmp_path / "top"
    target.mkdir()
    there = restore(layers, target)
    found = {}
    for path in target.rglob("*"):
        seen = path.stat()
        found[str(path.relative_to(target))] = stat.S_IMODE(seen.st_mode), seen.st_uid, seen.st_gid
    assert there == bool(found)
    return found


def test_a_directory_without_an_entry_looks_as_it_did_below(tmp_path: Path) -> None:
    below = layer(tmp_path / "1", directory("tmp", mode=0o1777), directory("home"), directory("home/worker", **WORKER))
    above = layer(tmp_path / "2", ("tmp/x", b"", {}), ("home/worker/app", b"", {}), ("fresh/y", b"", {}))
    assert above.implied == {"tmp", "home", "home/worker", "fresh"}
    assert made(tmp_path, below, above) == {
        "tmp": (0o1777, 0, 0), "home": (0o755, 0, 0), "home/worker": (0o700, 65532, 7),
    }  # fmt: skip


def test_nothing_is_made_where_nothing_differs(tmp_path: Path) -> None:
    below = layer(tmp_path / "1", directory("usr"), directory("tmp", mode=0o1777))
    above = layer(tmp_path / "2", ("usr/x", b"", {}), ("tmp/x", b"", {}), directory("tmp", mode=0o1777))
    assert above.implied == {"usr"}
    assert made(tmp_path, below, above) == {}


def test_an_entry_in_any_layer_above_counts_more(tmp_path: Path) -> None:
    below = layer(tmp_path / "1", directory("d", mode=0o700))
    middle = layer(tmp_path / "2", ("d/x", b"", {}))
    above = layer(tmp_path / "3", directory("d", mode=0o711))
    last = layer(tmp_path / "4", ("d/y", b"", {}))
    assert made(tmp_path, below, middle, above, last) == {"d": (0o711, 0, 0)}


def test_what_was_hidden_in_between_is_forgotten(tmp_path: Path) -> None:
    below = layer(
        tmp_path / "1", directory("gone", mode=0o700), directory("opaque", mode=0o700), directory("file", mode=0o700),
        directory("above"), directory("above/d", mode=0o700),
    )  # fmt: skip
    hides = [(".wh.gone", b"", {}), (".wh.opaque", b"", {}), ("file", b"", {}), ("above/.wh..wh..opq", b"", {})]
    middle = layer(tmp_path / "2", *hides)
    files = [(f"{name}/x", b"", {}) for name in ("gone", "opaque", "file", "above/d")]
    assert made(tmp_path, below, middle, layer(tmp_path / "3", *files)) == {}


def test_a_directory_that_is_gone_in_the_end_is_not_brought_back(tmp_path: Path) -> None:
    below = layer(tmp_path / "1", directory("a"), directory("a/b", mode=0o700))
    middle = layer(tmp_path / "2", ("a/b/x", b"", {}))
    assert made(tmp_path, below, middle, layer(tmp_path / "3", (".wh.a", b"", {}))) == {}


def test_a_link_of_the_layer_itself_leads_to_what_is_implied(tmp_path: Path) -> None:
    link: Entry = ("lib", b"", {"type": b"2", "linkname": "usr/lib"})
    above = layer(tmp_path / "2", directory("usr"), directory("usr/lib"), link, ("lib/deep/x", b"", {}))
    assert above.implied == {"usr/lib/deep"}


async def test_an_image_has_its_directories_as_its_uppermost_layer(tmp_path: Path) -> None:
    store = ImageStore(tmp_path)
    blobs = [tar(directory("tmp", mode=0o1777)), tar(("tmp/x", b"", {}))]
    diffs = [f"sha256:{hashlib.sha256(one).hexdigest()}" for one in blobs]
    names = tuple(map(store.put_blob, blobs))
    config = json.dumps({"rootfs": {"type": "layers", "diff_ids": diffs}}).encode()
    image = await store.add(("local/x:1",), config, names)
    top, *rest = store.layers(image.id)
    assert stat.S_IMODE((Path(top) / "tmp").stat().st_mode) == 0o1777
    assert rest == [str(store.layer_path(diff)) for diff in reversed(diffs)]
    await store.remove(image.id)
    assert not [*(tmp_path / "parents").iterdir(), *(tmp_path / "implied").iterdir()]
