"""`mizzen image`: the images that the nodes of this machine share."""

import asyncio
import functools
import json
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from mizzen.cluster import config as configs
from mizzen.cluster.config import ConfigError

T = TypeVar("T")
DECLARATION = "image.yaml"


@click.group()
def image() -> None:
    """Build, import, list and remove the images that all nodes of this machine share.

    \b
    Examples:
      mizzen image build ./web              # from ./web/image.yaml
      mizzen image import backup.tar        # an OCI layout or a docker-archive
      mizzen image pull docker.io/library/nginx:1.27
    """
    from mizzen.cluster.rootless import enter

    if enter.is_outside():  # the files of images have many owners
        enter.run_alone()


def _store_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """--images-dir, or --data-dir of a cluster that uses them; the command is told `images_dir`."""
    directory = click.Path(path_type=Path, file_okay=False)

    @click.option("--images-dir", type=directory, help="Where the images are. [default: /var/lib/mizzen/images]")
    @click.option("--data-dir", type=directory, help="The cluster's directory: its images are beside it.")
    @functools.wraps(command)
    def with_images(*, images_dir: Path | None, data_dir: Path | None, **more: Any) -> Any:
        beside = data_dir or configs.default_data_dir(configs.DEFAULT_NAME)
        return command(images_dir=images_dir or beside.absolute().parent / "images", **more)

    return with_images


@image.command()
@click.argument("path", type=click.Path(path_type=Path, exists=True))
@click.option("--tag", default="", help="Name it so, whatever its declaration says.")
@_store_option
def build(path: Path, tag: str, images_dir: Path) -> None:
    """Build an image from a declaration: Debian packages, files and a configuration; once for the same input.

    PATH is the declaration, or the directory that holds it as image.yaml.
    """
    from mizzen.agent.images import build as builds

    file = path / DECLARATION if path.is_dir() else path

    async def work() -> str:
        wanted = builds.declaration(file)
        if tag:
            wanted = builds.renamed(wanted, tag)
        made = await builds.build(_store(images_dir), wanted, file.parent)
        _open_to_all(images_dir, made.id)
        return f"{wanted.name}  {_short(made.id)}  {_size(made.size)}"

    click.echo(_run(work))


@image.command("import")
@click.argument("path", type=click.Path(path_type=Path, exists=True))
@click.option("--tag", default="", help="Name it so, if it has no name.")
@_store_option
def import_(path: Path, tag: str, images_dir: Path) -> None:
    """Import the images of an OCI layout or a docker-archive (a directory or a tar file)."""
    from mizzen.agent.images import archive

    async def work() -> str:
        found = await archive.import_path(_store(images_dir), path, tag)
        for one in found:
            _open_to_all(images_dir, one.id)
        return "\n".join(f"{_short(one.id)}  {_size(one.size)}" for one in found)

    click.echo(_run(work))


@image.command()
@click.argument("name")
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False))
@_store_option
def export(name: str, path: Path, images_dir: Path) -> None:
    """Write an image into a tar file, as an OCI layout."""
    from mizzen.agent.images import archive

    try:
        archive.export(_store(images_dir), name, path)
    except KeyError:
        raise ConfigError(f"there is no image {name!r} here") from None
    click.echo(f"wrote {path}")


@image.command()
@click.argument("name")
@_store_option
def pull(name: str, images_dir: Path) -> None:
    """Fetch an image from its registry, as the user that `docker login` (or another tool) has made you there."""
    from mizzen.agent.images.pull import Puller
    from mizzen.agent.images.reference import parse

    async def work() -> str:
        wanted = parse(name)
        shown = _Progress()
        pulled = await Puller(_store(images_dir), progress=shown.tell).pull(wanted, _logins())
        shown.end()
        _open_to_all(images_dir, pulled.id)
        return f"{wanted}  {_short(pulled.id)}  {_size(pulled.size)}"

    click.echo(_run(work))


class _Progress:
    """One line on a terminal that says how much is here; elsewhere nothing."""

    def __init__(self) -> None:
        self._layers: dict[str, tuple[int, int]] = {}
        self._shown = ""

    def tell(self, layer: str, done: int, whole: int) -> None:
        """A layer has come so far."""
        self._layers[layer] = done, whole
        here = sum(done for done, _ in self._layers.values())
        all_of = sum(whole for _, whole in self._layers.values())
        text = f"{_size(here)} of {_size(max(here, all_of))}, {len(self._layers)} layers"
        if sys.stderr.isatty() and text != self._shown:
            self._shown = text
            click.echo(f"\r{text:60}", err=True, nl=False)

    def end(self) -> None:
        """All of it is here."""
        if self._shown:
            click.echo(f"\r{'':60}\r", err=True, nl=False)


def _logins() -> Any:
    """The user's credentials for registries."""
    from mizzen.agent.images import keyring

    directory = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    try:
        return keyring.from_config((directory / "config.json").read_bytes())
    except (OSError, ValueError, AttributeError):
        return ()


@image.command("ls")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", help="How to print them.")
@_store_option
def list_(output: str, images_dir: Path) -> None:
    """List the images of this machine."""
    store = _store(images_dir)
    names: dict[str, list[str]] = {}
    for one in store.names():
        names.setdefault(one.image, []).append(one.name)
    listed = [{"id": one.id, "names": names.get(one.id, []), "size": one.size} for one in store.images()]
    if output == "json":
        click.echo(json.dumps(listed, indent=2))
        return
    for entry in listed:
        for name in entry["names"] or ["<none>"]:
            click.echo(f"{name:60} {_short(entry['id'])}  {_size(entry['size']):>9}")


@image.command()
@click.argument("name")
@_store_option
def rm(name: str, images_dir: Path) -> None:
    """Forget a name (or id) of an image; with its last name goes the image, unless a container uses it."""
    store = _store(images_dir)
    wanted = _complete(store, name)
    found = store.find(wanted)
    if found is None:
        raise ConfigError(f"there is no image {name!r} here")
    names = [one.name for one in store.names() if one.image == found.id and "@" not in one.name]
    if wanted in names and len(names) > 1:
        store.untag(wanted)
        click.echo(f"removed the name {name}")
        return
    if store.in_use(found.id):
        raise ConfigError(f"the image {name!r} is in use")
    asyncio.run(store.remove(found.id))
    click.echo(f"removed {name}")


def _complete(store: Any, name: str) -> str:
    """A complete name, or the whole id for one as `ls` prints it. Raises ConfigError for what can be neither."""
    from mizzen.agent.images.reference import parse

    if name.startswith("sha256:"):
        return name
    for one in store.images():
        if name == _short(one.id):
            return str(one.id)
    try:
        return str(parse(name))
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _store(directory: Path) -> Any:
    from mizzen.agent.images.store import ImageStore  # lazily: `mizzen --help` needs none of it

    return ImageStore(directory)


def _open_to_all(images_dir: Path, image: str) -> None:
    """What the machine's owner puts here is for all pods, whoever had to show a secret for it before."""
    from mizzen.agent.images.records import PullRecords

    PullRecords(images_dir).forget(image)


def _run(work: Callable[[], Awaitable[T]]) -> T:
    """Do it; what a user can have caused becomes a sentence."""
    from mizzen.agent.images.build import BuildFailure
    from mizzen.agent.images.layers import LayerFailure
    from mizzen.agent.images.registry import PullFailure

    async def run() -> T:
        return await work()

    try:
        return asyncio.run(run())
    except (BuildFailure, LayerFailure, PullFailure, ValueError) as error:
        raise ConfigError(str(error)) from error


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:12]


def _size(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
