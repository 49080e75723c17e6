"""Messages between the API server and a key management plugin (KMS v2), and what is stored of a value that it guards.

Ref: https://kubernetes.io/docs/tasks/administer-cluster/kms-provider/
"""

from typing import Final

from mizzen.wire.protobuf import Schema

_SCHEMA: Final = Schema("""
StatusRequest:
StatusResponse: version 1 string, healthz 2 string, key_id 3 string
EncryptRequest: plaintext 1 bytes, uid 2 string
EncryptResponse: ciphertext 1 bytes, key_id 2 string, annotations 3 blobs
DecryptRequest: ciphertext 1 bytes, uid 2 string, key_id 3 string, annotations 4 blobs
DecryptResponse: plaintext 1 bytes
EncryptedObject: encryptedData 1 bytes, keyID 2 string, encryptedDEKSource 3 bytes, annotations 4 blobs, \
  encryptedDEKSourceType 5 int
""")
encode, decode = _SCHEMA.encode, _SCHEMA.decode

VERSIONS: Final = ("v2", "v2beta1")
SEED: Final = 1
"""The source of keys is a seed, from which each value has a key of its own (HKDF-SHA256, then AES-GCM)."""


def method(call: str) -> str:
    """The gRPC path of a call, such as `Encrypt`."""
    return f"/v2.KeyManagementService/{call}"
