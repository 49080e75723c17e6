"""Checkpoints of containers: the state of one that runs, in an archive on the node, asked for at /checkpoint.

Ref: https://kubernetes.io/docs/reference/node/kubelet-checkpoint-api/
"""

import orjson

from mizzen.agent.equipment import Equipment
from mizzen.agent.pods import Pods
from mizzen.agent.runtime.base import RuntimeFailure
from mizzen.machinery import times
from mizzen.wire.message import Request, Response


async def answer(tools: Equipment, pods: Pods, request: Request, where: tuple[str, str, str]) -> Response:
    """Write a checkpoint of a container, named by namespace, pod and its own name, and tell the archive's path."""
    namespace, name, container = where
    if request.method != "POST":
        return _text(405, "405: Method Not Allowed")
    life = pods.find(namespace, name)
    one = life.containers.get(container) if life is not None else None
    if one is None or one.phase != "running":
        return _text(404, f"container {container} does not run in pod {name} of {namespace}")
    try:
        patience = float(request.parameter("timeout") or 0)
    except ValueError as error:
        return _text(400, str(error))
    directory = tools.config.kubelet / "checkpoints"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    archive = directory / f"checkpoint-{name}_{namespace}-{container}-{times.format(tools.clock.now())}.tar"
    try:
        await tools.runtime.checkpoint(one.id, archive, patience)
    except RuntimeFailure as failure:
        return _text(500, f"checkpointing of {namespace}/{name}/{container} failed ({failure.message})")
    shown = f"/var/lib/kubelet/checkpoints/{archive.name}"
    return Response(200, {"content-type": "application/json"}, orjson.dumps({"items": [shown]}))


def _text(status: int, text: str) -> Response:
    return Response(status, {"content-type": "text/plain; charset=utf-8"}, f"{text}\n".encode())
