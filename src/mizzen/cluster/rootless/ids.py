"""Which ids a user has inside: the user's own is root there, those of /etc/subuid and /etc/subgid follow.

Ref: subuid(5), newuidmap(1).
"""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from mizzen.cluster.config import ConfigError

Range = tuple[int, int]
"""First id, and how many."""
NEEDED: Final = {"newuidmap": "uidmap", "newgidmap": "uidmap"}
LEAST: Final = 65_535
"""With fewer, images whose files belong to `nobody` could not be unpacked."""


def ranges(text: str, owners: Iterable[str]) -> tuple[Range, ...]:
    """The ranges that lines of `OWNER:FIRST:COUNT` give to an owner, by name or by number."""
    wanted = set(owners)
    found = []
    for line in text.splitlines():
        owner, *numbers = line.strip().split(":")
        if owner in wanted and len(numbers) == 2 and all(number.isdigit() for number in numbers):
            found.append((int(numbers[0]), int(numbers[1])))
    return tuple(found)


def mapping(own: int, more: Iterable[Range]) -> list[str]:
    """The triples that newuidmap takes: id inside, id outside, count."""
    triples, inside = [0, own, 1], 1
    for first, count in more:
        triples += [inside, first, count]
        inside += count
    return [str(number) for number in triples]


def own_ranges() -> tuple[tuple[Range, ...], tuple[Range, ...]]:
    """This user's further user and group ids. Raises ConfigError, saying what an administrator must do."""
    user = os.getuid()
    try:
        name = pwd.getpwuid(user).pw_name
    except KeyError:
        raise ConfigError(
            f"the user {user} has no entry in /etc/passwd; without it no further ids can be had"
        ) from None
    found = []
    for path in (Path("/etc/subuid"), Path("/etc/subgid")):
        known = ranges(path.read_text() if path.exists() else "", (name, str(user)))
        if sum(count for _, count in known) < LEAST:
            raise ConfigError(
                f"{path} gives {name} too few ids; as root: usermod --add-subuids 100000-165535 "
                f"--add-subgids 100000-165535 {name} (or another range that nobody has)"
            )
        found.append(known)
    return found[0], found[1]


def write_maps(pid: int) -> None:
    """Give the new user namespace of a process this user's ids. Raises ConfigError."""
    users, groups = own_ranges()
    for program, own, more in (("newuidmap", os.getuid(), users), ("newgidmap", os.getgid(), groups)):
        path = shutil.which(program, path="/usr/local/bin:/usr/bin:/bin:/usr/sbin")
        if path is None:
            raise ConfigError(f"this machine lacks {NEEDED[program]}; as root: apt-get install {NEEDED[program]}")
        done = subprocess.run([path, str(pid), *mapping(own, more)], capture_output=True, text=True, check=False)
        if done.returncode:
            raise ConfigError(f"{program} refuses: {done.stderr.strip()}")
