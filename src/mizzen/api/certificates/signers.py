"""Names of signers: a domain and a path, as in `example.com/my-signer`."""

from collections.abc import Iterator

from mizzen.machinery import names
from mizzen.machinery.errors import FieldError, invalid, required, too_long

_FORM = "must be a fully qualified domain and path of the form 'example.com/signer-name'"
LENGTH_LIMIT = 571


def errors(path: str, signer: str | None) -> Iterator[FieldError]:
    if not signer:
        yield required(path)
        return
    domain, slash, rest = signer.partition("/")
    if not slash or "/" in rest:
        yield invalid(path, signer, _FORM)
        return
    for problem in names.dns1123_subdomain(domain):
        yield invalid(path, domain, f'validating label "{domain}": {problem}')
    if not names.dns1123_subdomain(domain) and "." not in domain:
        yield invalid(path, signer, "should be a domain with at least two segments separated by dots")
    for segment in rest.split("."):
        for problem in names.dns1123_label(segment):
            yield invalid(path, segment, f'validating label "{segment}": {problem}')
    if len(signer) > LENGTH_LIMIT:
        yield too_long(path, LENGTH_LIMIT)
