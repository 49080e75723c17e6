"""`mizzen image`: the images that the nodes of this machine share."""

import asyncio
import json
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


def _store_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--images-dir",
        type=click.Path(path_type=Path, file_okay=False),
        default=lambda: configs.default_data_dir(configs.DEFAULT_NAME).parent / "images",
        help="Where the images are. [default: /var/lib/mizzen/images]",
    )(command)


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
    """Fetch an image from its registry."""
    from mizzen.agent.images.pull import Puller
    from mizzen.agent.images.reference import parse

    async def work() -> str:
        pulled = await Puller(_store(images_dir)).pull(parse(name))
        return f"{parse(name)}  {_short(pulled.id)}  {_size(pulled.size)}"

    click.echo(_run(work))


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
    """Remove an image that no container uses."""
    from mizzen.agent.images.reference import parse

    store = _store(images_dir)
    found = store.find(str(parse(name)))
    if found is None:
        raise ConfigError(f"there is no image {name!r} here")
    if store.in_use(found.id):
        raise ConfigError(f"the image {name!r} is in use")
    asyncio.run(store.remove(found.id))
    click.echo(f"removed {name}")


def _store(directory: Path) -> Any:
    from mizzen.agent.images.store import ImageStore  # lazily: `mizzen --help` needs none of it

    return ImageStore(directory)


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
