"""Views of certificates.k8s.io/v1."""

from mizzen.api.views.meta import Condition, ObjectMeta, View


class CertificateSigningRequestSpec(View, frozen=True, gc=False):
    """`request` is base64 of PEM."""

    request: str = ""
    signerName: str = ""
    expirationSeconds: int | None = None
    usages: tuple[str, ...] = ()
    username: str = ""
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: dict[str, tuple[str, ...]] = {}


class CertificateSigningRequestStatus(View, frozen=True, gc=False):
    certificate: str = ""
    conditions: tuple[Condition, ...] = ()


class CertificateSigningRequest(View, frozen=True, gc=False):
    metadata: ObjectMeta = ObjectMeta()
    spec: CertificateSigningRequestSpec = CertificateSigningRequestSpec()
    status: CertificateSigningRequestStatus = CertificateSigningRequestStatus()


class ClusterTrustBundleSpec(View, frozen=True, gc=False):
    """`trustBundle` is PEM."""

    signerName: str = ""
    trustBundle: str = ""


class ClusterTrustBundle(View, frozen=True, gc=False):
    metadata: ObjectMeta = ObjectMeta()
    spec: ClusterTrustBundleSpec = ClusterTrustBundleSpec()
