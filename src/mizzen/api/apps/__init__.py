"""Kinds of the apps group."""

from mizzen.api.apps.controllerrevision import CONTROLLER_REVISION
from mizzen.api.apps.daemonset import DAEMON_SET
from mizzen.api.apps.deployment import DEPLOYMENT
from mizzen.api.apps.replicaset import REPLICA_SET
from mizzen.api.apps.statefulset import STATEFUL_SET
from mizzen.api.kind import Kind

KINDS: tuple[Kind, ...] = (
    CONTROLLER_REVISION,
    DAEMON_SET,
    DEPLOYMENT,
    REPLICA_SET,
    STATEFUL_SET,
)
