"""TLS contexts for servers and clients, from files or from PEM text."""

import ssl
import tempfile
from pathlib import Path


def server_context(certificate: Path, key: Path, *client_cas: Path | None) -> ssl.SSLContext:
    """Serve with this certificate; ask clients for theirs, and verify it, when CAs for them are given.

    Raises: OSError for unreadable files, ssl.SSLError for unusable ones.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["http/1.1"])
    for client_ca in client_cas:
        if client_ca is None:
            continue
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


def client_context(
    ca: Path | None = None, certificate: Path | None = None, key: Path | None = None, *, ca_data: str = ""
) -> ssl.SSLContext:
    """Trust only the given CA (the system's when none is given) and show a certificate where there is one."""
    context = ssl.create_default_context(cafile=str(ca) if ca else None, cadata=ca_data or None)
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
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
