"""Texts and objects that are no genotypes."""

import contextlib
import json
import random
from collections import namedtuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from published_genotypes import NAMED, NORMAL, PUBLISHED, PUBLISHED_V2, SIX, SNAS, V2, nested

from naslab.errors import SpecError
from naslab.networks.genotype import DARTS_V1, Genotype
from naslab.networks.genotype_text import MAX_TEXT

# --- what is refused -------------------------------------------------------------------------------

ALPHABET = [
    *"()[]{}',=-*0129ab\\\n:#\"",
    "lambda",
    "Genotype(",
    "np.int64(",
    "range(",
    "normal=",
    "none",
    "(" * 50,
    "X = ",
]


def test_only_spec_errors_come_out_of_mutated_texts():
    """Seeded damage to every published form: cuts, doublings and insertions."""
    rng = random.Random(30)
    forms = [*PUBLISHED.values(), nested(PUBLISHED_V2), str(dict(zip(NAMED._fields, V2, strict=True))), SNAS[:1500]]
    for _ in range(250):
        text = rng.choice(forms)
        for _ in range(rng.randint(1, 4)):
            start, length = rng.randrange(len(text)), rng.randint(0, 40)
            piece = rng.choice([rng.choice(ALPHABET), text[start : start + length] * 2, ""])
            text = text[:start] + piece + text[start + rng.randint(0, length) :]
        with contextlib.suppress(SpecError):
            genotype = Genotype.parse(text)
            assert Genotype.parse(str(genotype)) == genotype


@pytest.mark.parametrize(
    "text",
    [
        "Genotype(" * 7000,
        "class Genotype(" * 4000 + ")" * 4000,
        "# Genotype(\n" * 5000,
        "x = " * 16_000,
        "'\"" * 30_000,
        "Genotype(normal=[" + "range(0, 66), " * 4000 + "])",
        "a=b\n" * 16_000 + "Genotype(",
        " " * 65_000 + "Genotype",
    ],
    ids=lambda text: text[:12],
)
def test_hostile_texts_cost_little(text):
    with pytest.raises(SpecError):
        Genotype.parse(text)


@settings(max_examples=50)
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


