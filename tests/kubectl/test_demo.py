"""The demo application: plain manifests, PostgreSQL behind, a name over TLS in front."""

import base64
import http.client
import json
import re
import ssl
import subprocess
import urllib.parse

import pytest
from tests.kubectl.conftest import ROOT, Cluster, Kubectl, eventually
from tools import demo

NOTES = ROOT / "examples" / "notes"


def call(cluster: Cluster, method: str, path: str, **form: str) -> tuple[int, str]:
    port = cluster.config()["https_port"]
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=ssl._create_unverified_context())
    headers = {"host": "notes.localhost", "content-type": "application/x-www-form-urlencoded"}
    connection.request(method, path, urllib.parse.urlencode(form) if form else None, headers)
    response = connection.getresponse()
    return response.status, response.read().decode()


@pytest.fixture
def notes(cluster: Cluster) -> Kubectl:
    images = cluster.data_dir.parent / "images"
    for recipe in ("web", "database"):
        cluster.mizzen("image", "build", "--images-dir", str(images), str(NOTES / "images" / recipe), timeout=300)
    kubectl = Kubectl(cluster.data_dir / "admin.kubeconfig", namespace="notes")
    kubectl("apply", "-f", str(NOTES / "manifests" / "10-namespace.yaml"))
    program = kubectl(
        "create", "configmap", "notes-app", f"--from-file={NOTES / 'app'}", "--dry-run=client", "-o", "yaml"
    )
    kubectl.apply(program)
    kubectl.apply(json.dumps(demo.certificate_secret()))
    kubectl("apply", "-f", str(NOTES / "manifests"))
    return kubectl


def test_notes_are_kept_in_the_database_and_every_replica_answers(cluster: Cluster, notes: Kubectl) -> None:
    notes.rolled_out("statefulset/db", 120)
    notes.rolled_out("deployment/web", 120)
    assert eventually(lambda: call(cluster, "GET", "/"))[0] == 200
    assert call(cluster, "POST", "/notes", text="remember <me>")[0] == 303
    status, page = call(cluster, "GET", "/")
    assert status == 200
    assert "remember &lt;me&gt;" in page
    answered = {json.loads(call(cluster, "GET", "/api/notes")[1])["pod"] for _ in range(60)}
    replicas = notes("get", "pods", "-l", "app=notes-web", "-o", "jsonpath={.items[*].metadata.name}").split()
    assert answered == set(replicas)
    assert re.search(r"GET /api/notes", notes("logs", replicas[0], "-c", "access-log"))
    assert "GET /" in notes.in_pod(replicas[0], "cat", "/var/log/notes/access.log", container="web")
    notes("delete", "pod", "db-0")
    notes.rolled_out("statefulset/db", 60)
    body = eventually(lambda: (found := call(cluster, "GET", "/api/notes"))[0] == 200 and found[1])
    assert [note["text"] for note in json.loads(body)["notes"]] == ["remember <me>"]


def test_the_certificate_is_the_one_of_the_secret(cluster: Cluster, notes: Kubectl) -> None:
    expected = base64.b64decode(notes.json("secret", "notes-tls")["data"]["tls.crt"]).decode()
    port = cluster.config()["https_port"]
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", "notes.localhost"]

    def shown() -> bool:
        return expected.strip() in subprocess.run(command, input="", capture_output=True, text=True, check=False).stdout

    assert eventually(shown)
