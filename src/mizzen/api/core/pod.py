"""Pod (core/v1)."""

from mizzen.api.kind import Kind, Subresource

POD = Kind(
    group="",
    version="v1",
    kind="Pod",
    plural="pods",
    namespaced=True,
    singular="pod",
    short_names=("po",),
    categories=("all",),
    has_status=True,
    subresources=(
        Subresource("attach", verbs=("create", "get"), kind="PodAttachOptions"),
        Subresource("binding", verbs=("create",), kind="Binding"),
        Subresource("ephemeralcontainers", verbs=("get", "patch", "update"), kind="Pod"),
        Subresource("eviction", verbs=("create",), kind="Eviction", group="policy"),
        Subresource("exec", verbs=("create", "get"), kind="PodExecOptions"),
        Subresource("log", verbs=("get",), kind="Pod"),
        Subresource("portforward", verbs=("create", "get"), kind="PodPortForwardOptions"),
        Subresource("proxy", verbs=("create", "delete", "get", "patch", "update"), kind="PodProxyOptions"),
        Subresource("resize", verbs=("get", "patch", "update"), kind="Pod"),
    ),
)
