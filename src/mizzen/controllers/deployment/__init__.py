"""Deployment: rolls a pod template out over ReplicaSets.

Ref: https://kubernetes.io/docs/concepts/workloads/controllers/deployment/
"""

from mizzen.controllers.deployment.controller import CONTROLLER

__all__ = ["CONTROLLER"]
