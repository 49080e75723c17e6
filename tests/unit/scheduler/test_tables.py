"""What the scheduler reads of the process's shared cache."""

from mizzen.api.views.meta import Partial
from mizzen.client.cache import Cache
from mizzen.client.resources import BUILT_IN
from mizzen.scheduler.tables import open_tables


def test_the_scheduler_finds_its_tables_whoever_opened_them_first() -> None:
    cache = Cache()
    for resource in BUILT_IN.values():
        cache.of(resource, Partial)
    open_tables(cache)
