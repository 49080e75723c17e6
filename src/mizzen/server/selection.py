"""Label and field selectors against index entries."""

from collections.abc import Callable
from typing import Final

from mizzen.machinery import fields, labels
from mizzen.machinery.errors import Errors
from mizzen.server.served import Served
from mizzen.server.watchcache import Entry, WatchCache

Test = Callable[[Entry], bool]


class Selection:
    """What a list or watch wants to see; `name` is set when it can be only one object of a namespace."""

    def __init__(self, tests: tuple[Test, ...], name: str = "") -> None:
        self._tests = tests
        self.name = name
        self.everything = not tests
        self.matches: Test = tests[0] if len(tests) == 1 else self._matches_all
        """Whether an object is selected."""

    def _matches_all(self, entry: Entry) -> bool:
        return all(test(entry) for test in self._tests)


EVERYTHING: Final = Selection(())


def only(name: str) -> Selection:
    """The object of one name."""
    return Selection((lambda entry: entry.name == name,), name)


def parse(label_text: str, field_text: str, served: Served, cache: WatchCache) -> Selection:
    """The selection that two selectors make. Raises ApiError 400."""
    if not label_text and not field_text:
        return EVERYTHING
    try:
        label_selector = labels.parse(label_text)
        field_selector = fields.parse(field_text)
    except (labels.SelectorError, fields.SelectorError) as error:
        raise Errors.bad_request(str(error)) from None
    tests: list[Test] = []
    if label_selector.requirements:
        match = label_selector.compiled()
        tests.append(lambda entry: match(entry.labels))
    tests += [_term_test(term, served, cache) for term in field_selector.terms]
    return Selection(tuple(tests), field_selector.exact("metadata.name") or "")


def _term_test(term: fields.Term, served: Served, cache: WatchCache) -> Test:
    value, equal = term.value, term.equal
    if term.field == "metadata.name":
        return lambda entry: (entry.name == value) is equal
    if term.field == "metadata.namespace":
        return lambda entry: (entry.namespace == value) is equal
    kind = served.kind
    getter = kind.selectable.get(term.field)
    if getter is None:
        if kind.selectable or not served.builtin:
            raise Errors.bad_request(f"field label not supported: {term.field}")
        known = 'only "metadata.name", "metadata.namespace"'
        raise Errors.bad_request(f'"{term.field}" is not a known field selector: {known}')
    indexed = list(cache.getters)
    if kind.from_stored is None and term.field in indexed:
        position = indexed.index(term.field)
        return lambda entry: (entry.fields[position] == value) is equal
    return lambda entry: (getter(served.decode(entry.tail)) == value) is equal
