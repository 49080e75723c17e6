"""Files of variables: what they say, and that nothing outside their volume is ever read."""

import os
from pathlib import Path

import pytest

from mizzen.agent import envfile


def test_quoted_values_are_taken_as_they_stand() -> None:
    text = "# settings\n\nA='b c'\n  B = 'x'  # why\nC='two\nlines # and \"all\"'\nD=''\n"
    assert envfile.parse(text) == {"A": "b c", "B": "x", "C": 'two\nlines # and "all"', "D": ""}


def test_bare_values_end_with_their_line() -> None:
    assert envfile.parse('A=b=c \nB=\nC="d e"\nwith-dash=1') == {"A": "b=c", "B": "", "C": "d e", "with-dash": "1"}


@pytest.mark.parametrize(
    ("text", "line"), [("A='b'\nnonsense\n", 2), ("\nA='b\n", 2), ("A='b'c\n", 1), ("A='b''c'", 1), ("='b'", 1)]
)
def test_what_is_no_variable_is_refused_by_its_line(text: str, line: int) -> None:
    with pytest.raises(ValueError, match=f"line {line} "):
        envfile.parse(text)


def test_a_file_that_is_not_there_is_none(tmp_path: Path) -> None:
    assert envfile.read(tmp_path, "deep/env") is None


def test_links_lead_nowhere_outside_the_volume(tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    (volume / "etc").mkdir(parents=True)
    (tmp_path / "secret").write_text("A='stolen'")
    (volume / "etc" / "env").write_text("A='own'")
    (volume / "up").symlink_to("../secret")
    (volume / "far").symlink_to(tmp_path / "secret")
    (volume / "own").symlink_to("/etc/env")
    assert envfile.read(volume, "up") is None
    assert envfile.read(volume, "far") is None
    assert envfile.read(volume, "own") == {"A": "own"}


def test_nothing_but_a_regular_file_of_reasonable_size_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "directory").mkdir()
    with (tmp_path / "long").open("wb") as out:
        out.truncate(1 << 30)
    for name in ("pipe", "directory", "long"):
        with pytest.raises(ValueError, match=r"regular|larger"):
            envfile.read(tmp_path, name)
