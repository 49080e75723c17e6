"""SchedulingGates: a pod with gates is not looked at until they are gone."""

from mizzen.scheduler.framework import Plugin, Reject
from mizzen.scheduler.snapshot import PodInfo, Snapshot


def refuse(pod: PodInfo, snapshot: Snapshot) -> Reject | None:
    gates = pod.pod.spec.schedulingGates
    if not gates:
        return None
    names = " ".join(gate.name for gate in gates)
    return Reject(f"waiting for scheduling gates: [{names}]", resolvable=False)


PLUGIN = Plugin("SchedulingGates", refuse=refuse)
