"""A range of numbers of which each has at most one owner; given on request, or at random.

The lowest part is kept for those who ask for a number, as long as the rest has any left.
Ref: https://kubernetes.io/docs/concepts/services-networking/cluster-ip-allocation/
"""

from random import Random


class Taken(Exception):
    """The number has another owner."""


class Exhausted(Exception):
    """No number is left."""


class Pool:
    """Numbers from `first` to `last`; the first `reserved` of them are the last to be given at random.

    Pools that overlap share their `owners`.
    """

    def __init__(self, first: int, last: int, reserved: int, rng: Random, owners: dict[int, str] | None = None) -> None:
        self.first = first
        self.last = last
        self._band = first + reserved
        self._rng = rng
        self._owners: dict[int, str] = {} if owners is None else owners

    def __contains__(self, number: int) -> bool:
        return self.first <= number <= self.last

    def owner(self, number: int) -> str | None:
        return self._owners.get(number)

    def take(self, number: int, owner: str) -> bool:
        """Give this number; answers whether its owner did not have it yet. Raises Taken."""
        current = self._owners.get(number)
        if current is not None and current != owner:
            raise Taken
        self._owners[number] = owner
        return current is None

    def record(self, number: int, owner: str) -> None:
        """The number has this owner, whatever was thought before."""
        self._owners[number] = owner

    def draw(self, owner: str) -> int:
        """Give any free number. Raises Exhausted."""
        for low, high in ((self._band, self.last), (self.first, self._band - 1)):
            number = self._free(low, high)
            if number is not None:
                self._owners[number] = owner
                return number
        raise Exhausted

    def _free(self, low: int, high: int) -> int | None:
        size = high - low + 1
        if size <= 0:
            return None
        start = self._rng.randrange(size)
        for step in range(size):
            number = low + (start + step) % size
            if number not in self._owners:
                return number
        return None

    def free(self, number: int, owner: str) -> None:
        """Take the number back, if it is this owner's."""
        if self._owners.get(number) == owner:
            del self._owners[number]
