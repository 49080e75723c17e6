"""Signed tokens (JWS compact, ES256 and RS256) and the keys that sign and verify them.

Cryptography is loaded at first use.

Ref: RFC 7515, RFC 7517, RFC 7518
"""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import orjson

from mizzen.machinery.errors import Object

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey
    PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

_COORDINATE = 32


class BadSignature(Exception):
    """The token is malformed, signed by another key, or changed since."""


def encode(data: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """The bytes of base64url without padding. Raises BadSignature."""
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError) as error:
        raise BadSignature("not base64url") from error


def claims(token: str) -> Object:
    """What the token claims, not verified. Raises BadSignature when it is no such token."""
    parts = token.split(".")
    if len(parts) != 3:
        raise BadSignature("not a signed token")
    return _object(parts[1])


def header(token: str) -> Object:
    """How the token says it is signed. Raises BadSignature when it is no such token."""
    return _object(token.partition(".")[0])


def _object(part: str) -> Object:
    try:
        found = orjson.loads(decode(part))
    except orjson.JSONDecodeError as error:
        raise BadSignature("not JSON") from error
    if not isinstance(found, dict):
        raise BadSignature("not an object")
    return found


class SigningKeys:
    """One private key (PEM) that signs, and its public key and others (PEM) that verify."""

    def __init__(self, private: bytes, others: Sequence[bytes] = ()) -> None:
        self._private_pem = private
        self._others = tuple(others)

    def sign(self, body: Object) -> str:
        """The token that carries these claims."""
        key = self._private
        header = {"alg": _algorithm(self._public[0][1]), "kid": self._public[0][0]}
        signed = f"{encode(orjson.dumps(header))}.{encode(orjson.dumps(body))}"
        return f"{signed}.{encode(_signature(key, signed.encode()))}"

    def verify(self, token: str) -> Object:
        """The token's claims. Raises BadSignature."""
        parts = token.split(".")
        if len(parts) != 3:
            raise BadSignature("not a signed token")
        header, signature = _object(parts[0]), decode(parts[2])
        signed = f"{parts[0]}.{parts[1]}".encode()
        for identifier, key in self._public:
            if header.get("kid", identifier) != identifier or header.get("alg") != _algorithm(key):
                continue
            if _is_valid(key, signature, signed):
                return _object(parts[1])
        raise BadSignature("invalid signature")

    def jwks(self) -> Object:
        """The public keys as a JSON Web Key Set."""
        return {"keys": [_jwk(identifier, key) for identifier, key in self._public]}

    @property
    def algorithms(self) -> list[str]:
        return sorted({_algorithm(key) for _, key in self._public})

    @cached_property
    def _private(self) -> "PrivateKey":
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec, rsa

        key = serialization.load_pem_private_key(self._private_pem, None)
        if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
            raise ValueError("a signing key must be an elliptic curve or an RSA key")
        return key

    @cached_property
    def _public(self) -> "tuple[tuple[str, PublicKey], ...]":
        """(key id, key), the signing one first."""
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec, rsa

        keys: list[PublicKey] = [self._private.public_key()]
        for pem in self._others:
            key = serialization.load_pem_public_key(pem)
            if not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
                raise ValueError("a verifying key must be an elliptic curve or an RSA key")
            keys.append(key)
        return tuple((_identifier(key), key) for key in keys)


def _identifier(key: "PublicKey") -> str:
    from cryptography.hazmat.primitives import serialization

    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return encode(hashlib.sha256(key.public_bytes(serialization.Encoding.DER, form)).digest())


def _algorithm(key: "PublicKey") -> str:
    from cryptography.hazmat.primitives.asymmetric import rsa

    return "RS256" if isinstance(key, rsa.RSAPublicKey) else "ES256"


def _signature(key: "PrivateKey", data: bytes) -> bytes:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(data, padding.PKCS1v15(), hashes.SHA256())
    r, s = decode_dss_signature(key.sign(data, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(_COORDINATE) + s.to_bytes(_COORDINATE)


def _is_valid(key: "PublicKey", signature: bytes, data: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, data, padding.PKCS1v15(), hashes.SHA256())
        elif len(signature) != 2 * _COORDINATE:
            return False
        else:
            r, s = int.from_bytes(signature[:_COORDINATE]), int.from_bytes(signature[_COORDINATE:])
            key.verify(encode_dss_signature(r, s), data, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def _jwk(identifier: str, key: "PublicKey") -> dict[str, Any]:
    from cryptography.hazmat.primitives.asymmetric import rsa

    if isinstance(key, rsa.RSAPublicKey):
        numbers = key.public_numbers()
        size, exponent = (numbers.n.bit_length() + 7) // 8, (numbers.e.bit_length() + 7) // 8
        modulus = {"n": encode(numbers.n.to_bytes(size)), "e": encode(numbers.e.to_bytes(exponent))}
        return {"use": "sig", "kty": "RSA", "kid": identifier, "alg": "RS256", **modulus}
    point = key.public_numbers()
    place = {"x": encode(point.x.to_bytes(_COORDINATE)), "y": encode(point.y.to_bytes(_COORDINATE))}
    return {"use": "sig", "kty": "EC", "kid": identifier, "alg": "ES256", "crv": "P-256", **place}
