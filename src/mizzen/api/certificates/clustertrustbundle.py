"""ClusterTrustBundle (certificates.k8s.io/v1)."""

from mizzen.api.kind import Kind

CLUSTER_TRUST_BUNDLE = Kind(
    group="certificates.k8s.io",
    version="v1",
    kind="ClusterTrustBundle",
    plural="clustertrustbundles",
    namespaced=False,
    singular="clustertrustbundle",
)
