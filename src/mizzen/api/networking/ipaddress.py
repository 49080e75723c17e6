"""IPAddress (networking.k8s.io/v1)."""

from mizzen.api.kind import Kind

IP_ADDRESS = Kind(
    group="networking.k8s.io",
    version="v1",
    kind="IPAddress",
    plural="ipaddresses",
    namespaced=False,
    singular="ipaddress",
    short_names=("ip",),
)
