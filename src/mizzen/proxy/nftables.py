"""The node's packet filter follows a RuleSet: whole at first and after a refusal, then only what changed."""

from typing import Protocol

from mizzen.base import log
from mizzen.net.nftables import Ruleset, RulesetError
from mizzen.proxy import conntrack, script
from mizzen.proxy.rules import RuleSet
from mizzen.proxy.slots import Placements, place

_log = log.get("proxy")


class DataPlane(Protocol):
    """Whatever carries out a RuleSet."""

    def apply(self, ruleset: RuleSet) -> None:
        """Take on a whole desired state, atomically."""

    def stands(self) -> bool:
        """Whether what was applied is still there; if not, the next call of `apply` lays it down anew."""

    def close(self) -> None:
        """Give up; what was applied stays."""


class NftablesPlane:
    """Applies rules in the network namespace in which it was made. Raises: RulesetError when a whole load fails."""

    def __init__(self) -> None:
        self._ruleset = Ruleset()
        self._applied: tuple[RuleSet, Placements] | None = None
        self._chains: frozenset[script.Draw] = frozenset()

    def apply(self, ruleset: RuleSet) -> None:
        before = self._applied
        placed = place(before[1] if before else {}, ruleset.frontends)
        if before is not None and self._apply_changes(before, (ruleset, placed)):
            return
        self._ruleset.apply(script.whole(ruleset, placed))
        conntrack.set_timeouts()
        self._applied, self._chains = (ruleset, placed), script.draws(placed)

    def stands(self) -> bool:
        if self._applied is None or ("ip", script.TABLE) in self._ruleset.tables():
            return True
        self._applied, self._chains = None, frozenset()
        return False

    def _apply_changes(self, before: tuple[RuleSet, Placements], after: tuple[RuleSet, Placements]) -> bool:
        commands = script.changes(before, after, self._chains)
        try:
            if commands:
                self._ruleset.apply(commands)
        except RulesetError as error:  # somebody else changed our table: lay it down anew
            _log.warning("rules refused, loading all of them", error=str(error))
            return False
        self._applied = after
        self._chains |= script.draws(after[1])
        return True

    def close(self) -> None:
        self._ruleset.close()
