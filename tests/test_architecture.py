import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from naslab.architecture import MAX_CHOICES, MAX_JSON_BYTES, Architecture, Choice
from naslab.errors import SpecError

OPTIONS = st.one_of(st.text(max_size=8), st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False))
ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=4)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["space", "choices", "x"]), inner, max_size=3),
    ),
    max_leaves=8,
)


@given(st.lists(OPTIONS, max_size=10))
def test_json_gives_back_the_same_architecture(choices):
    architecture = Architecture("some_space", tuple(choices))
    again = Architecture.from_json(architecture.to_json())
    assert again == architecture
    assert hash(again) == hash(architecture)
    assert [type(value) for value in again.choices] == [type(value) for value in architecture.choices]


@given(st.text())
def test_only_spec_error_comes_out_of_text(text):
    with contextlib.suppress(SpecError):
        Architecture.from_json(text)


@given(ANYTHING)
def test_only_spec_error_comes_out_of_a_record(record):
    with contextlib.suppress(SpecError):
        assert isinstance(Architecture.from_record(record), Architecture)


@pytest.mark.parametrize("value", [True, None, ["a"], float("nan"), float("inf"), b"a"])
def test_refuses_what_is_not_a_json_scalar(value):
    with pytest.raises(SpecError):
        Architecture("some_space", (value,))


def test_limits():
    assert len(Architecture("s", ("a",) * MAX_CHOICES).choices) == MAX_CHOICES
    with pytest.raises(SpecError, match="at most"):
        Architecture("s", ("a",) * (MAX_CHOICES + 1))
    with pytest.raises(SpecError, match="at most"):
        Architecture.from_json(" " * (MAX_JSON_BYTES + 1))
    with pytest.raises(SpecError, match="not JSON"):
        Architecture.from_json("[" * 50_000)


def test_refuses_unknown_keys():
    with pytest.raises(SpecError, match="'space' and 'choices'"):
        Architecture.from_json('{"space": "s", "choices": [], "more": 1}')


def test_a_choice_has_options():
    with pytest.raises(SpecError, match="no options"):
        Choice("empty", ())
