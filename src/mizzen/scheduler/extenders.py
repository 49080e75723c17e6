"""Extenders: web services that have a say in which node a pod gets.

Ref: https://kubernetes.io/docs/concepts/extend-kubernetes/#scheduling-extensions
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from mizzen.client.client import Client
from mizzen.client.resources import NODES, PODS
from mizzen.machinery.errors import Object
from mizzen.net.client import Endpoint, SocketTransport
from mizzen.scheduler.config import Extender
from mizzen.scheduler.cycle import Placed, Unschedulable
from mizzen.scheduler.framework import Reject
from mizzen.scheduler.snapshot import PodInfo
from mizzen.wire.message import Request


class ExtenderError(Exception):
    """An extender that is not ignorable did not answer, or answered with an error."""


@dataclass(frozen=True, slots=True)
class Extenders:
    """All extenders of the configuration, with their connections."""

    client: Client
    chosen: tuple[Extender, ...]
    _transports: dict[str, SocketTransport] = field(default_factory=dict)

    def interested(self, pod: PodInfo) -> tuple[Extender, ...]:
        """Those that want a say in this pod's placement."""
        return tuple(one for one in self.chosen if (one.filter or one.prioritize) and one.is_interested(pod))

    def binder(self, pod: PodInfo) -> Extender | None:
        """The one that binds this pod in the scheduler's place."""
        return next((one for one in self.chosen if one.bind and one.is_interested(pod)), None)

    async def choose(self, pod: PodInfo, feasible: Mapping[str, float], nodes: int) -> Placed | Unschedulable:
        """The best node among the feasible ones in everybody's eyes. Raises ExtenderError."""
        body = await self.client.get(PODS, pod.pod.metadata.name, pod.pod.metadata.namespace, view=dict[str, Any])
        scores = dict(feasible)
        reasons: dict[str, Reject] = {}
        for one in self.interested(pod):
            if one.filter and scores:
                scores = await self._filter(one, body, scores, reasons)
            if one.prioritize and scores:
                await self._prioritize(one, body, scores)
        if not scores:
            return Unschedulable(nodes, reasons)
        return Placed(max(scores, key=lambda name: (scores[name], name)))

    async def bind(self, extender: Extender, pod: PodInfo, node: str) -> None:
        """Have a pod bound. Raises ExtenderError."""
        meta = pod.pod.metadata
        args = {"PodName": meta.name, "PodNamespace": meta.namespace, "PodUID": meta.uid, "Node": node}
        answer = await self._ask(extender, extender.bind, args)
        if answer.get("Error") or answer.get("error"):
            raise ExtenderError(answer.get("Error") or answer.get("error"))

    async def close(self) -> None:
        """Give up every connection."""
        for one in self._transports.values():
            await one.close()

    async def _filter(
        self, one: Extender, pod: Object, scores: dict[str, float], reasons: dict[str, Reject]
    ) -> dict[str, float]:
        try:
            answer = await self._ask(one, one.filter, await self._arguments(one, pod, scores))
            if answer.get("error"):
                raise ExtenderError(answer["error"])
        except ExtenderError:
            if one.ignorable:
                return scores
            raise
        for key, resolvable in (("failedNodes", True), ("failedAndUnresolvableNodes", False)):
            for name, reason in (answer.get(key) or {}).items():
                reasons[name] = Reject(reason, resolvable, one.url)
        if answer.get("nodenames") is not None:
            kept = set(answer["nodenames"])
        else:
            kept = {node["metadata"]["name"] for node in (answer.get("nodes") or {}).get("items") or ()}
        return {name: score for name, score in scores.items() if name in kept}

    async def _prioritize(self, one: Extender, pod: Object, scores: dict[str, float]) -> None:
        """Add the extender's scores, 0…10 each, to our own."""
        try:
            answer = await self._ask(one, one.prioritize, await self._arguments(one, pod, scores))
        except ExtenderError:
            return  # as in the original, a missing opinion does not keep a pod from its node
        for entry in answer or ():
            if entry.get("host") in scores:
                scores[entry["host"]] += one.weight * 10.0 * float(entry.get("score", 0))

    async def _arguments(self, one: Extender, pod: Object, names: Mapping[str, float]) -> Object:
        if one.knows_nodes:
            return {"pod": pod, "nodes": None, "nodenames": list(names)}
        listed = await self.client.list(NODES, view=dict[str, Any])
        items = [node for node in listed.items if node["metadata"]["name"] in names]
        return {"pod": pod, "nodes": {"apiVersion": "v1", "kind": "NodeList", "items": items}, "nodenames": None}

    async def _ask(self, one: Extender, verb: str, args: Object) -> Any:
        transport = self._transports.get(one.url)
        if transport is None:
            transport = self._transports[one.url] = SocketTransport(Endpoint.parse(one.url))
        request = Request("POST", f"/{verb}", (), {"content-type": "application/json"}, orjson.dumps(args))
        try:
            async with asyncio.timeout(one.timeout):
                response = await transport.call(request)
        except (ConnectionError, TimeoutError) as error:
            raise ExtenderError(f"{one.url}/{verb} does not answer: {error}") from error
        body = response.body if isinstance(response.body, bytes) else b"".join(response.body)
        if response.status != 200:
            raise ExtenderError(f"{one.url}/{verb} answered {response.status}")
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise ExtenderError(f"{one.url}/{verb} did not answer with JSON: {error}") from error
