"""Every process of a cluster has a supervisor, which starts it again when it is killed.

The supervisor is a small shell script. What it runs writes its own record, watches it, and should it be gone, becomes
a supervisor itself, in place.
"""

import asyncio
import contextlib
import os
import shlex
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NoReturn

from mizzen.base import log
from mizzen.cluster import processes

_SCRIPT: Final = Path(__file__).with_name("supervise.sh")
_SHELL: Final = "/bin/sh"
_COMMAND: Final = "MIZZEN_SUPERVISED"
_RECORD: Final = "MIZZEN_RECORD"
_SUPERVISOR: Final = "MIZZEN_SUPERVISOR"
_RESTARTED: Final = "MIZZEN_RESTARTED"
_ENDED: Final = "MIZZEN_ENDED"
_log = log.get("supervision")


def supervisor_of(record: Path) -> Path:
    """Where the record of a process's supervisor is."""
    return record.parent / "supervisors" / record.name


def start(argv: Sequence[str], *, record: Path, log: Path) -> None:
    """Start a supervised process, unless it runs; one whose supervisor pauses is started at once. Raises OSError."""
    if runs(record):
        return
    stop(record)
    # Not among the arguments: what is searched for to be killed by its command line should not include it.
    environment = {_COMMAND: shlex.join(argv), _RECORD: str(record), _RESTARTED: ""}
    processes.spawn([_SHELL, str(_SCRIPT)], record=supervisor_of(record), log=log, environment=environment)


def runs(record: Path) -> bool:
    """Whether a process runs or is about to."""
    return processes.running(record) is not None or (is_supervised(record) and not record.exists())


def is_supervised(record: Path) -> bool:
    """Whether a process will be there again, should it be gone."""
    return processes.running(supervisor_of(record)) is not None


def stop(record: Path, *, seconds: float = 10.0) -> bool:
    """End a process and its supervisor; tells whether there was one."""
    supervised = processes.stop(supervisor_of(record), seconds=seconds)
    return processes.stop(record, seconds=seconds) or supervised


class Supervised:
    """This process, as far as it has a supervisor; without one it leaves no record and ends as it likes."""

    def __init__(self) -> None:
        record = os.environ.get(_RECORD)
        self._record = Path(record) if record and _SUPERVISOR in os.environ else None
        self._restarts = int(os.environ.get(_RESTARTED) or 0)
        self._is_orphan = False
        self.signal = 0
        """The one that ends this process, as soon as it has come."""
        self._watch = -1

    def introduce(self) -> None:
        """Write the record of this process, and say why it is not the first."""
        if self._record is None:
            return
        if self._restarts:
            _log.warning("started again", restarts=self._restarts, status=os.environ.get(_ENDED, ""))
        try:
            processes.record_this(self._record, self._restarts)
        except OSError as error:  # as on a full disk: work is more than its record
            _log.error("no record could be written", error=str(error))

    def listen(self, end: Callable[[], object]) -> None:
        """Call `end` when a signal asks this process to end, or its supervisor is gone; needs a running event loop."""
        loop = asyncio.get_running_loop()

        def signalled(number: int) -> None:
            self.signal = number
            end()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, signalled, number)
        if self._record is not None:
            self._follow(loop, end)

    def _follow(self, loop: asyncio.AbstractEventLoop, end: Callable[[], object]) -> None:
        def gone() -> None:
            loop.remove_reader(self._watch)
            self._is_orphan = True
            end()

        try:
            self._watch = os.pidfd_open(int(os.environ[_SUPERVISOR]))
        except ProcessLookupError:
            self._is_orphan = True
            loop.call_soon(end)
        else:
            loop.add_reader(self._watch, gone)

    def leave(self) -> None:
        """The work is done. Raises SystemExit after a signal: an accident, unless the supervisor has sent it."""
        if self._record is None:
            return
        if self.signal:
            sys.exit(128 + self.signal)
        if self._is_orphan:
            self._take_over(self._record)

    def _take_over(self, record: Path) -> NoReturn:
        """Become the supervisor of a successor, in place."""
        _log.warning("the supervisor is gone: becoming one")
        with contextlib.suppress(OSError):
            processes.record_this(supervisor_of(record))
        os.environ.update({_RESTARTED: str(self._restarts + 1), _ENDED: "orphan"})
        os.execv(_SHELL, [_SHELL, str(_SCRIPT)])
