"""Views of networking.k8s.io/v1."""

from mizzen.api.views.meta import ObjectMeta, View


class ServiceBackendPort(View, frozen=True, gc=False):
    name: str = ""
    number: int = 0


class IngressServiceBackend(View, frozen=True, gc=False):
    name: str = ""
    port: ServiceBackendPort = ServiceBackendPort()


class IngressBackend(View, frozen=True, gc=False):
    """`service` is None for backends that are other resources."""

    service: IngressServiceBackend | None = None


class HTTPIngressPath(View, frozen=True, gc=False):
    path: str = ""
    pathType: str = "ImplementationSpecific"
    backend: IngressBackend = IngressBackend()


class HTTPIngressRuleValue(View, frozen=True, gc=False):
    paths: tuple[HTTPIngressPath, ...] = ()


class IngressRule(View, frozen=True, gc=False):
    host: str = ""
    http: HTTPIngressRuleValue | None = None


class IngressTLS(View, frozen=True, gc=False):
    hosts: tuple[str, ...] = ()
    secretName: str = ""


class IngressSpec(View, frozen=True, gc=False):
    ingressClassName: str | None = None
    defaultBackend: IngressBackend | None = None
    rules: tuple[IngressRule, ...] = ()
    tls: tuple[IngressTLS, ...] = ()


class IngressLoadBalancerIngress(View, frozen=True, gc=False):
    ip: str = ""
    hostname: str = ""


class IngressLoadBalancerStatus(View, frozen=True, gc=False):
    ingress: tuple[IngressLoadBalancerIngress, ...] = ()


class IngressStatus(View, frozen=True, gc=False):
    loadBalancer: IngressLoadBalancerStatus = IngressLoadBalancerStatus()


class Ingress(View, frozen=True, gc=False):
    metadata: ObjectMeta = ObjectMeta()
    spec: IngressSpec = IngressSpec()
    status: IngressStatus = IngressStatus()


class IngressClassSpec(View, frozen=True, gc=False):
    controller: str = ""


class IngressClass(View, frozen=True, gc=False):
    metadata: ObjectMeta = ObjectMeta()
    spec: IngressClassSpec = IngressClassSpec()
