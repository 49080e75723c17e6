"""What 50,000 pods cost in the API server's memory: `python bench/memory.py [--pods N]`."""

import argparse
import threading
import time

import objects
import process
from process import Running

WRITERS = 8


def main() -> None:
    """Print one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pods", type=int, default=50_000)
    count = parser.parse_args().pods
    with process.server("--no-controllers") as running:
        running.request("POST", "/api/v1/namespaces", {"metadata": {"name": "pods"}})
        running.request("POST", "/api/v1/namespaces/pods/serviceaccounts", {"metadata": {"name": "default"}})
        before = process.resident_bytes(running.pid)
        started = time.monotonic()
        writers = [threading.Thread(target=_create, args=(running, first, count)) for first in range(WRITERS)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        seconds = time.monotonic() - started
        grown = process.resident_bytes(running.pid) - before
        print(f"{count:,} pods: {grown / 1e6:.0f} MB more than before (target 400), created in {seconds:.0f} s")


def _create(running: Running, first: int, count: int) -> None:
    connection = process.connect(running.port)
    for number in range(first, count, WRITERS):
        process.ask(connection, "POST", "/api/v1/namespaces/pods/pods", objects.pod(f"pod-{number:05d}"))
    connection.close()


if __name__ == "__main__":
    main()
