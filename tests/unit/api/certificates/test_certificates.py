from base64 import b64encode
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mizzen.api.certificates import certificatesigningrequest as csr
from mizzen.api.certificates import signers
from mizzen.api.certificates.clustertrustbundle import CLUSTER_TRUST_BUNDLE
from mizzen.api.certificates.podcertificaterequest import POD_CERTIFICATE_REQUEST

from ..written import causes, cells, found, written

KEY = ec.generate_private_key(ec.SECP256R1())
SUBJECT = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "robot")])
REQUEST = b64encode(
    x509.CertificateSigningRequestBuilder()
    .subject_name(SUBJECT)
    .sign(KEY, hashes.SHA256())
    .public_bytes(serialization.Encoding.PEM)
).decode()
KIND = csr.CERTIFICATE_SIGNING_REQUEST
APPROVED = {"type": "Approved", "status": "True"}
DENIED = {"type": "Denied", "status": "True"}


def request(**spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "r"},
        "spec": {"request": REQUEST, "signerName": "acme.test/sign", "usages": ["client auth"], **spec},
    }


def with_conditions(*conditions: dict[str, Any], **status: Any) -> dict[str, Any]:
    return written(KIND, request()) | {"status": {"conditions": list(conditions), **status}}


def test_a_sound_request_is_accepted() -> None:
    assert causes(KIND, request()) == set()


def test_usages_and_signers_are_known_forms() -> None:
    assert causes(KIND, request(usages=["flying", "client auth", "client auth"])) == {
        ("spec.usages[0]", "NotSupported"),
        ("spec.usages[2]", "Duplicate"),
    }
    assert causes(KIND, request(usages=["flying", "flying"])) == {
        ("spec.usages[0]", "NotSupported"),
        ("spec.usages[1]", "NotSupported"),
        ("spec.usages[1]", "Duplicate"),
    }
    assert causes(KIND, request(signerName="kubernetes.io/legacy-unknown")) == {("spec.signerName", "Invalid")}


def test_an_update_changes_neither_spec_nor_status() -> None:
    old = with_conditions(APPROVED)
    new = written(KIND, request(signerName="acme.test/other"), old)
    assert (new["spec"], new["status"]) == (old["spec"], old["status"])


def test_approval_changes_the_decision_alone() -> None:
    old = with_conditions({"type": "Failed", "status": "True", "reason": "Was"}, certificate="AAAA")
    new = with_conditions({"type": "Failed", "status": "True", "reason": "Is"}, APPROVED, certificate="BBBB")
    csr.prepare_approval(new, old)
    assert new["status"]["certificate"] == "AAAA"
    assert [c.get("reason") for c in new["status"]["conditions"]] == ["Was", None]
    assert found(csr.validate_approval(new, old)) == set()


def test_a_new_condition_is_dated_by_the_write() -> None:
    new = with_conditions(dict(APPROVED))
    new["metadata"]["managedFields"] = [{"time": "2026-01-02T00:00:00Z"}, {"time": "2026-01-03T00:00:00Z"}]
    csr.prepare_approval(new, with_conditions())
    (condition,) = new["status"]["conditions"]
    assert condition["lastUpdateTime"] == condition["lastTransitionTime"] == "2026-01-03T00:00:00Z"


def test_a_decision_is_final_and_single() -> None:
    old = with_conditions(APPROVED)
    assert found(csr.validate_approval(with_conditions(), old)) == {("status.conditions", "Forbidden")}
    assert found(csr.validate_approval(with_conditions(APPROVED, DENIED), old)) == {
        ("status.conditions[1].type", "Invalid")
    }
    assert found(csr.validate_approval(with_conditions({"type": "Denied", "status": "False"}), with_conditions())) == {
        ("status.conditions[0].status", "NotSupported")
    }
    thrice = with_conditions(APPROVED, DENIED, APPROVED)
    assert found(csr.validate_approval(thrice, old)) == {
        ("status.conditions[1].type", "Invalid"),
        ("status.conditions[2].type", "Invalid"),
        ("status.conditions[2].type", "Duplicate"),
    }


def test_status_may_not_decide_and_takes_certificates_alone() -> None:
    assert found(csr.validate_status(with_conditions(APPROVED), with_conditions())) == {
        ("status.conditions", "Forbidden")
    }
    rubbish = with_conditions(certificate=b64encode(b"not pem").decode())
    assert found(csr.validate_status(rubbish, with_conditions())) == {("status.certificate", "Invalid")}


def test_columns_of_a_request() -> None:
    row = cells(
        KIND,
        request(expirationSeconds=7200, username="ann") | {"status": {"conditions": [APPROVED], "certificate": "AA"}},
    )
    assert (row["RequestedDuration"], row["Requestor"], row["Condition"]) == ("120m", "ann", "Approved,Issued")
    assert cells(KIND, request())["Condition"] == "Pending"


def test_a_bundle_of_a_signer_carries_its_name_and_holds_certificates() -> None:
    content = {"metadata": {"name": "roots"}, "spec": {"signerName": "acme.test/sign", "trustBundle": "none"}}
    assert causes(CLUSTER_TRUST_BUNDLE, content) == {("metadata.name", "Invalid"), ("spec.trustBundle", "Invalid")}
    assert CLUSTER_TRUST_BUNDLE.check_name is not None
    assert list(CLUSTER_TRUST_BUNDLE.check_name("acme.test:sign:roots")) == []


def test_a_request_for_a_pod_lasts_an_hour_or_more_and_stays_as_it_is() -> None:
    who = {f"{of}{field}": "x" for of in ("pod", "serviceAccount", "node") for field in ("Name", "UID")}
    content = {"spec": {**who, "signerName": "acme.test/sign", "stubPKCS10Request": "AA=="}}
    old = written(POD_CERTIFICATE_REQUEST, content)
    assert old["spec"]["maxExpirationSeconds"] == 86400
    assert causes(POD_CERTIFICATE_REQUEST, content) == set()
    short = {"spec": content["spec"] | {"maxExpirationSeconds": 60}}
    assert causes(POD_CERTIFICATE_REQUEST, short) == {("spec.maxExpirationSeconds", "Invalid")}
    assert causes(POD_CERTIFICATE_REQUEST, short, old) == {("spec", "Invalid")}
    assert cells(POD_CERTIFICATE_REQUEST, content)["State"] == "Pending"


def test_each_part_of_a_signer_is_blamed_once_and_the_domain_for_its_length_too() -> None:
    def paths(signer: str) -> list[str]:
        return [str(error.cause).removeprefix("FieldValue") for error in signers.errors("signerName", signer)]

    assert paths("example.com/a.b") == []
    assert paths("A_/b") == ["Invalid", "Invalid"]
    assert paths(f"{'a' * 64}.com/C.D") == ["Invalid", "Invalid"]
    assert paths(f"{'a' * 63}.{'a.' * 100}com/{'b' * 254}.c") == ["TooLong", "Invalid"]
