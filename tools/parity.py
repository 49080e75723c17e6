"""Compare the API server with the recorded answers of the original: `python tools/parity.py [FILE…]`.

Starts a server on a free loopback port in a temporary directory, runs the recordings' own check on it, and prints its
summary. Fails when fewer than 98 % of the cases agree, when a case that differs is not listed in docs/parity.md, or
when a listed one does not differ any more. A case agrees, too, when all that differs is that a recorded failure of the
original itself (500) is answered by us as the client's mistake (4xx): the recordings' notes ask for that. A case or two
are looked at once more on another server: what comes first in `managedFields` hangs on whether two steps fell into one
second.
"""

import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
CORPUS: Final = ROOT.parent / "shared" / "corpus" / "corpus.py"
LISTED: Final = ROOT / "docs" / "parity.md"
TOKEN: Final = "parity"
WANTED: Final = 0.98
FEW: Final = 2
START_SECONDS: Final = 20.0
STOP_SECONDS: Final = 10.0
_CASE: Final = re.compile(r"(DIFFERS|wording)  (.+)")
_EXCUSED: Final = re.compile(r' +step \d+ code: recorded 500, here "4\d\d ')
_SUMMARY: Final = re.compile(r"(\d+) of (\d+) cases as recorded; .*")
_ROW: Final = re.compile(r"\| `((?:\\.|[^`])+)` \|")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the check printed: cases that agree, all cases, its closing line, and the cases that differ."""

    agreed: int
    total: int
    summary: str
    differing: dict[str, list[str]] = field(default_factory=dict)
    """The lines about each case that differs."""

    @property
    def excused(self) -> int:
        """Cases in which nothing differs but a 500 that became a 4xx."""
        return sum(all(map(_EXCUSED.match, lines)) for lines in self.differing.values())

    def with_second_look(self, names: Iterable[str], again: "Outcome") -> "Outcome":
        """The outcome when cases that agreed in a second run agree."""
        passed = [name for name in names if name not in again.differing]
        left = {name: lines for name, lines in self.differing.items() if name not in passed}
        return replace(self, agreed=self.agreed + len(passed), differing=left)


def main(files: list[str]) -> int:
    """Answers the exit status."""
    outcome = _checked(files)
    listed = set(listed_cases(LISTED.read_text()))
    unlisted = [name for name in outcome.differing if name not in listed]
    if 0 < len(unlisted) <= FEW:
        outcome = outcome.with_second_look(unlisted, _checked(sorted({_file_of(name) for name in unlisted})))
        unlisted = [name for name in unlisted if name in outcome.differing]
    stale = sorted(listed - set(outcome.differing)) if not files else []
    for name in unlisted:
        print(f"differs and is not listed: {name}", *outcome.differing[name], sep="\n")
    for name in stale:
        print(f"listed in {LISTED.name} but does not differ: {name}")
    agreeing = outcome.agreed + outcome.excused
    print(f"{agreeing} of {outcome.total} agree when a 4xx may stand for a recorded 500 (at least {WANTED:.0%} must)")
    print(outcome.summary)
    return int(bool(unlisted or stale) or agreeing < WANTED * outcome.total)


def listed_cases(text: str) -> Iterator[str]:
    """The names in the first column of the tables, as the check prints them: `file: name`."""
    for line in text.splitlines():
        if row := _ROW.match(line):
            yield row[1].replace("\\|", "|")


def _file_of(case: str) -> str:
    return str(CORPUS.parent / "cases" / f"{case.partition(': ')[0]}.json")


def _checked(files: list[str]) -> Outcome:
    """Start a server, check it, stop it."""
    with tempfile.TemporaryDirectory(prefix="mizzen-parity-") as scratch:
        return _checked_in(Path(scratch), files)


def _checked_in(scratch: Path, files: list[str]) -> Outcome:
    tokens = scratch / "tokens.csv"
    tokens.write_text(f'{TOKEN},admin,1,"system:masters"\n')
    port = _free_port()
    command = [sys.executable, "-m", "mizzen", "server", "--data-dir", str(scratch / "data"), "--port", str(port)]
    with (scratch / "log").open("w+") as log:
        server = subprocess.Popen([*command, "--no-controllers", "--token-file", str(tokens)], stdout=log, stderr=log)
        try:
            if not _is_up(server, port):
                log.seek(0)
                sys.exit(f"the server did not start:\n{log.read()[-4000:]}")
            return _outcome(port, files)
        finally:
            _stop(server)


def _outcome(port: int, files: list[str]) -> Outcome:
    command = [sys.executable, str(CORPUS), "check", f"https://127.0.0.1:{port},{TOKEN}", *files, "-v"]
    printed = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False).stdout
    return parsed(printed)


def parsed(printed: str) -> Outcome:
    """The outcome of a check from what it printed with `-v`."""
    differing: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in printed.splitlines():
        if case := _CASE.match(line):
            lines = differing.setdefault(case[2], []) if case[1] == "DIFFERS" else []
        elif line.startswith(" "):
            lines.append(line)
    closing = _SUMMARY.match(printed.rstrip().rpartition("\n")[2])
    if closing is None:
        sys.exit(f"the check ended early:\n{printed[-2000:]}")
    return Outcome(int(closing[1]), int(closing[2]), closing[0], differing)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _is_up(server: subprocess.Popen[bytes], port: int) -> bool:
    """Wait until the server accepts connections."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return True
    return False


def _stop(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
