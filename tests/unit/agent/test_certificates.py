"""Keys of pods, and the requests that prove to have them."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from mizzen.agent.volumes.certificates import made


@pytest.mark.parametrize("kind", ["ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519", "RSA3072"])
def test_a_request_proves_to_have_its_key_and_asks_for_nothing(kind: str) -> None:
    key, request = made(kind)
    asked = x509.load_der_x509_csr(request)
    assert asked.is_signature_valid and not list(asked.subject)
    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    own = load_pem_private_key(key, None).public_key()
    assert own.public_bytes(*form) == asked.public_key().public_bytes(*form)
