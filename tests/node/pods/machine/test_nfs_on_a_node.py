"""Volumes on a real NFS server, in the kernel of an emulated machine: mounted, shared, and lost."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.node.pods.conftest import NODE_IP, Node, phase
from tests.node.pods.test_volumes_on_a_node import bound

from mizzen.agent.volumes import teardown


def threads(number: int) -> None:
    """Let the server have so many threads; none is what a server that is gone looks like."""
    subprocess.run(["rpc.nfsd", "--no-nfs-version", "3", "--no-udp", "--grace-time", "10", "--lease-time", "10",
                    str(number)], check=True)  # fmt: skip


def owner(path: Path) -> tuple[int, int]:
    return path.stat().st_uid, path.stat().st_gid


@pytest.fixture(scope="module")
def exported(own_namespaces: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory that is exported as `NODE_IP:/`, by one server for all tests.

    A server that begins lets nobody open a file for its first ten seconds.
    """
    directory = tmp_path_factory.mktemp("exported")
    directory.chmod(0o777)
    Path("/var/lib/nfs/v4recovery").mkdir(parents=True, exist_ok=True)
    for empty in ("/var/lib/nfs/etab", "/etc/exports"):
        Path(empty).touch()
    subprocess.run(["modprobe", "nfsd"], check=True)
    if not teardown.is_mounted(Path("/proc/fs/nfsd")):
        subprocess.run(["mount", "-t", "nfsd", "nfsd", "/proc/fs/nfsd"], check=True)
    options = "rw,no_root_squash,insecure,no_subtree_check,fsid=0"
    subprocess.run(["exportfs", "-o", options, f"*:{directory}"], check=True)
    threads(4)
    mountd = subprocess.Popen(["rpc.mountd", "--foreground", "--no-nfs-version", "2", "--no-nfs-version", "3"])
    yield directory
    mountd.terminate()
    mountd.wait()
    threads(0)
    subprocess.run(["exportfs", "-ua"], check=True)


@pytest.fixture
def share(exported: Path) -> Iterator[Path]:
    """The exported directory, empty."""
    yield exported
    for path in exported.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


async def test_pods_share_what_an_nfs_server_holds(share: Path, node: Node) -> None:
    (share / "greeting").write_text("from the server\n")
    (share / "deep").mkdir(mode=0o777)
    source = {"server": NODE_IP, "path": "/"}
    mounts = [{"name": "n", "mountPath": "/n"}, {"name": "n", "mountPath": "/d", "subPath": "deep"}]
    volumes = [{"name": "n", "nfs": source}]
    script = "cat /n/greeting; echo written > /d/answer; grep -c ' /n nfs4 ' /proc/mounts; sleep 1000"
    one = await node.create("writer", {"script": script, "volumeMounts": mounts}, volumes=volumes)
    assert await node.logged(one, "1\n") == "from the server\n1\n"
    assert (share / "deep" / "answer").read_text() == "written\n"
    reads = {"script": "cat /n/deep/answer; touch /n/deep/no 2>&1", "volumeMounts": mounts[:1]}
    closed = [{"name": "n", "nfs": {**source, "readOnly": True}}]
    await node.create("reader", reads, volumes=closed, restartPolicy="Never")
    seen = node.log(await node.until("reader", phase("Failed")))
    assert seen.startswith("written\n") and "Read-only file system" in seen
    await node.delete("writer")
    await node.delete("reader")
    assert not teardown.mounts_below(node.config.root / "pods")
    assert (share / "greeting").exists() and (share / "deep" / "answer").exists()


async def test_a_claim_is_bound_to_a_share_with_mount_options(share: Path, node: Node) -> None:
    source = {"nfs": {"server": NODE_IP, "path": "/"}, "mountOptions": ["vers=4.1", "hard", "noatime"]}
    await bound(node, "shared", source, "ReadWriteMany")
    volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": "shared"}}]
    one = {"script": "id -G > /v/groups; grep ' /v ' /proc/mounts", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}
    await node.create("user", one, volumes=volumes, restartPolicy="Never", securityContext={"fsGroup": 3000})
    seen = node.log(await node.until("user", phase("Succeeded")))
    assert "vers=4.1" in seen and "noatime" in seen
    assert (share / "groups").read_text() == "0 3000\n"
    assert owner(share) == (0, 0), "a share's owners are its server's affair"


async def test_a_server_that_is_gone_holds_up_neither_the_node_nor_the_end_of_its_pods(share: Path, node: Node) -> None:
    volumes = [{"name": "n", "nfs": {"server": NODE_IP, "path": "/"}}]
    mounts = [{"name": "n", "mountPath": "/n"}]
    await node.create("stuck", {"script": "exec sleep 1000", "volumeMounts": mounts}, volumes=volumes)
    await node.running_pod("stuck")
    threads(0)
    try:
        await node.create("other", {"script": "exec sleep 1000"})
        await node.running_pod("other")
        await node.delete("stuck")
        assert not teardown.mounts_below(node.config.root / "pods" / "stuck")
    finally:
        threads(4)
