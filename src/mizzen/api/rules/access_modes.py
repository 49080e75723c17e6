"""How volumes may be mounted: the modes, and their short forms as kubectl shows them."""

from collections.abc import Iterable, Iterator

from mizzen.machinery.errors import FieldError, forbidden, not_supported

SHORT = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}
MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
VOLUME_MODES = ("Block", "Filesystem")


def errors(path: str, modes: Iterable[str]) -> Iterator[FieldError]:
    given = list(modes)
    for mode in given:
        if mode not in SHORT:
            yield not_supported(path, mode, MODES)
    if "ReadWriteOncePod" in given and any(mode in SHORT and mode != "ReadWriteOncePod" for mode in given):
        yield forbidden(path, "may not use ReadWriteOncePod with other access modes")


def cell(modes: Iterable[str] | None) -> str:
    """`RWO,ROX`, in the usual order, each once."""
    given = set(modes or ())
    return ",".join(short for mode, short in SHORT.items() if mode in given)
