"""A Service of type LoadBalancer: an address of the pool, and from this machine a way to the pods behind it."""

import urllib.request

from tests.kubectl.conftest import BUSYBOX, Kubectl, eventually

WEB = f"""
apiVersion: v1
kind: Pod
metadata: {{name: web, labels: {{app: web}}}}
spec:
  containers:
  - name: web
    image: {BUSYBOX}
    command: [sh, -c, "mkdir /www && echo served > /www/index.html && httpd -f -p 8080 -h /www"]
---
apiVersion: v1
kind: Service
metadata: {{name: web}}
spec: {{type: LoadBalancer, selector: {{app: web}}, ports: [{{port: 80, targetPort: 8080}}]}}
"""


def test_an_address_of_the_pool_leads_to_the_pods(kubectl: Kubectl) -> None:
    kubectl.apply(WEB)
    kubectl.ready("web")
    address = eventually(
        lambda: kubectl("get", "service", "web", "-o", "jsonpath={.status.loadBalancer.ingress[*].ip}")
    )
    assert address.startswith("192.0.2."), address
    assert eventually(lambda: served(address)) == "served\n"
    kubectl("patch", "service", "web", "-p", '{"spec":{"type":"ClusterIP"}}')
    assert eventually(lambda: not kubectl("get", "service", "web", "-o", "jsonpath={.status.loadBalancer.ingress}"))


def served(address: str) -> str:
    with urllib.request.urlopen(f"http://{address}/", timeout=2) as answer:
        text: str = answer.read().decode()
        return text
