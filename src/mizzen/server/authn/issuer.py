"""What others need to verify ServiceAccount tokens by themselves: OIDC discovery and the key set.

Ref: https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/#service-account-issuer-discovery
"""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import orjson

from mizzen.server.authn.jwt import SigningKeys
from mizzen.wire.message import Response

DISCOVERY_PATH = "/.well-known/openid-configuration"
KEYS_PATH = "/openid/v1/jwks"
_CACHED = "public, max-age=3600"


@dataclass(frozen=True, slots=True)
class Issuer:
    """Serves the two documents; `keys_url` says where the keys are if not at the issuer's own address."""

    url: str
    keys: SigningKeys
    keys_url: str = ""

    def documents(self) -> Mapping[str, Response]:
        """Responses by path, to be served to those who may `get` the path."""
        parts = urlsplit(self.url)
        discovery = {
            "issuer": self.url,
            "jwks_uri": self.keys_url or f"{parts.scheme}://{parts.netloc}{KEYS_PATH}",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": self.keys.algorithms,
        }
        return {
            DISCOVERY_PATH: _response("application/json", discovery),
            KEYS_PATH: _response("application/jwk-set+json", self.keys.jwks()),
        }


def _response(content_type: str, document: object) -> Response:
    return Response(200, {"content-type": content_type, "cache-control": _CACHED}, orjson.dumps(document))
