"""Pod (core/v1): one or several containers that share an address and volumes, on one node."""

from collections.abc import Iterator

from mizzen.api.core import pod_table
from mizzen.api.kind import Kind, Subresource
from mizzen.api.podspec import annotations, containers, defaults, qos, status, update, volumes, warnings
from mizzen.api.podspec.spec import spec_errors
from mizzen.machinery.errors import FieldError, Object, forbidden

_AFFINITY_FIELDS = (
    "requiredDuringSchedulingIgnoredDuringExecution",
    "preferredDuringSchedulingIgnoredDuringExecution",
)


def default(pod: Object) -> None:
    defaults.default_pod(pod)
    if pod.get("status"):
        status.default_status(pod["status"])
    else:
        pod["status"] = {}


def prepare(pod: Object, old: Object | None) -> None:
    """A new pod is pending; an update keeps the status and never resizes."""
    if old is not None:
        pod["status"] = old.get("status") or {}
        return
    spec = pod["spec"]
    annotations.name_profiles(pod)
    if spec["terminationGracePeriodSeconds"] < 0:
        spec["terminationGracePeriodSeconds"] = 1
    pod["status"] = {"phase": "Pending", "qosClass": qos.qos_class(spec)}
    if spec.get("schedulingGates"):
        pod["status"]["conditions"] = [
            {
                "type": "PodScheduled",
                "status": "False",
                "lastProbeTime": None,
                "lastTransitionTime": None,
                "reason": "SchedulingGated",
                "message": "Scheduling is blocked due to non-empty scheduling gates",
            }
        ]
    if spec.get("affinity") or spec.get("topologySpreadConstraints"):
        _pin_label_keys(pod)


def _pin_label_keys(pod: Object) -> None:
    """Turn `matchLabelKeys` and `mismatchLabelKeys` into requirements with the values of the pod's own labels."""
    labels = pod["metadata"].get("labels") or {}
    spec = pod["spec"]
    for constraint in spec.get("topologySpreadConstraints") or ():
        _pin(constraint, labels)
    for kind in ("podAffinity", "podAntiAffinity"):
        affinity = (spec.get("affinity") or {}).get(kind) or {}
        for term in affinity.get(_AFFINITY_FIELDS[0]) or ():
            _pin(term, labels)
        for weighted in affinity.get(_AFFINITY_FIELDS[1]) or ():
            _pin(weighted.get("podAffinityTerm") or {}, labels)


def _pin(term: Object, labels: dict[str, str]) -> None:
    selector = term.get("labelSelector")
    if selector is None:
        return
    for field, operator in (("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn")):
        for key in term.get(field) or ():
            if key in labels:
                requirement = {"key": key, "operator": operator, "values": [labels[key]]}
                selector["matchExpressions"] = [*(selector.get("matchExpressions") or ()), requirement]


def prepare_status(pod: Object, old: Object | None) -> None:
    if old is None:
        return
    pod["spec"] = old["spec"]
    if owners := old["metadata"].get("ownerReferences"):
        pod["metadata"]["ownerReferences"] = owners
    else:
        pod["metadata"].pop("ownerReferences", None)
    of_pod = pod["status"]
    if not of_pod.get("qosClass") and (old.get("status") or {}).get("qosClass"):
        of_pod["qosClass"] = old["status"]["qosClass"]


def validate(pod: Object, old: Object | None) -> Iterator[FieldError]:
    spec = pod["spec"]
    if annotated := pod["metadata"].get("annotations"):
        yield from annotations.annotation_errors("metadata.annotations", annotated, spec)
    yield from _whole_errors(pod)
    if old is not None:
        before = old["metadata"].get("annotations") or {}
        yield from annotations.update_errors("metadata.annotations", annotated or {}, before)
        # An update looks at them twice, as clients know it from the causes.
        yield from annotations.annotation_errors("metadata.annotations", annotated or {}, spec)
        yield from update.update_errors(pod, old)
        return
    yield from annotations.profile_errors("spec", annotated or {}, spec)
    if spec.get("ephemeralContainers"):
        yield forbidden("spec.ephemeralContainers", "cannot be set on create")
    if spec.get("schedulingGates") and spec.get("nodeName"):
        yield forbidden("spec.nodeName", "cannot be set until all schedulingGates have been cleared")


