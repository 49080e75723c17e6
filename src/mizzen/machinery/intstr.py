"""IntOrString: a number of things, or a percentage of a total (`25%`)."""

import re

IntOrString = int | str

_percent = re.compile(r"[0-9]+%").fullmatch


def is_percent(value: IntOrString) -> bool:
    return isinstance(value, str) and _percent(value) is not None


def percentage(value: IntOrString) -> int | None:
    """25 for `25%`; None when the value is no percentage."""
    if isinstance(value, str) and _percent(value):
        return int(value[:-1])
    return None


def scale_up(value: IntOrString, total: int) -> int:
    """The number itself, or the percentage of the total rounded up.

    Raises: ValueError for text that is no percentage.
    """
    if isinstance(value, int):
        return value
    return -(-_share(value) * total // 100)


def scale_down(value: IntOrString, total: int) -> int:
    """The number itself, or the percentage of the total rounded down.

    Raises: ValueError for text that is no percentage.
    """
    if isinstance(value, int):
        return value
    return _share(value) * total // 100


def _share(value: str) -> int:
    share = percentage(value)
    if share is None:
        raise ValueError(f'invalid value for IntOrString: invalid type: string is not a percentage: "{value}"')
    return share
