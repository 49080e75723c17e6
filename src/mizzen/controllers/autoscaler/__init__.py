"""HorizontalPodAutoscaler: as many replicas as the metrics ask for, within bounds and behaviour.

Metrics and the target's scale are asked of the API every fifteen seconds; what past rounds recommended is kept in an
annotation of the autoscaler's own, so that a restart forgets no stabilization window.
Ref: https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/
"""

from mizzen.controllers.autoscaler.controller import CONTROLLER, Snapshot, reconcile
from mizzen.controllers.autoscaler.pace import MEMORY

__all__ = ["CONTROLLER", "MEMORY", "Snapshot", "reconcile"]
