"""Priority: a pod's priority comes from its class, and no client may write it.

Ref: https://kubernetes.io/docs/concepts/scheduling-eviction/pod-priority-preemption/
"""

from typing import Final

from mizzen.api.scheduling.priorityclass import PRIORITY_CLASS
from mizzen.machinery.errors import Object
from mizzen.server.admission.plugin import WRITES, Plugin, refusal
from mizzen.server.seams import Admission, Reader

_DEFAULT_POLICY: Final = "PreemptLowerPriority"


class Priority(Plugin):
    """Resolves priority classes."""

    name = "Priority"
    operations = WRITES
    resources = frozenset({("", "pods"), ("scheduling.k8s.io", "priorityclasses")})

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def mutate(self, admission: Admission) -> None:
        if admission.kind.plural != "pods" or admission.object is None:
            return
        spec = admission.object.setdefault("spec", {})
        if admission.operation == "UPDATE":
            _carry(spec, (admission.old or {}).get("spec") or {})
            return
        chosen = self._class(admission, spec)
        value = chosen["value"] if chosen else 0
        policy = (chosen or {}).get("preemptionPolicy") or _DEFAULT_POLICY
        given = spec.get("priority")
        if given is not None and given != value:
            why = f"the integer value of priority ({given}) must not be provided in pod spec; "
            raise refusal(
                admission, f"{why}priority admission controller computed {value} from the given PriorityClass name"
            )
        given = spec.get("preemptionPolicy")
        if given is not None and given != policy:
            why = f"the string value of PreemptionPolicy ({given}) must not be provided in pod spec; "
            raise refusal(
                admission, f"{why}priority admission controller computed {policy} from the given PriorityClass name"
            )
        spec["priority"], spec["preemptionPolicy"] = value, policy

    def validate(self, admission: Admission) -> None:
        wanted = admission.object
        if admission.kind.plural != "priorityclasses" or wanted is None or not wanted.get("globalDefault"):
            return
        current = self._default()
        if current is not None and current["metadata"]["name"] != admission.name:
            name = current["metadata"]["name"]
            raise refusal(admission, f"PriorityClass {name} is already marked as default. Only one default can exist")

    def _class(self, admission: Admission, spec: Object) -> Object | None:
        name = spec.get("priorityClassName")
        if not name:
            default = self._default()
            if default is not None:
                spec["priorityClassName"] = default["metadata"]["name"]
            return default
        found = self._reader.get(PRIORITY_CLASS, "", name)
        if found is None:
            raise refusal(admission, f"no PriorityClass with name {name} was found")
        return found

    def _default(self) -> Object | None:
        """The global default; the lowest where there are several by mistake."""
        defaults = [known for known in self._reader.list(PRIORITY_CLASS) if known.get("globalDefault")]
        return min(defaults, key=lambda known: (known["value"], known["metadata"]["name"]), default=None)


def _carry(spec: Object, old: Object) -> None:
    """An update that leaves out what was resolved at creation keeps it."""
    if spec.get("priorityClassName") != old.get("priorityClassName"):
        return
    for name in ("priority", "preemptionPolicy"):
        if spec.get(name) is None and old.get(name) is not None:
            spec[name] = old[name]
