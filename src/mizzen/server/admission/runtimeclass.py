"""RuntimeClass: a pod takes overhead, node selector and tolerations from its runtime class.

Ref: https://kubernetes.io/docs/concepts/containers/runtime-class/
"""

from mizzen.api.node.runtimeclass import RUNTIME_CLASS
from mizzen.machinery import quantity
from mizzen.machinery.errors import Object
from mizzen.server.admission.plugin import Plugin, refusal
from mizzen.server.seams import Admission, Reader


class RuntimeClass(Plugin):
    """Applies runtime classes to new pods."""

    name = "RuntimeClass"
    resources = frozenset({("", "pods")})

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def mutate(self, admission: Admission) -> None:
        if admission.object is None:
            return
        spec = admission.object.setdefault("spec", {})
        chosen = self._class(admission, spec)
        if chosen is None:
            return
        overhead = (chosen.get("overhead") or {}).get("podFixed")
        if overhead:
            if spec.get("overhead") and not _equal(spec["overhead"], overhead):
                why = "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead"
                raise refusal(admission, why)
            spec["overhead"] = dict(overhead)
        self._schedule(admission, spec, chosen.get("scheduling") or {})

    def validate(self, admission: Admission) -> None:
        if admission.object is None:
            return
        spec = admission.object["spec"]
        chosen = self._class(admission, spec)
        defined = ((chosen or {}).get("overhead") or {}).get("podFixed")
        if spec.get("overhead") and not defined:
            why = "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead"
            raise refusal(admission, why)

    def _class(self, admission: Admission, spec: Object) -> Object | None:
        name = spec.get("runtimeClassName")
        if not name:
            return None
        found = self._reader.get(RUNTIME_CLASS, "", name)
        if found is None:
            raise refusal(admission, f'pod rejected: RuntimeClass "{name}" not found')
        return found

    @staticmethod
    def _schedule(admission: Admission, spec: Object, scheduling: Object) -> None:
        selector = spec.get("nodeSelector") or {}
        for key, value in (scheduling.get("nodeSelector") or {}).items():
            if selector.get(key, value) != value:
                ours, theirs = f"runtimeClass.scheduling.nodeSelector[{key}]", f"pod.spec.nodeSelector[{key}]"
                why = f"conflict: {ours} = {value}; {theirs} = {selector[key]}"
                raise refusal(admission, f"pod rejected: {why}")
            selector = selector | {key: value}
        if selector:
            spec["nodeSelector"] = selector
        held = spec.get("tolerations") or []
        more = [known for known in scheduling.get("tolerations") or () if known not in held]
        if more:
            spec["tolerations"] = [*held, *more]


def _equal(left: Object, right: Object) -> bool:
    return left.keys() == right.keys() and all(quantity.compare(left[name], right[name]) == 0 for name in left)
