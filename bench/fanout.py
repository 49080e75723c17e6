"""A thousand watchers of one kind and a hundred events a second: how long an event takes to reach them.

The watchers live in processes of their own; every event carries the time of its write. Percentiles are over all
deliveries. `python bench/fanout.py` measures this alone.
"""

import asyncio
import bisect
import multiprocessing
import time
from multiprocessing.queues import Queue

import aiofastnet
import uvloop

import objects
import process
from process import Running

WATCHERS, PROCESSES, RATE, SECONDS = 1_000, 2, 100, 5
_MARK = b'"at":"'
_PATH = "/api/v1/namespaces/fanout/configmaps"
_BOUNDS = [0.001 * 1.1**i for i in range(100)]
"""Upper ends of the histogram's buckets, in seconds."""


class Watcher(asyncio.Protocol):
    """One watch; it only looks for the times in what arrives."""

    def __init__(self, histogram: list[int]) -> None:
        self._histogram = histogram
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        head = f"GET {_PATH}?watch=1&resourceVersion=0 HTTP/1.1\r\nhost: bench\r\n"
        transport.write(f"{head}authorization: Bearer {process.TOKEN}\r\n\r\n".encode())  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        now = time.time()
        data = self._rest + data
        end = 0
        while (start := data.find(_MARK, end)) >= 0 and len(data) >= start + len(_MARK) + 17:
            end = start + len(_MARK) + 17
            self._histogram[bisect.bisect_left(_BOUNDS, now - float(data[start + len(_MARK) : end]))] += 1
        self._rest = data[max(end, len(data) - 30) :]


def main(running: Running) -> None:
    """Print one line."""
    running.request("POST", "/api/v1/namespaces", {"metadata": {"name": "fanout"}})
    results: Queue[list[int]] = multiprocessing.Queue()
    ready, ended = multiprocessing.Semaphore(0), multiprocessing.Event()
    crowd = [
        multiprocessing.Process(target=_crowd, args=(running.port, WATCHERS // PROCESSES, results, ready, ended))
        for _ in range(PROCESSES)
    ]
    for member in crowd:
        member.start()
    for _ in crowd:
        ready.acquire()
    before, started = process.cpu_seconds(running.pid), time.monotonic()
    late = _write(running)
    used = (process.cpu_seconds(running.pid) - before) / (time.monotonic() - started)
    time.sleep(1)
    ended.set()
    total = [sum(column) for column in zip(*(results.get() for _ in crowd), strict=True)]
    for member in crowd:
        member.join()
    wanted = WATCHERS * RATE * SECONDS
    shares = ", ".join(f"p{share * 100:.0f} {_percentile(total, share) * 1000:.0f} ms" for share in (0.5, 0.99))
    print(f"{WATCHERS} watchers × {RATE} events/s: {shares} (target p99 100), {sum(total)} of {wanted} delivered")
    print(f"  server {used:.0%} of a core, the writer at most {late * 1000:.0f} ms late")


def _write(running: Running) -> float:
    """Write at the rate; answers how late the slowest write began."""
    connection, late = process.connect(running.port), 0.0
    start = time.monotonic()
    for number in range(RATE * SECONDS):
        wait = start + number / RATE - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        late = max(late, -wait)
        obj = objects.config_map(f"event-{number}", size=300)
        obj["data"] = {"at": f"{time.time():.6f}"[:17]}
        process.ask(connection, "POST", _PATH, obj)
    connection.close()
    return late


def _crowd(port: int, count: int, results: "Queue[list[int]]", ready: object, ended: object) -> None:
    uvloop.run(_watch(port, count, results, ready, ended))


async def _watch(port: int, count: int, results: "Queue[list[int]]", ready, ended) -> None:  # type: ignore[no-untyped-def]
    histogram = [0] * (len(_BOUNDS) + 1)
    loop, tls = asyncio.get_running_loop(), process.unverified()
    transports = []
    for _ in range(count):
        transport, _protocol = await aiofastnet.create_connection(
            loop, lambda: Watcher(histogram), "127.0.0.1", port, ssl=tls
        )
        transports.append(transport)
    await asyncio.sleep(0.5)
    ready.release()
    await loop.run_in_executor(None, ended.wait)
    for transport in transports:
        transport.abort()
    results.put(histogram)


def _percentile(histogram: list[int], share: float) -> float:
    wanted, seen = sum(histogram) * share, 0
    for bound, count in zip([*_BOUNDS, float("inf")], histogram, strict=True):
        seen += count
        if seen >= wanted:
            return bound
    return float("inf")


if __name__ == "__main__":
    with process.server("--no-controllers") as started:
        main(started)
