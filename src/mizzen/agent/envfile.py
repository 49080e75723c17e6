"""Files of variables that a container left in a volume, for `fileKeyRef`: what they say, and how they are read safely.

Pods write these files, so a link in one leads nowhere outside the volume, and nothing but a regular file is read.
Ref: https://kubernetes.io/docs/tasks/inject-data-application/define-environment-variable-via-file/
"""

import os
import re
import stat
from pathlib import Path

from mizzen.agent.runtime import syscalls

_LIMIT = 1 << 20
_NAME = re.compile(r"\s*([^=\s#][^=\n]*?)\s*=[^\S\n]*")
_QUOTED = re.compile(r"'([^']*)'[^\S\n]*(?:#[^\n]*)?(?:\n|\Z)")


def read(volume: Path, path: str) -> dict[str, str] | None:
    """The variables in a file below a volume's directory; None when there is no such file.

    Raises: ValueError when it says nothing of the kind, OSError.
    """
    root = os.open(volume, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fd = syscalls.open_in_root(root, path, os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    finally:
        os.close(root)
    try:
        seen = os.fstat(fd)
        if not stat.S_ISREG(seen.st_mode):
            raise ValueError("not a regular file")
        if seen.st_size > _LIMIT:
            raise ValueError(f"larger than {_LIMIT} bytes")
        return parse(os.read(fd, _LIMIT).decode())
    finally:
        os.close(fd)


def parse(text: str) -> dict[str, str]:
    """`NAME='value'` with anything between the quotes, line breaks too; bare values are one line.

    Blank lines and lines that begin with `#` say nothing. Raises ValueError, naming the line.
    """
    found: dict[str, str] = {}
    at = 0
    while at < len(text):
        end = text.find("\n", at) + 1 or len(text)
        line = text[at:end].strip()
        if not line or line.startswith("#"):
            at = end
            continue
        number = text.count("\n", 0, at) + 1
        name = _NAME.match(text, at, end)
        if name is None:
            raise ValueError(f"line {number} does not say NAME='value'")
        at = name.end()
        if text.startswith("'", at):
            quoted = _QUOTED.match(text, at)
            if quoted is None:
                raise ValueError(f"the quotes of line {number} do not match")
            found[name[1]], at = quoted[1], quoted.end()
            continue
        value = text[at:end].strip()
        found[name[1]] = value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value
        at = end
    return found
