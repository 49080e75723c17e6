"""kill -9 in the middle of a stream of writes loses no acknowledged write."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from mizzen.store.sqlite import SqliteStore

_WRITER = """
import asyncio, sys
from pathlib import Path
from mizzen.store.sqlite import SqliteStore

async def main():
    store = SqliteStore(Path(sys.argv[1]))
    async def writer(n):
        for i in range(100_000):
            revision = await store.put(f"w{n}/{i:06}", b"x" * 500)
            sys.stdout.write(f"w{n}/{i:06} {revision}\\n")
            sys.stdout.flush()
    await asyncio.gather(*(writer(n) for n in range(16)))

asyncio.run(main())
"""


async def test_every_acknowledged_write_survives_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    writer = subprocess.Popen(  # noqa: ASYNC220 - nothing else runs in this loop
        [sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert writer.stdout is not None
    acknowledged = [writer.stdout.readline().split() for _ in range(2_000)]
    writer.send_signal(signal.SIGKILL)
    acknowledged += [line.split() for line in writer.stdout.read().splitlines() if line.count(" ") == 1]
    writer.wait()
    store = SqliteStore(path)
    for key, revision in acknowledged[:-1]:
        value = await store.get(key)
        assert value is not None
        assert value.revision == int(revision)
    await store.close()
