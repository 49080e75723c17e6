"""Parameters that a driver gets: a map of limited size whose keys are not empty."""

from collections.abc import Iterator, Mapping

from mizzen.machinery.errors import FieldError, invalid, too_long

COUNT_LIMIT = 512
SIZE_LIMIT = 256 << 10


def errors(path: str, values: Mapping[str, str]) -> Iterator[FieldError]:
    if not values:
        return
    if len(values) > COUNT_LIMIT:
        yield too_long(path, COUNT_LIMIT)
        return
    size = 0
    for key, value in values.items():
        if not key:
            yield invalid(path, key, "field can not be empty.")
        size += len(key.encode()) + len(value.encode())
    if size > SIZE_LIMIT:
        yield too_long(path, SIZE_LIMIT)
