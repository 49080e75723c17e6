"""A small kopf operator for the tests: a Greeting keeps a ConfigMap of its own, and says goodbye on deletion.

Run as a process of its own: `kopf run greeter.py`.
"""

from typing import Any

import kopf
from kubernetes import client, config


@kopf.on.login()
def login(**context: Any) -> Any:
    return kopf.login_with_kubeconfig(**context)


@kopf.on.startup()
def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
    config.load_kube_config()
    settings.persistence.finalizer = "greetings.tests.example/operator"


@kopf.on.create("greetings.tests.example")
@kopf.on.update("greetings.tests.example", field="spec.text")
def greet(body: kopf.Body, spec: kopf.Spec, name: str, namespace: str, patch: kopf.Patch, **_: Any) -> dict[str, str]:
    kept = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"text": spec["text"]}}
    kopf.adopt(kept)
    core = client.CoreV1Api()
    if core.list_namespaced_config_map(namespace, field_selector=f"metadata.name={name}").items:
        core.patch_namespaced_config_map(name, namespace, kept)
    else:
        core.create_namespaced_config_map(namespace, kept)
    kopf.info(body, reason="Greeted", message=spec["text"])
    patch.status["said"] = spec["text"]
    return {"text": spec["text"]}


@kopf.on.delete("greetings.tests.example")
def part(name: str, namespace: str, **_: Any) -> None:
    farewell = {"metadata": {"name": f"{name}-farewell"}, "data": {"text": "goodbye"}}
    client.CoreV1Api().create_namespaced_config_map(namespace, farewell)
