"""CertificateSigningRequest (certificates.k8s.io/v1)."""

from mizzen.api.kind import Kind, Subresource

CERTIFICATE_SIGNING_REQUEST = Kind(
    group="certificates.k8s.io",
    version="v1",
    kind="CertificateSigningRequest",
    plural="certificatesigningrequests",
    namespaced=False,
    singular="certificatesigningrequest",
    short_names=("csr",),
    has_status=True,
    subresources=(
        Subresource(
            "approval", verbs=("get", "patch", "update"), kind="CertificateSigningRequest", group="certificates.k8s.io"
        ),
    ),
)
