"""Who holds the default roles."""

from typing import Final

from mizzen.cluster.bootstrap.roles import Binding

_MANAGER = "User:system:kube-controller-manager"
_SCHEDULER = "User:system:kube-scheduler"
_AUTHENTICATED = "Group:system:authenticated"
_UNAUTHENTICATED = "Group:system:unauthenticated"

CLUSTER_BINDINGS: Final = (
    Binding("cluster-admin", ("Group:system:masters",)),
    Binding("system:basic-user", (_AUTHENTICATED,)),
    Binding("system:discovery", (_AUTHENTICATED,)),
    Binding("system:kube-controller-manager", (_MANAGER,)),
    Binding("system:kube-dns", ("ServiceAccount:kube-system/kube-dns",)),
    Binding("system:kube-scheduler", (_SCHEDULER,)),
    Binding("system:monitoring", ("Group:system:monitoring",)),
    Binding("system:node"),
    Binding("system:node-proxier", ("User:system:kube-proxy",)),
    Binding("system:public-info-viewer", (_AUTHENTICATED, _UNAUTHENTICATED)),
    Binding("system:service-account-issuer-discovery", ("Group:system:serviceaccounts",)),
    Binding("system:volume-scheduler", (_SCHEDULER,)),
    # One agent a node is kubelet, proxy, DNS and network policy at once, under the node's own certificate.
    Binding("mizzen:node-network", ("Group:system:nodes",)),
    # Nodes that join by token ask for their certificate with it, and renew it with the certificate itself.
    Binding("mizzen:node-bootstrapper", ("Group:system:bootstrappers",), role="system:node-bootstrapper"),
    Binding(
        "mizzen:node-autoapprove-bootstrap",
        ("Group:system:bootstrappers",),
        role="system:certificates.k8s.io:certificatesigningrequests:nodeclient",
    ),
    Binding(
        "mizzen:node-autoapprove-rotation",
        ("Group:system:nodes",),
        role="system:certificates.k8s.io:certificatesigningrequests:selfnodeclient",
    ),
)

BINDINGS: Final = (
    Binding(
        "system:controller:bootstrap-signer", ("ServiceAccount:kube-system/bootstrap-signer",), namespace="kube-public"
    ),
    Binding(
        "system::extension-apiserver-authentication-reader",
        (_MANAGER, _SCHEDULER),
        role="extension-apiserver-authentication-reader",
        namespace="kube-system",
    ),
    Binding(
        "system::leader-locking-kube-controller-manager",
        (_MANAGER, "ServiceAccount:kube-system/kube-controller-manager"),
        namespace="kube-system",
    ),
    Binding(
        "system::leader-locking-kube-scheduler",
        (_SCHEDULER, "ServiceAccount:kube-system/kube-scheduler"),
        namespace="kube-system",
    ),
    Binding(
        "system:controller:bootstrap-signer", ("ServiceAccount:kube-system/bootstrap-signer",), namespace="kube-system"
    ),
    Binding(
        "system:controller:cloud-provider", ("ServiceAccount:kube-system/cloud-provider",), namespace="kube-system"
    ),
    Binding("system:controller:token-cleaner", ("ServiceAccount:kube-system/token-cleaner",), namespace="kube-system"),
)
