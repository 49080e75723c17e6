"""The ClusterRoles of controllers, each for the ServiceAccount of its name in kube-system."""

from typing import Final

from mizzen.cluster.bootstrap.roles import EVENTS, READ, Binding, Role, rule
from mizzen.machinery.errors import Object


def _controller(name: str, rules: tuple[Object, ...]) -> Role:
    return Role(f"system:controller:{name}", rules)


CONTROLLER_ROLES: Final = (
    _controller(
        "attachdetach-controller",
        (
            rule("core", "persistentvolumeclaims persistentvolumes", "list watch"),
            rule("core", "nodes", READ),
            rule("core", "nodes/status", "patch update"),
            rule("core", "pods", "list watch"),
            EVENTS,
            rule("storage.k8s.io", "volumeattachments", "create delete get list watch"),
            rule("storage.k8s.io", "csidrivers", READ),
            rule("storage.k8s.io", "csinodes", READ),
        ),
    ),
    _controller(
        "certificate-controller",
        (
            rule("certificates.k8s.io", "certificatesigningrequests", "delete get list watch"),
            rule(
                "certificates.k8s.io", "certificatesigningrequests/approval certificatesigningrequests/status", "update"
            ),
            rule("certificates.k8s.io", "signers", "approve", names="kubernetes.io/kube-apiserver-client-kubelet"),
            rule(
                "certificates.k8s.io",
                "signers",
                "sign",
                names=(
                    "kubernetes.io/kube-apiserver-client kubernetes.io/kube-apiserver-client-kubelet "
                    "kubernetes.io/kubelet-serving kubernetes.io/legacy-unknown"
                ),
            ),
            rule("authorization.k8s.io", "subjectaccessreviews", "create"),
            EVENTS,
        ),
    ),
    _controller(
        "clusterrole-aggregation-controller",
        (rule("rbac.authorization.k8s.io", "clusterroles", "escalate get list patch update watch"),),
    ),
    _controller(
        "cronjob-controller",
        (
            rule("batch", "cronjobs", "get list update watch"),
            rule("batch", "jobs", "create delete get list patch update watch"),
            rule("batch", "cronjobs/status", "update"),
            rule("batch", "cronjobs/finalizers", "update"),
            rule("core", "pods", "delete list"),
            EVENTS,
        ),
    ),
    _controller(
        "daemon-set-controller",
        (
            rule("apps extensions", "daemonsets", READ),
            rule("apps extensions", "daemonsets/status", "update"),
            rule("apps extensions", "daemonsets/finalizers", "update"),
            rule("core", "nodes", "list watch"),
            rule("core", "pods", "create delete list patch watch"),
            rule("core", "pods/binding", "create"),
            rule("apps", "controllerrevisions", "create delete get list patch update watch"),
            EVENTS,
        ),
    ),
    _controller(
        "deployment-controller",
        (
            rule("apps extensions", "deployments", "get list update watch"),
            rule("apps extensions", "deployments/status", "update"),
            rule("apps extensions", "deployments/finalizers", "update"),
            rule("apps extensions", "replicasets", "create delete get list patch update watch"),
            rule("core", "pods", "get list update watch"),
            EVENTS,
        ),
    ),
    _controller(
        "disruption-controller",
        (
            rule("apps extensions", "deployments", READ),
            rule("apps extensions", "replicasets", READ),
            rule("core", "replicationcontrollers", READ),
            rule("policy", "poddisruptionbudgets", READ),
            rule("apps", "statefulsets", READ),
            rule("policy", "poddisruptionbudgets/status", "update"),
            rule("*", "*/scale", "get"),
            EVENTS,
            rule("core", "pods/status", "patch"),
        ),
    ),
    _controller(
        "endpoint-controller",
        (
            rule("core", "pods services", READ),
            rule("core", "endpoints", "create delete get list update"),
            rule("core", "endpoints/restricted", "create"),
            EVENTS,
        ),
    ),
    _controller(
        "endpointslice-controller",
        (
            rule("core", "nodes pods services", READ),
            rule("core", "services/finalizers", "update"),
            rule("discovery.k8s.io", "endpointslices", "create delete get list update"),
            EVENTS,
        ),
    ),
    _controller(
        "endpointslicemirroring-controller",
        (
            rule("core", "endpoints services", READ),
            rule("core", "services/finalizers", "update"),
            rule("core", "endpoints/finalizers", "update"),
            rule("discovery.k8s.io", "endpointslices", "create delete get list update"),
            EVENTS,
        ),
    ),
    _controller(
        "ephemeral-volume-controller",
        (
            rule("core", "pods", READ),
            rule("core", "pods/finalizers", "update"),
            rule("core", "persistentvolumeclaims", "create get list watch"),
            EVENTS,
        ),
    ),
    _controller(
        "expand-controller",
        (
            rule("core", "persistentvolumes", "get list patch update watch"),
            rule("core", "persistentvolumeclaims/status", "patch update"),
            rule("core", "persistentvolumeclaims", READ),
            rule("storage.k8s.io", "storageclasses", READ),
            rule("core", "endpoints services", "get"),
            rule("core", "secrets", "get"),
            EVENTS,
        ),
    ),
    _controller(
        "generic-garbage-collector",
        (
            rule("*", "*", "delete get list patch update watch"),
            EVENTS,
        ),
    ),
    _controller(
        "horizontal-pod-autoscaler",
        (
            rule("autoscaling", "horizontalpodautoscalers", READ),
            rule("autoscaling", "horizontalpodautoscalers/status", "update"),
            rule("*", "*/scale", "get update"),
            rule("core", "pods", "list"),
            rule("metrics.k8s.io", "pods", "list"),
            rule("custom.metrics.k8s.io", "*", "get list"),
            rule("external.metrics.k8s.io", "*", "get list"),
            EVENTS,
        ),
    ),
    _controller(
        "job-controller",
        (
            rule("batch", "jobs", "get list patch update watch"),
            rule("batch", "jobs/status", "update"),
            rule("batch", "jobs/finalizers", "update"),
            rule("core", "pods", "create delete list patch watch"),
            EVENTS,
        ),
    ),
    _controller(
        "namespace-controller",
        (
            rule("core", "namespaces", "delete get list watch"),
            rule("core", "namespaces/finalize namespaces/status", "update"),
            rule("*", "*", "delete deletecollection get list"),
        ),
    ),
    _controller(
        "node-controller",
        (
            rule("core", "nodes", "delete get list patch update"),
            rule("core", "nodes/status", "patch update"),
            rule("core", "pods/status", "patch update"),
            rule("core", "pods", "delete list"),
            rule("networking.k8s.io", "clustercidrs", "create get list update"),
            EVENTS,
            rule("core", "pods", "get"),
        ),
    ),
    _controller(
        "persistent-volume-binder",
        (
            rule("core", "persistentvolumes", "create delete get list update watch"),
            rule("core", "persistentvolumes/status", "update"),
            rule("core", "persistentvolumeclaims", "get list update watch"),
            rule("core", "persistentvolumeclaims/status", "update"),
            rule("core", "pods", "create delete get list watch"),
            rule("storage.k8s.io", "storageclasses", READ),
            rule("core", "endpoints", "create delete get update"),
            rule("core", "services", "create delete get"),
            rule("core", "secrets", "get"),
            rule("core", "nodes", "get list"),
            rule("core", "events", "watch"),
            EVENTS,
        ),
    ),
    _controller(
        "pod-garbage-collector",
        (
            rule("core", "pods", "delete list watch"),
            rule("core", "nodes", "get list"),
            rule("core", "pods/status", "patch"),
        ),
    ),
    _controller(
        "pv-protection-controller",
        (
            rule("core", "persistentvolumes", "get list update watch"),
            EVENTS,
        ),
    ),
    _controller(
        "pvc-protection-controller",
        (
            rule("core", "persistentvolumeclaims", "get list update watch"),
            rule("core", "pods", READ),
            EVENTS,
        ),
    ),
    _controller(
        "replicaset-controller",
        (
            rule("apps extensions", "replicasets", "get list update watch"),
            rule("apps extensions", "replicasets/status", "update"),
            rule("apps extensions", "replicasets/finalizers", "update"),
            rule("core", "pods", "create delete list patch watch"),
            EVENTS,
        ),
    ),
    _controller(
        "replication-controller",
        (
            rule("core", "replicationcontrollers", "get list update watch"),
            rule("core", "replicationcontrollers/status", "update"),
            rule("core", "replicationcontrollers/finalizers", "update"),
            rule("core", "pods", "create delete list patch watch"),
            EVENTS,
        ),
    ),
    _controller(
        "resourcequota-controller",
        (
            rule("*", "*", "list watch"),
            rule("core", "resourcequotas/status", "update"),
            EVENTS,
        ),
    ),
    _controller(
        "root-ca-cert-publisher",
        (
            rule("core", "configmaps", "create update"),
            EVENTS,
        ),
    ),
    _controller(
        "route-controller",
        (
            rule("core", "nodes", "list watch"),
            rule("core", "nodes/status", "patch"),
            EVENTS,
        ),
    ),
    _controller(
        "service-account-controller",
        (
            rule("core", "serviceaccounts", "create"),
            EVENTS,
        ),
    ),
    _controller(
        "service-controller",
        (
            rule("core", "services", READ),
            rule("core", "services/status", "patch update"),
            rule("core", "nodes", "list watch"),
            EVENTS,
        ),
    ),
    _controller(
        "statefulset-controller",
        (
            rule("core", "pods", "list watch"),
            rule("apps", "statefulsets", READ),
            rule("apps", "statefulsets/status", "update"),
            rule("apps", "statefulsets/finalizers", "update"),
            rule("core", "pods", "create delete get patch update"),
            rule("apps", "controllerrevisions", "create delete get list patch update watch"),
            rule("core", "persistentvolumeclaims", "create get"),
            EVENTS,
            rule("core", "persistentvolumeclaims", "delete update"),
        ),
    ),
    _controller(
        "ttl-after-finished-controller",
        (
            rule("batch", "jobs", "delete get list watch"),
            EVENTS,
        ),
    ),
    _controller(
        "ttl-controller",
        (
            rule("core", "nodes", "list patch update watch"),
            EVENTS,
        ),
    ),
    _controller(
        "legacy-service-account-token-cleaner",
        (
            rule("core", "configmaps", "get", names="kube-apiserver-legacy-service-account-token-tracking"),
            rule("core", "secrets", "delete patch"),
        ),
    ),
    _controller(
        "resource-claim-controller",
        (
            rule("core", "pods", READ),
            rule("core", "pods/finalizers pods/status", "patch update"),
            rule("resource.k8s.io", "resourceclaims", "create delete get list watch"),
            rule("resource.k8s.io", "resourceclaims resourceclaims/status", "patch update"),
            rule("resource.k8s.io", "resourceclaimtemplates", READ),
            EVENTS,
        ),
    ),
    _controller(
        "selinux-warning-controller",
        (
            rule("core", "pods persistentvolumes persistentvolumeclaims", READ),
            rule("storage.k8s.io", "csidrivers", READ),
            EVENTS,
        ),
    ),
    _controller(
        "service-cidrs-controller",
        (
            rule("networking.k8s.io", "servicecidrs", "get list patch update watch"),
            rule("networking.k8s.io", "servicecidrs/finalizers servicecidrs/status", "patch update"),
            rule("networking.k8s.io", "ipaddresses", READ),
            EVENTS,
        ),
    ),
    _controller(
        "validatingadmissionpolicy-status-controller",
        (
            rule("admissionregistration.k8s.io", "validatingadmissionpolicies", READ),
            rule("admissionregistration.k8s.io", "validatingadmissionpolicies/status", "get patch update"),
            EVENTS,
        ),
    ),
    _controller(
        "volumeattributesclass-protection-controller",
        (
            rule("storage.k8s.io", "volumeattributesclasses", "get list update watch"),
            rule("core", "persistentvolumes persistentvolumeclaims", READ),
            EVENTS,
        ),
    ),
    _controller(
        "device-taint-eviction-controller",
        (
            rule("core", "pods", "delete get list watch"),
            rule("core", "pods/status", "patch update"),
            rule("resource.k8s.io", "resourceclaims resourceslices deviceclasses devicetaintrules", READ),
            rule("resource.k8s.io", "devicetaintrules/status", "patch update"),
            EVENTS,
        ),
    ),
    _controller(
        "node-ipam-controller",
        (rule("core", "nodes", "get list patch update watch"), rule("core", "nodes/status", "patch update"), EVENTS),
    ),
)

CONTROLLER_BINDINGS: Final = tuple(
    Binding(role.name, (f"ServiceAccount:kube-system/{role.name.rpartition(':')[2]}",)) for role in CONTROLLER_ROLES
)
