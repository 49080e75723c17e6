"""Names of signers: a domain and a path, as in `example.com/my-signer`."""

from collections.abc import Callable, Iterable, Iterator

from mizzen.machinery import names
from mizzen.machinery.errors import FieldError, invalid, required, too_long

_FORM = "must be a fully qualified domain and path of the form 'example.com/signer-name'"
LENGTH_LIMIT = 571
DOMAIN_LIMIT = 253


def errors(path: str, signer: str | None) -> Iterator[FieldError]:
    if not signer:
        yield required(path)
        return
    domain, slash, rest = signer.partition("/")
    if not slash or "/" in rest:
        yield invalid(path, signer, _FORM)
        return
    if len(domain) > DOMAIN_LIMIT:
        yield too_long(path, DOMAIN_LIMIT)
    yield from _segment_errors(path, domain, names.dns1123_label)
    if "." not in domain:
        yield invalid(path, domain, "should be a domain with at least two segments separated by dots")
    yield from _segment_errors(path, rest, names.dns1123_subdomain)
    if len(signer) > LENGTH_LIMIT:
        yield too_long(path, LENGTH_LIMIT)


def _segment_errors(path: str, text: str, rule: Callable[[str], Iterable[str]]) -> Iterator[FieldError]:
    """The first segment that is wrong; those after it would only tell the same."""
    for segment in text.split("."):
        if problems := list(rule(segment)):
            for problem in problems:
                yield invalid(path, text, f'validating label "{segment}": {problem}')
            return
