"""Certificates of processes that run for longer than these are valid: looked at every day, and shown from then on."""

import ssl
from collections.abc import Callable
from typing import Final

from mizzen.base import log
from mizzen.base.clock import Clock
from mizzen.cluster.pki import KeyPair

DAY: Final = 86_400.0
_log = log.get("renewal")


class Shown:
    """TLS contexts, each with where its certificate comes from, which may make or renew it."""

    def __init__(self) -> None:
        self._contexts: list[tuple[ssl.SSLContext, Callable[[], KeyPair]]] = []

    def keep(self, context: ssl.SSLContext, pair: Callable[[], KeyPair]) -> ssl.SSLContext:
        """Keep this context current; connections that are open stay as they are."""
        self._contexts.append((context, pair))
        return context

    async def follow(self, clock: Clock, before: Callable[[], None] = lambda: None) -> None:
        """Look every day, after `before`, until cancelled."""
        while True:
            await clock.sleep(DAY)
            try:
                before()
                for context, pair in self._contexts:
                    found = pair()
                    context.load_cert_chain(found.certificate, found.key)
            except OSError as error:  # ssl.SSLError too: half of a pair is there; both tomorrow
                _log.error("certificates are not up to date", error=str(error))
