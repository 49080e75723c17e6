"""Label and field selectors against index entries."""

from collections.abc import Callable
from typing import Final

from mizzen.machinery import fields, labels
from mizzen.machinery.errors import Errors
from mizzen.server.bell import NAME, NAMESPACE, Topic
from mizzen.server.served import Served
from mizzen.server.watchcache import Entry, WatchCache

Test = Callable[[Entry], bool]


class Selection:
    """What a list or watch wants to see; `name` is set when it can be only one object of a namespace.

    `topic` is one that all it selects belongs to, if there is one.
    """

    def __init__(self, tests: tuple[Test, ...], name: str = "", topic: Topic | None = None) -> None:
        self._tests = tests
        self.name = name
        self.topic = topic
        self.everything = not tests
        self.matches: Test = tests[0] if len(tests) == 1 else self._matches_all
        """Whether an object is selected."""

    def _matches_all(self, entry: Entry) -> bool:
        return all(test(entry) for test in self._tests)


EVERYTHING: Final = Selection(())


def only(name: str) -> Selection:
    """The object of one name."""
    return Selection((lambda entry: entry.name == name,), name, (NAME, name))


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
    topics = [topic for term in field_selector.terms if (topic := _topic(term, served, cache)) is not None]
    return Selection(tuple(tests), field_selector.exact("metadata.name") or "", max(topics, default=None))


def _topic(term: fields.Term, served: Served, cache: WatchCache) -> Topic | None:
    """The topic of the objects that a term selects, when they have one."""
    if not term.equal:
        return None
    if term.field in _SLOTS:
        return _SLOTS[term.field], term.value
    position = _position(term.field, served, cache)
    return None if position is None else (position, term.value)


_SLOTS: Final = {"metadata.name": NAME, "metadata.namespace": NAMESPACE}


def _position(field: str, served: Served, cache: WatchCache) -> int | None:
    """Where an entry keeps a field; None when it does not."""
    indexed = list(cache.getters)
    return indexed.index(field) if served.kind.from_stored is None and field in indexed else None


def _term_test(term: fields.Term, served: Served, cache: WatchCache) -> Test:
    value, equal = term.value, term.equal
    if term.field == "metadata.name":
        return lambda entry: (entry.name == value) is equal
    if term.field == "metadata.namespace":
        return lambda entry: (entry.namespace == value) is equal
    kind = served.kind
    getter = kind.selectable.get(term.field)
    if getter is None:
        if kind.kind == "Job" and served.builtin:
            raise Errors.bad_request(f'field label "{term.field}" not supported for Job')
        if kind.selectable or not served.builtin:
            raise Errors.bad_request(f"field label not supported: {term.field}")
        known = 'only "metadata.name", "metadata.namespace"'
        raise Errors.bad_request(f'"{term.field}" is not a known field selector: {known}')
    position = _position(term.field, served, cache)
    if position is not None:
        return lambda entry: (entry.fields[position] == value) is equal
    return lambda entry: (getter(served.decode(entry.tail)) == value) is equal
