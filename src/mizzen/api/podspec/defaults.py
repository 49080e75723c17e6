"""What a pod spec leaves open. Pods get more than templates do: host ports, requests from limits, service links."""

from collections.abc import Iterable

from mizzen.api.podspec import images
from mizzen.api.podspec.volume_defaults import default_volumes
from mizzen.api.rules import resources
from mizzen.machinery.errors import Object

GRACE_SECONDS = 30
CONTAINER_LISTS = ("initContainers", "containers", "ephemeralContainers")


def default_pod(pod: Object) -> None:
    """Fill in a pod, in place."""
    spec = pod.get("spec")
    if not spec:
        spec = pod["spec"] = {}
    default_spec(spec)
    if spec.get("enableServiceLinks") is None:
        spec["enableServiceLinks"] = True
    host_network = spec.get("hostNetwork")
    for containers in (spec.get("initContainers"), spec.get("containers")):
        for container in containers or ():
            if container["resources"]:
                _default_requests(container["resources"])
            if host_network:
                _default_host_ports(container.get("ports"))
    if spec.get("resources"):
        resources.default_pod_requests(spec)


def default_template(template: Object | None) -> Object:
    """Fill in the template of a pod, in place, and answer it; an absent one becomes an empty one."""
    if not template:
        template = {}
    metadata = template.get("metadata")
    if not metadata:
        metadata = template["metadata"] = {}
    metadata.setdefault("creationTimestamp", None)
    spec = template.get("spec")
    if not spec:
        spec = template["spec"] = {}
    default_spec(spec)
    return template


def default_spec(spec: Object) -> None:
    """What pods and templates have in common."""
    if not spec.get("containers"):
        spec["containers"] = None
    if not spec.get("dnsPolicy"):
        spec["dnsPolicy"] = "ClusterFirst"
    if not spec.get("restartPolicy"):
        spec["restartPolicy"] = "Always"
    if spec.get("securityContext") is None:
        spec["securityContext"] = {}
    if spec.get("terminationGracePeriodSeconds") is None:
        spec["terminationGracePeriodSeconds"] = GRACE_SECONDS
    if not spec.get("schedulerName"):
        spec["schedulerName"] = "default-scheduler"
    account = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if account:
        spec["serviceAccountName"] = spec["serviceAccount"] = account
    if volumes := spec.get("volumes"):
        default_volumes(volumes)
    for field in CONTAINER_LISTS:
        if containers := spec.get(field):
            default_containers(containers)


def default_containers(containers: list[Object]) -> None:
    """Fill in containers of any sort; a null in the list is a container of nothing."""
    for i, container in enumerate(containers):
        if container is None:
            containers[i] = {}
        _default_container(containers[i])


def _default_container(container: Object) -> None:
    get = container.get
    if not get("imagePullPolicy"):
        container["imagePullPolicy"] = images.pull_policy(get("image") or "")
    if not get("terminationMessagePath"):
        container["terminationMessagePath"] = "/dev/termination-log"
    if not get("terminationMessagePolicy"):
        container["terminationMessagePolicy"] = "File"
    if get("resources") is None:
        container["resources"] = {}
    for port in get("ports") or ():
        if not port.get("protocol"):
            port["protocol"] = "TCP"
    for variable in get("env") or ():
        if source := variable.get("valueFrom"):
            default_reference(source)
    for field in ("livenessProbe", "readinessProbe", "startupProbe"):
        if (probe := get(field)) is not None:
            _default_probe(probe)
    if lifecycle := get("lifecycle"):
        for field in ("postStart", "preStop"):
            if hook := lifecycle.get(field):
                _default_http(hook)


def default_reference(source: Object) -> None:
    """Fill in a reference to a field of the pod or to a container's resource."""
    if (field := source.get("fieldRef")) is not None and not field.get("apiVersion"):
        field["apiVersion"] = "v1"
    if (resource := source.get("resourceFieldRef")) is not None and not resource.get("divisor"):
        resource["divisor"] = "0"


def _default_probe(probe: Object) -> None:
    if not probe.get("timeoutSeconds"):
        probe["timeoutSeconds"] = 1
    if not probe.get("periodSeconds"):
        probe["periodSeconds"] = 10
    if not probe.get("successThreshold"):
        probe["successThreshold"] = 1
    if not probe.get("failureThreshold"):
        probe["failureThreshold"] = 3
    if (grpc := probe.get("grpc")) is not None and grpc.get("service") is None:
        grpc["service"] = ""
    _default_http(probe)


def _default_http(handler: Object) -> None:
    http = handler.get("httpGet")
    if http is None:
        return
    if not http.get("path"):
        http["path"] = "/"
    if not http.get("scheme"):
        http["scheme"] = "HTTP"


def _default_requests(required: Object) -> None:
    """A resource that is limited but not requested is requested up to its limit."""
    limits = required.get("limits")
    if not limits:
        return
    requests = required.get("requests")
    if requests is None:
        requests = required["requests"] = {}
    for name, quantity in limits.items():
        requests.setdefault(name, quantity)


def _default_host_ports(ports: Iterable[Object] | None) -> None:
    """On the host's network a container port is the host's port."""
    for port in ports or ():
        if not port.get("hostPort") and port.get("containerPort"):
            port["hostPort"] = port["containerPort"]
