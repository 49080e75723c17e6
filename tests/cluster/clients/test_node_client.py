"""npm's @kubernetes/client-node: typed calls, patches, apply, watch and informer."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.cluster.clients.harness import CACHE, Server, run

PACKAGE = "@kubernetes/client-node"
RELEASE = "1.4.0"  # the newest that runs on Node 20
SCRIPT = Path(__file__).parent / "node.mjs"


@pytest.fixture(scope="session")
def packages() -> Path:
    """The client, installed once into the cache from where npm keeps its packages."""
    npm = shutil.which("npm")
    assert npm is not None, "npm is missing: install Debian's nodejs and npm"
    target = CACHE / "npm"
    if not (target / "node_modules" / PACKAGE).exists():
        target.mkdir(parents=True, exist_ok=True)
        command = [npm, "install", "--no-audit", "--no-fund", "--prefix", str(target), f"{PACKAGE}@{RELEASE}"]
        subprocess.run(command, check=True, capture_output=True, timeout=100, cwd=target)
    return target


def test_the_javascript_client_writes_watches_and_informs(packages: Path, server: Server, namespace: str) -> None:
    script = packages / SCRIPT.name
    script.write_text(SCRIPT.read_text())  # modules are looked up from where the script is
    done = run(["node", str(script), namespace], env={"KUBECONFIG": str(server.kubeconfig)})
    assert not done.stderr, done.stderr
    seen = json.loads(done.stdout)
    assert seen.pop("watch") == ["ADDED a", *["MODIFIED a"] * 3, "DELETED a"]
    assert seen.pop("informer") == ["add", *["update"] * 3, "delete"]
    assert seen == {
        "minor": "37",
        "uid": True,
        "data": {"y": "2", "z": "3"},
        "applied": "Apply",
        "strategy": "RollingUpdate",
        "missing": 404,
        "custom": "APIServiceList",
    }
