"""What the API server tells of itself to people at /statusz and /flagz, the last by the original's names of flags."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from mizzen.base.clock import Clock
from mizzen.machinery.identity import Identity
from mizzen.server.nonresource import VERSION
from mizzen.wire import zpages
from mizzen.wire.message import Request, Response

_NAME: Final = "kube-apiserver"
_SHOWN: Final = ("/flagz", "/healthz", "/livez", "/metrics", "/readyz", "/statusz", "/version")
Page = Callable[[Request, Identity], Response]


def pages(clock: Clock, flags: Mapping[str, str | Path | None]) -> dict[str, Page]:
    """The pages by their paths; flags that are None were not set."""
    component = zpages.Component(_NAME, clock.now(), VERSION["gitVersion"].removeprefix("v"), _SHOWN)
    given = {name: str(value) for name, value in flags.items() if value is not None}

    def statusz(request: Request, _user: Identity) -> Response:
        return zpages.statusz(request.headers.get("accept", ""), component, clock.now())

    def flagz(request: Request, _user: Identity) -> Response:
        return zpages.flagz(request.headers.get("accept", ""), _NAME, given)

    return {"/statusz": statusz, "/flagz": flagz}
