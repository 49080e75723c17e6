"""The API server, composed: memory over a store, the registry over memory, the pipeline over everything."""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence

from mizzen.api.core.event import EVENT
from mizzen.api.kind import Kind
from mizzen.base.clock import Clock
from mizzen.machinery.errors import Errors, Object
from mizzen.machinery.identity import AUTHENTICATED, MASTERS, Identity
from mizzen.server.admission.policies.typecheck import PolicyStatuses
from mizzen.server.admission.webhooks.call import HttpCaller
from mizzen.server.admit import Chain
from mizzen.server.allocation import Allocations
from mizzen.server.cacher import Cacher
from mizzen.server.call import Call, Write
from mizzen.server.config import Compose, Config, open_to_masters
from mizzen.server.crd.definitions import Definitions
from mizzen.server.crd.kinds import Stored
from mizzen.server.deadlines import Deadlines
from mizzen.server.expiry import Expiry
from mizzen.server.managers import Managers
from mizzen.server.metrics import Metrics, stored
from mizzen.server.nonresource import NonResource
from mizzen.server.options import DeleteOptions
from mizzen.server.pipeline import Pipeline
from mizzen.server.reading import Reading
from mizzen.server.registry import Registry
from mizzen.server.routes import Routes
from mizzen.server.seams import Attributes
from mizzen.server.served import Served
from mizzen.server.storage import Storage, object_key
from mizzen.server.subresources import add_builtin
from mizzen.server.subresources.componentstatus import ComponentStatuses
from mizzen.server.watchcache import Event
from mizzen.server.work import Work
from mizzen.server.writing import Writing
from mizzen.store.base import Store
from mizzen.wire.message import Request, Response

__all__ = ["Config", "Server"]

_CONNECTING = ("MutatingAdmissionWebhook", "ValidatingAdmissionPolicy", "ValidatingAdmissionWebhook")
"""The plugins that are asked before somebody is connected to a pod; the others look at what is stored."""
_ITSELF = Identity("system:apiserver", groups=(MASTERS, AUTHENTICATED))


class Server:
    """An API server over a store. `start` before the first request."""

    def __init__(self, store: Store, clock: Clock, compose: Compose = open_to_masters) -> None:
        self.cacher = Cacher(store, clock)
        self.reader = CacheReader(self.cacher)
        self.writer = RegistryWriter()
        config = compose(self.reader, self.writer)
        self.routes = Routes(config.kinds)
        self.reader.bind(self.routes)
        self.handlers = config.handlers
        self._deadlines = Deadlines(clock)
        storage = Storage(store, self.cacher)
        self._expiry = Expiry(EVENT, storage, clock)
        chain, allocations = Chain(config.admission), Allocations(config.allocators)
        self.registry = Registry(storage, chain, allocations, Managers(), clock)
        self.writer.bind(self.registry, self.routes)
        self.metrics = Metrics()
        reading = Reading(self.cacher, self._deadlines, clock)
        writing = Writing(self.registry, self.cacher, clock, self._may_create)
        add_builtin(
            self.handlers,
            reading=reading,
            writing=writing,
            registry=self.registry,
            routes=self.routes,
            reader=self.reader,
            writer=self.writer,
            clock=clock,
        )
        self.metrics.others.append(lambda: stored(self.cacher.sizes))
        if config.fairness is not None:
            self.metrics.others.append(config.fairness.metrics)
        self.nonresource = NonResource(self.routes, self.metrics, config.remotes)
        health = self.nonresource.health
        # Under the name by which clients ask for the store, whichever it is.
        health.checks["etcd"] = lambda: self.cacher.problem
        health.readiness["informer-sync"] = lambda: self.cacher.lag
        self.components = ComponentStatuses(clock)
        self.components.checks["etcd-0"] = health.checks["etcd"]
        self.components.register(self.handlers)
        connecting = Chain([plugin for plugin in config.admission if plugin.name in _CONNECTING])
        work = Work(reading, writing, self.handlers, connecting)
        self._pipeline = Pipeline(self.routes, config, work, self.nonresource, self.metrics)
        self._index(config.kinds)
        caller = config.webhooks or HttpCaller(self.reader)
        self._definitions = Definitions(self, self.reader, self.writer, clock, caller)
        self._policies = PolicyStatuses(self.reader, self.writer, self.routes.kinds)

    async def start(self) -> None:
        """Read the store and follow it."""
        await self.cacher.start()
        self._expiry.start()
        self._definitions.start()
        self._policies.start()
        self.nonresource.health.started = True

    async def close(self) -> None:
        """End every watch and stop following the store, which stays open."""
        self.nonresource.health.leaving = True
        await self._expiry.close()
        await self._policies.close()
        await self._definitions.close()
        self._deadlines.close()
        await self.cacher.close()

    def dispatch(self, request: Request) -> Response | Awaitable[Response]:
        """The answer to a request: at once where nothing has to wait."""
        return self._pipeline.dispatch(request)

    async def handle(self, request: Request) -> Response:
        """The answer to a request."""
        return await self._pipeline.handle(request)

    def add_kind(self, served: Served) -> None:
        """Serve a kind from now on."""
        self._index((served.kind,))
        self.routes.add(served)

    def remove_kind(self, kind: Kind) -> None:
        """Serve a kind no longer; what is stored stays."""
        self.routes.remove(kind)

    def settle(self, stored: Stored) -> None:
        """Let custom resources in memory be as their schema wants them; the store follows with the next writes."""
        version = stored.api_version if stored.by_webhook else ""
        self.cacher.cache(stored.prefix).settle(stored.coerce, version)

    def _index(self, kinds: Iterable[Kind]) -> None:
        for kind in kinds:
            if kind.selectable and kind.from_stored is None:
                self.cacher.select_by(kind.storage, kind.selectable, kind.kind, kind.api_version)

    def _may_create(self, call: Call) -> bool:
        info = call.info
        return self._pipeline.allows(
            Attributes(call.user, "create", info.group, info.version, info.resource, "", info.namespace, info.name)
        )


