"""Certificates of pods, issued by a signer that the test is."""

import base64
import datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.node.pods.conftest import Node, eventually, phase

from mizzen.client.resources import CLUSTER_TRUST_BUNDLES, POD_CERTIFICATE_REQUESTS, SERVICE_ACCOUNTS
from mizzen.cluster.pki import Pki
from mizzen.machinery import times

Object = dict[str, Any]
NOW = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
VOLUME: Object = {
    "name": "id",
    "projected": {
        "sources": [
            {
                "podCertificate": {
                    "signerName": "example.com/tests",
                    "keyType": "ECDSAP256",
                    "credentialBundlePath": "bundle.pem",
                    "certificateChainPath": "chain.pem",
                    "userAnnotations": {"example.com/team": "blue"},
                }
            }
        ]
    },
}
CONTAINER = {"script": "cat /id/bundle.pem", "volumeMounts": [{"name": "id", "mountPath": "/id"}]}


async def requested(node: Node) -> Object:
    """The request of a pod, as soon as there is one."""

    async def look() -> Any:
        return (await node.client.list(POD_CERTIFICATE_REQUESTS, "default", view=dict)).items

    (request,) = await eventually(look)
    return dict(request)


async def answer(node: Node, request: Object, status: Object) -> None:
    name = request["metadata"]["name"]
    await node.client.patch(POD_CERTIFICATE_REQUESTS, name, {"status": status}, "default", subresource="status")


def condition(kind: str, message: str = "") -> Object:
    now = times.format(NOW.timestamp())
    return {"type": kind, "status": "True", "reason": "Tested", "message": message, "lastTransitionTime": now}


def issued(request: Object) -> Object:
    """A certificate for the key behind a request."""
    asked = x509.load_der_x509_csr(base64.b64decode(request["spec"]["stubPKCS10Request"]))
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, request["spec"]["podName"])])
    until = NOW + datetime.timedelta(hours=2)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(asked.public_key())
        .serial_number(7)
        .not_valid_before(NOW)
        .not_valid_after(until)
        .sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    )
    return {
        "conditions": [condition("Issued")],
        "certificateChain": certificate.public_bytes(serialization.Encoding.PEM).decode(),
        "notBefore": times.format(NOW.timestamp()),
        "notAfter": times.format(until.timestamp()),
        "beginRefreshAt": times.format(until.timestamp() - 3600),
    }


async def test_a_pod_has_the_certificate_that_a_signer_issues_for_its_key(node: Node) -> None:
    await node.client.create(SERVICE_ACCOUNTS, {"metadata": {"name": "default"}}, "default")
    pod = await node.create("known", CONTAINER, volumes=[VOLUME], restartPolicy="Never")
    request = await requested(node)
    spec = request["spec"]
    assert (spec["podName"], spec["podUID"], spec["nodeName"]) == ("known", pod["metadata"]["uid"], "node-1")
    assert spec["unverifiedUserAnnotations"] == {"example.com/team": "blue"}
    status = issued(request)
    await answer(node, request, status)
    shown = node.log(await node.until("known", phase("Succeeded")))
    assert shown.startswith("-----BEGIN PRIVATE KEY-----") and shown.endswith(status["certificateChain"])


async def test_what_the_signer_denies_is_the_reason_that_the_pod_waits(crun_node: Node) -> None:
    await crun_node.client.create(SERVICE_ACCOUNTS, {"metadata": {"name": "default"}}, "default")
    await crun_node.create("unknown", CONTAINER, volumes=[VOLUME])
    request = await requested(crun_node)
    await answer(crun_node, request, {"conditions": [condition("Denied", "not for you")]})
    reason, text = (await eventually(lambda: crun_node.events("unknown")))[0]
    name = request["metadata"]["name"]
    said = f"PodCertificateRequest default/{name} is Denied: not for you"
    assert (reason, text) == ("FailedMount", f'MountVolume.SetUp failed for volume "id" : {said}')


async def test_a_changed_trust_bundle_reaches_the_running_pod(crun_node: Node, tmp_path: Path) -> None:
    node = crun_node
    first, second = (Pki(tmp_path / name, NOW.timestamp()).ca().certificate.read_text() for name in ("a", "b"))
    bundle = {"metadata": {"name": "roots"}, "spec": {"trustBundle": first}}
    await node.client.create(CLUSTER_TRUST_BUNDLES, bundle)
    source = {"clusterTrustBundle": {"name": "roots", "path": "ca.pem"}}
    loop = "while true; do cat /s/ca.pem; sleep 0.2; done"
    one = {"script": loop, "volumeMounts": [{"name": "s", "mountPath": "/s"}]}
    pod = await node.create("trusting", one, volumes=[{"name": "s", "projected": {"sources": [source]}}])
    await node.logged(pod, first.splitlines()[3])
    await node.client.patch(CLUSTER_TRUST_BUNDLES, "roots", {"spec": {"trustBundle": second}})
    assert node.running is not None
    node.running.pods.renew()
    await node.logged(pod, second.splitlines()[3])
