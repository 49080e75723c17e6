"""A kopf operator in a process of its own: a definition, a finalizer, status, events, garbage collection."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.cluster.clients.harness import Kubectl, Server

GREETER = Path(__file__).parent / "greeter.py"
DEFINITION = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: greetings.tests.example}
spec:
  group: tests.example
  scope: Namespaced
  names: {plural: greetings, singular: greeting, kind: Greeting}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec: {type: object, properties: {text: {type: string}}}
          status: {type: object, x-kubernetes-preserve-unknown-fields: true}
"""


@pytest.fixture
def greeter(server: Server, namespace: str, tmp_path: Path) -> Iterator[Path]:
    """The operator at work in the test's namespace; answers where it logs."""
    definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    assert server.request("POST", definitions, yaml.safe_load(DEFINITION))[0] == 201
    log = tmp_path / "log"
    command = [sys.executable, "-m", "kopf", "run", str(GREETER), f"--namespace={namespace}", "--standalone"]
    environment = {**os.environ, "KUBECONFIG": str(server.kubeconfig)}
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)
    try:
        yield log
    finally:
        process.terminate()
        process.wait(10)
        server.request("DELETE", f"{definitions}/greetings.tests.example")


def test_an_operator_reconciles_until_its_object_is_gone(greeter: Path, admin: Kubectl, server: Server) -> None:
    greeting = {
        "apiVersion": "tests.example/v1",
        "kind": "Greeting",
        "metadata": {"name": "hello"},
        "spec": {"text": "hi"},
    }
    admin.apply(json.dumps(greeting))
    admin("wait", "greeting/hello", "--for=jsonpath={.status.said}=hi", "--timeout=20s")
    seen = admin.json("greeting", "hello")
    assert seen["metadata"]["finalizers"] == ["greetings.tests.example/operator"]
    assert admin.json("cm", "hello")["metadata"]["ownerReferences"][0]["uid"] == seen["metadata"]["uid"]

    admin("patch", "greeting", "hello", "--type=merge", "-p", '{"spec":{"text":"hey"}}')
    admin("wait", "greeting/hello", "--for=jsonpath={.status.said}=hey", "--timeout=20s")
    admin("wait", "cm/hello", "--for=jsonpath={.data.text}=hey", "--timeout=10s")
    server.wait_for(f"/api/v1/namespaces/{admin.namespace}/events?fieldSelector=involvedObject.name%3Dhello")

    admin("delete", "greeting", "hello", "--timeout=20s")
    assert admin.json("cm", "hello-farewell")["data"] == {"text": "goodbye"}
    admin("wait", "cm/hello", "--for=delete", "--timeout=10s")
    said = greeter.read_text()
    assert "Traceback" not in said and "[ERROR" not in said and "[WARNING" not in said, said
