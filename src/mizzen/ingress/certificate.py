"""The certificate that is shown to those who ask for no host that has one: made once, signed by itself."""

import datetime
from pathlib import Path

from mizzen.ingress.routes import Certificate


def default(directory: Path, now: float) -> Certificate:
    """The certificate kept in a directory, made if there is none."""
    chain, key = directory / "default.crt", directory / "default.key"
    if not (chain.exists() and key.exists()):
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        made = _made(now)
        key.touch(mode=0o600)
        key.write_text(made.key)
        chain.write_text(made.chain)
    return Certificate((), chain.read_text(), key.read_text())


def _made(now: float) -> Certificate:
    from cryptography import x509  # slow to import, and needed once in the life of a cluster
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Mizzen ingress default certificate")])
    start = datetime.datetime.fromtimestamp(now, datetime.UTC) - datetime.timedelta(hours=1)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=3650))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("*.localhost"), x509.DNSName("localhost")]), False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Certificate((), signed.public_bytes(pem).decode(), private.decode())
