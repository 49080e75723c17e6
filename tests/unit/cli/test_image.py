"""`mizzen image` on a store of its own."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.node.pods import images

from mizzen.agent.images.keyring import Credential
from mizzen.agent.images.records import PullRecords
from mizzen.agent.images.reference import parse
from mizzen.agent.images.store import ImageStore
from mizzen.cli.image import image
from mizzen.cluster.config import ConfigError


def run(store: Path, verb: str, *arguments: str) -> Result:
    return CliRunner().invoke(image, [verb, "--images-dir", str(store), *arguments])


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with one image, `docker.io/library/a:1`."""
    archive = tmp_path / "a.tar"
    images.docker_archive(archive, "a:1", [images.layer({"x": b"x"})])
    assert run(tmp_path / "images", "import", str(archive)).exit_code == 0
    return tmp_path / "images"


def test_an_image_goes_by_the_id_that_is_listed(store: Path) -> None:
    name, shown, *_ = run(store, "ls").output.split()
    assert (name, len(shown)) == ("docker.io/library/a:1", 12)
    assert run(store, "rm", shown).output == f"removed {shown}\n"
    assert run(store, "ls").output == ""


def test_a_clusters_images_are_beside_its_directory(store: Path) -> None:
    listed = CliRunner().invoke(image, ["ls", "--data-dir", str(store.parent / "cluster")]).output
    assert listed == run(store, "ls").output != ""


def test_what_names_no_image_is_told_in_a_sentence(store: Path) -> None:
    for name, why in (("b:1", "there is no image 'b:1' here"), ("A b", "invalid reference format")):
        error = run(store, "rm", name).exception
        assert isinstance(error, ConfigError) and why in str(error)


def test_an_image_that_the_machines_owner_puts_here_is_for_all_pods(store: Path) -> None:
    (kept,) = ImageStore(store).images()
    wanted, secret = parse("a:1"), Credential("docker.io", "robot", "swordfish")
    PullRecords(store).record(kept.id, wanted, secret, "2026-11-29T12:00:00Z")
    assert not PullRecords(store).admits(kept.id, wanted, ())
    assert run(store, "import", str(store.parent / "a.tar")).exit_code == 0
    assert PullRecords(store).admits(kept.id, wanted, ())
