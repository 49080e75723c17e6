"""helm 4 and helm 3 with a chart of the test's own: install, upgrade by three-way merge, roll back, uninstall."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.cluster.clients.harness import Kubectl, Server, binary, run

FILES = {
    "Chart.yaml": "apiVersion: v2\nname: shop\nversion: 1.0.0\nappVersion: '1'\n",
    "values.yaml": "color: red\nreplicas: 1\n",
    "crds/crontab.yaml": """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: carts.shop.example}
spec:
  group: shop.example
  scope: Namespaced
  names: {plural: carts, singular: cart, kind: Cart}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {size: {type: integer}}}}}}
""",
    "templates/config.yaml": """
apiVersion: v1
kind: ConfigMap
metadata: {name: {{ .Release.Name }}-config, labels: {app: {{ .Chart.Name }}}}
data: {color: {{ .Values.color | quote }}, served: {{ .Capabilities.KubeVersion.Version | quote }}}
""",
    "templates/web.yaml": """
apiVersion: apps/v1
kind: Deployment
metadata: {name: {{ .Release.Name }}-web}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "example/web:{{ .Values.color }}"}]}
""",
    "templates/service.yaml": """
apiVersion: v1
kind: Service
metadata: {name: {{ .Release.Name }}}
spec: {selector: {app: web}, ports: [{port: 80}]}
""",
    "templates/cart.yaml": """
apiVersion: shop.example/v1
kind: Cart
metadata: {name: {{ .Release.Name }}}
spec: {size: {{ .Values.replicas }}}
""",
    "templates/hook.yaml": """
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}-hook
  annotations: {"helm.sh/hook": "pre-install,post-upgrade", "helm.sh/hook-delete-policy": before-hook-creation}
data: {revision: "{{ .Release.Revision }}"}
""",
}


@dataclass
class Helm:
    """One version of helm in one namespace."""

    version: str
    kubectl: Kubectl
    chart: Path

    def __call__(self, *arguments: str) -> str:
        return run(self.command(*arguments), env=self.environment).stdout

    def run(self, *arguments: str, ok: bool = True) -> Any:
        return run(self.command(*arguments), env=self.environment, ok=ok)

    def command(self, *arguments: str) -> list[str]:
        where = (f"--kubeconfig={self.kubectl.kubeconfig}", f"--namespace={self.kubectl.namespace}")
        return [str(binary(self.version, "helm")), *where, *arguments]

    def deployed(self, *arguments: str) -> str:
        """Run a command that has to end without a warning."""
        done = self.run(*arguments)
        assert "WARN" not in done.stderr.upper(), done.stderr
        return str(done.stdout)

    @property
    def environment(self) -> dict[str, str]:
        home = str(self.chart.parent)
        return {"HOME": home, "HELM_CACHE_HOME": home, "HELM_CONFIG_HOME": home, "HELM_DATA_HOME": home}

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "-o", "json"))


@pytest.fixture(params=["v37", "v28"], ids=["helm4", "helm3"])
def helm(request: pytest.FixtureRequest, admin: Kubectl, tmp_path: Path) -> Helm:
    chart = tmp_path / "shop"
    for name, text in FILES.items():
        (chart / name).parent.mkdir(parents=True, exist_ok=True)
        (chart / name).write_text(text.lstrip())
    return Helm(request.param, admin, chart)


def test_a_release_lives_from_install_to_uninstall(helm: Helm, server: Server) -> None:
    kubectl = helm.kubectl
    assert "STATUS: deployed" in helm.deployed("install", "demo", str(helm.chart))
    assert kubectl.json("cm", "demo-config")["data"]["served"].startswith("v1.37.")
    assert kubectl.json("cart", "demo")["spec"] == {"size": 1}
    assert kubectl.json("cm", "demo-hook")["data"] == {"revision": "1"}

    kubectl("patch", "deploy", "demo-web", "-p", '{"metadata":{"labels":{"foreign":"kept"}}}')
    helm.deployed("upgrade", "demo", str(helm.chart), "--set", "color=blue,replicas=2")
    web = kubectl.json("deploy", "demo-web")
    assert web["spec"]["replicas"] == 2
    assert web["spec"]["template"]["spec"]["containers"][0]["image"] == "example/web:blue"
    assert web["metadata"]["labels"]["foreign"] == "kept"
    assert kubectl.json("cart", "demo")["spec"] == {"size": 2}
    assert kubectl.json("cm", "demo-hook")["data"] == {"revision": "2"}

    helm.deployed("rollback", "demo", "1")
    assert kubectl.json("cm", "demo-config")["data"]["color"] == "red"
    assert kubectl.json("deploy", "demo-web")["spec"]["replicas"] == 1
    assert [one["status"] for one in helm.json("history", "demo")] == ["superseded", "superseded", "deployed"]
    assert [(one["name"], one["revision"]) for one in helm.json("list")] == [("demo", "3")]
    assert "kind: Cart" in helm("get", "manifest", "demo")
    assert "deployed" in helm("status", "demo")

    assert 'release "demo" uninstalled' in helm.deployed("uninstall", "demo", "--wait")
    assert kubectl("get", "deploy,svc,carts", "-o", "name") == ""
    assert "not found" in kubectl.refused("get", "cm", "demo-config")
    assert helm.json("list", "--all-namespaces", "-n", kubectl.namespace, "--filter", "demo") == []


def test_what_left_the_chart_is_removed_on_upgrade(helm: Helm) -> None:
    helm("install", "demo", str(helm.chart))
    (helm.chart / "templates/service.yaml").unlink()
    helm("upgrade", "demo", str(helm.chart))
    assert "not found" in helm.kubectl.refused("get", "svc", "demo")
    helm("uninstall", "demo")


def test_a_failed_install_is_rolled_back_whole(helm: Helm) -> None:
    """No node, no ready pod: waiting ends, and nothing is left."""
    atomic = "--rollback-on-failure" if helm.version == "v37" else "--atomic"
    failed = helm.run("install", "demo", str(helm.chart), atomic, "--wait", "--timeout=2s", ok=False)
    assert failed.returncode
    assert helm.kubectl("get", "deploy,svc,carts", "-o", "name") == ""
    assert "not found" in helm.run("status", "demo", ok=False).stderr


def test_waiting_ends_when_replicas_are_ready(helm: Helm) -> None:
    """Zero replicas are ready at once."""
    assert "deployed" in helm("install", "demo", str(helm.chart), "--set", "replicas=0", "--wait", "--timeout=20s")
    helm("uninstall", "demo")


def test_templates_render_and_the_server_validates_them(helm: Helm) -> None:
    assert 'color: "red"' in helm("template", "demo", str(helm.chart))
    assert "kind: Deployment" in helm("install", "demo", str(helm.chart), "--dry-run=server")
    web = helm.chart / "templates/web.yaml"
    web.write_text(web.read_text().replace("replicas:", "replicaz:"))
    failed = helm.run("install", "demo", str(helm.chart), ok=False)
    assert "spec.replicaz" in failed.stderr
    helm.run("uninstall", "demo", ok=False)
