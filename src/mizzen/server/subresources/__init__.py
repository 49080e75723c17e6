"""Subresources that the server itself answers."""

from mizzen.base.clock import Clock
from mizzen.server.reading import Reading
from mizzen.server.registry import Registry
from mizzen.server.routes import Routes
from mizzen.server.seams import Reader, Writer
from mizzen.server.subresources.binding import Bindings
from mizzen.server.subresources.eviction import Evictions
from mizzen.server.subresources.scale import Scales
from mizzen.server.work import Handlers
from mizzen.server.writing import Writing


def add_builtin(
    handlers: Handlers,
    *,
    reading: Reading,
    writing: Writing,
    registry: Registry,
    routes: Routes,
    reader: Reader,
    writer: Writer,
    clock: Clock,
) -> None:
    """Register them, beside what the composition brings."""
    bindings = Bindings(registry, routes, reader, clock)
    handlers.posts[("pods", "binding")] = bindings
    handlers.posts[("bindings", "")] = bindings
    handlers.posts[("pods", "eviction")] = Evictions(registry, reader, writer, clock)
    handlers.changes["scale"] = Scales(reading, writing, registry, clock)
