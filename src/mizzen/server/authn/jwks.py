"""Public keys of others who sign tokens, as a JSON Web Key Set tells them, with every asymmetric algorithm of JWA.

Ref: RFC 7517, RFC 7518
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mizzen.server.authn import jwt

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey

_HASHES: Final = {"256": "SHA256", "384": "SHA384", "512": "SHA512"}
_CURVES: Final = {"P-256": ("SECP256R1", "256"), "P-384": ("SECP384R1", "384"), "P-521": ("SECP521R1", "512")}


@dataclass(frozen=True, slots=True)
class Verifier:
    """One key, its name, and the algorithms that it may be used with."""

    name: str
    algorithms: frozenset[str]
    key: "PublicKey"

    def is_valid(self, algorithm: str, signature: bytes, data: bytes) -> bool:
        """Whether this key has signed the data so."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
        from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

        digest = getattr(hashes, _HASHES[algorithm[2:]])()
        try:
            if isinstance(self.key, rsa.RSAPublicKey):
                scheme = (
                    padding.PKCS1v15() if algorithm[0] == "R" else padding.PSS(padding.MGF1(digest), digest.digest_size)
                )
                self.key.verify(signature, data, scheme, digest)
                return True
            size = (self.key.curve.key_size + 7) // 8
            if len(signature) != 2 * size:
                return False
            halves = int.from_bytes(signature[:size]), int.from_bytes(signature[size:])
            self.key.verify(encode_dss_signature(*halves), data, ec.ECDSA(digest))
        except InvalidSignature:
            return False
        return True


def parse(document: Any) -> tuple[Verifier, ...]:
    """The keys of a set that can be used for signatures; others are left out. Raises ValueError for no such set."""
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise ValueError("not a JSON Web Key Set")
    found = []
    for entry in listed:
        try:
            verifier = _verifier(entry) if isinstance(entry, dict) and entry.get("use", "sig") == "sig" else None
        except (ValueError, KeyError, TypeError, jwt.BadSignature):
            continue  # a key of a kind that is not for us
        if verifier is not None:
            found.append(verifier)
    return tuple(found)


def _verifier(entry: Mapping[str, Any]) -> Verifier | None:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    name, only = str(entry.get("kid", "")), entry.get("alg")
    key: PublicKey
    match entry["kty"]:
        case "RSA":
            algorithms = {f"{family}{bits}" for family in ("RS", "PS") for bits in _HASHES}
            key = rsa.RSAPublicNumbers(_number(entry["e"]), _number(entry["n"])).public_key()
        case "EC":
            curve, bits = _CURVES[entry["crv"]]
            algorithms = {f"ES{bits}"}
            numbers = ec.EllipticCurvePublicNumbers(_number(entry["x"]), _number(entry["y"]), getattr(ec, curve)())
            key = numbers.public_key()
        case _:
            return None
    return Verifier(name, frozenset(algorithms & {only} if only else algorithms), key)


def _number(text: str) -> int:
    return int.from_bytes(jwt.decode(text))


def verify(token: str, keys: Sequence[Verifier]) -> bool:
    """Whether one of the keys has signed a token. Raises jwt.BadSignature when it is no such token."""
    signed, _, signature = token.rpartition(".")
    header = jwt.header(token)
    algorithm, name = str(header.get("alg")), header.get("kid")
    fitting = (one for one in keys if algorithm in one.algorithms and name in (None, one.name))
    made = jwt.decode(signature)
    return any(one.is_valid(algorithm, made, signed.encode()) for one in fitting)