def _whole_errors(pod: Object) -> Iterator[FieldError]:
    """What is wrong with the spec of a pod, beyond what a template must satisfy."""
    spec = pod["spec"]
    yield from spec_errors("spec", spec)
    if spec.get("volumes") and (name := pod["metadata"].get("name")):
        yield from volumes.claim_errors("spec.volumes", spec["volumes"], name)
    for field in ("containers", "initContainers"):
        yield from containers.image_errors(f"spec.{field}", spec.get(field))


def validate_status(pod: Object, old: Object | None) -> Iterator[FieldError]:
    return status.status_errors(pod, old)


def graceful_seconds(pod: Object, asked: int | None) -> int:
    """How long a deleted pod has to end: nothing where nothing runs, else what was asked for or what it says itself."""
    spec, of_pod = pod["spec"], pod.get("status") or {}
    if not spec.get("nodeName") or of_pod.get("phase") in {"Failed", "Succeeded"}:
        return 0
    seconds = spec.get("terminationGracePeriodSeconds") or 0 if asked is None else asked
    return 1 if seconds < 0 else int(seconds)


def _prepare_ephemeral(pod: Object, old: Object | None) -> None:
    if old is not None:
        update.keep_all_but_ephemeral(pod, old)


def _validate_ephemeral(pod: Object, old: Object | None) -> Iterator[FieldError]:
    if old is not None:
        yield from update.ephemeral_errors(pod, old)


def _prepare_resize(pod: Object, old: Object | None) -> None:
    if old is not None:
        update.keep_all_but_resources(pod, old)


def _validate_resize(pod: Object, old: Object | None) -> Iterator[FieldError]:
    yield from _whole_errors(pod)
    if old is not None:
        yield from update.resize_errors(pod, old)


POD = Kind(
    group="",
    version="v1",
    kind="Pod",
    plural="pods",
    namespaced=True,
    singular="pod",
    short_names=("po",),
    categories=("all",),
    default=default,
    prepare=prepare,
    validate=validate,
    warn=warnings.of_pod,
    has_status=True,
    status_leaves=("ownerReferences",),
    prepare_status=prepare_status,
    validate_status=validate_status,
    has_generation=True,
    table=pod_table.TABLE,
    selectable={
        "spec.nodeName": lambda pod: pod["spec"].get("nodeName") or "",
        "spec.restartPolicy": lambda pod: pod["spec"].get("restartPolicy") or "",
        "spec.schedulerName": lambda pod: pod["spec"].get("schedulerName") or "",
        "spec.serviceAccountName": lambda pod: pod["spec"].get("serviceAccountName") or "",
        "spec.hostNetwork": lambda pod: "true" if pod["spec"].get("hostNetwork") else "false",
        "status.phase": lambda pod: (pod.get("status") or {}).get("phase") or "",
        "status.podIP": lambda pod: (pod.get("status") or {}).get("podIP") or "",
        "status.podIPs": lambda _pod: "",  # known as a field, but never filled in by the original either
        "status.nominatedNodeName": lambda pod: (pod.get("status") or {}).get("nominatedNodeName") or "",
    },
    returns_deleted=True,
    graceful_seconds=graceful_seconds,
    subresources=(
        Subresource("attach", verbs=("create", "get"), kind="PodAttachOptions"),
        Subresource("binding", verbs=("create",), kind="Binding"),
        Subresource(
            "ephemeralcontainers",
            verbs=("get", "patch", "update"),
            kind="Pod",
            prepare=_prepare_ephemeral,
            validate=_validate_ephemeral,
        ),
        Subresource("eviction", verbs=("create",), kind="Eviction", group="policy"),
        Subresource("exec", verbs=("create", "get"), kind="PodExecOptions"),
        Subresource("log", verbs=("get",), kind="Pod"),
        Subresource("portforward", verbs=("create", "get"), kind="PodPortForwardOptions"),
        Subresource("proxy", verbs=("create", "delete", "get", "patch", "update"), kind="PodProxyOptions"),
        Subresource(
            "resize", verbs=("get", "patch", "update"), kind="Pod", prepare=_prepare_resize, validate=_validate_resize
        ),
    ),
)
