"""Everything that a new cluster holds, in the order in which it must come to be."""

import base64
import ipaddress
from dataclasses import dataclass
from typing import Final

from mizzen.api.apiregistration.apiservice import API_SERVICE
from mizzen.api.core.configmap import CONFIG_MAP
from mizzen.api.core.endpoints import ENDPOINTS
from mizzen.api.core.namespace import NAMESPACE
from mizzen.api.core.service import SERVICE
from mizzen.api.discovery.endpointslice import ENDPOINT_SLICE
from mizzen.api.flowcontrol.flowschema import FLOW_SCHEMA
from mizzen.api.flowcontrol.prioritylevelconfiguration import PRIORITY_LEVEL_CONFIGURATION
from mizzen.api.kind import Kind
from mizzen.api.networking.servicecidr import SERVICE_CIDR
from mizzen.api.rbac.clusterrole import CLUSTER_ROLE
from mizzen.api.rbac.clusterrolebinding import CLUSTER_ROLE_BINDING
from mizzen.api.rbac.role import ROLE
from mizzen.api.rbac.rolebinding import ROLE_BINDING
from mizzen.api.scheduling.priorityclass import PRIORITY_CLASS
from mizzen.cluster.bootstrap.apiservices import api_services
from mizzen.cluster.bootstrap.bindings import BINDINGS, CLUSTER_BINDINGS
from mizzen.cluster.bootstrap.clusterroles import CLUSTER_ROLES, ROLES
from mizzen.cluster.bootstrap.controllerroles import CONTROLLER_BINDINGS, CONTROLLER_ROLES
from mizzen.cluster.bootstrap.flow import FLOW_SCHEMAS, PRIORITY_LEVELS
from mizzen.machinery.errors import Object
from mizzen.machinery.names import is_ipv6

NAMESPACES: Final = ("default", "kube-system", "kube-public", "kube-node-lease")
Batch = tuple[tuple[Kind, Object], ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """What a cluster's first objects depend on."""

    service_range: str
    service_ip: str
    """The first address of the range, which the Service `kubernetes` takes."""
    addresses: tuple[str, ...]
    """Where API servers listen, as pods reach them."""
    port: int
    client_ca: str = ""
    front_proxy_ca: str = ""


def batches(facts: Facts) -> tuple[Batch, ...]:
    """Objects by batch; those of one batch may be created at once, after all of the batch before."""
    first = (
        *((NAMESPACE, _namespace(name)) for name in NAMESPACES),
        (SERVICE_CIDR, _service_cidr(facts)),
        *((PRIORITY_CLASS, _priority_class(*named)) for named in _PRIORITY_CLASSES),
        *((PRIORITY_LEVEL_CONFIGURATION, level) for level in PRIORITY_LEVELS),
        *((FLOW_SCHEMA, schema) for schema in FLOW_SCHEMAS),
        (API_SERVICE, _metrics_service()),
        *((API_SERVICE, service) for service in api_services()),
        *((CLUSTER_ROLE, role.as_object()) for role in (*CLUSTER_ROLES, *CONTROLLER_ROLES)),
        *((CLUSTER_ROLE_BINDING, bound.as_object()) for bound in (*CLUSTER_BINDINGS, *CONTROLLER_BINDINGS)),
    )
    second = (
        (SERVICE, _kubernetes_service(facts)),
        (ENDPOINTS, kubernetes_endpoints(facts)),
        (ENDPOINT_SLICE, kubernetes_endpoint_slice(facts)),
        (CONFIG_MAP, _authentication(facts)),
        *(((CONFIG_MAP, _cluster_info(facts)),) if facts.client_ca else ()),
        *((ROLE, role.as_object()) for role in ROLES),
        *((ROLE_BINDING, bound.as_object()) for bound in BINDINGS),
    )
    return first, second


_PRIORITY_CLASSES: Final = (
    (
        "system-cluster-critical",
        2_000_000_000,
        "For what the whole cluster depends on; it must be able to run somewhere.",
    ),
    ("system-node-critical", 2_000_001_000, "For what a node depends on; it must not be moved to another node."),
)


def _metrics_service() -> Object:
    """The server answers for metrics.k8s.io itself; tools look for this object to learn whether there are metrics."""
    spec = {"group": "metrics.k8s.io", "version": "v1beta1", "groupPriorityMinimum": 100, "versionPriority": 100}
    return {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": "v1beta1.metrics.k8s.io"},
        "spec": spec,
    }


def _namespace(name: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
        "spec": {"finalizers": ["kubernetes"]},
    }


def _priority_class(name: str, value: int, description: str) -> Object:
    return {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": name},
        "value": value,
        "description": description,
        "preemptionPolicy": "PreemptLowerPriority",
    }


def _service_cidr(facts: Facts) -> Object:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "ServiceCIDR",
        "metadata": {"name": "kubernetes"},
        "spec": {"cidrs": [facts.service_range]},
    }


