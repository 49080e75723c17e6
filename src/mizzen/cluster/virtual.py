"""A whole cluster in this process on a clock of its own: hours pass as fast as they can be worked through.

The control plane, its TLS port included, runs in a thread with simulated nodes. Time stands still until `advance`
moves it, and then only while nothing is runnable, so that everything due at one moment is done before the next. What
the cluster asks of servers outside is not waited for: `until` goes by steps.
"""

import asyncio
import random
import selectors
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from mizzen.base.clock import VirtualClock
from mizzen.cluster.config import ClusterConfig
from mizzen.cluster.control import ControlPlane, Options
from mizzen.cluster.simulation import Settings
from mizzen.cluster.stages import Stage
from mizzen.store.memory import MemoryStore

_SOON: Final = 0.1
"""A timer of the machine's own clock that is due within so many seconds is work at hand, not rest."""
_PATIENCE: Final = 60.0
"""Seconds of the machine's clock within which a step must be done."""
_AGE: Final = 7 * 86400.0
"""How long ago the cluster began, as the machine's clock has it: clients that compute ages find none in the future."""
_SETTLING: Final = 5.0


@dataclass(frozen=True, slots=True)
class Shape:
    """What the cluster is made of."""

    directory: Path
    nodes: int = 3
    stages: tuple[Stage, ...] = ()
    seed: int = 1
    load_balancer_pool: str = ""


class VirtualCluster:
    """`with VirtualCluster(shape) as cluster`: its `kubeconfig` is for any client, its time is yours."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._clock = VirtualClock(time.time() - _AGE)
        self._until = 0.0
        self._rested = threading.Event()
        self._stopped = asyncio.Event()
        self._loop = asyncio.SelectorEventLoop(_Selector(self._idle))
        self._thread = threading.Thread(target=self._run, name="virtual cluster", daemon=True)
        self._failure: BaseException | None = None
        self.plane = self._composed()

    def _composed(self) -> ControlPlane:
        names = tuple(f"node-{number}" for number in range(1, self._shape.nodes + 1))
        pool = self._shape.load_balancer_pool
        cluster = ClusterConfig("virtual", self._shape.directory, nodes=0, runtime="simulated", load_balancer_pool=pool)
        options = Options(cluster, 0, ("127.0.0.1",), simulated=Settings(names, self._shape.stages))
        return ControlPlane(options, self._clock, random.Random(self._shape.seed), MemoryStore())

    @property
    def kubeconfig(self) -> Path:
        return self._shape.directory / "admin.kubeconfig"

    @property
    def now(self) -> float:
        """Seconds since the epoch, by the cluster's clock."""
        return self._clock.now()

    def __enter__(self) -> "VirtualCluster":
        self._thread.start()
        self.advance(_SETTLING)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(_PATIENCE)

    def advance(self, seconds: float = 0.0) -> None:
        """Let so much time pass, and return once nothing is left to do. Raises TimeoutError, RuntimeError."""
        self._rested.clear()
        self._loop.call_soon_threadsafe(self._allow, seconds)
        if not self._rested.wait(_PATIENCE + seconds / 60):
            raise TimeoutError(f"the cluster does not come to rest at {self._clock.monotonic():.1f} s")
        if self._failure is not None:
            raise RuntimeError("the cluster has ended") from self._failure

    def until(self, reached: Callable[[], Any], within: float, step: float = 1.0) -> float:
        """Advance by steps until something is so; answers the seconds that took. Raises TimeoutError."""
        began = self._clock.monotonic()
        while not reached():
            if self._clock.monotonic() - began >= within:
                raise TimeoutError(f"not so after {within} s")
            self.advance(step)
        return self._clock.monotonic() - began

    def lose(self, node: str, seconds: float) -> None:
        """Let a node fall silent for so long."""
        self._loop.call_soon_threadsafe(self.plane.simulator.lose, node, seconds)

    def _allow(self, seconds: float) -> None:
        self._until = self._clock.monotonic() + seconds
        self._rested.clear()

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._serve())
        except BaseException as error:  # told to whoever waits for the cluster, in another thread
            self._failure = error
        finally:
            self._rested.set()

    async def _serve(self) -> None:
        try:
            await self.plane.start()
            await self._stopped.wait()
        finally:
            await self.plane.close()

    def _idle(self) -> bool:
        """Nothing is runnable: pass on to the next moment, or rest; answers whether somebody woke."""
        if self._clock.wake_next(self._until):
            return True
        self._rested.set()
        return False


class _Selector(selectors.DefaultSelector):
    """Says when the event loop is about to wait."""

    def __init__(self, idle: Callable[[], bool]) -> None:
        super().__init__()
        self._idle = idle

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if (timeout is None or timeout > _SOON) and self._idle():
            return []
        return super().select(timeout)
