"""libnftables, called in this process: a text of commands is one atomic transaction.

A `Ruleset` talks to the network namespace in which it was made.
"""

import ctypes
from collections.abc import Iterable
from functools import cache
from typing import Any


class RulesetError(Exception):
    """nftables refused a transaction; nothing of it was applied."""


@cache
def _library() -> Any:
    library = ctypes.CDLL("libnftables.so.1")
    library.nft_ctx_new.restype = ctypes.c_void_p
    library.nft_ctx_new.argtypes = [ctypes.c_uint32]
    library.nft_ctx_free.argtypes = [ctypes.c_void_p]
    library.nft_run_cmd_from_buffer.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    for name in ("nft_ctx_buffer_output", "nft_ctx_buffer_error"):
        getattr(library, name).argtypes = [ctypes.c_void_p]
    for name in ("nft_ctx_get_output_buffer", "nft_ctx_get_error_buffer"):
        getattr(library, name).argtypes = [ctypes.c_void_p]
        getattr(library, name).restype = ctypes.c_char_p
    return library


class Ruleset:
    """The packet filter of one network namespace. Raises: OSError where libnftables is missing."""

    def __init__(self) -> None:
        self._library = _library()
        self._context = self._library.nft_ctx_new(0)
        if not self._context:
            raise OSError("libnftables gave no context")
        self._library.nft_ctx_buffer_output(self._context)
        self._library.nft_ctx_buffer_error(self._context)

    def apply(self, commands: str) -> str:
        """Run commands as one transaction; answers what they print. Raises RulesetError."""
        failed = self._library.nft_run_cmd_from_buffer(self._context, commands.encode())
        printed: bytes = self._library.nft_ctx_get_output_buffer(self._context) or b""
        complaint: bytes = self._library.nft_ctx_get_error_buffer(self._context) or b""
        if failed:
            raise RulesetError(complaint.decode("utf-8", "replace").strip()[:2000])
        return printed.decode("utf-8", "replace")

    def delete_table(self, family: str, name: str) -> None:
        """Delete a table, whether it is there or not."""
        self.apply(f"add table {family} {name}\ndelete table {family} {name}\n")

    def tables(self) -> tuple[tuple[str, str], ...]:
        """(family, name) of every table."""
        words = (line.split() for line in self.apply("list tables").splitlines())
        return tuple((found[1], found[2]) for found in words if len(found) == 3)

    def close(self) -> None:
        """Give the context back."""
        if self._context:
            self._library.nft_ctx_free(self._context)
            self._context = None


def elements(family: str, table: str, verb: str, name: str, members: Iterable[str]) -> str:
    """A command that adds or deletes elements of a set or map; empty when there are none."""
    listed = ", ".join(members)
    return f"{verb} element {family} {table} {name} {{ {listed} }}\n" if listed else ""
