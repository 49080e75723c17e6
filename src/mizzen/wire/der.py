"""As much DER as it takes to read a certificate's subject, so that no request waits for a library to load.

TLS has verified the certificate by then; here it is only read.
"""

import base64
from collections.abc import Iterator

COMMON_NAME = "2.5.4.3"
ORGANIZATION = "2.5.4.10"
USER_ID = "1.3.6.1.4.1.57683.2"

_SEQUENCE = 0x30
_EXPLICIT_VERSION = 0xA0
_BMP_STRING = 0x1E
_EXTENSION_REQUEST = "1.2.840.113549.1.9.14"
_ALTERNATIVE_NAMES = "2.5.29.17"
_IP_NAME = 0x87
_NAME_TAGS = {0x81: "email", 0x82: "dns", 0x86: "uri", _IP_NAME: "ip"}


def subject(certificate: bytes) -> list[tuple[str, str]]:
    """The subject's attributes as (dotted type, value), in order.

    Raises: ValueError for anything that is not a certificate.
    """
    try:
        _, outer, _ = _read(certificate, 0)
        _, body, _ = _read(outer, 0)
        fields = list(_parts(body))
        skip = 1 if fields[0][0] == _EXPLICIT_VERSION else 0
        # serialNumber, signature, issuer, validity, then the subject
        return list(_attributes(fields[skip + 4][1]))
    except IndexError as error:
        raise ValueError("not a certificate") from error


def issuer(certificate: bytes) -> bytes:
    """The issuer's name as it is encoded: that of the authority's own certificate, byte for byte.

    Raises: ValueError for anything that is not a certificate.
    """
    return _name(certificate, 2)


def name(certificate: bytes) -> bytes:
    """The subject's name as it is encoded.

    Raises: ValueError for anything that is not a certificate.
    """
    return _name(certificate, 4)


def _name(certificate: bytes, position: int) -> bytes:
    try:
        _, outer, _ = _read(certificate, 0)
        _, body, _ = _read(outer, 0)
        fields = list(_parts(body))
        skip = 1 if fields[0][0] == _EXPLICIT_VERSION else 0
        return fields[skip + position][1]
    except IndexError as error:
        raise ValueError("not a certificate") from error


def request_subject(request: bytes) -> list[tuple[str, str]]:
    """The subject of a certificate signing request.

    Raises: ValueError for anything that is none.
    """
    try:
        _, outer, _ = _read(request, 0)
        _, body, _ = _read(outer, 0)
        # version, then the subject
        return list(_attributes(list(_parts(body))[1][1]))
    except IndexError as error:
        raise ValueError("not a certificate signing request") from error


def request_names(request: bytes) -> list[tuple[str, str]]:
    """The alternative names a certificate signing request asks for, as (email | dns | uri | ip | other, value).

    Raises: ValueError for anything that is none.
    """
    try:
        _, outer, _ = _read(request, 0)
        _, body, _ = _read(outer, 0)
        attributes = next((value for tag, value in _parts(body) if tag == _EXPLICIT_VERSION), b"")
        return [name for _, attribute in _parts(attributes) for name in _requested_names(attribute)]
    except IndexError as error:
        raise ValueError("not a certificate signing request") from error


def _requested_names(attribute: bytes) -> Iterator[tuple[str, str]]:
    (_, oid), (_, values) = list(_parts(attribute))[:2]
    if _dotted(oid) != _EXTENSION_REQUEST:
        return
    for _, extensions in _parts(values):
        for _, extension in _parts(extensions):
            (_, kind), *_, (_, value) = list(_parts(extension))
            if _dotted(kind) == _ALTERNATIVE_NAMES:
                for tag, name in _parts(_read(value, 0)[1]):
                    yield _NAME_TAGS.get(tag, "other"), name.hex() if tag == _IP_NAME else name.decode("latin-1")


def from_pem(pem: bytes) -> bytes:
    """The DER bytes of the first PEM block. Raises ValueError."""
    _, begin, rest = pem.partition(b"-----BEGIN ")
    body, end, _ = rest.partition(b"-----END ")
    if not begin or not end:
        raise ValueError("not PEM")
    return base64.b64decode(b"".join(body.splitlines()[1:]))


def _attributes(name: bytes) -> Iterator[tuple[str, str]]:
    for _, relative in _parts(name):
        for tag, attribute in _parts(relative):
            if tag != _SEQUENCE:
                raise ValueError("not an attribute")
            (_, oid), (kind, value) = list(_parts(attribute))[:2]
            yield _dotted(oid), value.decode("utf-16-be" if kind == _BMP_STRING else "utf-8", "replace")


def _parts(data: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position < len(data):
        tag, value, position = _read(data, position)
        yield tag, value


def _read(data: bytes, position: int) -> tuple[int, bytes, int]:
    """One element: its tag, its contents, and where the next begins."""
    tag, length = data[position], data[position + 1]
    position += 2
    if length & 0x80:
        size = length & 0x7F
        length = int.from_bytes(data[position : position + size])
        position += size
    end = position + length
    if end > len(data):
        raise ValueError("truncated")
    return tag, data[position:end], end


def _dotted(oid: bytes) -> str:
    first, *rest = oid
    arcs, value = [first // 40, first % 40], 0
    for byte in rest:
        value = value << 7 | byte & 0x7F
        if not byte & 0x80:
            arcs.append(value)
            value = 0
    return ".".join(str(arc) for arc in arcs)
