import ssl
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mizzen.cluster.pki import LEAF_SECONDS, Pki
from mizzen.wire import der

NOW = 1_800_000_000.0


def _loaded(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_the_serving_certificate_names_every_way_to_reach_the_server(tmp_path: Path) -> None:
    pair = Pki(tmp_path, NOW).serving(("10.0.0.5", "api.example"), "10.96.0.1")
    names = _loaded(pair.certificate).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [
        "localhost",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
        "api.example",
    ]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == [
        "127.0.0.1",
        "10.96.0.1",
        "10.0.0.5",
    ]


def test_a_client_certificate_carries_user_and_groups_and_is_signed_by_the_ca(tmp_path: Path) -> None:
    pki = Pki(tmp_path, NOW)
    certificate = _loaded(pki.client("admin", "kubernetes-admin", ("system:masters", "ops")).certificate)
    certificate.verify_directly_issued_by(_loaded(pki.ca().certificate))
    assert certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "kubernetes-admin"
    groups = [each.value for each in certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
    assert groups == ["system:masters", "ops"]
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_the_key_of_a_kubeconfig_is_rsa_and_says_so(tmp_path: Path) -> None:
    pair = Pki(tmp_path, NOW).person("admin", "kubernetes-admin", ("system:masters",))
    assert pair.key.read_text().startswith("-----BEGIN RSA PRIVATE KEY-----\n")
    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(pair.certificate, pair.key)


def test_a_kubeconfig_from_before_has_such_a_key_after_the_next_start(tmp_path: Path) -> None:
    old = Pki(tmp_path, NOW).client("admin", "kubernetes-admin").key.read_bytes()
    new = Pki(tmp_path, NOW).person("admin", "kubernetes-admin").key.read_bytes()
    assert new != old
    assert Pki(tmp_path, NOW).person("admin", "kubernetes-admin").key.read_bytes() == new


def test_files_are_private_and_usable_by_tls(tmp_path: Path) -> None:
    pair = Pki(tmp_path, NOW).serving()
    assert pair.key.stat().st_mode & 0o777 == 0o600
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(pair.certificate, pair.key)


def test_a_second_start_keeps_everything(tmp_path: Path) -> None:
    first = Pki(tmp_path, NOW).serving().certificate.read_bytes(), Pki(tmp_path, NOW).service_account_key().read_bytes()
    again = Pki(tmp_path, NOW + 1000)
    assert (again.serving().certificate.read_bytes(), again.service_account_key().read_bytes()) == first


def test_a_certificate_is_renewed_before_it_expires_by_the_same_ca(tmp_path: Path) -> None:
    pki = Pki(tmp_path, NOW)
    ca, old = pki.ca().certificate.read_bytes(), pki.serving().certificate.read_bytes()
    later = Pki(tmp_path, NOW + LEAF_SECONDS - 86400)
    assert later.serving().certificate.read_bytes() != old
    assert later.ca().certificate.read_bytes() == ca


def test_a_new_address_makes_a_new_serving_certificate(tmp_path: Path) -> None:
    old = Pki(tmp_path, NOW).serving().certificate.read_bytes()
    assert Pki(tmp_path, NOW).serving(("10.0.0.9",)).certificate.read_bytes() != old


def test_a_nodes_certificate_makes_it_the_node(tmp_path: Path) -> None:
    certificate = _loaded(Pki(tmp_path, NOW).node("n1", ("10.0.0.7",)).certificate)
    subject = der.subject(certificate.public_bytes(_der()))
    assert subject == [(der.ORGANIZATION, "system:nodes"), (der.COMMON_NAME, "system:node:n1")]


def _der():  # type: ignore[no-untyped-def]
    from cryptography.hazmat.primitives.serialization import Encoding

    return Encoding.DER
