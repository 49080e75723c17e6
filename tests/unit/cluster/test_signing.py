"""What the cluster's authority puts its name to."""

import ipaddress
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mizzen.cluster.pki import Pki
from mizzen.cluster.signing import Authority
from mizzen.wire import der

NOW = 1_800_000_000.0


def request() -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "system:node:n1")])
    names = x509.SubjectAlternativeName([x509.DNSName("n1"), x509.IPAddress(ipaddress.ip_address("10.0.0.1"))])
    builder = x509.CertificateSigningRequestBuilder().subject_name(name).add_extension(names, critical=False)
    key = ec.generate_private_key(ec.SECP256R1())
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def test_a_certificate_says_what_was_asked_and_lasts_as_long(tmp_path: Path) -> None:
    ca = Pki(tmp_path, NOW).ca()
    signed = Authority(ca, lambda: NOW).sign(request(), ("digital signature", "server auth"), 3600)
    made = x509.load_pem_x509_certificate(signed)
    made.verify_directly_issued_by(x509.load_pem_x509_certificate(ca.certificate.read_bytes()))
    assert (made.not_valid_after_utc - made.not_valid_before_utc).total_seconds() == 3600
    assert list(made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [
        ExtendedKeyUsageOID.SERVER_AUTH
    ]
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["n1"]


def test_nothing_outlives_the_authority(tmp_path: Path) -> None:
    ca = Pki(tmp_path, NOW).ca()
    made = x509.load_pem_x509_certificate(Authority(ca, lambda: NOW).sign(request(), (), 10**9))
    assert made.not_valid_after_utc == x509.load_pem_x509_certificate(ca.certificate.read_bytes()).not_valid_after_utc


def test_what_is_no_request_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="PEM"):
        Authority(Pki(tmp_path, NOW).ca(), lambda: NOW).sign(b"nonsense", (), 60)


def test_the_names_of_a_request_are_read_without_a_library() -> None:
    assert der.request_names(der.from_pem(request())) == [("dns", "n1"), ("ip", "0a000001")]