NOISE = f"c10_s4_pcdarts = {PUBLISHED_V2.replace('dil_conv_3x3', 'noise')}"  # as in SmoothDARTS
RECURRENT = (
    "DARTS = Genotype(recurrent=[('relu', 0), ('relu', 1), ('tanh', 2), ('relu', 3), ('relu', 4), ('identity', 1), "
    "('relu', 5), ('relu', 1)], concat=range(1, 9))"
)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "expected Genotype"),
        ("Genotype", "expected Genotype"),
        ("__import__('os').system('true')", "expected Genotype"),
        (PUBLISHED_V2.replace("Genotype(", "Genotypes("), "expected Genotype"),
        (PUBLISHED_V2.replace("[2, 3, 4, 5]", "__import__('os')"), "only names, whole numbers"),
        (PUBLISHED_V2.replace("[2, 3, 4, 5]", "range(2, 10**9)"), "only names, whole numbers"),
        (PUBLISHED_V2.replace("[2, 3, 4, 5]", "range(2, 6, 0)"), "must not be 0"),
        (PUBLISHED_V2.replace("[2, 3, 4, 5]", "list(open('x'))"), "only names, whole numbers"),
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
        (PUBLISHED_V2.replace("('sep_conv_3x3', 0)", "('sep_conv_3x3', 0.5)", 1), "whole number"),
        (PUBLISHED_V2.replace("('sep_conv_3x3', 0)", "('sep_conv_3x3', None)", 1), "whole number"),
        (PUBLISHED_V2.replace("('sep_conv_3x3', 0), ", "", 1), "two entries a node"),
        (PUBLISHED_V2.replace("('sep_conv_3x3', 0)", "('sep_conv_3x3',)", 1), "must be a pair"),
        (PUBLISHED_V2.replace("[2, 3, 4, 5]", "[2, 3, 4, 4]", 1), "twice"),
        (PUBLISHED_V2.replace("[2, 3, 4, 5]", "[1, 2]", 1), "from 2 to 5, not 1"),
        (PUBLISHED_V2.replace("[2, 3, 4, 5]", "[]", 1), "must name 1 to 4 nodes"),
        ("Genotype(normal=" + "[" * 150 + "]" * 150 + ")", "only names"),
        ("(" * 10_000, "not a genotype"),
        ("Genotype(" + "(" * 10_000, "expected Genotype"),
        ("Genotype(" + "(" * 10_000 + ")" * 10_001, "not a genotype"),
        ("-" * 60_000 + "1", "genotype"),
        ("[a" + ".b" * 20_000 + "]", "not a genotype (RecursionError)"),
        ("1" * 5_000, "genotype"),
        (" " * (MAX_TEXT + 1), "at most"),
        ("Genotype(normal=[" + "('none', 0), " * 2145 + "])", "only names"),
        (PUBLISHED_V2.replace(NORMAL, "[" + "('none', 0), " * 130 + "]"), "1 to 64 nodes, not 130 entries"),
        (PUBLISHED_V2.replace("[2, 3, 4, 5]", "[2, 3, 4]", 1), "nothing reads 5 of the states 2 to 5"),
        (PUBLISHED_V2.replace("[2, 3, 4, 5]", "[5]", 1), "nothing reads 3, 4 of the states 2 to 5"),
        (PUBLISHED["snas", "SNAS_mild_edge_all"].replace("('none', 4)", "('none', 3)"), "nothing reads 6, 7, 8"),
        (nested(PUBLISHED_V2).replace("[2, 3, 4, 5]", "[2]"), "nothing reads 3"),
        (nested(PUBLISHED_V2).replace("[('sep_conv_3x3', 1), ", "[", 1), "have 2, 2, 1, 2 entries; expected two each"),
        (PUBLISHED_V2[:-1] + ", connectN=4)", "unknown key of a genotype 'connectN'"),
        (RECURRENT, "this is a recurrent cell"),
        (NOISE, "normal: entry 7: 'noise'"),
        ("ops = sorted(x)", "expected Genotype"),
        ("\ud800", "genotype"),
        ("\0", "genotype"),
        (None, "expected a genotype as text"),
    ],
)
def test_what_is_refused_and_how(text, sentence):
    with pytest.raises(SpecError) as caught:
        Genotype.parse(text)
    assert sentence in str(caught.value)
    assert type(caught.value) is SpecError


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (3, "expected a genotype as text, or an object with the fields normal"),
        (NAMED(1, 2, 3, 4), "must be lists"),
        (NAMED(*V2[:3], [[]]), "whole number"),
        (namedtuple("Recurrent", "recurrent concat")([("tanh", 0)], range(1, 9)), "this is a recurrent cell"),
        (SIX(*V2, 2, None), "unknown key of a genotype 'connectN'"),
        ({"normal": []}, "lacks normal_concat, reduce, reduce_concat"),
        ({**dict(zip(NAMED._fields, V2, strict=True)), "normal": [[]]}, "must be a pair"),
        (b"Genotype()", "expected a genotype as text"),
        ([1, 2, 3], "expected a genotype as text"),
    ],
)
def test_objects_that_are_no_genotypes(given, sentence):
    with pytest.raises(SpecError, match=sentence):
        Genotype.parse(given)


def test_the_constructor_checks_too():
    with pytest.raises(SpecError, match="unknown operation"):
        Genotype((("conv", 0), ("none", 1)), (2,), DARTS_V1.reduce, DARTS_V1.reduce_concat)
    assert Genotype(list(DARTS_V1.normal), range(2, 6), list(DARTS_V1.reduce), [2, 3, 4, 5]) == DARTS_V1  # type: ignore[arg-type]
