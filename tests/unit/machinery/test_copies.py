"""Deep copies: equal, and independent of what they are copies of."""

from hypothesis import given
from hypothesis import strategies as st

from mizzen.machinery.copies import copied

_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
)


@given(_json)
def test_a_copy_is_equal_and_of_the_same_types(value):
    copy = copied({"value": value})
    assert copy == {"value": value}
    assert repr(copy) == repr({"value": value})


def test_changing_a_copy_leaves_the_original_alone():
    original = {"a": [{"b": 1}]}
    copied(original)["a"][0]["b"] = 2
    assert original == {"a": [{"b": 1}]}


def test_numbers_beyond_json_libraries_are_copied_too():
    assert copied({"a": [2**70]}) == {"a": [2**70]}
