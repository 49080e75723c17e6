"""Extenders: web services that have a say in which node a pod gets, and who must leave it.

Names are read whatever their case, as the original reads them.
Ref: https://kubernetes.io/docs/concepts/extend-kubernetes/#scheduling-extensions
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from mizzen.client.client import Client
from mizzen.client.resources import NODES, PODS
from mizzen.machinery.errors import Object
from mizzen.net.client import Endpoint, SocketTransport
from mizzen.scheduler.config import Extender
from mizzen.scheduler.cycle import Placed, Unschedulable
from mizzen.scheduler.framework import Reject
from mizzen.scheduler.preemption import Eviction
from mizzen.scheduler.snapshot import PodInfo, Snapshot
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

    async def choose(
        self, pod: PodInfo, feasible: Mapping[str, float], nodes: int, others: Mapping[str, Reject] | None = None
    ) -> Placed | Unschedulable:
        """The best node among the feasible ones in everybody's eyes. Raises ExtenderError.

        `others`: why the rest of so many nodes cannot take the pod.
        """
        body = await self._whole(pod)
        scores = dict(feasible)
        reasons: dict[str, Reject] = dict(others or {})
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
        if error := _get(answer, "Error"):
            raise ExtenderError(error)

    async def preempt(self, pod: PodInfo, ways: Sequence[Eviction], snapshot: Snapshot) -> tuple[Eviction, ...]:
        """Of the ways to make room for a pod those that every extender agrees with. Raises ExtenderError."""
        agreed = {one.node: one for one in ways}
        for one in self.chosen:
            if not (one.preempt and one.is_interested(pod) and agreed):
                continue
            try:
                answer = await self._ask(one, one.preempt, await self._victims(one, pod, agreed.values()))
                wanted = _get(answer, "NodeNameToMetaVictims") or {}
                agreed = _agreed(one, agreed, wanted, snapshot)
            except ExtenderError:
                if not one.ignorable:
                    raise
        return tuple(agreed.values())

    async def close(self) -> None:
        """Give up every connection."""
        for one in self._transports.values():
            await one.close()

    async def _filter(
        self, one: Extender, pod: Object, scores: dict[str, float], reasons: dict[str, Reject]
    ) -> dict[str, float]:
        try:
            answer = await self._ask(one, one.filter, await self._arguments(one, pod, scores))
            if error := _get(answer, "Error"):
                raise ExtenderError(error)
        except ExtenderError:
            if one.ignorable:
                return scores
            raise
        for key in ("FailedNodes", "FailedAndUnresolvableNodes"):
            for name, reason in (_get(answer, key) or {}).items():
                # Nobody need go from a node that all plugins agree with: preemption could not help.
                reasons[name] = Reject(reason, resolvable=False, plugin=one.url)
        names = _get(answer, "NodeNames")
        if one.knows_nodes and names is not None:
            kept = set(names)
        else:
            kept = {node["metadata"]["name"] for node in (_get(answer, "Nodes") or {}).get("items") or ()}
        return {name: score for name, score in scores.items() if name in kept}

    async def _prioritize(self, one: Extender, pod: Object, scores: dict[str, float]) -> None:
        """Add the extender's scores, 0…10 each, to our own."""
        try:
            answer = await self._ask(one, one.prioritize, await self._arguments(one, pod, scores))
        except ExtenderError:
            return  # as in the original, a missing opinion does not keep a pod from its node
        for entry in answer or ():
            host = _get(entry, "Host")
            if host in scores:
                scores[host] += one.weight * 10.0 * float(_get(entry, "Score") or 0)

    async def _arguments(self, one: Extender, pod: Object, names: Mapping[str, float]) -> Object:
        if one.knows_nodes:
            return {"Pod": pod, "Nodes": None, "NodeNames": list(names)}
        listed = await self.client.list(NODES, view=dict[str, Any])
        items = [node for node in listed.items if node["metadata"]["name"] in names]
        return {"Pod": pod, "Nodes": {"apiVersion": "v1", "kind": "NodeList", "items": items}, "NodeNames": None}

    async def _victims(self, one: Extender, pod: PodInfo, ways: Iterable[Eviction]) -> Object:
        """Who would have to go, node by node: by uid for extenders that know pods, else whole."""
        short: dict[str, Object] = {}
        full: dict[str, Object] = {}
        for way in ways:
            if one.knows_nodes:
                uids = [{"UID": each.pod.metadata.uid} for each in way.victims]
                short[way.node] = {"Pods": uids, "NumPDBViolations": way.violations}
            else:
                pods = [await self._whole(each) for each in way.victims]
                full[way.node] = {"Pods": pods, "NumPDBViolations": way.violations}
        body = await self._whole(pod)
        return {"Pod": body, "NodeNameToVictims": full or None, "NodeNameToMetaVictims": short or None}

    async def _whole(self, pod: PodInfo) -> Object:
        meta = pod.pod.metadata
        return await self.client.get(PODS, meta.name, meta.namespace, view=dict[str, Any])

    async def _ask(self, one: Extender, verb: str, args: Object) -> Any:
        transport = self._transports.get(one.url)
        if transport is None:
            endpoint = replace(Endpoint.parse(one.url, one.tls), server_name=one.server_name)
            transport = self._transports[one.url] = SocketTransport(endpoint)
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


def _agreed(
    one: Extender, ways: Mapping[str, Eviction], wanted: Mapping[str, Any], snapshot: Snapshot
) -> dict[str, Eviction]:
    """The ways as an extender would have them: fewer nodes, other victims. Raises ExtenderError."""
    found: dict[str, Eviction] = {}
    for name, victims in wanted.items():
        node = snapshot.nodes.get(name)
        if name not in ways or node is None:
            raise ExtenderError(f"{one.url}/{one.preempt} answered with a node that was not asked for: {name}")
        there = {each.pod.metadata.uid: each for each in node.pods.values()}
        uids = [_get(each, "UID") for each in _get(victims, "Pods") or ()]
        if unknown := [uid for uid in uids if uid not in there]:
            raise ExtenderError(f"{one.url}/{one.preempt} named pods that are not on node {name}: {unknown}")
        if uids:
            found[name] = Eviction(name, tuple(there[uid] for uid in uids), int(_get(victims, "NumPDBViolations") or 0))
        elif not one.ignorable:
            raise ExtenderError(f"{one.url}/{one.preempt} named no victim on node {name}")
    return found


def _get(answer: Any, name: str) -> Any:
    """What stands under a name in whatever case."""
    if not isinstance(answer, Mapping):
        return None
    return next((value for key, value in answer.items() if key.casefold() == name.casefold()), None)
