"""Run a command on a machine with another kernel: `python tools/machine.py COMMAND…`; its exit status is the command's.

The machine is a virtual one, emulated in software, with Debian's own kernel: control groups of version 2 alone, huge
pages, NFS client and server, whatever kernel this machine itself runs. It sees this machine's files as they are, and
what it writes lands in memory and on a disk that is gone with it. It has no network but its own loopback. What cannot
be fetched from there is fetched here beforehand, into `.cache/packages`.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ROOT / ".cache" / "packages"
TOOLS = (
    "nfs-kernel-server", "nfs-common", "libtirpc3", "libnfsidmap1", "libevent-core-2.1-7", "libwrap0",
    "libdevmapper1.02.1", "keyutils", "rpcbind", "kmod",
)  # fmt: skip
"""The packages that are unpacked on the machine: what serves and mounts NFS."""
MODULES = ("virtio_pci", "virtio_blk", "virtio_rng", "9p", "9pnet_virtio", "overlay", "crc32c_generic", "ext4")
"""The kernel's modules that it needs to reach its files."""
MEMORY = "4G"
HUGE_PAGES = 64
DISK = 16 << 30
"""Bytes of the disk at /tmp, in a sparse file."""
LIMIT = 900
"""Seconds that the machine is given: one that hangs fails."""
BOOTS, BOOT_LIMIT = 3, 180
"""How often it is tried to boot, and the seconds for that: where others are busy, an emulated clock may miss a tick."""


def main(command: list[str]) -> int:
    """Boot, run the command in this directory as root, and print what it prints as it comes."""
    with tempfile.TemporaryDirectory(prefix="machine-") as scratch:
        kernel, initrd, disk = Path(scratch, "kernel"), Path(scratch, "initrd"), Path(scratch, "disk")
        unpack(kernel_package(), kernel)
        index_modules(kernel)
        initrd.write_bytes(b"".join(archive(boot_files(kernel, command))))
        with disk.open("wb") as file:
            file.truncate(DISK)
        subprocess.run(["mkfs.ext4", "-q", "-F", disk], check=True)
        for _ in range(BOOTS):
            if (status := run(next(kernel.glob("boot/vmlinuz-*")), initrd, disk)) is not None:
                return status
    print("machine: it does not boot", file=sys.stderr)
    return 1


def package(name: str) -> Path:
    """A Debian package's file; it is fetched once."""
    PACKAGES.mkdir(parents=True, exist_ok=True)
    download = ["apt-get", "download", "-qq", name]
    if not (found := sorted(PACKAGES.glob(f"{name}_*.deb"))):
        if subprocess.run(download, cwd=PACKAGES, check=False, stderr=subprocess.DEVNULL).returncode:
            subprocess.run(["apt-get", "update", "-qq"], check=True)  # the lists are of another day
            subprocess.run(download, cwd=PACKAGES, check=True)
        found = sorted(PACKAGES.glob(f"{name}_*.deb"))
    return found[-1]


def kernel_package() -> Path:
    """The package of Debian's newest kernel with every module."""
    package("linux-image-amd64")  # which has the lists renewed, should they be old
    shown = subprocess.run(["apt-cache", "depends", "linux-image-amd64"], check=True, capture_output=True, text=True)
    named = re.search(r"Depends: (linux-image-\S+)", shown.stdout)
    assert named is not None, "the package lists name no kernel: apt-get update"
    return package(named[1])


def unpack(deb: Path, target: Path) -> None:
    """The files of a package, without running anything of it."""
    subprocess.run(["dpkg-deb", "-x", deb, target], check=True)


def boot_files(kernel: Path, command: list[str]) -> Iterator[tuple[str, int, bytes]]:
    """What the machine starts from, as path, mode and content: busybox, modules, and the first script."""
    busybox = kernel.parent / "busybox"
    unpack(package("busybox-static"), busybox)
    for folder in ("bin", "modules", "proc", "sys", "dev", "host", "memory", "root"):
        yield folder, 0o40755, b""
    yield "bin/busybox", 0o100755, (busybox / "bin/busybox").read_bytes()
    modules = in_order(kernel, MODULES)
    for module in modules:
        yield f"modules/{module.name}", 0o100644, module.read_bytes()
    yield "init", 0o100755, first_script([module.name for module in modules]).encode()
    yield "second", 0o100755, second_script(kernel, command).encode()


def index_modules(kernel: Path) -> None:
    """Write what `modprobe` looks its modules up in."""
    unpack(package("kmod"), kernel)
    release = next(kernel.glob("lib/modules/*")).name
    subprocess.run(["depmod", "-b", kernel, release], executable=kernel / "bin" / "kmod", check=True)


