"""ServiceAccount (core/v1)."""

from mizzen.api.kind import Kind, Subresource

SERVICE_ACCOUNT = Kind(
    group="",
    version="v1",
    kind="ServiceAccount",
    plural="serviceaccounts",
    namespaced=True,
    singular="serviceaccount",
    short_names=("sa",),
    subresources=(Subresource("token", verbs=("create",), kind="TokenRequest", group="authentication.k8s.io"),),
)
