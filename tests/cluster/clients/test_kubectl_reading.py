"""What kubectl 1.37, 1.32 and 1.28 read: tables, pages, schemas, discovery, permissions."""

import json

import pytest
from tests.cluster.clients.harness import Kubectl, Server

POD = """
apiVersion: v1
kind: Pod
metadata: {{name: {name}, labels: {{app: web, tier: {tier}}}}}
spec:
  containers: [{{name: c, image: "example/{name}:1", resources: {{requests: {{cpu: 100m}}}}}}]
"""


@pytest.fixture
def pods(kubectl: Kubectl) -> Kubectl:
    for name, tier in (("b", "front"), ("a", "back"), ("c", "front")):
        kubectl.apply(POD.format(name=name, tier=tier))
    return kubectl


def test_version_and_cluster_info_need_no_warning(kubectl: Kubectl) -> None:
    done = kubectl.run("version", "-o", "json")
    shown = json.loads(done.stdout)["serverVersion"]
    assert (shown["major"], shown["minor"]) == ("1", "37")
    assert shown["gitVersion"].startswith("v1.37.")
    assert "is running at" in kubectl("cluster-info")


def test_get_shows_the_columns_of_pods(pods: Kubectl) -> None:
    head, *rows = pods("get", "pods").splitlines()
    assert head.split() == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert [row.split()[:4] for row in rows] == [[name, "0/1", "Pending", "0"] for name in ("a", "b", "c")]
    wide = pods("get", "pods", "-o", "wide").splitlines()[0]
    assert wide.split()[5:] == ["IP", "NODE", "NOMINATED", "NODE", "READINESS", "GATES"]
    labelled = pods("get", "pods", "-L", "tier", "--show-labels", "--no-headers").splitlines()[0]
    assert labelled.split()[-2:] == ["back", "app=web,tier=back"]


def test_get_selects_sorts_and_formats(pods: Kubectl) -> None:
    assert pods("get", "po", "-l", "tier in (front),app!=x", "-o", "name").split() == ["pod/b", "pod/c"]
    assert pods("get", "po", "--field-selector", "metadata.name!=a", "-o", "name").split() == ["pod/b", "pod/c"]
    assert pods(
        "get", "po", "--field-selector=spec.nodeName=,status.phase=Pending,metadata.name=c", "-oname"
    ).split() == ["pod/c"]
    by_image = pods("get", "po", "--sort-by={.spec.containers[0].image}", "--no-headers").splitlines()
    assert [row.split()[0] for row in by_image] == ["a", "b", "c"]
    assert pods(
        "get", "po", "-o", "jsonpath={range .items[*]}{.metadata.name}={.spec.containers[0].image} {end}"
    ).split() == [
        "a=example/a:1",
        "b=example/b:1",
        "c=example/c:1",
    ]
    columns = pods("get", "po", "a", "-o", "custom-columns=N:.metadata.name,S:.status.phase").splitlines()
    assert [line.split() for line in columns] == [["N", "S"], ["a", "Pending"]]
    assert pods("get", "po", "a", "-o", "go-template={{.metadata.namespace}}") == pods.namespace
    assert json.loads(pods("get", "po/a", "po/b", "-o", "json"))["kind"] == "List"


def test_chunks_add_up_to_the_whole_list(pods: Kubectl, server: Server) -> None:
    since = len(server.lines)
    assert pods("get", "po", "--chunk-size=1", "-o", "name").split() == ["pod/a", "pod/b", "pod/c"]
    lists = [one for one in server.requests(since) if one["path"] == f"/api/v1/namespaces/{pods.namespace}/pods"]
    chunks = [one for one in lists if ["limit", "1"] in one["query"]]
    assert len(chunks) == 3


def test_missing_things_are_told_by_name(kubectl: Kubectl) -> None:
    assert 'Error from server (NotFound): pods "none" not found' in kubectl.refused("get", "pod", "none")
    assert 'the server doesn\'t have a resource type "nonsense"' in kubectl.refused("get", "nonsense")
    empty = kubectl.run("get", "pods")
    assert empty.stdout == "" and empty.stderr.strip() == f"No resources found in {kubectl.namespace} namespace."