class CacheReader:
    """Reads for other parts of the server."""

    _routes: Routes

    def __init__(self, cacher: Cacher) -> None:
        self._cacher = cacher

    def bind(self, routes: Routes) -> None:
        """Know what is served from these; admission plugins hold the reader before there are any."""
        self._routes = routes

    def kinds(self) -> Sequence[Kind]:
        """All kinds that are served now; the same sequence until they change."""
        return self._routes.known

    def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """The stored object; shared, never to be changed."""
        cache = self._cacher.cache(kind.storage)
        entry = cache.entries.get(object_key(kind, namespace, name))
        if entry is None:
            return None
        return _served(kind, cache.decoded(entry, kind.kind, kind.api_version))

    def list(self, kind: Kind, namespace: str = "") -> Iterator[Object]:
        """All objects of a kind, or those of one namespace."""
        cache = self._cacher.cache(kind.storage)
        if not cache.entries:
            return
        for entry in list(cache.current().range(namespace)):
            yield _served(kind, cache.decoded(entry, kind.kind, kind.api_version))

    def subscribe(self, kind: Kind, changed: Callable[[str, Object | None, Object | None], None]) -> None:
        """Call `changed(key, old, new)` for everything there is, then for every change."""
        served = Served(kind)

        def folded(event: Event) -> None:
            old = served.decode(event.previous.tail) if event.previous is not None else None
            new = served.decode(event.entry.tail) if event.entry is not None else None
            changed(event.key, old, new)

        self._cacher.subscribe(kind.storage, folded)


def _served(kind: Kind, obj: Object) -> Object:
    return obj if kind.from_stored is None else kind.from_stored(dict(obj))


class RegistryWriter:
    """Writes by the server itself."""

    _registry: Registry
    _routes: Routes

    def bind(self, registry: Registry, routes: Routes) -> None:
        """Write through this registry; admission plugins hold the writer before there is one."""
        self._registry = registry
        self._routes = routes

    async def create(self, kind: Kind, namespace: str, object: Object) -> Object:
        """Create as the server itself. Raises ApiError."""
        served = self._find(kind)
        object.setdefault("kind", kind.kind)
        object.setdefault("apiVersion", kind.api_version)
        object.setdefault("metadata", {})
        written = await self._registry.create(Write(served, namespace, "", _ITSELF), object)
        return served.decode(written.tail)

    async def modify(
        self, kind: Kind, namespace: str, name: str, change: Callable[[Object], None], subresource: str = ""
    ) -> Object:
        """Read, change in place, write, again on conflict. Raises ApiError NotFound."""
        served = self._find(kind)

        def changed(old: Object | None) -> Object:
            if old is None:
                raise Errors.not_found(kind.group, kind.plural, name)
            change(old)
            return old

        write = Write(served, namespace, name, _ITSELF, subresource)
        return served.decode((await self._registry.modify(write, changed)).tail)

    async def delete(self, kind: Kind, namespace: str, name: str) -> None:
        """Delete as the server itself. Raises ApiError NotFound."""
        await self._registry.delete(Write(self._find(kind), namespace, name, _ITSELF), DeleteOptions())

    def _find(self, kind: Kind) -> Served:
        return self._routes.find(kind.group, kind.version, kind.plural) or Served(kind)
