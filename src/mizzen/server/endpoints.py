"""Where a Service is reached by the server itself, which is no part of the cluster's network or DNS."""

from collections.abc import Callable, Iterator

from mizzen.api.core.service import SERVICE
from mizzen.api.discovery.endpointslice import ENDPOINT_SLICE
from mizzen.machinery.errors import Object
from mizzen.server.seams import Reader

Resolve = Callable[[str, str, int], tuple[str, int]]
"""Host and port to connect to for namespace, name and port of a Service. Raises Unresolved."""


class Unresolved(Exception):
    """The Service cannot be reached; `reason` is one word, the text says why."""

    def __init__(self, reason: str, why: str) -> None:
        super().__init__(why)
        self.reason = reason


def resolver(reader: Reader) -> Resolve:
    """Answers the first ready endpoint of a Service, or where an ExternalName points."""

    def resolve(namespace: str, name: str, port: int) -> tuple[str, int]:
        service = reader.get(SERVICE, namespace, name)
        if service is None:
            raise Unresolved("ServiceNotFound", f'service "{name}" not found')
        if service["spec"].get("type") == "ExternalName":
            return service["spec"]["externalName"], port
        wanted = next((known for known in service["spec"].get("ports") or () if known["port"] == port), None)
        if wanted is None:
            raise Unresolved("ServicePortError", f'no service port {port} found for service "{name}"')
        found = next(_ready(reader, namespace, name, wanted.get("name", "")), None)
        if found is None:
            raise Unresolved("MissingEndpoints", f'no endpoints available for service "{name}"')
        return found

    return resolve


def _ready(reader: Reader, namespace: str, name: str, port: str) -> Iterator[tuple[str, int]]:
    """Addresses of a Service's ready endpoints for a port's name."""
    for found in reader.list(ENDPOINT_SLICE, namespace):
        if (found["metadata"].get("labels") or {}).get("kubernetes.io/service-name") != name:
            continue
        numbers = [known["port"] for known in found.get("ports") or () if (known.get("name") or "") == port]
        for endpoint in found.get("endpoints") or ():
            if numbers and _is_ready(endpoint):
                yield endpoint["addresses"][0], numbers[0]


def _is_ready(endpoint: Object) -> bool:
    return (endpoint.get("conditions") or {}).get("ready") is not False
