"""Where pods come from: the API's pods of this node, watched; a lost connection changes nothing but freshness."""

import contextlib
from collections.abc import Callable, Mapping

import msgspec

from mizzen.api.views.podspec import Pod
from mizzen.base import log
from mizzen.base.clock import Clock
from mizzen.client.client import Client
from mizzen.client.resources import NODES, PODS
from mizzen.machinery.errors import ApiError

_log = log.get("agent")
_LONGEST_PAUSE = 10.0
_SOURCE = "kubernetes.io/config.source"


async def follow_node(client: Client, clock: Clock, node: str, seen: Callable[[Mapping[str, str]], None]) -> None:
    """Report the labels of a node whenever it changes, until cancelled."""
    while True:
        with contextlib.suppress(ApiError, ConnectionError, TimeoutError):
            fields = f"metadata.name={node}"
            async for event in client.watch(NODES, view=dict, fields=fields, initial=True, timeout=540):
                if event.object is not None and event.type in {"ADDED", "MODIFIED"}:
                    seen(event.object["metadata"].get("labels") or {})
        await clock.sleep(1.0)


async def follow_pods(
    client: Client,
    clock: Clock,
    node: str,
    *,
    seen: Callable[[Pod], None],
    gone: Callable[[str], None],
    listed: Callable[[], None],
) -> None:
    """Report every pod of a node, until cancelled; `listed` is called whenever the whole list has been reported."""
    known: dict[tuple[str, str], str] = {}
    since, failures = "", 0
    while True:
        current: dict[tuple[str, str], str] | None = {} if not since else None
        try:
            events = client.watch(
                PODS, view=msgspec.Raw, since=since, fields=f"spec.nodeName={node}", initial=not since, timeout=540
            )
            async for event in events:
                if event.object is not None:
                    pod = from_api(msgspec.json.decode(event.object, type=Pod))
                    if _fold(pod, event.type, known, current, gone):
                        seen(pod)
                if event.initial_end and current is not None:
                    for key, uid in list(known.items()):
                        if key not in current:
                            gone(known.pop(key))
                            _log.info("pod vanished while away", uid=uid)
                    current = None
                    listed()
                if current is None:
                    since = event.resource_version or since
            failures = 0
        except ApiError as error:
            if error.code == 410:
                since = ""
            failures += 1
        except (ConnectionError, TimeoutError):
            failures += 1
        await clock.sleep(min(_LONGEST_PAUSE, 0.1 * 2 ** min(failures, 7)) if failures else 0.01)


def from_api(pod: Pod) -> Pod:
    """The pod, marked as the API's whatever its annotations say: it would pass for a static one else."""
    said = pod.metadata.annotations or {}
    if _SOURCE not in said:
        return pod
    marked = msgspec.structs.replace(pod.metadata, annotations={**said, _SOURCE: "api"})
    return msgspec.structs.replace(pod, metadata=marked)


def _fold(
    pod: Pod,
    kind: str,
    known: dict[tuple[str, str], str],
    current: dict[tuple[str, str], str] | None,
    gone: Callable[[str], None],
) -> bool:
    """Keep the books; answers whether the pod is still there."""
    key, uid = (pod.metadata.namespace, pod.metadata.name), pod.metadata.uid
    before = known.get(key)
    if kind == "DELETED":
        known.pop(key, None)
        gone(uid)
        return False
    if before is not None and before != uid:
        gone(before)
    known[key] = uid
    if current is not None:
        current[key] = uid
    return True
