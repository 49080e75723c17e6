"""Kinds of the certificates.k8s.io group."""

from mizzen.api.certificates.certificatesigningrequest import CERTIFICATE_SIGNING_REQUEST
from mizzen.api.certificates.clustertrustbundle import CLUSTER_TRUST_BUNDLE
from mizzen.api.certificates.podcertificaterequest import POD_CERTIFICATE_REQUEST
from mizzen.api.kind import Kind

KINDS: tuple[Kind, ...] = (
    CERTIFICATE_SIGNING_REQUEST,
    CLUSTER_TRUST_BUNDLE,
    POD_CERTIFICATE_REQUEST,
)
