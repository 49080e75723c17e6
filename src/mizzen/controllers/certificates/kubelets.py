"""What nodes may ask for: certificates in their own name, to act as themselves and to serve under their addresses.

Ref: https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/#kubernetes-signers
"""

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass

from mizzen.api.views.certificates import CertificateSigningRequest
from mizzen.wire import der

API_CLIENT = "kubernetes.io/kube-apiserver-client"
KUBELET_CLIENT = "kubernetes.io/kube-apiserver-client-kubelet"
KUBELET_SERVING = "kubernetes.io/kubelet-serving"
LEGACY = "kubernetes.io/legacy-unknown"
SIGNERS = (API_CLIENT, KUBELET_CLIENT, KUBELET_SERVING, LEGACY)

_NODE = "system:node:"
_KEY_USE = {"key encipherment", "digital signature"}


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request's PEM asks for."""

    name: str
    organizations: tuple[str, ...]
    names: tuple[tuple[str, str], ...]


def asked(request: CertificateSigningRequest) -> Asked:
    """Read a request. Raises ValueError when it cannot be."""
    try:
        body = der.from_pem(base64.b64decode(request.spec.request))
    except binascii.Error as error:
        raise ValueError("the request is not base64 of PEM") from error
    subject = der.request_subject(body)
    common = next((value for kind, value in subject if kind == der.COMMON_NAME), "")
    organizations = tuple(value for kind, value in subject if kind == der.ORGANIZATION)
    return Asked(common, organizations, tuple(der.request_names(body)))


def problem(signer: str, wanted: Asked, usages: Iterable[str]) -> str:
    """Why a signer may not sign this; "" when it may."""
    uses = set(usages)
    match signer:
        case "kubernetes.io/kube-apiserver-client-kubelet":
            return _node_problem(wanted) or _client_problem(wanted, uses)
        case "kubernetes.io/kubelet-serving":
            return _node_problem(wanted) or _serving_problem(wanted, uses)
        case "kubernetes.io/kube-apiserver-client":
            if "client auth" not in uses or not uses <= {*_KEY_USE, "client auth"}:
                return 'usages must include "client auth" and none but it, "key encipherment" and "digital signature"'
    return ""


def _node_problem(wanted: Asked) -> str:
    if wanted.organizations != ("system:nodes",):
        return "subject organization is not system:nodes"
    if not wanted.name.startswith(_NODE) or wanted.name == _NODE:
        return "subject common name does not begin with system:node:"
    return ""


def _client_problem(wanted: Asked, uses: set[str]) -> str:
    if wanted.names:
        return "DNS, IP, URI and email alternative names are not allowed"
    if uses not in ({*_KEY_USE, "client auth"}, {"digital signature", "client auth"}):
        return "usages did not match [key encipherment digital signature client auth]"
    return ""


def _serving_problem(wanted: Asked, uses: set[str]) -> str:
    kinds = {kind for kind, _ in wanted.names}
    if not kinds & {"dns", "ip"}:
        return "at least one DNS or IP alternative name is required"
    if kinds - {"dns", "ip"}:
        return "URI and email alternative names are not allowed"
    if uses not in ({*_KEY_USE, "server auth"}, {"digital signature", "server auth"}):
        return "usages did not match [key encipherment digital signature server auth]"
    return ""