def in_order(kernel: Path, wanted: tuple[str, ...]) -> list[Path]:
    """The modules and what they depend on, each after its dependencies; what is built in is left out."""
    paths = {path.stem.replace("-", "_"): path for path in kernel.glob("lib/modules/**/*.ko")}
    order: list[Path] = []

    def add(name: str) -> None:
        if (path := paths.get(name.replace("-", "_"))) is None or path in order:
            return
        depends = re.search(rb"\0depends=([^\0]*)\0", path.read_bytes())
        for other in depends[1].decode().split(",") if depends else ():
            add(other)
        order.append(path)

    for name in wanted:
        add(name)
    return order


def first_script(modules: list[str]) -> str:
    """From the first files to this machine's, with what is written kept in memory."""
    return f"""#!/bin/busybox sh
set -e
busybox() {{ /bin/busybox "$@"; }}
busybox mount -t proc proc /proc; busybox mount -t sysfs sys /sys; busybox mount -t devtmpfs dev /dev
for module in {" ".join(modules)}; do busybox insmod /modules/$module; done
busybox mount -t 9p -o trans=virtio,version=9p2000.L,cache=loose,msize=524288,ro host /host
busybox mount -t tmpfs memory /memory; busybox mkdir /memory/upper /memory/work
busybox mount -t overlay -o lowerdir=/host,upperdir=/memory/upper,workdir=/memory/work root /root
for at in proc sys dev; do busybox mount --move /$at /root/$at; done
busybox cp /second /root/run/second
exec /bin/busybox switch_root /root /bin/bash /run/second
"""


def second_script(kernel: Path, command: list[str]) -> str:
    """What a machine's own start would do, then the command; its exit status is the last line that is printed."""
    debs = shlex.join(str(package(name)) for name in TOOLS)
    return f"""#!/bin/bash
export PATH={shlex.quote(str(ROOT / ".venv/bin"))}:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
export LC_ALL=C.UTF-8 PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE=1 MIZZEN_TEST_PATIENCE=5
mount -t cgroup2 cgroup /sys/fs/cgroup
mkdir -p /dev/shm /dev/pts /dev/hugepages /lib/modules
mount -t tmpfs shm /dev/shm; mount -t devpts pts /dev/pts; mount -t tmpfs run /run
mount --bind {kernel}/lib/modules /lib/modules
mount /dev/vda /tmp
for deb in {debs}; do dpkg-deb --fsys-tarfile $deb | tar -x --keep-directory-symlink -C /; done
ldconfig
modprobe --all loop fuse
echo {HUGE_PAGES} > /proc/sys/vm/nr_hugepages
ip link set lo up
echo "machine: up"
cd {shlex.quote(str(ROOT))}
{shlex.join(command)}
echo "machine: exit status $?"
echo o > /proc/sysrq-trigger
sleep 60
"""


def archive(entries: Iterator[tuple[str, int, bytes]]) -> Iterator[bytes]:
    """A cpio archive, as a kernel takes its first files (Documentation/driver-api/early-userspace/buffer-format)."""
    for number, (name, mode, data) in enumerate((*entries, ("TRAILER!!!", 0, b"")), 1):
        fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
        head = b"070701" + b"".join(b"%08x" % field for field in fields) + name.encode() + b"\0"
        for part in (head, data):
            yield part + b"\0" * (-len(part) % 4)


def run(kernel: Path, initrd: Path, disk: Path) -> int | None:
    """Run the machine to its end, and pass on what the command prints; answers its status, None without a boot."""
    options = "console=ttyS0 loglevel=2 panic=-1 mitigations=off no_timer_check"
    machine = [
        "timeout", str(LIMIT), "qemu-system-x86_64", "-accel", "tcg,thread=multi,tb-size=1024", "-cpu", "max",
        "-smp", "2", "-m", MEMORY, "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
        "-serial", "stdio", "-kernel", kernel, "-initrd", initrd, "-append", options,
        "-virtfs", "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap",
        "-drive", f"file={disk},format=raw,if=virtio,cache=unsafe", "-device", "virtio-rng-pci",
    ]  # fmt: skip
    status = None
    with subprocess.Popen(
        machine, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, errors="replace"
    ) as qemu:
        assert qemu.stdout is not None
        patience = threading.Timer(BOOT_LIMIT, qemu.terminate)
        patience.start()
        for line in qemu.stdout:
            if line.startswith("machine: up"):
                patience.cancel()
                status = 1
            elif told := re.match(r"machine: exit status (\d+)", line):
                status = int(told[1])
            else:
                print(line, end="", flush=True)
        patience.cancel()
    return status


if __name__ == "__main__":
    if shutil.which("qemu-system-x86_64") is None:
        sys.exit("qemu-system-x86_64 is not installed")
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    sys.exit(main(sys.argv[1:]))
