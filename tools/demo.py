"""`make up`: start the cluster, deploy the demo, and say where it is. `python tools/demo.py up [--name NAME]`.

`images` only sees to it that the demo's images are there, `deploy` only deploys it. Images come from their public
registry where one can be reached; else they are built here, once, from Debian packages.
"""

import argparse
import base64
import datetime
import json
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException, HTTPSConnection
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / "examples" / "notes"
MIZZEN = str(ROOT / ".venv" / "bin" / "mizzen")
KUBECTL = str(ROOT / ".cache" / "clients" / "v37" / "kubectl")
HOST = "notes.localhost"
IMAGES = {"docker.io/library/python:3.11-slim": "web", "docker.io/library/postgres:15": "database"}

_started = time.monotonic()


def main() -> int:
    """Do what was asked for; answers the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=["up", "images", "deploy"])
    parser.add_argument("--name", default="mizzen", help="the cluster, which kubectl's context is named after")
    asked = parser.parse_args()
    cluster = [MIZZEN, "up", "--name", asked.name, "--nodes", "2"]
    if asked.step == "up" and subprocess.run(cluster, check=False).returncode:
        return 1
    if asked.step != "deploy":
        provide_images()
    if asked.step != "images":
        say("deploying the demo application")
        kubectl = Kubectl(asked.name)
        apply_demo(kubectl)
        wait_for_demo(kubectl)
        print_what_to_try(asked.name)
    return 0


def say(step: str) -> None:
    """One line that says what is being waited for."""
    print(f"[{time.monotonic() - _started:5.1f} s] {step}", file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Kubectl:
    """kubectl on the demo's cluster."""

    cluster: str

    def __call__(self, *arguments: str, stdin: str | None = None) -> str:
        """What it printed. Raises CalledProcessError."""
        command = [KUBECTL, "--context", self.cluster, *arguments]
        return subprocess.run(command, input=stdin, check=True, text=True, stdout=subprocess.PIPE).stdout


def provide_images() -> None:
    """Build the images that are neither here nor to be had from their registry."""
    listed = subprocess.run([MIZZEN, "image", "ls", "-o", "json"], check=True, text=True, stdout=subprocess.PIPE)
    present = {name for image in json.loads(listed.stdout) for name in image["names"]}
    missing = {name: recipe for name, recipe in IMAGES.items() if name not in present}
    if not missing or registry_answers():
        return
    for name, recipe in missing.items():
        say(f"building {name} from Debian packages")
        subprocess.run([MIZZEN, "image", "build", "--tag", name, str(DEMO / "images" / recipe)], check=True)


def registry_answers() -> bool:
    """Whether the public registry can be reached from here."""
    try:
        urllib.request.urlopen("https://registry-1.docker.io/v2/", timeout=3)
    except urllib.error.HTTPError as error:
        return error.code == 401
    except OSError:
        return False
    return True


def apply_demo(kubectl: Kubectl) -> None:
    """Apply the manifests, with the program as a ConfigMap and a certificate for the demo's name."""
    kubectl("apply", "-f", str(DEMO / "manifests" / "10-namespace.yaml"))
    program = kubectl(
        "create",
        "configmap",
        "notes-app",
        "--namespace",
        "notes",
        f"--from-file={DEMO / 'app'}",
        "--dry-run=client",
        "-o",
        "yaml",
    )
    kubectl("apply", "-f", "-", stdin=program)
    if "notes-tls" not in kubectl("get", "secrets", "--namespace", "notes", "-o", "name"):
        kubectl("apply", "-f", "-", stdin=json.dumps(certificate_secret()))
    kubectl("apply", "-f", str(DEMO / "manifests"))


def certificate_secret() -> dict[str, object]:
    """A TLS Secret with a fresh self-signed certificate."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, HOST)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=365))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    data = {"tls.crt": certificate.public_bytes(pem), "tls.key": private}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": "notes-tls", "namespace": "notes"},
        "data": {name: base64.b64encode(value).decode() for name, value in data.items()},
    }


def wait_for_demo(kubectl: Kubectl, seconds: float = 180.0) -> None:
    """Return when the page answers by its name. Raises SystemExit with what was still missing."""
    deadline = time.monotonic() + seconds
    said = ""
    while True:
        waiting = waiting_for(kubectl)
        if not waiting:
            return
        if waiting != said:
            say(f"waiting for {waiting}")
            said = waiting
        if time.monotonic() > deadline:
            sys.exit(f"the demo is not ready after {seconds:g} s: still waiting for {waiting}")
        time.sleep(0.3)


def waiting_for(kubectl: Kubectl) -> str:
    """What the demo still lacks; empty when the page answers."""
    pods = json.loads(kubectl("get", "pods", "--namespace", "notes", "-o", "json"))["items"]
    ready = [
        pod
        for pod in pods
        if any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions") or [])
    ]
    if len(ready) < 4:
        return f"{4 - len(ready)} of 4 pods"
    return "" if page_answers(https_port(kubectl.cluster)) else f"https://{HOST}"


def page_answers(port: int) -> bool:
    """Whether the page is served under its name."""
    context = ssl._create_unverified_context()
    try:
        connection = HTTPSConnection("127.0.0.1", port, timeout=5, context=context)
        connection.request("GET", "/", headers={"host": HOST})
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False


def https_port(cluster: str) -> int:
    """The port of the ingress on this machine."""
    command = [MIZZEN, "status", "--name", cluster, "-o", "json"]
    state = json.loads(subprocess.run(command, check=False, text=True, stdout=subprocess.PIPE).stdout)
    return int(state["ingress"]["https"])


def print_what_to_try(cluster: str) -> None:
    """The end of `make up`."""
    https = https_port(cluster)
    suffix = "" if https == 443 else f":{https}"
    took = time.monotonic() - _started
    print(f"""
The demo answers at  https://{HOST}{suffix}/   (its certificate is self-signed; took {took:.0f} s)
kubectl's context is {cluster}

Three things to try:
  kubectl get pods -A -o wide                                  # who runs where
  curl -k https://{HOST}{suffix}/api/notes  # again and again: another pod answers
  kubectl -n notes delete pod db-0 && kubectl -n notes get pods -w   # the notes survive their database's pod
""")


if __name__ == "__main__":
    sys.exit(main())
