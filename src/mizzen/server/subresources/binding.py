"""Binding: the scheduler's word that a pod belongs to a node.

Ref: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/binding-v1/
"""

from typing import Final

from mizzen.api.core.node import NODE
from mizzen.base.clock import Clock
from mizzen.machinery import times
from mizzen.machinery.errors import ApiError, Errors, Object
from mizzen.server.call import Call, Write
from mizzen.server.options import write_options
from mizzen.server.registry import Registry
from mizzen.server.routes import Routes
from mizzen.server.seams import Reader
from mizzen.server.writing import check_uid

_TOPOLOGY: Final = ("topology.kubernetes.io/region", "topology.kubernetes.io/zone")


class Bindings:
    """Assigns pods to nodes."""

    def __init__(self, registry: Registry, routes: Routes, reader: Reader, clock: Clock) -> None:
        self._registry = registry
        self._reader = reader
        self._routes = routes
        self._clock = clock

    async def __call__(self, call: Call, binding: Object) -> Object:
        """Bind the pod that the path or the binding names. Raises ApiError."""
        meta = binding["metadata"]
        name = call.info.name or meta.get("name") or ""
        if meta.get("name") and meta["name"] != name:
            raise Errors.bad_request("name in URL does not match name in Binding object")
        target = _target(binding)
        pods = self._routes.find("", "v1", "pods")
        assert pods is not None
        asked = write_options(call.request, "CreateOptions")
        agent = call.request.headers.get("user-agent", "")
        namespace = call.info.namespace
        write = Write(pods, namespace, name, call.user, "binding", asked, call.warnings, agent, admitted=True)
        now = times.format(self._clock.now())
        topology = self._topology(target)

        def bound(pod: Object | None) -> Object:
            assert pod is not None
            check_uid(write, meta.get("uid"), pod["metadata"]["uid"])
            if meta.get("resourceVersion"):
                pod["metadata"]["resourceVersion"] = meta["resourceVersion"]
            return _bind(pod, target, {**meta, "labels": {**(meta.get("labels") or {}), **topology}}, now)

        await self._registry.modify(write, bound)
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}

    def _topology(self, name: str) -> dict[str, str]:
        """Where the node is, which its pods tell by labels of their own, too."""
        node = self._reader.get(NODE, "", name)
        labels = (node["metadata"].get("labels") or {}) if node is not None else {}
        return {key: labels[key] for key in _TOPOLOGY if key in labels}


def _target(binding: Object) -> str:
    """The node's name. Raises ApiError 422."""
    target = binding.get("target") or {}
    if target.get("kind") not in (None, "", "Node"):
        supported = 'supported values: "Node", "<empty>"'
        raise ApiError(422, "Invalid", f'target.kind: Unsupported value: "{target["kind"]}": {supported}')
    name = target.get("name") or ""
    if not name:
        raise ApiError(422, "Invalid", "target.name: Required value")
    return str(name)


def _bind(pod: Object, target: str, meta: Object, now: str) -> Object:
    """Assign a pod once, taking over the binding's labels and annotations. Raises ApiError Conflict."""
    spec, name = pod["spec"], pod["metadata"]["name"]
    if pod["metadata"].get("deletionTimestamp"):
        raise Errors.conflict("", "pods/binding", name, f"pod {name} is being deleted, cannot be assigned to a host")
    if spec.get("nodeName"):
        why = f'pod {name} is already assigned to node "{spec["nodeName"]}"'
        raise Errors.conflict("", "pods/binding", name, why)
    if spec.get("schedulingGates"):
        raise Errors.conflict("", "pods/binding", name, f"pod {name} has non-empty .spec.schedulingGates")
    spec["nodeName"] = target
    for field in ("annotations", "labels"):
        if meta.get(field):
            pod["metadata"].setdefault(field, {}).update(meta[field])
    _mark_scheduled(pod, now)
    pod["status"].pop("nominatedNodeName", None)  # what was hoped for has come true
    return pod


def _mark_scheduled(pod: Object, now: str) -> None:
    conditions = pod.setdefault("status", {}).setdefault("conditions", [])
    conditions[:] = [one for one in conditions if one.get("type") != "PodScheduled"]
    scheduled = {"type": "PodScheduled", "status": "True", "lastProbeTime": None, "lastTransitionTime": now}
    if pod["metadata"].get("generation"):
        scheduled["observedGeneration"] = pod["metadata"]["generation"]
    conditions.append(scheduled)
