"""The cluster's keys and certificates: made once, kept under one directory, renewed before they expire.

`index.json` beside them remembers what each certificate says and until when, so that a start that finds everything
in order reads one small file and never imports the cryptography library.
"""

import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

YEAR: Final = 365 * 86400.0
CA_SECONDS: Final = 10 * YEAR
LEAF_SECONDS: Final = YEAR
RENEW_BEFORE: Final = 30 * 86400.0
_BACKDATED: Final = 300.0
"""Certificates are valid from a little before now, for machines whose clocks lag."""

SERVING_NAMES: Final = (
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
)


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate and its private key, both PEM files."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Subject:
    """Who a certificate is about and what it is good for."""

    name: str
    organizations: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    """DNS names and addresses under which a server is reached."""
    serves: bool = False
    is_ca: bool = False
    is_persons: bool = False
    """Its key goes into a kubeconfig, for clients of every language."""


class Pki:
    """The files under `directory`; every method makes or renews what it answers if need be."""

    def __init__(self, directory: Path, now: float) -> None:
        self._directory = directory
        self.now = now
        """What renewals are judged by; whoever runs for long sets it anew."""
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._index: dict[str, dict[str, Any]] = _read_index(directory / "index.json")

    def ca(self) -> KeyPair:
        """The CA that signs the serving and client certificates."""
        return self._ca("ca", "kubernetes")

    def front_proxy_ca(self) -> KeyPair:
        """The CA of the aggregation layer, which extension servers trust to name users in headers."""
        return self._ca("front-proxy-ca", "front-proxy-ca")

    def front_proxy_client(self) -> KeyPair:
        """What the server shows to extension servers."""
        return self._leaf("front-proxy-client", Subject("front-proxy-client"), self.front_proxy_ca())

    def serving(self, addresses: Sequence[str] = (), service_ip: str = "") -> KeyPair:
        """The API server's certificate, for its well-known names and these addresses and names."""
        names = (*SERVING_NAMES, "127.0.0.1", *([service_ip] if service_ip else ()), *addresses)
        subject = Subject("kube-apiserver", names=tuple(dict.fromkeys(names)), serves=True)
        return self._leaf("apiserver", subject, self.ca())

    def client(self, file: str, user: str, groups: Sequence[str] = ()) -> KeyPair:
        """A certificate that makes its holder this user with these groups."""
        return self._leaf(file, Subject(user, tuple(groups)), self.ca())

    def person(self, file: str, user: str, groups: Sequence[str] = ()) -> KeyPair:
        """The same for a kubeconfig, with an RSA key, as kubeadm makes it: clients in Java may read no other."""
        return self._leaf(file, Subject(user, tuple(groups), is_persons=True), self.ca())

    def node(self, node: str, addresses: Sequence[str] = ()) -> KeyPair:
        """A node's certificate, to act as the node and to serve its logs and exec under its addresses."""
        names = tuple(dict.fromkeys((node, *addresses)))
        subject = Subject(f"system:node:{node}", ("system:nodes",), names, serves=True)
        return self._leaf(f"node-{node}", subject, self.ca())

    def service_account_key(self) -> Path:
        """The key that signs ServiceAccount tokens (P-256, for ES256)."""
        path = self._directory / "sa.key"
        if not path.exists():
            _write_private(path, _private_pem(_new_key()))
        return path

    def _ca(self, file: str, name: str) -> KeyPair:
        subject = Subject(name, is_ca=True)
        pair = self._pair(file)
        if not self._is_current(file, subject):
            self._keep(file, _issue(subject, None, self.now, CA_SECONDS))
        return pair

    def _leaf(self, file: str, subject: Subject, issuer: KeyPair) -> KeyPair:
        pair = self._pair(file)
        if not self._is_current(file, subject, issuer):
            self._keep(file, _issue(subject, load(issuer), self.now, LEAF_SECONDS), issuer)
        return pair

    def _pair(self, file: str) -> KeyPair:
        return KeyPair(self._directory / f"{file}.crt", self._directory / f"{file}.key")

    def _is_current(self, file: str, subject: Subject, issuer: KeyPair | None = None) -> bool:
        entry, pair = self._index.get(file), self._pair(file)
        if entry is None or not pair.certificate.exists() or not pair.key.exists():
            return False
        if entry["expires"] - self.now < RENEW_BEFORE or entry["subject"] != _described(subject):
            return False
        return bool(entry.get("issuer", 0) == self._serial(issuer))

    def _serial(self, issuer: KeyPair | None) -> float:
        """What tells one generation of an issuer from the next: when it expires."""
        return float(self._index[issuer.certificate.stem]["expires"]) if issuer else 0.0

    def _keep(self, file: str, issued: "_Issued", issuer: KeyPair | None = None) -> None:
        pair = self._pair(file)
        _write_private(pair.key, _private_pem(issued.key))
        _write_private(pair.certificate, issued.certificate)
        self._index[file] = {
            "expires": issued.expires,
            "subject": _described(issued.subject),
            "issuer": self._serial(issuer),
        }
        _write_private(self._directory / "index.json", orjson.dumps(self._index, option=orjson.OPT_INDENT_2))


