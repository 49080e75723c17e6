"""Names, selectors, quantities, times and paths: the small texts of the API."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mizzen.machinery import fields, intstr, jsonpath, labels, names, paths, quantity, times


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (names.dns1123_label, "web-1", "Web"),
        (names.dns1123_subdomain, "a.b-c.d", "a..b"),
        (names.dns1035_label, "a1", "1a"),
        (names.qualified_name, "example.com/My_Name", "/x"),
        (names.label_value, "", "-x-"),
        (names.path_segment, "system:node", "a/b"),
        (names.c_identifier, "_x1", "1x"),
        (names.env_name, "MY VAR", "A=B"),
        (names.config_key, "a_b.c", "a/b"),
        (names.port_name, "http-2", "80"),
        (names.ip_address, "2001:db8::1", "10.0.0"),
        (names.cidr, "10.0.0.0/8", "10.0.0.0/33"),
        (names.wildcard_subdomain, "*.example.com", "*example.com"),
    ],
)
def test_a_name_check_accepts_the_good_and_words_the_bad(check, good, bad):
    assert check(good) == []
    assert check(bad)


def test_problems_are_worded_as_the_original_does():
    assert names.dns1123_subdomain("probe-") == [
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "
        "and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
        "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
    ]
    assert names.qualified_name("x" * 64) == ["name part must be no more than 63 characters"]
    assert names.qualified_name("a/b/c")[0].startswith("a qualified name must consist of")


def test_an_overlong_label_that_is_otherwise_fine_is_only_overlong():
    assert names.dns1123_label("a" * 64)[0] == "must be no more than 63 characters"


# --- label selectors ---


@pytest.mark.parametrize(
    ("text", "matching", "other"),
    [
        ("app=web", {"app": "web"}, {"app": "db"}),
        ("app==web,tier", {"app": "web", "tier": ""}, {"app": "web"}),
        ("app!=web", {}, {"app": "web"}),
        ("app in (a, b)", {"app": "b"}, {"app": "c"}),
        ("app notin (a,b)", {}, {"app": "a"}),
        ("!old", {}, {"old": "1"}),
        ("size>3", {"size": "4"}, {"size": "x"}),
        ("size<3", {"size": "2"}, {}),
        ("a in ()", {"a": ""}, {"a": "x"}),
        ("", {"any": "thing"}, None),
    ],
)
def test_a_label_selector_matches_what_it_says(text, matching, other):
    selector = labels.parse(text)
    assert selector.matches(matching) and selector.compiled()(matching)
    if other is not None:
        assert not selector.matches(other) and not selector.compiled()(other)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a=b c", "found 'c', expected: ',' or 'end of string'"),
        (",", "found ',', expected: !, identifier, or 'end of string'"),
        ("a in", "unable to parse requirement: found '' expected: '('"),
        ("hard=>1", "unable to parse requirement: found '>', expected: identifier"),
        ("a=b=c", "found '=', expected: ',' or 'end of string'"),
        (
            "hard>x",
            'unable to parse requirement: values[0]: Invalid value: "x": '
            "for 'Gt', 'Lt' operators, the value must be an integer",
        ),
    ],
)
def test_a_broken_label_selector_is_explained_as_the_original_does(text, problem):
    with pytest.raises(labels.SelectorError) as caught:
        labels.parse(text)
    assert str(caught.value) == problem


_key = st.sampled_from(["app", "tier", "example.com/role"])
_value = st.sampled_from(["", "a", "b-1"])
_requirement = st.one_of(
    st.builds(lambda k: labels.Requirement(k, labels.Operator.EXISTS), _key),
    st.builds(lambda k: labels.Requirement(k, labels.Operator.ABSENT), _key),
    st.builds(lambda k, v: labels.Requirement(k, labels.Operator.EQUALS, (v,)), _key, _value),
    st.builds(lambda k, v: labels.Requirement(k, labels.Operator.NOT_EQUALS, (v,)), _key, _value),
    st.builds(
        lambda k, v: labels.Requirement(k, labels.Operator.IN, tuple(sorted(v))), _key, st.sets(_value, min_size=1)
    ),
)


@given(st.lists(_requirement, max_size=4), st.dictionaries(_key, _value))
def test_a_selector_means_the_same_after_it_was_written_and_read_again(requirements, object_labels):
    selector = labels.Selector(tuple(requirements))
    again = labels.parse(str(selector))
    assert again.matches(object_labels) == selector.matches(object_labels) == selector.compiled()(object_labels)


def test_a_label_selector_object_absent_selects_nothing_and_empty_everything():
    assert not labels.from_object(None).matches({"a": "b"})
    assert labels.from_object({}).matches({})
    expressions = [{"key": "a", "operator": "In", "values": ["b"]}]
    assert labels.from_object({"matchLabels": {"x": "1"}, "matchExpressions": expressions}).matches(
        {"x": "1", "a": "b"}
    )
    assert labels.format_object({"matchLabels": {"x": "1"}, "matchExpressions": expressions}) == "a in (b),x=1"


def test_a_wrong_selector_object_yields_every_error_with_its_path():
    wrong = {"matchExpressions": [{"key": "a", "operator": "Is"}, {"key": "b", "operator": "In"}]}
    assert [error.path for error in labels.validate_selector(wrong, "spec.selector")] == [
        "spec.selector.matchExpressions[0].operator",
        "spec.selector.matchExpressions[1].values",
    ]


# --- field selectors ---


def test_a_field_selector_knows_its_operators_and_escapes():
    selector = fields.parse(r"status.phase!=Running,metadata.name=a\,b")
    assert selector.terms == (fields.Term("status.phase", "Running", False), fields.Term("metadata.name", "a,b"))
    assert selector.matches({"metadata.name": "a,b"})
    assert not selector.matches({"metadata.name": "a,b", "status.phase": "Running"})
    assert fields.parse("a==b").exact("a") == "b"
    assert fields.parse(",") == fields.EVERYTHING


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a", "invalid selector: 'a'; can't understand 'a'"),
        ("metadata.name=a=b", "invalid field selector: unescaped character in value: 61"),
        (r"metadata.name=a\b", r"invalid field selector: invalid escape sequence: \b"),
    ],
)
def test_a_broken_field_selector_is_explained(text, problem):
    with pytest.raises(fields.SelectorError) as caught:
        fields.parse(text)
    assert str(caught.value) == problem


@given(st.text(max_size=12))
def test_any_field_value_survives_writing_and_reading(value):
    selector = fields.Selector((fields.Term("metadata.name", value),))
    assert fields.parse(str(selector)) == selector


# --- quantities ---


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("1e-1", "100e-3"),
        ("1073741824", "1073741824"),
        ("1000m", "1"),
        ("0.5Gi", "512Mi"),
        ("1024Mi", "1Gi"),
        ("1000", "1k"),
        ("1E3", "1e3"),
        ("0.5n", "1n"),
        ("0Mi", "0"),
        ("-5m", "-5m"),
        ("+1.50", "1500m"),
        (2, "2"),
        (0.1, "100m"),
    ],
)
def test_a_quantity_is_kept_in_its_canonical_form(written, kept):
    assert quantity.canonical(written) == kept


@pytest.mark.parametrize("text", ["", "abc", "1 Gi", "1Zi", "--1", "."])
def test_text_that_is_no_quantity_is_refused_in_the_original_words(text):
    with pytest.raises(ValueError, match="quantities must match the regular expression"):
        quantity.parse(text)


_quantities = st.builds(
    lambda number, suffix: f"{number}{suffix}",
    st.decimals(-(10**6), 10**6, places=3),
    st.sampled_from(["", "m", "k", "M", "Ki", "Mi", "Gi", "e3", "E-2"]),
)


@given(_quantities)
def test_canonicalising_twice_changes_nothing_and_keeps_the_amount(text):
    once = quantity.canonical(text)
    if "i" not in text or quantity.parse(text).is_whole:
        assert quantity.compare(once, text) == 0
    else:
        # Rounded up to a number without a suffix, which is read as a decimal one: 11.096Mi, 11635000, 11635k.
        once = quantity.canonical(once)
    assert quantity.canonical(once) == once


@given(_quantities, _quantities)
def test_sums_of_quantities_are_exact(left, right):
    total = quantity.parse(left).plus(quantity.parse(right))
    assert total.nanos == quantity.parse(left).nanos + quantity.parse(right).nanos


def test_millicores_and_bytes_round_up():
    assert (quantity.millicores("1.0001"), quantity.in_bytes("1.5Ki"), quantity.in_bytes("100m")) == (1001, 1536, 1)


# --- times ---


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-5, "<invalid>"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (200, "3m20s"),
        (600, "10m"),
        (3 * 3600, "3h"),
        (3 * 3600 + 60, "3h1m"),
        (9 * 3600, "9h"),
        (5 * 86400 + 4 * 3600, "5d4h"),
        (9 * 86400, "9d"),
        (3 * 365 * 86400 + 86400 * 4, "3y4d"),
        (9 * 365 * 86400, "9y"),
    ],
)
def test_an_age_reads_as_kubectl_shows_it(seconds, shown):
    assert times.age(seconds) == shown


@given(st.integers(0, 4_000_000_000))
def test_a_time_survives_writing_and_reading(seconds):
    assert times.parse(times.format(seconds)) == seconds
    assert times.canonical(times.format(seconds)) == times.format(seconds)


def test_times_are_kept_in_utc_with_their_precision():
    assert times.canonical("2026-01-31T13:00:00.9+01:00") == "2026-01-31T12:00:00Z"
    assert times.canonical_micro("2026-01-31T12:00:00Z") == "2026-01-31T12:00:00.000000Z"
    assert times.canonical("0001-01-01T00:00:00.5Z") == "0001-01-01T00:00:00Z"
    assert not times.is_time("noon")


@given(st.integers(0, 10**6).map(lambda milli: milli / 1000))
def test_a_duration_survives_writing_and_reading(seconds):
    assert times.parse_duration(times.format_duration(seconds)) == pytest.approx(seconds)


def test_durations_are_written_as_the_api_does():
    assert [times.format_duration(each) for each in (5400, 90, 0.25, 0)] == ["1h30m0s", "1m30s", "250ms", "0s"]


# --- the rest ---


def test_percentages_scale_up_or_down():
    assert (intstr.scale_up("25%", 10), intstr.scale_down("25%", 10), intstr.scale_up(3, 10)) == (3, 2, 3)
    with pytest.raises(ValueError, match="not a percentage"):
        intstr.scale_up("lots", 10)


@given(st.lists(st.text(max_size=5), max_size=4))
def test_a_json_pointer_survives_writing_and_reading(steps):
    assert paths.parse_pointer(paths.format_pointer(steps)) == steps


def test_dotted_paths_read_write_and_remove():
    target: dict = {}
    paths.put(target, "spec.replicas", 3)
    assert paths.get(target, "spec.replicas") == 3
    assert paths.get(target, "spec.none.deeper", "x") == "x"
    paths.remove(target, "spec.replicas")
    assert target == {"spec": {}}
    assert paths.format_field(["spec", "containers", 0, "name"]) == "spec.containers[0].name"


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (".spec.n", [1]),
        ("{.spec.list[0].a}", ["x"]),
        (".spec.list[*].a", ["x", "y"]),
        (".spec.list[-1:].a", ["y"]),
        (".spec['k.e/y']", [2]),
        (r".spec.k\.e/y", [2]),
        ('.spec.list[?(@.a=="y")].b', [5]),
        (".spec.none", []),
        ("..b", [4, 5]),
    ],
)
def test_a_json_path_finds_its_values(path, found):
    value = {"spec": {"n": 1, "k.e/y": 2, "list": [{"a": "x", "b": 4}, {"a": "y", "b": 5}]}}
    assert jsonpath.parse(path).find(value) == found
