"""Which certificate requests are approved and signed: subject, names and usages, signer by signer."""

import base64
from typing import Any

import msgspec
import pytest

from mizzen.api.views.certificates import CertificateSigningRequest
from mizzen.controllers.certificates import controller, kubelets
from mizzen.controllers.certificates.controller import Petition
from mizzen.machinery.errors import Object
from mizzen.reconcile.plan import Answer, Patch, Review


def _made() -> bytes:
    """A request for system:node:n1 of system:nodes, as PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    subject = [
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:nodes"),
        x509.NameAttribute(NameOID.COMMON_NAME, "system:node:n1"),
    ]
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject))
    return builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()).public_bytes(
        serialization.Encoding.PEM
    )


REQUEST = _made()
CLIENT = ["digital signature", "client auth"]
SERVING = ["digital signature", "key encipherment", "server auth"]
NOW = 1_700_000_000.0


def request(name: str, **spec: Any) -> Object:
    asked: Object = {
        "signerName": kubelets.KUBELET_CLIENT,
        "request": base64.b64encode(REQUEST).decode(),
        "usages": CLIENT,
        "username": "system:node:n1",
        "groups": ["system:nodes"],
    }
    return {"metadata": {"name": name}, "spec": {**asked, **spec}}


def seen(**spec: Any) -> CertificateSigningRequest:
    return msgspec.convert(request("node", **spec), CertificateSigningRequest)


def test_a_request_is_approved_only_after_a_review_allows_it() -> None:
    petition = Petition(seen())
    plan = controller.approve(petition, NOW)
    assert not plan.actions
    asked = [msgspec.json.decode(one.body)["spec"] for one in plan.ask if isinstance(one, Review)]
    assert [one["resourceAttributes"]["subresource"] for one in asked] == ["selfnodeclient", "nodeclient"]
    assert {one["user"] for one in asked} == {"system:node:n1"}
    refused = controller.informed(petition, {one: Answer(201, {"status": {"allowed": False}}) for one in plan.ask})
    assert not controller.approve(refused, NOW).actions
    allowed = controller.informed(petition, {one: Answer(200, {"status": {"allowed": True}}) for one in plan.ask})
    [patch] = controller.approve(allowed, NOW).actions
    assert isinstance(patch, Patch)
    assert patch.subresource == "approval"


def test_who_asks_in_another_name_needs_the_wider_permission() -> None:
    [review] = controller.approve(Petition(seen(username="bootstrap")), NOW).ask
    assert isinstance(review, Review)
    assert msgspec.json.decode(review.body)["spec"]["resourceAttributes"]["subresource"] == "nodeclient"


@pytest.mark.parametrize(
    ("signer", "wanted", "usages", "fine"),
    [
        (kubelets.KUBELET_CLIENT, ("system:node:n", ("system:nodes",), ()), CLIENT, True),
        (kubelets.KUBELET_CLIENT, ("jane", ("system:nodes",), ()), CLIENT, False),
        (kubelets.KUBELET_CLIENT, ("system:node:n", ("system:nodes", "system:masters"), ()), CLIENT, False),
        (kubelets.KUBELET_CLIENT, ("system:node:n", ("system:nodes",), (("dns", "n"),)), CLIENT, False),
        (kubelets.KUBELET_CLIENT, ("system:node:n", ("system:nodes",), ()), SERVING, False),
        (kubelets.KUBELET_SERVING, ("system:node:n", ("system:nodes",), (("dns", "n"), ("ip", "0a00"))), SERVING, True),
        (kubelets.KUBELET_SERVING, ("system:node:n", ("system:nodes",), ()), SERVING, False),
        (kubelets.KUBELET_SERVING, ("system:node:n", ("system:nodes",), (("dns", "n"), ("uri", "x"))), SERVING, False),
        (kubelets.API_CLIENT, ("jane", ("dev",), ()), CLIENT, True),
        (kubelets.API_CLIENT, ("jane", ("dev",), ()), SERVING, False),
        (kubelets.LEGACY, ("x", (), ()), SERVING, True),
    ],
)  # fmt: skip
def test_each_signer_has_its_rules(signer: str, wanted: Any, usages: list[str], fine: bool) -> None:
    assert (kubelets.problem(signer, kubelets.Asked(*wanted), usages) == "") is fine


def test_a_request_that_breaks_the_rules_fails_instead_of_being_signed() -> None:
    body = request("node", usages=SERVING)
    body["status"] = {"conditions": [{"type": "Approved", "status": "True"}]}
    approved = msgspec.convert(body, CertificateSigningRequest)
    [patch] = controller.sign(lambda _pem, _usages, _seconds: b"never", 60, approved, NOW).actions
    assert isinstance(patch, Patch)
    assert isinstance(patch.patch, dict)
    assert [one["type"] for one in patch.patch["status"]["conditions"]] == ["Approved", "Failed"]
