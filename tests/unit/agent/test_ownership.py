"""Volumes given to a group. Needs root."""

import os
import stat
from pathlib import Path

import pytest

from mizzen.agent.volumes.ownership import give_to_group


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    made = tmp_path / "volume"
    (made / "a" / "b").mkdir(parents=True)
    (made / "a" / "program").touch(0o4711)
    (made / "a" / "program").chmod(0o4711)
    (made / "a" / "b" / "file").touch(0o600)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").touch(0o600)
    (made / "link").symlink_to(tmp_path / "outside")
    (made / "a" / "link").symlink_to(tmp_path / "outside" / "file")
    os.mkfifo(made / "pipe", 0o600)
    return made


def looks(path: Path) -> tuple[int, int]:
    seen = path.lstat()
    return stat.S_IMODE(seen.st_mode), seen.st_gid


def test_a_tree_is_given_to_a_group_and_nothing_that_its_links_lead_to(volume: Path) -> None:
    give_to_group(volume, 3000, only_if_root_differs=False)
    assert [looks(volume / name) for name in (".", "a", "a/b")] == [(0o2775, 3000)] * 3
    assert looks(volume / "a/b/file") == looks(volume / "pipe") == (0o660, 3000)
    assert looks(volume / "a/program") == (0o4771, 3000)
    assert looks(volume / "link")[1] == looks(volume / "a/link")[1] == 3000
    outside = volume.parent / "outside"
    assert (looks(outside)[1], looks(outside / "file")) == (0, (0o600, 0))


def test_a_volume_that_is_reached_by_a_link_is_given_as_well(volume: Path) -> None:
    way = volume.parent / "way"
    way.symlink_to(volume)
    give_to_group(way, 3000, only_if_root_differs=False)
    assert looks(volume) == (0o2775, 3000) and looks(way)[1] == 0


def test_a_tree_whose_root_has_the_group_is_left_alone_where_that_is_enough(volume: Path) -> None:
    give_to_group(volume, 3000, only_if_root_differs=True)
    (volume / "late").touch(0o600)
    give_to_group(volume, 3000, only_if_root_differs=True)
    assert looks(volume / "late") == (0o600, 3000)  # the group by the directory's bit, the rest as it was made
    give_to_group(volume, 3001, only_if_root_differs=True)
    assert looks(volume / "late") == (0o660, 3001)
