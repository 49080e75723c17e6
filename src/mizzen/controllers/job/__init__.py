"""Job: runs pods to completion, and counts each of them exactly once.

Ref: https://kubernetes.io/docs/concepts/workloads/controllers/job/
"""

from mizzen.controllers.job.controller import CONTROLLER
from mizzen.controllers.job.orphans import CONTROLLER as ORPHANS
from mizzen.controllers.job.ttl import CONTROLLER as TTL

__all__ = ["CONTROLLER", "ORPHANS", "TTL"]
