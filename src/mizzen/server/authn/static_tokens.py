"""Users by a file of tokens: lines of `token,user,uid,"group1,group2"`. Off unless a file is given.

Ref: https://kubernetes.io/docs/reference/access-authn-authz/authentication/#static-token-file
"""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from mizzen.machinery.identity import AUTHENTICATED, Identity
from mizzen.server.authn.chain import Authenticated


class StaticTokens:
    """Knows the tokens of one file, read at start."""

    def __init__(self, users: Mapping[str, Identity], audiences: Sequence[str] = ()) -> None:
        self._users = {token: replace(user, groups=(*user.groups, AUTHENTICATED)) for token, user in users.items()}
        self._audiences = tuple(audiences)

    @classmethod
    def load(cls, path: Path, audiences: Sequence[str] = ()) -> "StaticTokens":
        """Raises OSError, or ValueError for a line with fewer than three columns."""
        with path.open(newline="") as file:
            return cls(parse(file), audiences)

    def identify(self, token: str, audiences: Sequence[str]) -> Authenticated | None:
        user = self._users.get(token)
        if user is None:
            return None
        return Authenticated(user, tuple(name for name in audiences if name in self._audiences))


def parse(lines: Iterable[str]) -> Mapping[str, Identity]:
    """Users by token. Raises ValueError for a line with fewer than three columns."""
    users: dict[str, Identity] = {}
    for row in csv.reader(lines, skipinitialspace=True):
        if not row or row[0].startswith("#"):
            continue
        if len(row) < 3 or not row[0]:
            raise ValueError("a line of a token file needs a token, a user name and a uid")
        groups = tuple(group.strip() for group in row[3].split(",") if group.strip()) if len(row) > 3 else ()
        users[row[0]] = Identity(row[1], uid=row[2], groups=groups)
    return users
