"""What directories take of a disk."""

import os
from pathlib import Path

from mizzen.agent.runtime.base import Used


def tree(top: Path) -> Used:
    """Everything below a directory; nothing when there is none. Slow, for a thread."""
    used = inodes = 0
    for directory, _, names in os.walk(top):
        inodes += 1
        for name in names:
            try:
                seen = os.lstat(f"{directory}/{name}")
            except OSError:
                continue
            used += seen.st_blocks * 512
            inodes += 1
    return Used(used, inodes)