def _described(subject: Subject) -> dict[str, Any]:
    return {
        "name": subject.name,
        "organizations": list(subject.organizations),
        "names": list(subject.names),
        "serves": subject.serves,
        "ca": subject.is_ca,
        **({"person": True} if subject.is_persons else {}),
    }


def _read_index(path: Path) -> dict[str, dict[str, Any]]:
    try:
        index: dict[str, dict[str, Any]] = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    return index


def _write_private(path: Path, data: bytes) -> None:
    """Replace a file at once, readable by its owner alone."""
    draft = path.with_name(f".{path.name}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    draft.replace(path)


def _new_key() -> "ec.EllipticCurvePrivateKey":
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def _new_persons_key() -> "rsa.RSAPrivateKey":
    from cryptography.hazmat.primitives.asymmetric import rsa

    return rsa.generate_private_key(65537, 2048)


def _private_pem(key: "PrivateKey") -> bytes:
    """PKCS 8; for RSA PKCS 1, whose first line names the algorithm."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    forms = serialization.PrivateFormat
    form = forms.TraditionalOpenSSL if isinstance(key, rsa.RSAPrivateKey) else forms.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


def load(pair: KeyPair) -> "tuple[x509.Certificate, ec.EllipticCurvePrivateKey]":
    """A certificate and its key from their files. Raises ValueError for another sort of key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = serialization.load_pem_private_key(pair.key.read_bytes(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError(f"{pair.key} is not an elliptic curve key")
    return x509.load_pem_x509_certificate(pair.certificate.read_bytes()), key


@dataclass(frozen=True, slots=True)
class _Issued:
    subject: Subject
    key: "PrivateKey"
    certificate: bytes
    expires: float


def _issue(
    subject: Subject,
    issuer: "tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None",
    now: float,
    seconds: float,
) -> _Issued:
    """A new key and its signed certificate; without an issuer it signs itself."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization

    key = _new_persons_key() if subject.is_persons else _new_key()
    issuer_name = issuer[0].subject if issuer else _name(subject)
    signer = issuer[1] if issuer else key
    start = datetime.fromtimestamp(now, UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(issuer_name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start - timedelta(seconds=_BACKDATED))
        .not_valid_after(start + timedelta(seconds=seconds))
        .add_extension(x509.BasicConstraints(ca=subject.is_ca, path_length=None), critical=True)
        .add_extension(_usage(subject), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if not subject.is_ca:
        builder = builder.add_extension(_extended_usage(subject), critical=False)
    if subject.names:
        alternatives = x509.SubjectAlternativeName([_alternative(name) for name in subject.names])
        builder = builder.add_extension(alternatives, critical=False)
    signed = builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    return _Issued(subject, key, signed, now + seconds)


def _name(subject: Subject) -> "x509.Name":
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    organizations = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, text) for text in subject.organizations]
    return x509.Name([*organizations, x509.NameAttribute(NameOID.COMMON_NAME, subject.name)])


def _usage(subject: Subject) -> "x509.KeyUsage":
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=not subject.is_ca,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=subject.is_ca,
        crl_sign=subject.is_ca,
        encipher_only=False,
        decipher_only=False,
    )


def _extended_usage(subject: Subject) -> "x509.ExtendedKeyUsage":
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    client, server = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH
    return x509.ExtendedKeyUsage([client, server] if subject.serves else [client])


def _alternative(name: str) -> "x509.GeneralName":
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
