"""What rules see of texts whose format says that they are something else."""

import pytest

from mizzen.machinery import structural
from mizzen.machinery.cel import rules

MOMENTS = {
    name: {"type": "string", "format": format_}
    for name, format_ in (("at", "date-time"), ("day", "date"), ("wait", "duration"), ("key", "byte"))
}


@pytest.mark.parametrize(
    ("rule", "fits", "not_"),
    [
        ("self.day < timestamp('2026-03-01T00:00:00Z')", {"day": "2026-02-28"}, {"day": "2026-03-01"}),
        ("self.at.getFullYear() == 2026", {"at": "2026-02-28T10:00:00.5Z"}, {"at": "2025-12-31T23:59:59Z"}),
        (
            "self.at - duration('1h') > timestamp('2026-02-28T09:00:00.25Z')",
            {"at": "2026-02-28T10:00:00.5Z"},
            {"at": "2026-02-28T10:00:00Z"},
        ),
        ("self.wait <= duration('1h') && self.wait > duration('-2s')", {"wait": "-1.5s"}, {"wait": "1h1s"}),
        ("self.key == b'abc' && size(self.key) == 3", {"key": "YWJj"}, {"key": "YWI="}),
    ],
)
def test_moments_durations_and_bytes_are_seen_as_what_they_are(
    rule: str, fits: dict[str, str], not_: dict[str, str]
) -> None:
    content = {"type": "object", "properties": MOMENTS, "x-kubernetes-validations": [{"rule": rule}]}
    schema = structural.build(content)
    assert list(rules.validate(fits, schema)) == []
    assert [error.detail for error in rules.validate(not_, schema)] == [f"failed rule: {rule}"]
