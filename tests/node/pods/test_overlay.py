"""Root file systems out of layers."""

from pathlib import Path

from mizzen.agent.runtime import syscalls


def test_many_layers_whose_paths_hold_the_marks_of_mount_options(own_namespaces: None, tmp_path: Path) -> None:
    layers = [tmp_path / f"layer,{number}:upperdir=x" for number in range(150)]
    for number, layer in enumerate(layers):
        layer.mkdir()
        (layer / f"only-{number}").touch()
        (layer / "in-all").write_text(f"{number}")
    upper, work, target = (tmp_path / name for name in ("upper,ro", "work:1", "root"))
    for directory in (upper, work, target):
        directory.mkdir()
    syscalls.mount_overlay([*map(str, layers)], str(upper), str(work), str(target))
    try:
        assert {path.name for path in target.iterdir()} == {"in-all", *(f"only-{number}" for number in range(150))}
        assert (target / "in-all").read_text() == "0", "the first layer is the uppermost"
        (target / "written").touch()
        assert (upper / "written").exists()
        assert "/upper" in Path("/proc/self/mountinfo").read_text().rpartition(" overlay ")[2], "it tells whose it is"
    finally:
        syscalls.unmount(str(target))
