"""What kubectl 1.37, 1.32 and 1.28 write: apply, patch, edit, roll out, scale, delete, wait and watch."""

import json
import os
import subprocess
from pathlib import Path

from tests.cluster.clients.harness import Kubectl

CONFIG = """
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, labels: {app: web}}
data: {one: "1", two: "2"}
"""
WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: web, image: "example/web:1", ports: [{containerPort: 80}], env: [{name: A, value: a}]}
"""


def test_client_side_apply_merges_three_ways(kubectl: Kubectl) -> None:
    assert kubectl.apply(CONFIG).strip() == "configmap/settings created"
    kubectl("patch", "cm", "settings", "-p", '{"data":{"foreign":"kept"}}')
    changed = CONFIG.replace('one: "1", ', "").replace('"2"', '"two"')
    assert kubectl.apply(changed).strip() == "configmap/settings configured"
    assert kubectl.json("cm", "settings")["data"] == {"two": "two", "foreign": "kept"}
    assert kubectl.apply(changed).strip() == "configmap/settings unchanged"
    assert kubectl("apply", "view-last-applied", "cm", "settings").find("two") > 0


def test_server_side_apply_owns_and_conflicts(kubectl: Kubectl) -> None:
    assert kubectl.apply(CONFIG, "--server-side").strip() == "configmap/settings serverside-applied"
    kubectl("patch", "cm", "settings", "--type=merge", "-p", '{"data":{"one":"changed"}}', "--field-manager=rival")
    refused = kubectl.refused("apply", "--server-side", "-f", "-", stdin=CONFIG)
    assert 'conflict with "rival"' in refused and ".data.one" in refused
    assert "serverside-applied" in kubectl.apply(CONFIG, "--server-side", "--force-conflicts")
    assert kubectl.json("cm", "settings")["data"]["one"] == "1"
    kubectl.apply(CONFIG.replace(', two: "2"', ""), "--server-side")
    assert kubectl.json("cm", "settings")["data"] == {"one": "1"}
    managed = json.loads(kubectl("get", "cm", "settings", "-ojson", "--show-managed-fields"))["metadata"][
        "managedFields"
    ]
    assert [(one["manager"], one["operation"]) for one in managed] == [("kubectl", "Apply")]


def test_a_client_side_applied_object_moves_to_server_side(kubectl: Kubectl) -> None:
    kubectl.apply(WEB)
    assert (
        kubectl.apply(WEB.replace("replicas: 2", "replicas: 3"), "--server-side").strip()
        == "deployment.apps/web serverside-applied"
    )
    assert kubectl("get", "deploy", "web", "-o", "jsonpath={.spec.replicas}") == "3"


def test_apply_prunes_what_left_the_manifest(kubectl: Kubectl) -> None:
    other = CONFIG.replace("settings", "other")
    kubectl.apply(f"{CONFIG}---{other}")
    pruned = kubectl.apply(CONFIG, "--prune", "-l", "app=web", "--prune-allowlist=core/v1/ConfigMap")
    assert "configmap/other pruned" in pruned
    kubectl.apply(f"{CONFIG}---{other}", "--server-side", "--force-conflicts")
    applied = kubectl.run(
        "apply",
        "--server-side",
        "--force-conflicts",
        "-f",
        "-",
        "--prune",
        "--applyset=set1",
        stdin=f"{CONFIG}---{other}",
        env={"KUBECTL_APPLYSET": "true"},
    )
    assert "serverside-applied" in applied.stdout
    again = kubectl.run(
        "apply",
        "--server-side",
        "-f",
        "-",
        "--prune",
        "--applyset=set1",
        stdin=CONFIG,
        env={"KUBECTL_APPLYSET": "true"},
    )
    assert "configmap/other pruned" in again.stdout


def test_unknown_and_duplicate_fields_are_refused_or_warned_of(kubectl: Kubectl) -> None:
    wrong = WEB.replace("replicas: 2", "replicaz: 2")
    assert 'unknown field "spec.replicaz"' in kubectl.refused("apply", "-f", "-", stdin=wrong)
    warned = kubectl.run("apply", "-f", "-", "--validate=warn", stdin=wrong)
    assert 'Warning: unknown field "spec.replicaz"' in warned.stderr
    kubectl("delete", "deploy", "web")
    ignored = kubectl.run("apply", "-f", "-", "--validate=ignore", stdin=wrong)
    assert not ignored.stderr
    invalid = kubectl.refused(
        "apply", "-f", "-", stdin=WEB.replace("{app: web}}\n  template", "{app: other}}\n  template")
    )
    assert "spec.selector: Invalid value" in invalid or "`selector` does not match template `labels`" in invalid


def test_diff_and_dry_run_change_nothing(kubectl: Kubectl) -> None:
    kubectl.apply(CONFIG)
    changed = CONFIG.replace('"2"', '"3"')
    for flags in ((), ("--server-side", "--force-conflicts")):
        shown = kubectl.run("diff", "-f", "-", *flags, stdin=changed, ok=False)
        assert shown.returncode == 1, shown.stderr
        assert '-  two: "2"' in shown.stdout and '+  two: "3"' in shown.stdout
    assert kubectl.run("diff", "-f", "-", stdin=CONFIG).stdout == ""
    assert "(server dry run)" in kubectl.apply(changed, "--dry-run=server")
    assert "(server dry run)" in kubectl("delete", "cm", "settings", "--dry-run=server")
    assert kubectl.json("cm", "settings")["data"]["two"] == "2"


def test_replace_and_create_save_config(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=CONFIG)
    assert "already exists" in kubectl.refused("create", "-f", "-", stdin=CONFIG)
    uid = kubectl.json("cm", "settings")["metadata"]["uid"]
    assert "configmap/settings replaced" in kubectl("replace", "-f", "-", stdin=CONFIG.replace('"1"', '"9"'))
    assert kubectl.json("cm", "settings")["metadata"]["uid"] == uid
    forced = kubectl("replace", "--force", "-f", "-", stdin=CONFIG)
    assert 'configmap "settings" deleted' in forced and "configmap/settings replaced" in forced
    assert kubectl.json("cm", "settings")["metadata"]["uid"] != uid


def test_all_three_patches(kubectl: Kubectl) -> None:
    kubectl.apply(WEB)
    strategic = '{"spec":{"template":{"spec":{"containers":[{"name":"web","env":[{"name":"B","value":"b"}]}]}}}}'
    kubectl("patch", "deploy", "web", "-p", strategic)
    container = kubectl.json("deploy", "web")["spec"]["template"]["spec"]["containers"][0]
    assert {one["name"] for one in container["env"]} == {"A", "B"}
    kubectl(
        "patch",
        "deploy",
        "web",
        "--type=merge",
        "-p",
        '{"spec":{"template":{"spec":{"containers":[{"name":"web","image":"example/web:2"}]}}}}',
    )
    container = kubectl.json("deploy", "web")["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == "example/web:2" and "env" not in container
    kubectl(
        "patch",
        "deploy",
        "web",
        "--type=json",
        "-p",
        '[{"op":"replace","path":"/spec/replicas","value":5},{"op":"test","path":"/kind","value":"Deployment"}]',
    )
    assert kubectl.json("deploy", "web")["spec"]["replicas"] == 5
    kubectl("create", "configmap", "calm", "--from-literal=a=1")  # no controller changes it in between
    assert "patched (no change)" in kubectl("patch", "configmap", "calm", "-p", '{"data":{"a":"1"}}')
    kubectl("patch", "deploy", "web", "--subresource=scale", "--type=merge", "-p", '{"spec":{"replicas":1}}')
    assert kubectl("get", "deploy", "web", "--subresource=scale", "-o", "jsonpath={.spec.replicas}") == "1"


def test_label_annotate_set_and_edit(kubectl: Kubectl, tmp_path: Path) -> None:
    kubectl.apply(WEB)
    assert "labeled" in kubectl("label", "deploy", "web", "tier=front")
    assert "error: " in kubectl.refused("label", "deploy", "web", "tier=back")
    assert "labeled" in kubectl("label", "deploy", "web", "tier=back", "--overwrite")
    assert "unlabeled" in kubectl("label", "deploy", "web", "tier-")
    assert "annotated" in kubectl("annotate", "deploy/web", "note=a b")
    assert "image updated" in kubectl("set", "image", "deploy/web", "web=example/web:7")
    assert "env updated" in kubectl("set", "env", "deploy/web", "C=c")
    assert "resource requirements updated" in kubectl("set", "resources", "deploy/web", "--limits=cpu=1,memory=1Gi")
    editor = tmp_path / "editor"
    editor.write_text("#!/bin/sh\nsed -i 's/note: a b/note: edited/' \"$1\"\n")
    editor.chmod(0o755)
    assert "deployment.apps/web edited" in kubectl("edit", "deploy", "web", env={"EDITOR": str(editor)})
    web = kubectl.json("deploy", "web")
    assert web["metadata"]["annotations"]["note"] == "edited"
    assert web["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"] == {"cpu": "1", "memory": "1Gi"}


def test_scale_and_rollout_history(kubectl: Kubectl) -> None:
    kubectl.apply(WEB)
    kubectl("wait", "deploy/web", "--for=jsonpath={.status.observedGeneration}=1", "--timeout=15s")
    kubectl("wait", "deploy/web", "--for=jsonpath={.status.replicas}=2", "--timeout=15s")
    assert "scaled" in kubectl("scale", "deploy/web", "--replicas=1", "--current-replicas=2")
    assert "Expected replicas to be" in kubectl.refused("scale", "deploy/web", "--replicas=3", "--current-replicas=9")
    kubectl("annotate", "deploy/web", "kubernetes.io/change-cause=first")
    kubectl("set", "image", "deploy/web", "web=example/web:2")
    kubectl(
        "wait",
        "deploy/web",
        "--for=jsonpath={.metadata.annotations.deployment\\.kubernetes\\.io/revision}=2",
        "--timeout=15s",
    )
    history = kubectl("rollout", "history", "deploy/web")
    assert "REVISION  CHANGE-CAUSE" in history and "first" in history
    assert "example/web:1" in kubectl("rollout", "history", "deploy/web", "--revision=1")
    assert "rolled back" in kubectl("rollout", "undo", "deploy/web")
    assert "restarted" in kubectl("rollout", "restart", "deploy/web")
    assert "paused" in kubectl("rollout", "pause", "deploy/web")
    assert "resumed" in kubectl("rollout", "resume", "deploy/web")
    assert "Waiting for deployment" in kubectl.run("rollout", "status", "deploy/web", "--watch=false").stdout


def test_imperative_creation(kubectl: Kubectl) -> None:
    created = (
        "deployment web --image=example/web --replicas=1 --port=80",
        "configmap cm --from-literal=a=b",
        "secret generic secret --from-literal=password=x",
        "secret docker-registry registry --docker-server=r --docker-username=u --docker-password=p",
        "service clusterip svc --tcp=80:8080",
        "service nodeport np --tcp=80:8080",
        "service externalname ext --external-name=example.org",
        "ingress ing --rule=example.org/path=svc:80",
        "job job --image=example/job",
        "cronjob cron --image=example/cron --schedule=0_0_*_*_*",
        "quota quota --hard=pods=99",
        "poddisruptionbudget pdb --selector=app=web --min-available=1",
        "role role --verb=get --resource=pods",
        "serviceaccount robot",
    )
    for one in created:
        arguments = [part.replace("_", " ") if "schedule" in part else part for part in one.split()]
        assert kubectl("create", *arguments).strip().endswith("created"), one
    assert "exposed" in kubectl("expose", "deploy/web", "--port=80", "--name=exposed")
    assert "autoscaled" in kubectl(
        "autoscale",
        "deploy/web",
        "--min=1",
        "--max=3",
        *(["--cpu=50%"] if kubectl.version == "v37" else ["--cpu-percent=50"]),
    )
    assert "pod/runner created" in kubectl("run", "runner", "--image=example/run", "--env=A=b", "--labels=a=b")
    shown = kubectl("get", "deploy,cm,secret,svc,ing,job,cronjob,quota,pdb,role,sa,hpa,pod")
    for name in (
        "service/np",
        "cronjob.batch/cron",
        "poddisruptionbudget.policy/pdb",
        "horizontalpodautoscaler.autoscaling/web",
    ):
        assert name in shown
    for what in (
        "deploy/web",
        "svc/svc",
        "ing/ing",
        "job/job",
        "cronjob/cron",
        "quota/quota",
        "pdb/pdb",
        "hpa/web",
        "secret/secret",
        "sa/robot",
        "pod/runner",
    ):
        assert kubectl("describe", what)


def test_deletion_in_all_its_forms(kubectl: Kubectl) -> None:
    names = [f"c{number}" for number in range(5)]
    kubectl.apply("---".join(CONFIG.replace("settings", name) for name in names))
    kubectl.apply(WEB)
    kubectl("wait", "deploy/web", "--for=jsonpath={.status.replicas}=2", "--timeout=15s")
    deleted = kubectl("delete", "cm", "c0")
    assert deleted.startswith('configmap "c0" deleted')
    assert "not found" in kubectl.refused("delete", "cm", "c0")
    assert kubectl("delete", "cm", "c0", "--ignore-not-found") == ""
    assert "c1" in kubectl("delete", "-f", "-", stdin=CONFIG.replace("settings", "c1"))
    assert "c2" in kubectl("delete", "cm", "-l", "app=web")
    assert 'deployment.apps "web" deleted' in kubectl("delete", "deploy", "web", "--cascade=orphan")
    assert kubectl("get", "rs", "-o", "name").strip()
    kubectl("delete", "rs", "--all", "--cascade=foreground", "--wait")
    assert kubectl("get", "rs,po", "-o", "name") == ""
    kubectl("run", "p", "--image=example/p")
    assert "force deleted" in kubectl("delete", "pod", "p", "--grace-period=0", "--force")


def test_wait_for_deletion_and_conditions(kubectl: Kubectl) -> None:
    kubectl.apply(CONFIG.replace("metadata: {", "metadata: {finalizers: [tests.example/hold], "))
    kubectl("delete", "cm", "settings", "--wait=false")
    command = kubectl.command("wait", "cm/settings", "--for=delete", "--timeout=20s", "-v=6")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as waiting:
        assert waiting.stderr is not None
        assert next(line for line in waiting.stderr if "watch=true" in line)
        kubectl("patch", "cm", "settings", "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
        assert waiting.communicate(timeout=25)[0].strip() == "configmap/settings condition met"
    kubectl("run", "p", "--image=example/p")
    kubectl("wait", "pod/p", "--for=condition=PodScheduled=False", "--timeout=10s")
    assert "timed out" in kubectl.refused("wait", "cm/kube-root-ca.crt", "--for=condition=Never", "--timeout=100ms")


def test_watch_prints_changes_as_rows(kubectl: Kubectl) -> None:
    command = kubectl.command("get", "cm", "-w", "--no-headers", "-l", "app=web", "--output-watch-events")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ) as watching:
        assert watching.stdout is not None
        try:
            kubectl.apply(CONFIG)
            assert watching.stdout.readline().split()[:3] == ["ADDED", "settings", "2"]
            kubectl("patch", "cm", "settings", "-p", '{"data":{"three":"3"}}')
            assert watching.stdout.readline().split()[:3] == ["MODIFIED", "settings", "3"]
            kubectl("label", "cm", "settings", "app-")
            assert watching.stdout.readline().split()[:2] == ["DELETED", "settings"]
        finally:
            watching.kill()


def test_namespaces_disappear_with_all_they_hold(kubectl: Kubectl) -> None:
    name = f"{kubectl.namespace[:40]}-x"
    kubectl("create", "namespace", name)
    kubectl("run", "p", "--image=example/p", "-n", name)
    kubectl("create", "-f", "-", "-n", name, stdin=WEB)
    assert f'namespace "{name}" deleted' in kubectl("delete", "ns", name, "--timeout=30s")
    assert "not found" in kubectl.refused("get", "ns", name)
