"""Removal never reaches into what is mounted below a directory. Needs root, in a mount namespace of a thread's own."""

import threading
from pathlib import Path

from mizzen.agent.runtime import syscalls
from mizzen.agent.volumes import subpath, teardown


def test_removing_a_pods_directory_spares_what_was_mounted_in_it(tmp_path: Path) -> None:
    volume, home = tmp_path / "volume", tmp_path / "home with space"
    (volume / "deep").mkdir(parents=True)
    (volume / "deep" / "file").write_text("precious")
    failure: list[BaseException] = []

    def work() -> None:
        try:
            syscalls.unshare(syscalls.CLONE_NEWNS)
            syscalls.mount("none", "/", "", syscalls.MS_REC | syscalls.MS_PRIVATE)
            target = home / "sub" / "0"
            subpath.bind_subpath(volume, "deep", target)
            subpath.bind_subpath(volume, "deep", target)
            assert (target / "file").read_text() == "precious"
            assert len(teardown.mounts_below(home)) == 2
            teardown.remove(home)
            assert not home.exists()
        except BaseException as error:  # shown by the test's own thread
            failure.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    assert (volume / "deep" / "file").read_text() == "precious"


def test_everything_goes_but_what_is_kept_and_what_leads_there(tmp_path: Path) -> None:
    for name in ("a/kept/deep/file", "a/other/file", "b/file", "a/kept-not/file"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "link").symlink_to(tmp_path / "a" / "kept")
    teardown.remove_all_but(tmp_path, (tmp_path / "a" / "kept", tmp_path / "absent"))
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")} == {
        "a", "a/kept", "a/kept/deep", "a/kept/deep/file",
    }  # fmt: skip
