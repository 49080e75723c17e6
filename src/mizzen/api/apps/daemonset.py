"""DaemonSet (apps/v1)."""

from mizzen.api.kind import Kind

DAEMON_SET = Kind(
    group="apps",
    version="v1",
    kind="DaemonSet",
    plural="daemonsets",
    namespaced=True,
    singular="daemonset",
    short_names=("ds",),
    categories=("all",),
    has_status=True,
)
