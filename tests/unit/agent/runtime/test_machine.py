"""What the embedded runtime finds on its machine."""

from pathlib import Path

from mizzen.agent.runtime import machine
from mizzen.agent.runtime.base import Device


def test_a_link_to_a_device_stands_for_the_device_and_a_directory_for_the_devices_in_it(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "link").symlink_to("/dev/null")
    (tmp_path / "below" / "file").touch()
    link = Device(str(tmp_path / "below" / "link"), "/dev/one", "r")
    assert machine.nodes_of([link]) == (Device("/dev/null", "/dev/one", "r"),)
    directory = Device(str(tmp_path), "/dev/many/", "rw")
    assert machine.nodes_of([directory]) == (Device("/dev/null", "/dev/many/below/link", "rw"),)
    missing = Device("/dev/nowhere", "/dev/two")
    assert machine.nodes_of([missing]) == (missing,)
