"""What the cluster's authority puts its name to."""

import ipaddress
import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mizzen.cluster.pki import Pki
from mizzen.cluster.signing import Authority
from mizzen.net.tls import client_context, server_context
from mizzen.wire import der

NOW = 1_800_000_000.0


def request(key: ec.EllipticCurvePrivateKey | None = None) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "system:node:n1")])
    names = x509.SubjectAlternativeName([x509.DNSName("n1"), x509.IPAddress(ipaddress.ip_address("10.0.0.1"))])
    builder = x509.CertificateSigningRequestBuilder().subject_name(name).add_extension(names, critical=False)
    key = key or ec.generate_private_key(ec.SECP256R1())
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


def handshake(server: ssl.SSLContext, client: ssl.SSLContext) -> None:
    """Both ends of a TLS handshake in memory. Raises ssl.SSLError when either refuses the other."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [server.wrap_bio(up, down, server_side=True), client.wrap_bio(down, up, server_hostname="localhost")]
    for _ in range(6):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue


@pytest.mark.parametrize(
    ("usages", "accepted"),
    [
        (("digital signature", "client auth"), True),
        (("client auth",), True),
        (("digital signature", "server auth"), False),
    ],
)
def test_what_is_signed_to_serve_is_no_client(tmp_path: Path, usages: tuple[str, ...], accepted: bool) -> None:
    now = datetime.now(UTC).timestamp()
    pki = Pki(tmp_path, now)
    serving = pki.serving()
    key = ec.generate_private_key(ec.SECP256R1())
    certificate, private = tmp_path / "own.crt", tmp_path / "own.key"
    certificate.write_bytes(Authority(pki.ca(), lambda: now).sign(request(key), usages, 3600))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    server = server_context(serving.certificate, serving.key, pki.ca().certificate, pki.front_proxy_ca().certificate)
    client = client_context(pki.ca().certificate, certificate, private)
    if accepted:
        handshake(server, client)
    else:
        with pytest.raises(ssl.SSLError, match=r"(?i)certificate"):
            handshake(server, client)
