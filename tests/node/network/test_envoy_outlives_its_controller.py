"""Envoy goes on without its supervisor, and the next one takes it over as it runs."""

import os
import signal
from pathlib import Path

from tests.node.network.background import Background, settled
from tests.node.network.conftest import World

from mizzen.base.clock import SystemClock
from mizzen.ingress import certificate, envoy
from mizzen.ingress.resources import Front, bootstrap, files
from mizzen.ingress.routes import Routing


def _rss_megabytes(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def test_a_running_envoy_is_taken_over_a_dead_one_replaced_and_the_last_one_ended(world: World) -> None:
    directory = world.scratch / "ingress"
    front = Front(directory, "0.0.0.0", 8080, 8443, certificate.default(directory, 1_700_000_000))
    envoy.write(directory, files(Routing(), front))
    config = directory / "bootstrap.json"
    config.write_bytes(b"")
    envoy._replace(config, bootstrap(front))
    orphan = world.on_machine(lambda: envoy._start(directory, config, 1))

    def pid() -> int | None:
        return envoy.running(directory)

    settled(pid, orphan)
    with Background(world.machine, lambda: envoy.supervise(directory, bootstrap(front), SystemClock())):
        assert pid() == orphan
        assert _rss_megabytes(orphan) < 100
        os.kill(orphan, signal.SIGKILL)
        settled(lambda: pid() not in (None, orphan), True)
    assert pid() is None
