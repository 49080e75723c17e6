"""The acceptance demos of the product, one for each concept, with real kubectl on real containers."""

import base64
import http.client
import ssl
import subprocess
import threading
import time

from tests.kubectl.conftest import BUSYBOX, Cluster, Kubectl, eventually

WEB = f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  replicas: 3
  selector: {{matchLabels: {{app: web}}}}
  strategy: {{rollingUpdate: {{maxUnavailable: 0, maxSurge: 1}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      terminationGracePeriodSeconds: 5
      containers:
      - name: web
        image: {BUSYBOX}
        command: [sh, -c, 'mkdir -p /www/cgi-bin; hostname > /www/index.html; echo $VERSION > /www/version;
          trap "sleep 2; kill %1; exit 0" TERM; httpd -f -p 8080 -h /www & wait']
        env: [{{name: VERSION, value: one}}]
        readinessProbe: {{httpGet: {{path: /, port: 8080}}, periodSeconds: 1}}
"""


def names(kubectl: Kubectl, selector: str) -> list[str]:
    return kubectl("get", "pods", "-l", selector, "-o", "jsonpath={.items[*].metadata.name}").split()


def client_pod(kubectl: Kubectl, name: str = "client") -> None:
    kubectl("run", name, f"--image={BUSYBOX}", "--restart=Never", "--", "sleep", "3600")
    kubectl.ready(name)


def sleeper(name: str, node: str = "", **spec: str) -> str:
    lines = "".join(f"\n  {key}: {value}" for key, value in spec.items())
    where = f"\n  nodeName: {node}" if node else ""
    return f"""
apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:{where}{lines}
  terminationGracePeriodSeconds: 1
  containers:
  - {{name: c, image: {BUSYBOX}, command: [sleep, "3600"]}}
"""


def fetch(address: str, port: int, path: str = "/", host: str = "", *, tls: bool = False) -> tuple[int, str]:
    context = ssl._create_unverified_context() if tls else None
    connection = (
        http.client.HTTPSConnection(address, port, timeout=5, context=context)
        if tls
        else http.client.HTTPConnection(address, port, timeout=5)
    )
    connection.request("GET", path, headers={"host": host} if host else {})
    response = connection.getresponse()
    return response.status, response.read().decode()


def test_two_nodes_are_ready_and_shown(cluster: Cluster) -> None:
    shown = cluster.kubectl("get", "nodes", "-o", "wide").splitlines()
    assert len(shown) == 3
    assert all(" Ready " in line for line in shown[1:])
    assert "INTERNAL-IP" in shown[0]


def test_drain_moves_the_pods_of_a_node(cluster: Cluster, kubectl: Kubectl) -> None:
    kubectl.apply(WEB)
    kubectl.rolled_out("deployment/web")
    node = kubectl.json("pods", "-l", "app=web")["items"][0]["spec"]["nodeName"]
    try:
        kubectl("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=60s")
        kubectl.rolled_out("deployment/web")
        homes = {pod["spec"]["nodeName"] for pod in kubectl.json("pods", "-l", "app=web")["items"]}
        assert node not in homes
        assert "SchedulingDisabled" in kubectl("get", "node", node)
    finally:
        kubectl("uncordon", node)


def test_containers_of_a_pod_share_localhost_and_a_volume(kubectl: Kubectl) -> None:
    kubectl.apply(f"""
apiVersion: v1
kind: Pod
metadata: {{name: pair}}
spec:
  volumes: [{{name: shared, emptyDir: {{}}}}]
  containers:
  - name: server
    image: {BUSYBOX}
    command: [sh, -c, 'echo hello > /data/index.html; exec httpd -f -p 8080 -h /data']
    volumeMounts: [{{name: shared, mountPath: /data}}]
  - name: other
    image: {BUSYBOX}
    command: [sleep, "3600"]
    volumeMounts: [{{name: shared, mountPath: /seen}}]
""")
    kubectl.ready("pair")
    assert kubectl.in_pod("pair", "cat", "/seen/index.html", container="other") == "hello\n"
    assert kubectl.in_pod("pair", "wget", "-qO-", "http://localhost:8080/", container="other") == "hello\n"


def test_pods_on_two_nodes_reach_each_other_and_a_replacement_has_another_address(kubectl: Kubectl) -> None:
    one, two = (node["metadata"]["name"] for node in kubectl.json("nodes")["items"])
    kubectl.apply(sleeper("a", one) + "---" + sleeper("b", two))
    kubectl.ready("a", "b")
    address = kubectl.json("pod", "b")["status"]["podIP"]
    assert "1 packets received" in kubectl.in_pod("a", "ping", "-c", "1", "-W", "2", address)
    kubectl("delete", "pod", "b", "--wait")
    kubectl.apply(sleeper("b", two))
    kubectl.ready("b")
    assert kubectl.json("pod", "b")["status"]["podIP"] != address


def test_a_service_reaches_every_replica_and_outlives_them(kubectl: Kubectl) -> None:
    kubectl.apply(WEB)
    kubectl.rolled_out("deployment/web")
    kubectl("expose", "deployment", "web", "--port=80", "--target-port=8080")
    client_pod(kubectl)
    eventually(lambda: kubectl.in_pod("client", "wget", "-qO-", "http://web/"))
    loop = "for i in $(seq 100); do wget -qO- http://web/; done"
    answered = kubectl.in_pod("client", "sh", "-c", loop).split()
    assert len(answered) == 100
    assert set(answered) == set(names(kubectl, "app=web"))
    before = kubectl.json("service", "web")["spec"]["clusterIP"]
    kubectl("delete", "pods", "-l", "app=web")
    kubectl.rolled_out("deployment/web")
    assert kubectl.json("service", "web")["spec"]["clusterIP"] == before
    assert eventually(lambda: kubectl.in_pod("client", "wget", "-qO-", "http://web/").strip()) in names(
        kubectl, "app=web"
    )


def test_a_cluster_address_stays_inside_and_a_node_port_answers_outside(cluster: Cluster, kubectl: Kubectl) -> None:
    kubectl.apply(WEB)
    kubectl.rolled_out("deployment/web")
    kubectl("expose", "deployment", "web", "--port=80", "--target-port=8080", "--type=NodePort")
    service = kubectl.json("service", "web")["spec"]
    for node in kubectl.json("nodes")["items"]:
        address = next(one["address"] for one in node["status"]["addresses"] if one["type"] == "InternalIP")
        port = service["ports"][0]["nodePort"]
        assert eventually(lambda a=address, p=port: fetch(a, p))[0] == 200  # type: ignore[misc]
    # Nothing leads from outside to the virtual address: the machine knows no way to it through the cluster.
    way = subprocess.run(["ip", "route", "get", service["clusterIP"]], capture_output=True, text=True, check=False)
    assert cluster.config()["node_cidr"].removesuffix(".0/24") not in way.stdout


def test_an_ingress_routes_hosts_and_paths_over_tls(cluster: Cluster, kubectl: Kubectl) -> None:
    for name in ("red", "blue"):
        page = f"mkdir -p /w/deep; echo {name} > /w/index.html; echo {name} > /w/deep/index.html; httpd -f -p 80 -h /w"
        kubectl("run", name, f"--image={BUSYBOX}", f"--labels=app={name}", "--", "sh", "-c", page)
        kubectl("expose", "pod", name, "--port=80")
    kubectl.ready("red", "blue")
    kubectl.apply("""
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: colours}
spec:
  tls: [{hosts: [red.test, blue.test]}]
  rules:
  - host: red.test
    http: &paths
      paths:
      - {path: /, pathType: Prefix, backend: {service: {name: red, port: {number: 80}}}}
      - {path: /deep, pathType: Prefix, backend: {service: {name: blue, port: {number: 80}}}}
  - host: blue.test
    http:
      paths: [{path: /, pathType: Prefix, backend: {service: {name: blue, port: {number: 80}}}}]
""")
    port = cluster.config()["https_port"]
    plain = cluster.config()["http_port"]
    eventually(lambda: fetch("127.0.0.1", port, "/", "red.test", tls=True) == (200, "red\n"))
    eventually(lambda: fetch("127.0.0.1", port, "/deep/", "red.test", tls=True) == (200, "blue\n"))
    eventually(lambda: fetch("127.0.0.1", port, "/", "blue.test", tls=True) == (200, "blue\n"))
    assert fetch("127.0.0.1", plain, "/", "nobody.test")[0] == 404
    assert eventually(lambda: kubectl.json("ingress", "colours")["status"]["loadBalancer"]["ingress"])


def test_a_config_map_reaches_environment_and_file_and_the_file_follows_changes(kubectl: Kubectl) -> None:
    kubectl("create", "configmap", "settings", "--from-literal=DATABASE_URL=one")
    kubectl.apply(f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: reader}}
spec:
  selector: {{matchLabels: {{app: reader}}}}
  template:
    metadata: {{labels: {{app: reader}}}}
    spec:
      terminationGracePeriodSeconds: 0
      volumes: [{{name: settings, configMap: {{name: settings}}}}]
      containers:
      - name: c
        image: {BUSYBOX}
        command: [sleep, "3600"]
        envFrom: [{{configMapRef: {{name: settings}}}}]
        volumeMounts: [{{name: settings, mountPath: /settings}}]
""")
    kubectl.rolled_out("deployment/reader")

    def seen() -> tuple[str, str]:
        variable = kubectl.in_pod("deploy/reader", "sh", "-c", "echo -n $DATABASE_URL")
        return variable, kubectl.in_pod("deploy/reader", "cat", "/settings/DATABASE_URL")

    assert seen() == ("one", "one")
    kubectl("patch", "configmap", "settings", "-p", '{"data": {"DATABASE_URL": "two"}}')
    eventually(lambda: seen() == ("one", "two"), 90)
    kubectl("rollout", "restart", "deployment/reader")
    kubectl.rolled_out("deployment/reader")
    assert eventually(lambda: seen() == ("two", "two"))


def test_a_secret_is_base64_in_the_api_plain_in_the_pod_and_closed_to_others(
    cluster: Cluster, kubectl: Kubectl
) -> None:
    kubectl("create", "secret", "generic", "login", "--from-literal=password=s3cr3t-plain-text")
    assert kubectl.json("secret", "login")["data"]["password"] == base64.b64encode(b"s3cr3t-plain-text").decode()
    kubectl.apply(f"""
apiVersion: v1
kind: Pod
metadata: {{name: user}}
spec:
  volumes: [{{name: login, secret: {{secretName: login}}}}]
  containers:
  - name: c
    image: {BUSYBOX}
    command: [sleep, "3600"]
    env: [{{name: PASSWORD, valueFrom: {{secretKeyRef: {{name: login, key: password}}}}}}]
    volumeMounts: [{{name: login, mountPath: /login}}]
""")
    kubectl.ready("user")
    assert kubectl.in_pod("user", "cat", "/login/password") == "s3cr3t-plain-text"
    assert kubectl.in_pod("user", "sh", "-c", "echo -n $PASSWORD") == "s3cr3t-plain-text"
    denied = kubectl.run("get", "secret", "login", "--as=somebody")
    assert denied.returncode
    assert 'User "somebody" cannot get resource "secrets"' in denied.stderr
    stored = b"".join(path.read_bytes() for path in cluster.data_dir.glob("store.db*") if path.suffix != ".lock")
    assert b"s3cr3t-plain-text" not in stored
    assert base64.b64encode(b"s3cr3t-plain-text") not in stored


def test_a_deployment_scales_updates_and_undoes_without_a_failed_request(kubectl: Kubectl) -> None:
    kubectl.apply(WEB)
    kubectl.rolled_out("deployment/web")
    kubectl("expose", "deployment", "web", "--port=80", "--target-port=8080", "--type=NodePort")
    node = kubectl.json("nodes")["items"][0]["status"]["addresses"][0]["address"]
    port = kubectl.json("service", "web")["spec"]["ports"][0]["nodePort"]
    eventually(lambda: fetch(node, port)[0] == 200)
    failures: list[str] = []
    versions: list[str] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            try:
                status, body = fetch(node, port, "/version")
                versions.append(body.strip())
                if status != 200:
                    failures.append(str(status))
            except OSError as error:
                failures.append(repr(error))
            time.sleep(0.01)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        kubectl("scale", "deployment/web", "--replicas=5")
        kubectl.rolled_out("deployment/web")
        kubectl("set", "env", "deployment/web", "VERSION=two")
        kubectl.rolled_out("deployment/web")
        eventually(lambda: versions[-1] == "two")
        kubectl("rollout", "undo", "deployment/web")
        kubectl.rolled_out("deployment/web")
        eventually(lambda: set(versions[-10:]) == {"one"})
    finally:
        stop.set()
        asking.join()
    assert len(kubectl("rollout", "history", "deployment/web").strip().splitlines()) == 4
    assert failures == []
    assert len(versions) > 100


CLAIM = """
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{name: {name}}}
spec:
  accessModes: [{mode}]
  resources: {{requests: {{storage: 64Mi}}}}
"""


def with_claim(name: str, claim: str) -> str:
    return f"""
apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  terminationGracePeriodSeconds: 0
  volumes: [{{name: data, persistentVolumeClaim: {{claimName: {claim}}}}}]
  containers:
  - name: c
    image: {BUSYBOX}
    command: [sleep, "3600"]
    volumeMounts: [{{name: data, mountPath: /data}}]
"""


def test_one_pod_alone_uses_a_read_write_once_pod_claim(kubectl: Kubectl) -> None:
    kubectl.apply(CLAIM.format(name="single", mode="ReadWriteOncePod"))
    kubectl.apply(with_claim("first", "single"))
    kubectl.ready("first")
    kubectl.apply(with_claim("second", "single"))
    message = eventually(
        lambda: [
            one["message"]
            for one in kubectl.json("pod", "second")["status"].get("conditions", [])
            if one["status"] == "False"
        ]
    )
    assert "ReadWriteOncePod" in message[0]
    kubectl("delete", "pod", "first")
    kubectl.ready("second")


STATEFUL = f"""
apiVersion: v1
kind: Service
metadata: {{name: db}}
spec: {{clusterIP: None, selector: {{app: db}}, ports: [{{port: 80}}]}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {{name: db}}
spec:
  serviceName: db
  replicas: 3
  selector: {{matchLabels: {{app: db}}}}
  template:
    metadata: {{labels: {{app: db}}}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: c
        image: {BUSYBOX}
        command: [sh, -c, 'test -f /data/name || hostname > /data/name; exec sleep 3600']
        volumeMounts: [{{name: data, mountPath: /data}}]
  volumeClaimTemplates:
  - metadata: {{name: data}}
    spec: {{accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 16Mi}}}}}}
"""


def test_a_stateful_set_has_order_names_and_data_of_its_own(kubectl: Kubectl) -> None:
    kubectl.apply(STATEFUL)
    kubectl.rolled_out("statefulset/db")
    pods = kubectl.json("pods", "-l", "app=db")["items"]
    ready = {
        pod["metadata"]["name"]: next(
            c["lastTransitionTime"] for c in pod["status"]["conditions"] if c["type"] == "Ready"
        )
        for pod in pods
    }
    created = {pod["metadata"]["name"]: pod["metadata"]["creationTimestamp"] for pod in pods}
    assert sorted(ready) == ["db-0", "db-1", "db-2"]
    assert ready["db-0"] <= created["db-1"] <= ready["db-1"] <= created["db-2"]
    for name in ready:
        assert kubectl.in_pod(name, "cat", "/data/name").strip() == name
    client_pod(kubectl)
    address = kubectl.json("pod", "db-0")["status"]["podIP"]
    assert address in eventually(
        lambda: kubectl.in_pod("client", "nslookup", f"db-0.db.{kubectl.namespace}.svc.cluster.local")
    )
    kubectl.in_pod("db-1", "sh", "-c", "echo kept > /data/name")
    before = kubectl.json("pod", "db-1")["metadata"]["uid"]
    kubectl("delete", "pod", "db-1")
    eventually(lambda: kubectl.json("pod", "db-1")["metadata"]["uid"] != before)
    kubectl.ready("db-1")
    assert kubectl.in_pod("db-1", "cat", "/data/name") == "kept\n"
    kubectl("scale", "statefulset/db", "--replicas=1")
    seen = eventually(lambda: (left := names(kubectl, "app=db")) != ["db-0", "db-1", "db-2"] and left)
    assert "db-2" not in seen
    eventually(lambda: names(kubectl, "app=db") == ["db-0"])
    assert len(kubectl.json("pvc")["items"]) == 3


def test_data_outlives_its_pod_and_reclaim_policies_differ(kubectl: Kubectl) -> None:
    kubectl.apply(CLAIM.format(name="data", mode="ReadWriteOnce"))
    kubectl.apply(with_claim("writer", "data"))
    kubectl.ready("writer")
    kubectl.in_pod("writer", "sh", "-c", "echo written > /data/file")
    kubectl("delete", "pod", "writer")
    kubectl.apply(with_claim("reader", "data"))
    kubectl.ready("reader")
    assert kubectl.in_pod("reader", "cat", "/data/file") == "written\n"
    volume = kubectl.json("pvc", "data")["spec"]["volumeName"]
    kubectl("delete", "pod", "reader")
    kubectl("delete", "pvc", "data")
    eventually(lambda: kubectl.run("get", "pv", volume).returncode)
    kubectl.apply(CLAIM.format(name="kept", mode="ReadWriteOnce"))
    kubectl.apply(with_claim("writer", "kept"))
    kubectl.ready("writer")
    volume = kubectl.json("pvc", "kept")["spec"]["volumeName"]
    kubectl("patch", "pv", volume, "-p", '{"spec": {"persistentVolumeReclaimPolicy": "Retain"}}')
    kubectl("delete", "pod", "writer")
    kubectl("delete", "pvc", "kept")
    eventually(lambda: kubectl.json("pv", volume)["status"]["phase"] == "Released")
    kubectl("delete", "pv", volume)


def test_a_replacement_takes_over_without_the_ingress_noticing(cluster: Cluster, kubectl: Kubectl) -> None:
    kubectl.apply(WEB)
    kubectl.rolled_out("deployment/web")
    kubectl("expose", "deployment", "web", "--port=80", "--target-port=8080")
    kubectl("create", "ingress", "web", "--rule=steady.test/*=web:80")
    port = cluster.config()["http_port"]
    eventually(lambda: fetch("127.0.0.1", port, "/", "steady.test")[0] == 200)
    failures: list[str] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            try:
                status, _ = fetch("127.0.0.1", port, "/", "steady.test")
                if status != 200:
                    failures.append(str(status))
            except OSError as error:
                failures.append(repr(error))

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        victim = names(kubectl, "app=web")[0]
        kubectl("delete", "pod", victim, "--grace-period=1")
        kubectl.rolled_out("deployment/web")
        eventually(lambda: victim not in names(kubectl, "app=web"))
    finally:
        stop.set()
        asking.join()
    assert failures == []
