"""A database outside the cluster: a real PostgreSQL on the machine, reached through a Service that points out."""

import ipaddress
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.kubectl.conftest import ROOT, Cluster, Kubectl, eventually

PROGRAMS = Path("/usr/lib/postgresql/15/bin")
PORT = 5544


@pytest.fixture
def database(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a PostgreSQL on the machine's own side of the nodes' bridge."""
    address = str(next(ipaddress.ip_network(cluster.config()["node_cidr"]).hosts()))
    home = tmp_path_factory.mktemp("postgres")
    for parent in (home, *home.parents[:3]):
        if parent != Path("/tmp"):
            parent.chmod(0o755)
    data, password = home / "data", home / "password"
    data.mkdir(mode=0o700)
    password.write_text("outside-secret")
    subprocess.run(["chown", "-R", "postgres", str(home)], check=True)
    as_postgres = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "env", "-C", str(home)]
    initdb = [PROGRAMS / "initdb", "-D", data, "-U", "app", f"--pwfile={password}", "--auth=scram-sha-256"]
    subprocess.run([*as_postgres, *map(str, initdb)], check=True, capture_output=True)
    with (data / "pg_hba.conf").open("a") as rules:
        rules.write("host all all 0.0.0.0/0 scram-sha-256\n")
    command = [PROGRAMS / "postgres", "-D", data, "-p", PORT, "-c", f"listen_addresses={address}", "-k", home]
    server = subprocess.Popen([*as_postgres, *map(str, command)], stderr=subprocess.DEVNULL, env={**os.environ})
    try:
        ready = [str(PROGRAMS / "pg_isready"), "-h", address, "-p", str(PORT)]
        eventually(lambda: subprocess.run(ready, capture_output=True, check=False).returncode == 0)
        yield address
    finally:
        server.terminate()
        server.wait(20)


def test_services_without_selector_and_external_names_reach_it(
    cluster: Cluster, kubectl: Kubectl, database: str
) -> None:
    images = cluster.data_dir.parent / "images"
    recipe = ROOT / "examples" / "notes" / "images" / "database"
    cluster.mizzen("image", "build", "--images-dir", str(images), str(recipe), timeout=300)
    kubectl.apply(f"""
apiVersion: v1
kind: Service
metadata: {{name: orders-db}}
spec: {{ports: [{{name: postgres, port: 5432, targetPort: {PORT}}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: orders-db-1, labels: {{kubernetes.io/service-name: orders-db}}}}
addressType: IPv4
ports: [{{name: postgres, port: {PORT}}}]
endpoints: [{{addresses: ["{database}"]}}]
---
apiVersion: v1
kind: Service
metadata: {{name: legacy-db}}
spec: {{type: ExternalName, externalName: orders-db.{kubectl.namespace}.svc.cluster.local}}
---
apiVersion: v1
kind: Pod
metadata: {{name: client}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: psql
    image: docker.io/library/postgres:15
    imagePullPolicy: Never
    command: [sleep, "3600"]
    env: [{{name: PGPASSWORD, value: outside-secret}}]
""")
    kubectl.ready("client")
    for name in ("orders-db", "legacy-db"):
        query = ["psql", "-h", name, "-U", "app", "-d", "postgres", "-tAc", "select 6 * 7"]
        assert eventually(lambda command=query: kubectl.in_pod("client", *command)).strip() == "42"  # type: ignore[misc]
