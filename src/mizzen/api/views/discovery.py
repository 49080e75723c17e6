"""Views of discovery.k8s.io/v1."""

from mizzen.api.views.meta import ObjectMeta, ObjectReference, View


class EndpointConditions(View, frozen=True, gc=False):
    """Absent `ready` and `serving` mean true, absent `terminating` false."""

    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class ForZone(View, frozen=True, gc=False):
    name: str = ""


class EndpointHints(View, frozen=True, gc=False):
    forZones: tuple[ForZone, ...] = ()
    forNodes: tuple[ForZone, ...] = ()


class Endpoint(View, frozen=True, gc=False):
    addresses: tuple[str, ...] = ()
    conditions: EndpointConditions = EndpointConditions()
    hostname: str | None = None
    nodeName: str | None = None
    zone: str | None = None
    targetRef: ObjectReference | None = None
    hints: EndpointHints | None = None


class SlicePort(View, frozen=True, gc=False):
    name: str = ""
    protocol: str = "TCP"
    port: int | None = None
    appProtocol: str | None = None


class EndpointSlice(View, frozen=True, gc=False):
    metadata: ObjectMeta = ObjectMeta()
    addressType: str = "IPv4"
    endpoints: tuple[Endpoint, ...] = ()
    ports: tuple[SlicePort, ...] = ()
