"""PriorityLevelConfiguration (flowcontrol.apiserver.k8s.io/v1)."""

from mizzen.api.kind import Kind

PRIORITY_LEVEL_CONFIGURATION = Kind(
    group="flowcontrol.apiserver.k8s.io",
    version="v1",
    kind="PriorityLevelConfiguration",
    plural="prioritylevelconfigurations",
    namespaced=False,
    singular="prioritylevelconfiguration",
    has_status=True,
)
