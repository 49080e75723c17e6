"""PEM blocks, and what must be in them: certificate requests and certificates."""

import re
from base64 import b64decode
from collections.abc import Iterator

_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----\s*(.*?)-----END \1-----", re.DOTALL)


def blocks(text: str) -> Iterator[tuple[str, str]]:
    """The type and body of each block."""
    for block in _BLOCK.finditer(text):
        yield block[1], block[2]


def request_problem(encoded: str | None) -> str:
    """What keeps base64 text from being a certificate request; nothing when it is one."""
    text = _decoded(encoded)
    first = next(blocks(text), None)
    if first is None or first[0] != "CERTIFICATE REQUEST":
        return "PEM block type must be CERTIFICATE REQUEST"
    from cryptography import x509

    try:
        x509.load_pem_x509_csr(text.encode())
    except ValueError as failure:
        return str(failure)
    return ""


def chain_problem(text: str) -> str:
    """What keeps text from being a chain of certificates; nothing when it is one."""
    found = list(blocks(text))
    if not found:
        return "must contain at least one CERTIFICATE PEM block"
    if any(type_ != "CERTIFICATE" for type_, _ in found):
        return "only CERTIFICATE PEM blocks are allowed"
    if any(":" in body for _, body in found):
        return "no PEM block headers are permitted"
    from cryptography import x509

    try:
        x509.load_pem_x509_certificates(text.encode())
    except ValueError as failure:
        return str(failure)
    return ""


def _decoded(encoded: str | None) -> str:
    try:
        return b64decode(encoded or "").decode("ascii", "replace")
    except ValueError:
        return ""


def encoded_chain_problem(encoded: str | None) -> str:
    """The same of base64 text."""
    return chain_problem(_decoded(encoded))
