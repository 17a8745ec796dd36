import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from naslab.errors import SpecError
from naslab.networks.genotype import DARTS_V1, DARTS_V2, MAX_TEXT, Genotype
from naslab.operations.images import DARTS_OPERATIONS

PUBLISHED_V2 = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), "
    "('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)], "
    "normal_concat=[2, 3, 4, 5], reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), "
    "('max_pool_3x3', 1), ('max_pool_3x3', 0), ('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], "
    "reduce_concat=[2, 3, 4, 5])"
)


@st.composite
def cells(draw):
    nodes = draw(st.integers(1, 5))
    edges = [
        (draw(st.sampled_from(list(DARTS_OPERATIONS))), draw(st.integers(0, 1 + node)))
        for node in range(nodes)
        for _ in range(2)
    ]
    return tuple(edges), tuple(draw(st.permutations(range(2, 2 + nodes)))[: draw(st.integers(1, nodes))])


@given(cells(), cells())
def test_text_and_json_give_back_the_same_genotype(normal, reduce):
    genotype = Genotype(*normal, *reduce)
    assert Genotype.parse(str(genotype)) == genotype
    assert Genotype.from_json(genotype.to_json()) == genotype
    assert hash(Genotype.parse(str(genotype))) == hash(genotype)


def test_the_published_text():
    assert str(DARTS_V2) == PUBLISHED_V2
    assert Genotype.parse(PUBLISHED_V2) == DARTS_V2
    assert DARTS_V1 != DARTS_V2


@pytest.mark.parametrize(
    "text",
    [
        PUBLISHED_V2.replace("[2, 3, 4, 5]", "range(2, 6)"),
        PUBLISHED_V2.replace("[2, 3, 4, 5]", "(2, 3, 4, 5)"),
        PUBLISHED_V2.replace("'", '"'),
        f"\n  {PUBLISHED_V2}  \n",
        PUBLISHED_V2.replace(", ", ",\n   "),
    ],
)
def test_ways_in_which_it_is_written(text):
    assert Genotype.parse(text) == DARTS_V2


@given(st.text(max_size=200))
def test_only_spec_error_comes_out_of_text(text):
    for read in (Genotype.parse, Genotype.from_json):
        with contextlib.suppress(SpecError):
            read(text)


@given(st.data())
def test_only_spec_error_comes_out_of_damaged_text(data):
    text = PUBLISHED_V2
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(text)))
        cut = data.draw(st.integers(0, 3))
        text = text[:position] + data.draw(st.text("()[]{}',=-*0129ab\\\n:lambda", max_size=3)) + text[position + cut :]
    with contextlib.suppress(SpecError):
        assert isinstance(Genotype.parse(text), Genotype)


@given(
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(-3, 9), st.floats(), st.sampled_from(["sep_conv_3x3", "x"])),
        lambda inner: st.one_of(
            st.lists(inner, max_size=4),
            st.dictionaries(st.sampled_from(["normal", "normal_concat", "reduce", "reduce_concat", "x"]), inner),
        ),
    )
)
def test_only_spec_error_comes_out_of_json(record):
    with contextlib.suppress(SpecError):
        Genotype.from_json(json.dumps(record))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "expected Genotype"),
        ("Genotype", "expected Genotype"),
        ("__import__('os').system('true')", "expected Genotype"),
        (PUBLISHED_V2.replace("Genotype(", "Genotypes("), "expected Genotype"),
        (PUBLISHED_V2.replace("[2, 3, 4, 5]", "__import__('os')"), "only names, whole numbers"),
        (PUBLISHED_V2.replace("[2, 3, 4, 5]", "range(2, 10**9)"), "only names, whole numbers"),
        (PUBLISHED_V2.replace("[2, 3, 4, 5]", "range(2, 1000000000)"), "stop of range"),
        (PUBLISHED_V2.replace("[2, 3, 4, 5]", "[i for i in range(2, 6)]"), "only names, whole numbers"),
        (PUBLISHED_V2.replace("sep_conv_3x3", "sep_conv_3x4", 1), "did you mean 'sep_conv_3x3'"),
        (PUBLISHED_V2.replace("reduce_concat", "reduction_concat"), "did you mean 'reduce_concat'"),
        (PUBLISHED_V2.replace(", reduce_concat=[2, 3, 4, 5]", ""), "lacks reduce_concat"),
        (PUBLISHED_V2[:-1] + ", reduce_concat=[2, 3])", "written once"),
        (PUBLISHED_V2[:-1] + ", **{})", "written once"),
        (PUBLISHED_V2.replace("('sep_conv_3x3', 0)", "('sep_conv_3x3', 2)", 1), "from 0 to 1, not 2"),
        (PUBLISHED_V2.replace("('sep_conv_3x3', 0)", "('sep_conv_3x3', True)", 1), "whole number"),
        (PUBLISHED_V2.replace("('sep_conv_3x3', 0)", "('sep_conv_3x3', -1)", 1), "only names"),
        (PUBLISHED_V2.replace("('sep_conv_3x3', 0), ", "", 1), "two entries a node"),
        (PUBLISHED_V2.replace("('sep_conv_3x3', 0)", "('sep_conv_3x3',)", 1), "must be a pair"),
        (PUBLISHED_V2.replace("[2, 3, 4, 5]", "[2, 3, 4, 4]", 1), "twice"),
        (PUBLISHED_V2.replace("[2, 3, 4, 5]", "[1, 2]", 1), "from 2 to 5, not 1"),
        (PUBLISHED_V2.replace("[2, 3, 4, 5]", "[]", 1), "must name 1 to 4 nodes"),
        ("Genotype(normal=" + "[" * 150 + "]" * 150 + ")", "only names"),
        ("(" * 10_000, "not a genotype"),
        ("-" * 60_000 + "1", "genotype"),
        ("a" + ".b" * 20_000, "not a genotype (RecursionError)"),
        ("1" * 5_000, "genotype"),
        (" " * (MAX_TEXT + 1), "at most"),
        ("Genotype(normal=[" + "('none', 0), " * 130 + "])", "only names"),
        ("\ud800", "genotype"),
        ("\0", "genotype"),
        (None, "at most"),
    ],
)
def test_what_is_refused_and_how(text, sentence):
    with pytest.raises(SpecError) as caught:
        Genotype.parse(text)
    assert sentence in str(caught.value)
    assert type(caught.value) is SpecError


def test_the_constructor_checks_too():
    with pytest.raises(SpecError, match="unknown operation"):
        Genotype((("conv", 0), ("none", 1)), (2,), DARTS_V1.reduce, DARTS_V1.reduce_concat)
    assert Genotype(list(DARTS_V1.normal), range(2, 6), list(DARTS_V1.reduce), [2, 3, 4, 5]) == DARTS_V1  # type: ignore[arg-type]
