"""Answers get and list of NodeMetrics and PodMetrics: the objects that are there, joined with what they use."""

from collections.abc import Iterator, Mapping

from mizzen.api.core.node import NODE
from mizzen.api.core.pod import POD
from mizzen.api.kind import Kind
from mizzen.base.clock import Clock
from mizzen.machinery import fields, labels, quantity, times
from mizzen.machinery.errors import Errors, Object
from mizzen.server import codec, representation
from mizzen.server.call import Call
from mizzen.server.metricsapi.kinds import NODE_METRICS, POD_METRICS
from mizzen.server.metricsapi.scraper import Scraper
from mizzen.server.metricsapi.usage import Usage
from mizzen.server.seams import Reader
from mizzen.server.served import ListMeta, encode_tail
from mizzen.server.work import Handlers
from mizzen.wire.message import Response


class MetricsApi:
    """The two resources of metrics.k8s.io."""

    def __init__(self, reader: Reader, scraper: Scraper, clock: Clock) -> None:
        self._reader = reader
        self._scraper = scraper
        self._clock = clock

    def register(self, handlers: Handlers) -> None:
        """Answer reads of both kinds."""
        handlers.unstored[NODE_METRICS.storage] = self
        handlers.unstored[POD_METRICS.storage] = self

    def __call__(self, call: Call) -> Response:
        if call.info.verb == "get":
            return self._one(call)
        found = [metrics for source in self._selected(call) if (metrics := self._metrics(call.kind, source))]
        shown = representation.choose(call.request, call.served, call.media, self._clock.now, listing=True)
        tails = [encode_tail(one) for one in found]
        return codec.respond(call.request, shown.many(tails, ListMeta(0)), call.media)

    def _one(self, call: Call) -> Response:
        info, source_kind = call.info, _source(call.kind)
        full_name = f"{info.namespace}/{info.name}" if call.kind.namespaced else info.name
        source = self._reader.get(source_kind, info.namespace, info.name)
        if source is None:
            raise Errors.not_found("", source_kind.plural, full_name)
        metrics = self._metrics(call.kind, source)
        if metrics is None:
            raise Errors.not_found(call.kind.group, call.kind.plural, full_name)
        shown = representation.choose(call.request, call.served, call.media, self._clock.now, listing=False)
        return codec.respond(call.request, shown.one(encode_tail(metrics)), call.media)

    def _selected(self, call: Call) -> Iterator[Object]:
        try:
            label_selector = labels.parse(call.request.parameter("labelSelector"))
            field_selector = fields.parse(call.request.parameter("fieldSelector"))
        except (labels.SelectorError, fields.SelectorError) as error:
            raise Errors.bad_request(str(error)) from None
        namespace = call.info.namespace if call.kind.namespaced else ""
        for source in sorted(self._reader.list(_source(call.kind), namespace), key=_place):
            meta = source["metadata"]
            names = {"metadata.name": meta["name"], "metadata.namespace": meta.get("namespace", "")}
            if label_selector.matches(meta.get("labels")) and field_selector.matches(names):
                yield source

    def _metrics(self, kind: Kind, source: Object) -> Object | None:
        """The metrics of a node or a running pod; None while there are none."""
        name, namespace = source["metadata"]["name"], source["metadata"].get("namespace", "")
        if kind is NODE_METRICS:
            used = self._scraper.node(name)
            return None if used is None else {**self._head(source, used), "usage": _amounts(used)}
        if (source.get("status") or {}).get("phase") != "Running":
            return None
        containers = self._scraper.pod(source["spec"].get("nodeName", ""), namespace, name)
        if not containers:
            return None
        oldest = min(containers.values(), key=lambda one: one.at)
        usages = [{"name": one, "usage": _amounts(used)} for one, used in sorted(containers.items())]
        return {**self._head(source, oldest), "containers": usages}

    def _head(self, source: Object, used: Usage) -> Object:
        meta = source["metadata"]
        kept: Object = {"name": meta["name"], "creationTimestamp": times.format(self._clock.now())}
        kept |= {key: meta[key] for key in ("namespace", "labels") if meta.get(key)}
        window = times.format_duration(round(used.window, 3))
        return {"metadata": kept, "timestamp": times.format(used.at), "window": window}


def _source(kind: Kind) -> Kind:
    return NODE if kind is NODE_METRICS else POD


def _place(source: Object) -> tuple[str, str]:
    return source["metadata"].get("namespace", ""), source["metadata"]["name"]


def _amounts(used: Usage) -> Mapping[str, str]:
    return {
        "cpu": str(quantity.Quantity(used.cpu_nanocores)),
        "memory": str(quantity.Quantity(used.memory_bytes * quantity.NANO, quantity.Format.BINARY)),
    }
