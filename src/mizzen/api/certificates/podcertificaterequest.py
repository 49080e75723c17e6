"""PodCertificateRequest (certificates.k8s.io/v1)."""

from mizzen.api.kind import Kind

POD_CERTIFICATE_REQUEST = Kind(
    group="certificates.k8s.io",
    version="v1",
    kind="PodCertificateRequest",
    plural="podcertificaterequests",
    namespaced=True,
    singular="podcertificaterequest",
    has_status=True,
)