def _kubernetes_service(facts: Facts) -> Object:
    family = _family(facts.service_ip)
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": {"component": "apiserver", "provider": "kubernetes"},
        },
        "spec": {
            "type": "ClusterIP",
            "clusterIP": facts.service_ip,
            "clusterIPs": [facts.service_ip],
            "ipFamilies": [family],
            "ipFamilyPolicy": "SingleStack",
            "ports": [{"name": "https", "protocol": "TCP", "port": 443, "targetPort": facts.port}],
            "sessionAffinity": "None",
        },
    }


def kubernetes_endpoints(facts: Facts) -> Object:
    """The addresses behind the Service `kubernetes`, which has no selector, in the older form."""
    ports = [{"name": "https", "port": facts.port, "protocol": "TCP"}]
    addresses = [{"ip": address} for address in _reachable(facts)]
    return {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"},
        },
        "subsets": [{"addresses": addresses, "ports": ports}] if addresses else [],
    }


def _reachable(facts: Facts) -> list[str]:
    """Addresses that mean the same machine wherever one is: loopback ones may not be endpoints."""
    return sorted(address for address in facts.addresses if not ipaddress.ip_address(address).is_loopback)


def kubernetes_endpoint_slice(facts: Facts) -> Object:
    """The addresses behind the Service `kubernetes`."""
    family = _family(facts.service_ip)
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": {"kubernetes.io/service-name": "kubernetes"},
        },
        "addressType": family,
        "ports": [{"name": "https", "port": facts.port, "protocol": "TCP"}],
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}} for address in _reachable(facts)],
    }


def _authentication(facts: Facts) -> Object:
    """What extension servers need to trust this one."""
    data = {}
    if facts.client_ca:
        data["client-ca-file"] = facts.client_ca
    if facts.front_proxy_ca:
        data |= {
            "requestheader-client-ca-file": facts.front_proxy_ca,
            "requestheader-allowed-names": '["front-proxy-client"]',
            "requestheader-username-headers": '["X-Remote-User"]',
            "requestheader-group-headers": '["X-Remote-Group"]',
            "requestheader-extra-headers-prefix": '["X-Remote-Extra-"]',
            "requestheader-uid-headers": '["X-Remote-Uid"]',
        }
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "extension-apiserver-authentication", "namespace": "kube-system"},
        "data": data,
    }


def _cluster_info(facts: Facts) -> Object:
    """What a joining machine needs to know of the cluster: a kubeconfig without a user, which bootstrap tokens sign."""
    address = facts.addresses[0]
    host = f"[{address}]" if is_ipv6(address) else address
    lines = (
        "apiVersion: v1",
        "clusters:",
        "- cluster:",
        f"    certificate-authority-data: {base64.b64encode(facts.client_ca.encode()).decode()}",
        f"    server: https://{host}:{facts.port}",
        '  name: ""',
        "contexts: null",
        'current-context: ""',
        "kind: Config",
        "preferences: {}",
        "users: null",
    )
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "cluster-info", "namespace": "kube-public"},
        "data": {"kubeconfig": "\n".join(lines) + "\n"},
    }


def _family(address: str) -> str:
    return "IPv6" if is_ipv6(address) else "IPv4"