def test_describe_shows_an_object_with_its_events(pods: Kubectl) -> None:
    pods("wait", "pod/a", "--for=condition=PodScheduled=false", "--timeout=10s")
    shown = pods("describe", "pod", "a")
    assert "Image:      example/a:1" in shown
    assert "QoS Class:                   Burstable" in shown
    assert "node.kubernetes.io/not-ready:NoExecute op=Exists for 300s" in shown
    pods(
        "wait",
        "--for=jsonpath={.reason}=FailedScheduling",
        "event",
        "--field-selector=involvedObject.name=a",
        "--timeout=10s",
        "--all",
    )
    assert "FailedScheduling" in pods("describe", "pod", "a")
    assert "FailedScheduling" in pods("events", "--for", "pod/a")
    assert "no nodes available" in pods("get", "events", "--field-selector", "involvedObject.name=a,type=Warning")


def test_describe_knows_every_kind(kubectl: Kubectl) -> None:
    described = (
        *("namespace/default", "service/kubernetes", "serviceaccount/default", "configmap/kube-root-ca.crt"),
        *("clusterrole/admin", "clusterrolebinding/cluster-admin", "endpointslice/kubernetes", "endpoints/kubernetes"),
        *("priorityclass/system-node-critical", "flowschema/exempt", "prioritylevelconfiguration/exempt"),
    )
    for what in described:
        name = what.partition("/")[2]
        assert name in kubectl("describe", what, "-n", "default"), what


def test_explain_walks_the_whole_schema(kubectl: Kubectl) -> None:
    for kind in ("pods", "crd", "ingress", "hpa", "endpointslices", "resourceclaims"):
        shown = kubectl("explain", kind, "--recursive")
        assert "VERSION:" in shown
        assert "managedFields\t<[]ManagedFieldsEntry>" in shown


def test_explain_shows_enums_required_fields_and_types(kubectl: Kubectl) -> None:
    shown = kubectl("explain", "pod.spec.containers")
    assert "name\t<string> -required-" in shown
    assert "resources\t<ResourceRequirements>" in shown
    ports = kubectl("explain", "service.spec.ports.targetPort")
    assert "targetPort <IntOrString>" in ports
    assert "limits\t<map[string]Quantity>" in kubectl("explain", "pod.spec.containers.resources")
    assert 'field "nope" does not exist' in kubectl.refused("explain", "pod.spec.nope")
    old = kubectl("explain", "hpa.spec", "--api-version=autoscaling/v1")
    assert "targetCPUUtilizationPercentage" in old


def test_explain_works_from_openapi_v2_as_well(kubectl: Kubectl) -> None:
    shown = kubectl("explain", "pods.spec.containers", "--output", "plaintext-openapiv2")
    assert "RESOURCE: containers <[]Object>" in shown
    assert "livenessProbe\t<Object>" in shown and "name\t<string> -required-" in shown


def test_api_resources_and_versions_match_discovery(kubectl: Kubectl) -> None:
    wide = kubectl("api-resources", "-o", "wide")
    head, *rows = wide.splitlines()
    assert head.split() == ["NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND", "VERBS", "CATEGORIES"]
    assert len(rows) >= 60
    pods = next(row for row in rows if row.startswith("pods "))
    assert pods.split()[1:] == [
        "po",
        "v1",
        "true",
        "Pod",
        "create,delete,deletecollection,get,list,patch,update,watch",
        "all",
    ]
    versions = kubectl("api-versions").split()
    assert {"v1", "apps/v1", "autoscaling/v1", "autoscaling/v2", "resource.k8s.io/v1"} <= set(versions)
    names = kubectl("api-resources", "--namespaced=false", "--verbs=list,watch", "-o", "name").split()
    assert "nodes" in names and "pods" not in names


def test_every_listable_resource_can_be_got(kubectl: Kubectl) -> None:
    names = kubectl("api-resources", "--verbs=list", "-o", "name").split()
    done = kubectl.run("get", ",".join(names), "--all-namespaces", "--ignore-not-found")
    assert not done.stderr or done.stderr.startswith("Warning: v1 "), done.stderr
    assert "clusterrole.rbac.authorization.k8s.io/cluster-admin" in done.stdout


