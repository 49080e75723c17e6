"""The cluster's authority signs what CertificateSigningRequests ask for, after the controllers have judged them.

Ref: https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/#kubernetes-signers
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from mizzen.cluster.pki import KeyPair, load

if TYPE_CHECKING:
    from cryptography import x509

_SHORTEST: Final = 600
_BACKDATED: Final = 300.0
_PLAIN: Final = frozenset(
    {"digital signature", "signing", "content commitment", "key encipherment", "data encipherment", "key agreement"}
)
_EXTENDED: Final = {
    "any": "ANY_EXTENDED_KEY_USAGE",
    "server auth": "SERVER_AUTH",
    "client auth": "CLIENT_AUTH",
    "code signing": "CODE_SIGNING",
    "email protection": "EMAIL_PROTECTION",
    "timestamping": "TIME_STAMPING",
    "ocsp signing": "OCSP_SIGNING",
}


@dataclass(frozen=True, slots=True)
class Authority:
    """Signs certificate requests with the authority's key."""

    pair: KeyPair
    now: Callable[[], float]

    def sign(self, request: bytes, usages: tuple[str, ...], seconds: int) -> bytes:
        """The PEM certificate of a PEM request, never valid beyond the authority itself. Raises ValueError."""
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization

        asked = x509.load_pem_x509_csr(request)
        if not asked.is_signature_valid:
            raise ValueError("the request is not signed by its own key")
        issuer, key = load(self.pair)
        start = datetime.fromtimestamp(self.now(), UTC) - timedelta(seconds=_BACKDATED)
        end = start + timedelta(seconds=max(seconds, _SHORTEST))
        builder = (
            x509.CertificateBuilder()
            .subject_name(asked.subject)
            .issuer_name(issuer.subject)
            .public_key(asked.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(min(end, issuer.not_valid_after_utc))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        )
        usage = _usage(usages)
        if usage is not None:
            builder = builder.add_extension(usage, critical=True)
        extended = _extended(usages)
        if extended is not None:
            builder = builder.add_extension(extended, critical=False)
        try:
            names = asked.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            builder = builder.add_extension(names, critical=False)
        except x509.ExtensionNotFound:
            pass  # it asks for no names but its subject
        return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _usage(usages: Iterable[str]) -> "x509.KeyUsage | None":
    """None for a request that names no use of the key itself: without a single one the extension would be invalid."""
    from cryptography import x509

    wanted = set(usages) & _PLAIN
    if not wanted:
        return None
    return x509.KeyUsage(
        digital_signature=bool(wanted & {"digital signature", "signing"}),
        content_commitment="content commitment" in wanted,
        key_encipherment="key encipherment" in wanted,
        data_encipherment="data encipherment" in wanted,
        key_agreement="key agreement" in wanted,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _extended(usages: Iterable[str]) -> "x509.ExtendedKeyUsage | None":
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    found = [getattr(ExtendedKeyUsageOID, _EXTENDED[usage]) for usage in usages if usage in _EXTENDED]
    return x509.ExtendedKeyUsage(found) if found else None
