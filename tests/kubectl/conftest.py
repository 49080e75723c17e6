"""A real cluster of two nodes for the acceptance demos: real kubectl, real containers, nothing left behind."""

import json
import os
import re
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
CLIENTS = ROOT / ".cache" / "clients"
NAME = "e2e"
POOL = "192.0.2.64/28"
BUSYBOX = "test.local/busybox:1"


class Failed(AssertionError):
    """A command that should have worked did not."""


@dataclass
class Kubectl:
    """kubectl against one cluster; calls answer what it printed. Raises Failed."""

    kubeconfig: Path
    namespace: str = "default"
    version: str = "v37"
    user: tuple[str, ...] = ()

    def __call__(self, *arguments: str, stdin: str | None = None, timeout: float = 120) -> str:
        done = self.run(*arguments, stdin=stdin, timeout=timeout)
        if done.returncode:
            raise Failed(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def run(self, *arguments: str, stdin: str | None = None, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """The finished command, whatever its status."""
        return subprocess.run(
            self.command(*arguments), input=stdin, text=True, capture_output=True, timeout=timeout, check=False
        )

    def command(self, *arguments: str) -> list[str]:
        binary = str(CLIENTS / self.version / "kubectl")
        return [binary, f"--kubeconfig={self.kubeconfig}", f"--namespace={self.namespace}", *self.user, *arguments]

    def json(self, *arguments: str) -> Any:
        return json.loads(self("get", *arguments, "-o", "json"))

    def apply(self, manifest: str) -> str:
        return self("apply", "-f", "-", stdin=manifest)

    def ready(self, *what: str, timeout: int = 60) -> None:
        """Wait until pods are Ready; `what` are names or `-l` selectors."""
        self("wait", "pod", *what, "--for=condition=Ready", f"--timeout={timeout}s")

    def rolled_out(self, what: str, timeout: int = 90) -> None:
        self("rollout", "status", what, f"--timeout={timeout}s", timeout=timeout + 10)

    def in_pod(self, pod: str, *command: str, container: str = "") -> str:
        chosen = ["-c", container] if container else []
        return self("exec", pod, *chosen, "--", *command)


@dataclass
class Cluster:
    """A running cluster; `kubectl` acts as its administrator."""

    data_dir: Path
    kubectl: Kubectl
    name: str = NAME
    environment: dict[str, str] = field(default_factory=dict)

    def mizzen(self, *arguments: str, timeout: float = 120) -> str:
        """Run a mizzen command on this cluster. Raises Failed."""
        where = ["--name", self.name, "--data-dir", str(self.data_dir)]
        verb, *rest = arguments
        command = [sys.executable, "-m", "mizzen", verb, *(where if verb != "image" else []), *rest]
        done = subprocess.run(
            command,
            text=True,
            capture_output=True,
            timeout=timeout,
            check=False,
            env={**os.environ, **self.environment},
        )
        if done.returncode:
            logs = "\n".join(f"{p.name}: {p.read_text()[-1500:]}" for p in (self.data_dir / "logs").glob("*.log"))
            raise Failed(f"mizzen {' '.join(arguments)}: {done.stdout}{done.stderr}\n{logs}")
        return done.stdout

    def pid(self, component: str) -> int:
        return int(json.loads((self.data_dir / "run" / f"{component}.json").read_text())["pid"])

    def config(self) -> dict[str, Any]:
        return json.loads((self.data_dir / "cluster.json").read_text())  # type: ignore[no-any-return]


def eventually(claim: Callable[[], Any], seconds: float = 30.0) -> Any:
    """The first true answer; what it raised or answered last is shown when time is up."""
    deadline = time.monotonic() + seconds
    last: object = None
    while True:
        try:
            if answer := claim():
                return answer
            last = answer
        except (Failed, subprocess.TimeoutExpired, OSError, KeyError, IndexError) as error:
            last = error
        if time.monotonic() > deadline:
            raise Failed(f"not true within {seconds:g} s; last: {last!r}")
        time.sleep(0.05)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    base = tmp_path_factory.mktemp("mizzen")
    data_dir = base / NAME
    environment = {"KUBECONFIG": str(base / "user.kubeconfig")}
    made = Cluster(data_dir, Kubectl(data_dir / "admin.kubeconfig"), environment=environment)
    images = base / "images"
    build_busybox(made, images)
    try:
        made.mizzen("up", "--nodes", "2", "--load-balancer-pool", POOL)
        yield made
    finally:
        made.mizzen("down")
    assert leftovers(made) == []


def build_busybox(made: Cluster, images: Path) -> None:
    """The image of the tests: Debian's busybox. (The static one cannot resolve names.)"""
    recipe = images.parent / "image.yaml"
    declared = {
        "name": BUSYBOX,
        "packages": ["busybox"],
        "links": {f"/bin/{tool}": "busybox" for tool in TOOLS.split()},
        "config": {"Cmd": ["sh"], "Env": ["PATH=/bin"]},
    }
    recipe.write_text(json.dumps(declared))
    made.mizzen("image", "build", "--images-dir", str(images), str(recipe))


TOOLS = (
    "sh cat echo ls sleep wget httpd nslookup hostname env grep sed tail head touch mkdir rm id ps nc ping true false "
    "test date printf kill tee wc sort uniq stat df mount dd od tar seq md5sum stty tty"
)


def leftovers(made: Cluster) -> list[str]:
    """What a cluster has left on the machine after its end: processes, mounts, links, namespaces, tables."""
    tag = made.environment.get("tag", "")
    found = []
    needle = str(made.data_dir)
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if needle in line and "pytest" not in line:
            found.append(f"process {entry.name}: {line[:200]}")
    found += [f"mount {line}" for line in Path("/proc/mounts").read_text().splitlines() if needle in line]
    links = json.loads(subprocess.run(["ip", "-j", "link"], capture_output=True, text=True, check=True).stdout)
    found += [f"link {link['ifname']}" for link in links if tag and link["ifname"].startswith(tag)]
    groups = Path("/sys/fs/cgroup")
    found += [f"cgroup {path}" for level in ("", "*/") for path in groups.glob(f"{level}mizzen-*-{made.name}-[0-9]*")]
    return found


def namespace_of(test: str) -> str:
    """A name for a test's namespace; those that only differ in a parameter, or far behind, get different ones."""
    plain = re.sub(r"[^a-z0-9]+", "-", test.lower()).strip("-")
    return plain if len(plain) <= 50 else f"{plain[:41].rstrip('-')}-{zlib.crc32(test.encode()):08x}"


@pytest.fixture
def kubectl(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[Kubectl]:
    """kubectl in a namespace of the test's own, which is gone afterwards."""
    name = namespace_of(request.node.name)
    admin = Kubectl(cluster.data_dir / "admin.kubeconfig")
    admin.apply(json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}))
    eventually(lambda: admin.run("get", "serviceaccount", "default", "-n", name).returncode == 0)
    yield Kubectl(cluster.data_dir / "admin.kubeconfig", namespace=name)
    admin("delete", "namespace", name, "--wait=false")
