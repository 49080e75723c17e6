"""FlowSchema (flowcontrol.apiserver.k8s.io/v1)."""

from mizzen.api.kind import Kind

FLOW_SCHEMA = Kind(
    group="flowcontrol.apiserver.k8s.io",
    version="v1",
    kind="FlowSchema",
    plural="flowschemas",
    namespaced=False,
    singular="flowschema",
    has_status=True,
)
