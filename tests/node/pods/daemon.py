"""A private containerd: its own root, state, socket and network configuration; nothing of it is left afterwards."""

import contextlib
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import orjson

from mizzen.agent.runtime import cninone
from mizzen.agent.volumes import teardown

PAUSE = "mizzen.test/pause:1"
_CONFIG = """version = 2
root = "{root}/root"
state = "{root}/state"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.aufs"]
[grpc]
  address = "{root}/sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  disable_hugetlb_controller = true
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "{root}/cni/bin"
  conf_dir = "{root}/cni/conf"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
  SystemdCgroup = false
"""


@contextlib.contextmanager
def running(root: Path, archive: Path, image: str) -> Iterator[str]:
    """Run it with an image from a docker-archive, which also serves as that of the sandboxes."""
    cninone.install(root / "cni" / "conf", root / "cni" / "bin")
    (root / "config.toml").write_text(_CONFIG.format(root=root, pause=PAUSE))
    with (root / "log").open("wb") as out:
        server = subprocess.Popen(["containerd", "-c", root / "config.toml"], stdout=out, stderr=out)
    try:
        _until_it_answers(root, server)
        for name, command in ((image, None), (PAUSE, ["sleep", "1000000"])):
            _import(root, archive, name, command)
        yield str(root / "sock")
    finally:
        server.terminate()
        server.wait(20)
        teardown.remove(root)
    left = [path for path in Path("/proc").glob("[0-9]*/cmdline") if str(root).encode() in _content(path)]
    assert not left, f"processes left: {left}"


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""  # it has ended meanwhile


def _until_it_answers(root: Path, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 20
    while _ctr(root, "version", check=False).returncode:
        assert server.poll() is None and time.monotonic() < deadline, (root / "log").read_text()[-3000:]
        time.sleep(0.05)


def _import(root: Path, archive: Path, name: str, command: list[str] | None) -> None:
    """Import the archive under another name, and with another command; images with one configuration share an id."""
    with tarfile.open(archive) as old:
        files = {member.name: old.extractfile(member).read() for member in old if member.isfile()}  # type: ignore[union-attr]
    manifest = orjson.loads(files["manifest.json"])
    manifest[0]["RepoTags"] = [name]
    if command is not None:
        config = orjson.loads(files[manifest[0]["Config"]])
        config["config"] = {"Cmd": command, "Env": ["PATH=/bin"]}
        files[manifest[0]["Config"]] = orjson.dumps(config)
    files["manifest.json"] = orjson.dumps(manifest)
    changed = root / "image.tar"
    with tarfile.open(changed, "w") as new:
        for path, data in files.items():
            member = tarfile.TarInfo(path)
            member.size = len(data)
            with (root / "part").open("wb") as out:
                out.write(data)
            with (root / "part").open("rb") as source:
                new.addfile(member, source)
    _ctr(root, "-n", "k8s.io", "images", "import", str(changed))


def _ctr(root: Path, *arguments: str, check: bool = True) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(["ctr", "-a", str(root / "sock"), *arguments], check=check, capture_output=True)