def test_completion_offers_resources_names_and_namespaces(pods: Kubectl) -> None:
    assert "pods" in pods("__complete", "get", "po").split()
    assert {"a", "b", "c"} <= set(pods("__complete", "get", "pod", "").split())
    assert pods.namespace in pods("__complete", "get", "pod", "-n", "t").split()


def test_raw_paths_answer_what_they_document(kubectl: Kubectl) -> None:
    assert kubectl("get", "--raw", "/healthz") == "ok"
    assert kubectl("get", "--raw", "/livez") == "ok"
    assert "readyz check passed" in kubectl("get", "--raw", "/readyz?verbose")
    assert json.loads(kubectl("get", "--raw", "/apis"))["kind"] == "APIGroupList"
    assert json.loads(kubectl("get", "--raw", "/api/v1"))["kind"] == "APIResourceList"
    assert "paths" in json.loads(kubectl("get", "--raw", "/openapi/v2"))
    assert "apis/apps/v1" in json.loads(kubectl("get", "--raw", "/openapi/v3"))["paths"]
    assert "apiserver_request_total" in kubectl("get", "--raw", "/metrics")
    assert json.loads(kubectl("get", "--raw", "/.well-known/openid-configuration"))["jwks_uri"]
    assert json.loads(kubectl("get", "--raw", "/openid/v1/jwks"))["keys"]
    assert "/apis/apps/v1" in json.loads(kubectl("get", "--raw", "/"))["paths"]


def test_permissions_can_be_asked_for(kubectl: Kubectl) -> None:
    assert kubectl("auth", "can-i", "delete", "nodes").strip() == "yes"
    assert kubectl.run("auth", "can-i", "get", "pods", "--as=nobody", ok=False).stdout.strip() == "no"
    rules = kubectl("auth", "can-i", "--list")
    assert rules.splitlines()[0].split() == ["Resources", "Non-Resource", "URLs", "Resource", "Names", "Verbs"]
    assert "*.*" in rules and "selfsubjectreviews.authentication.k8s.io" in rules
    assert "kubernetes-admin" in kubectl("auth", "whoami")
    assert "system:masters" in kubectl("auth", "whoami", "-o", "jsonpath={.status.userInfo.groups}")
    refused = kubectl.refused("get", "secrets", "--as=nobody", "--as-group=devs")
    assert (
        'secrets is forbidden: User "nobody" cannot list resource "secrets" in API group "" in the namespace' in refused
    )


def test_a_user_by_static_token_sees_what_roles_allow(kubectl: Kubectl, server: Server) -> None:
    kubectl("create", "role", "reader", "--verb=get,list", "--resource=configmaps")
    kubectl("create", "rolebinding", "reader", "--role=reader", "--user=alice")
    alice = stranger(server, "token-of-alice")
    assert "kube-root-ca.crt" in kubectl("get", "cm", *alice)
    assert 'secrets is forbidden: User "alice" cannot list resource "secrets"' in kubectl.refused(
        "get", "secrets", *alice
    )
    assert "(Unauthorized)" in kubectl.refused("get", "cm", *stranger(server, "wrong"))


def test_a_service_account_token_is_accepted(kubectl: Kubectl, server: Server) -> None:
    kubectl("create", "serviceaccount", "robot")
    token = kubectl("create", "token", "robot", "--duration=1h").strip()
    assert token.count(".") == 2
    kubectl("create", "rolebinding", "robot", "--clusterrole=view", f"--serviceaccount={kubectl.namespace}:robot")
    assert "kube-root-ca.crt" in kubectl("get", "configmaps", *stranger(server, token))
    assert "(Forbidden)" in kubectl.refused("get", "secrets", *stranger(server, token))
    elsewhere = kubectl("create", "token", "robot", "--audience=elsewhere").strip()
    assert "(Unauthorized)" in kubectl.refused("get", "configmaps", *stranger(server, elsewhere))


def stranger(server: Server, token: str) -> tuple[str, ...]:
    return ("--kubeconfig=/dev/null", f"--server={server.url}", "--insecure-skip-tls-verify", f"--token={token}")
