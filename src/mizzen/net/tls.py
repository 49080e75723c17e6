"""TLS contexts for servers and clients, from files or from PEM text."""

import asyncio
import ssl
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from cryptography import x509

HTTP1: Final = "http/1.1"
HTTP2: Final = "h2"
_NAMED_AS_ITS_ISSUER: Final = 18
"""OpenSSL's X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT."""


def server_context(
    certificate: Path, key: Path, *client_cas: Path | None, protocols: Sequence[str] = (HTTP1,)
) -> ssl.SSLContext:
    """Serve with this certificate; ask clients for theirs, and verify it, when CAs for them are given.

    `protocols` are what clients may choose from, the first that they know.

    Raises: OSError for unreadable files, ssl.SSLError for unusable ones.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(list(protocols))
    for client_ca in client_cas:
        if client_ca is None:
            continue
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


def verifying_context(ca: Path | str | None = None, ca_data: str = "") -> ssl.SSLContext:
    """Trust the given authorities, or the machine's, for what they are used for, as Go's clients do.

    From Python 3.13 on the library wants of a certificate what many a cluster's authority lacks (key identifiers, a
    critical basic constraint), and takes an authority that another has signed; until then it is the other way round.
    """
    context = ssl.create_default_context(cafile=str(ca) if ca else None, cadata=ca_data or None)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def client_context(
    ca: Path | None = None, certificate: Path | None = None, key: Path | None = None, *, ca_data: str = ""
) -> ssl.SSLContext:
    """Trust only the given CA (the system's when none is given) and show a certificate where there is one."""
    context = verifying_context(ca, ca_data)
    if certificate is not None:
        context.load_cert_chain(certificate, key)
    return context


def show(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """Show a certificate given as PEM text. Raises ssl.SSLError for an unusable one."""
    with tempfile.NamedTemporaryFile() as file:  # the library reads files alone; this one only its owner may read
        file.write(certificate + b"\n" + key)
        file.flush()
        context.load_cert_chain(file.name)


def unverified_context() -> ssl.SSLContext:
    """Encrypt without checking who answers, where the user has asked for it."""
    context = verifying_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def is_taken_for_self_signed(error: BaseException | None) -> bool:
    """Whether a handshake failed because the certificate and its issuer have the same name, or neither has one.

    OpenSSL then looks for no issuer, while Go's clients do: they ask who has signed, not what it is called.
    """
    return isinstance(error, ssl.SSLCertVerificationError) and error.verify_code == _NAMED_AS_ITS_ISSUER


async def vouched_context(host: str, port: int, name: str, ca_data: str) -> ssl.SSLContext | None:
    """Trust the very certificate that a server shows, if one of these CAs has signed it; None if none has.

    Its names, dates and purposes are checked at the handshake as ever. Raises OSError, ValueError.
    """
    from cryptography import x509

    _, writer = await asyncio.open_connection(host, port, ssl=unverified_context(), server_hostname=name)
    try:
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    finally:
        writer.close()
    leaf = x509.load_der_x509_certificate(shown)
    if any(_has_signed(ca, leaf) for ca in x509.load_pem_x509_certificates(ca_data.encode())):
        return client_context(ca_data=ssl.DER_cert_to_PEM_cert(shown))
    return None


def _has_signed(ca: "x509.Certificate", leaf: "x509.Certificate") -> bool:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature

    try:
        if not ca.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            return False
        usages = [one.value for one in ca.extensions if isinstance(one.value, x509.KeyUsage)]
        leaf.verify_directly_issued_by(ca)
    except (x509.ExtensionNotFound, InvalidSignature, ValueError, TypeError):
        return False
    is_valid = ca.not_valid_before_utc <= datetime.now(UTC) <= ca.not_valid_after_utc
    return is_valid and all(usage.key_cert_sign for usage in usages)
