"""What volumes are made of, before anything is mounted."""

import asyncio
import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from mizzen.agent.runtime import syscalls
from mizzen.agent.volumes import mounting, subpath, teardown
from mizzen.agent.volumes.kinds import ClaimFailure, VolumeFailure, check_mode, memory_size, nfs_command, page_size
from mizzen.agent.volumes.shell import settled
from mizzen.api.views.podspec import Container, EmptyDir, Pod, PodSpec, Resources, VolumeDevice, VolumeMount


def pod(*limits: dict[str, str | int | float]) -> Pod:
    return Pod(spec=PodSpec(containers=tuple(Container(resources=Resources(limits=one)) for one in limits)))


def test_a_share_is_mounted_with_its_options() -> None:
    command = ["-t", "nfs", "-o", "ro,nfsvers=4.2", "nas:/data", "/v"]
    assert nfs_command("nas", "/data", ("ro", "nfsvers=4.2"), Path("/v")) == command
    assert nfs_command("fd00::1", "/data", (), Path("/v")) == ["-t", "nfs", "[fd00::1]:/data", "/v"]


def test_a_volume_is_mounted_or_given_as_a_device_as_its_mode_says() -> None:
    mounting_it = Pod(spec=PodSpec(containers=(Container(volumeMounts=(VolumeMount(name="v"),)),)))
    given_it = Pod(spec=PodSpec(initContainers=(Container(volumeDevices=(VolumeDevice(name="v"),)),)))
    check_mode("v", "Filesystem", mounting_it)
    check_mode("v", "Block", given_it)
    check_mode("other", "Block", mounting_it)
    with pytest.raises(ClaimFailure, match="volume v has volumeMode Block, but is specified in volumeMounts"):
        check_mode("v", "Block", mounting_it)
    with pytest.raises(ClaimFailure, match="volume v has volumeMode Filesystem, but is specified in volumeDevices"):
        check_mode("v", "Filesystem", given_it)


def test_only_a_device_on_which_nothing_is_found_counts_as_empty() -> None:
    device = Path("/dev/x")
    assert mounting.type_of(2, "", device) == ""
    assert mounting.type_of(0, "DEVNAME=/dev/x\nTYPE=xfs\n", device) == "xfs"
    with pytest.raises(OSError, match="failed to find a file system on /dev/x: a partition table \\(gpt\\)"):
        mounting.type_of(0, "DEVNAME=/dev/x\nPTTYPE=gpt\n", device)
    with pytest.raises(OSError, match="/dev/x: error: cannot open"):
        mounting.type_of(4, "error: cannot open", device)
    with pytest.raises(OSError, match="/dev/x: status 8"):
        mounting.type_of(8, "", device)


def test_a_volume_in_memory_is_no_larger_than_it_or_its_pod_may_be() -> None:
    limited = pod({"memory": "64Mi"}, {"memory": "64Mi"})
    assert memory_size(EmptyDir(medium="Memory"), limited) == 128 << 20
    assert memory_size(EmptyDir(medium="Memory", sizeLimit="1Mi"), limited) == 1 << 20
    assert memory_size(EmptyDir(medium="Memory"), pod({"memory": "64Mi"}, {})) == 0


def test_huge_pages_are_of_the_size_that_the_pod_asks_for() -> None:
    assert page_size("HugePages-1Gi", pod()) == "1G"
    assert page_size("HugePages", pod({"hugepages-2Mi": "4Mi"})) == "2M"
    with pytest.raises(VolumeFailure, match="only if container requests one huge page size: none"):
        page_size("HugePages", pod())


def in_own_mounts(work: Callable[[], None]) -> None:
    """Do it where its mounts are seen by nobody else and end with it."""

    def alone() -> None:
        syscalls.unshare(syscalls.CLONE_NEWNS)
        syscalls.mount("none", "/", "", syscalls.MS_REC | syscalls.MS_PRIVATE)
        work()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(alone).result()


def test_a_sub_path_that_is_made_belongs_to_whoever_may_write_the_volume(tmp_path: Path) -> None:
    volume, target = tmp_path / "volume", tmp_path / "target"
    volume.mkdir()
    os.chown(volume, 0, 1234)
    volume.chmod(0o2777)

    def work() -> None:
        subpath.bind_subpath(volume, "a/b", target)
        teardown.remove(target)

    in_own_mounts(work)
    for made in (volume / "a", volume / "a/b"):
        seen = made.stat()
        assert (stat.S_IMODE(seen.st_mode), seen.st_gid) == (0o2777, 1234)


@pytest.mark.parametrize("link", ["..", "/etc", "deep/../../.."])
def test_a_sub_path_that_leads_out_of_its_volume_is_refused(tmp_path: Path, link: str) -> None:
    volume = tmp_path / "volume"
    (volume / "deep").mkdir(parents=True)
    (volume / "out").symlink_to(link)
    for sub in ("out", "out/made"):
        with pytest.raises(ValueError, match=f"subPath '{sub}' leads out of the volume"):
            in_own_mounts(partial(subpath.bind_subpath, volume, sub, tmp_path / "target"))
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize("link", ["real", "real/../real/.", "{volume}/real"])
def test_a_sub_path_by_way_of_a_link_that_stays_in_its_volume_is_what_it_leads_to(tmp_path: Path, link: str) -> None:
    volume, target, seen = tmp_path / "volume", tmp_path / "target", list[Path]()
    (volume / "real").mkdir(parents=True)
    (volume / "link").symlink_to(link.format(volume=volume))

    def work() -> None:
        subpath.bind_subpath(volume, "link/made", target)
        (target / "there").touch()
        seen.extend((volume / "real" / "made").iterdir())
        teardown.remove(target)

    in_own_mounts(work)
    assert seen == [volume / "real" / "made" / "there"]


async def test_when_one_volume_fails_the_others_are_not_still_being_made() -> None:
    made: list[str] = []
    begun = asyncio.Event()

    async def slow() -> None:
        begun.set()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        made.append("slow")

    async def failing() -> None:
        await begun.wait()
        raise VolumeFailure("no")

    with pytest.raises(VolumeFailure, match="no"):
        await settled([slow(), failing()])
    assert made == ["slow"]
