import contextlib
import json
import random
import re
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from naslab.analysis.cell_shape import genotype_shapes
from naslab.errors import SpecError
from naslab.networks.cost import parameters
from naslab.networks.darts import DartsNetwork
from naslab.networks.genotype import DARTS_V1, DARTS_V2, GENOTYPE_OPERATIONS, Genotype
from naslab.networks.genotype_text import MAX_TEXT, written

FIXTURES = Path(__file__).parent / "fixtures"
DARTS, SNAS, AUTODL = ((FIXTURES / f"genotypes_{name}.txt").read_text() for name in ("darts", "snas", "autodl"))
PUBLISHED = {
    (file, one.name): one.text
    for file, text in (("darts", DARTS), ("snas", SNAS), ("autodl", AUTODL))
    for one in written(text)
    if one.name not in ("tried", "genotype")
}
"""(file, name) -> the genotype as published."""
PUBLISHED_V2 = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), "
    "('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)], "
    "normal_concat=[2, 3, 4, 5], reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), "
    "('max_pool_3x3', 1), ('max_pool_3x3', 0), ('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], "
    "reduce_concat=[2, 3, 4, 5])"
)
NORMAL, REDUCE = (re.findall(rf"{part}=(\[.*?\])", PUBLISHED_V2)[0] for part in ("normal", "reduce"))


@st.composite
def cells(draw, all_edges=None):
    """A cell of two edges a node, or of all, with the concatenation: what nothing reads, and perhaps more."""
    nodes = draw(st.integers(1, 5))
    if draw(st.booleans()) if all_edges is None else all_edges:
        sources = [draw(st.permutations(range(2 + node))) for node in range(nodes)]
    else:
        sources = [draw(st.tuples(*[st.integers(0, 1 + node)] * 2)) for node in range(nodes)]
    operations = st.sampled_from(list(GENOTYPE_OPERATIONS))
    edges = tuple((draw(operations), source) for read in sources for source in read)
    read = {source for _, source in edges}
    concat = [state for state in range(2, 2 + nodes) if state not in read or draw(st.booleans())]
    return edges, tuple(draw(st.permutations(concat)))


@given(cells(), cells())
def test_text_and_json_give_back_the_same_genotype(normal, reduce):
    genotype = Genotype(*normal, *reduce)
    assert (genotype.normal, genotype.reduce) == (normal[0], reduce[0])
    assert Genotype.parse(str(genotype)) == genotype
    assert Genotype.from_json(genotype.to_json()) == Genotype.parse(genotype.to_json()) == genotype
    assert hash(Genotype.parse(str(genotype))) == hash(genotype)
    nested = {part: genotype.nodes(part) for part in ("normal", "reduce")}
    assert Genotype(nested["normal"], normal[1], nested["reduce"], reduce[1]) == genotype  # type: ignore[arg-type]


@given(cells(all_edges=True))
def test_all_edges_are_known_from_the_entries(cell):
    genotype = Genotype(*cell, *cell)
    assert [len(node) for node in genotype.nodes("normal")] == list(range(2, 2 + len(genotype.nodes("normal"))))
    assert genotype.keeps_all_edges("normal")


def test_entries_that_two_a_node_or_all_edges_could_have():
    """The concatenation says which: the last of seven nodes is concatenated, or it is no node."""
    sources = [0, 1, 0, 1, 2, 0, 1, 2, 3, 0, 1, 2, 3, 4]
    edges = tuple(("max_pool_3x3", source) for source in sources)
    of_two, of_all = Genotype(edges, (5, 6, 7, 8), *V2[2:]), Genotype(edges, (2, 3, 4, 5), *V2[2:])
    assert [len(node) for node in of_two.nodes("normal")] == [2] * 7
    assert [len(node) for node in of_all.nodes("normal")] == [2, 3, 4, 5]


def test_the_published_text():
    assert str(DARTS_V2) == PUBLISHED_V2
    assert Genotype.parse(PUBLISHED_V2) == DARTS_V2
    assert DARTS_V1 != DARTS_V2


def nested(text, brackets="[]", pairs="()"):
    """The text with its entries node by node."""
    for flat in (NORMAL, REDUCE):
        entries = re.findall(r"\(('\w+'), (\d)\)", flat)
        written = [f"{pairs[0]}{operation}, {source}{pairs[1]}" for operation, source in entries]
        nodes = [f"{brackets[0]}{a}, {b}{brackets[1]}" for a, b in zip(written[::2], written[1::2], strict=True)]
        text = text.replace(flat, f"[{', '.join(nodes)}]")
    return text


NAMED = namedtuple("NAMED", "normal normal_concat reduce reduce_concat")
SIX = namedtuple("SIX", "normal normal_concat reduce reduce_concat connectN connects", defaults=(None, None))
V2 = DARTS_V2.normal, (2, 3, 4, 5), DARTS_V2.reduce, (2, 3, 4, 5)


@pytest.mark.parametrize(
    "form",
    [
        PUBLISHED_V2.replace("[2, 3, 4, 5]", "range(2, 6)"),
        PUBLISHED_V2.replace("[2, 3, 4, 5]", "(2, 3, 4, 5)"),
        PUBLISHED_V2.replace("[2, 3, 4, 5]", "list(range(2, 6))"),
        PUBLISHED_V2.replace("[2, 3, 4, 5]", "tuple(range(2, 6, 1))"),
        PUBLISHED_V2.replace("[2, 3, 4, 5]", "[*range(2, 2 + 4)]"),
        PUBLISHED_V2.replace("[2, 3, 4, 5]", "array([2, 3, 4, 5])"),
        PUBLISHED_V2.replace("'", '"'),
        f"\n  {PUBLISHED_V2}  \n",
        PUBLISHED_V2.replace(", ", ",\n   "),
        PUBLISHED_V2.replace("[('", "(('").replace(")],", ")),"),
        re.sub(r"\(('\w+'), (\d)\)", r"[\1, \2]", PUBLISHED_V2),
        re.sub(r", (\d)\)", r", np.int64(\1))", PUBLISHED_V2),
        re.sub(r", (\d)\)", r", numpy.int32(\1))", PUBLISHED_V2.replace("[2, 3, 4, 5]", "[np.int64(2), 3, 4, 5]")),
        re.sub(r", (\d)\)", r", tensor(\1, device='cuda:0'))", PUBLISHED_V2),
        re.sub(r", (\d)\)", r", \1, 0.25)", PUBLISHED_V2),
        re.sub(r"('\w+')", r"np.str_(\1)", PUBLISHED_V2),
        nested(PUBLISHED_V2),
        nested(PUBLISHED_V2, "()"),
        nested(PUBLISHED_V2, "[]", "[]"),
        nested(
            PUBLISHED_V2.replace(
                "reduce_concat=[2, 3, 4, 5]", "reduce_concat=range(2, 6), connectN=None, connects=None"
            )
        ),
        f"DARTS_V2 = {PUBLISHED_V2}",
        f"DARTS_V2: Genotype = genotypes.{PUBLISHED_V2}  # the second order",
        f"# DARTS_V2 = {PUBLISHED_V2}",
        f"10/21 05:11:10 PM genotype = {PUBLISHED_V2}",
        f"2026-11-30 08:12:01,101 INFO:root:epoch 49, don't stop (yet): genotype = {PUBLISHED_V2}\nvalid_acc 97.2",
        f"10/21 05:11:10 PM genotype = {PUBLISHED_V2}\n10/21 05:12:10 PM genotype = {PUBLISHED_V2[:180]}",
        f"10/21 05:11:10 PM genotype = {PUBLISHED_V2[:180]}\n10/21 05:12:10 PM genotype = {PUBLISHED_V2}\n",
        f"10/21 05:11:10 PM genotype = {PUBLISHED_V2}\n10/21 05:12:10 PM genotype = {PUBLISHED_V2}\n",
        f"Genotype = namedtuple('Genotype', 'normal normal_concat reduce reduce_concat')\nbest = {PUBLISHED_V2}",
        "# old = Genotype(\n#   normal=[('none', 0)],\n# )\n" * 20 + f"best = {PUBLISHED_V2}",
        f"class Genotype(NamedTuple):\n    normal: list\n\nbest = {PUBLISHED_V2}",
        f"{{'genotype': {PUBLISHED_V2}, 'accuracy': 97.2}}",
        f"Genotype({NORMAL}, range(2, 6), {REDUCE}, range(2, 6))",
        f"Genotype({NORMAL}, range(2, 6), {REDUCE}, range(2, 6), None, None)",
        f"Genotype(reduce={REDUCE}, reduce_concat=range(2, 6), normal={NORMAL}, normal_concat=range(2, 6))",
        f"dict(normal={NORMAL}, normal_concat=range(2, 6), reduce={REDUCE}, reduce_concat=range(2, 6))",
        str(dict(zip(NAMED._fields, V2, strict=True))),
        json.dumps(dict(zip(SIX._fields, (*V2, None, None), strict=True))),
        json.dumps(NAMED(*V2)),
        DARTS_V2,
        NAMED(*V2),
        NAMED(list(DARTS_V2.normal), range(2, 6), list(DARTS_V2.reduce), range(2, 6)),
        NAMED(DARTS_V2.nodes("normal"), range(2, 6), DARTS_V2.nodes("reduce"), range(2, 6)),
        NAMED([(np.str_(op), np.int64(i)) for op, i in DARTS_V2.normal], np.arange(2, 6), *V2[2:]),
        NAMED([(op, torch.tensor(i)) for op, i in DARTS_V2.normal], torch.arange(2, 6), *V2[2:]),
        SIX(*V2),
        SimpleNamespace(**dict(zip(NAMED._fields, V2, strict=True))),
        dict(zip(NAMED._fields, V2, strict=True)),
        V2,
    ],
    ids=lambda form: str(form)[:12],
)
def test_ways_in_which_it_is_written(form):
    assert Genotype.parse(form) == DARTS_V2


@pytest.mark.parametrize(("file", "name"), PUBLISHED, ids=lambda value: value)
def test_published_genotypes(file, name):
    """Each is read alone, and by its name out of the file it stands in; what comes is what is written."""
    text = PUBLISHED[file, name]
    genotype = Genotype.parse(text)
    assert Genotype.parse({"darts": DARTS, "snas": SNAS, "autodl": AUTODL}[file], which=name) == genotype
    assert Genotype.parse(str(genotype)) == genotype
    entries = re.findall(r"\('(\w+)', (\d)\)", text)
    assert [*genotype.normal, *genotype.reduce] == [(operation, int(source)) for operation, source in entries]
    assert len(genotype.nodes("normal")) == (5 if name in ("NASNet", "AmoebaNet", "PNASNet") else 4)
    assert genotype.keeps_all_edges("normal") == name.endswith("edge_all")


def test_the_nested_and_the_flat_are_the_same_cells():
    assert len(PUBLISHED) == 7 + 6 + 6
    for name, genotype in (("DARTS_V1", DARTS_V1), ("DARTS_V2", DARTS_V2)):
        assert Genotype.parse(PUBLISHED["autodl", name]) == Genotype.parse(PUBLISHED["darts", name]) == genotype
    assert Genotype.parse(PUBLISHED["autodl", "NASNet"]) == Genotype.parse(PUBLISHED["darts", "NASNet"])


def test_a_text_with_several_asks_which():
    with pytest.raises(SpecError, match='which differ; say which: which="NASNet" for instance, of NASNet, AmoebaNet'):
        Genotype.parse(DARTS)
    assert Genotype.parse(DARTS, which="PCDARTS") == Genotype.parse(PUBLISHED["darts", "PC_DARTS_cifar"])
    assert Genotype.parse(DARTS, which=0) == Genotype.parse(PUBLISHED["darts", "NASNet"])
    for last in (-1, np.int64(-1)):
        assert Genotype.parse(AUTODL.replace(" ", "\u00a0"), which=last) == Genotype.parse(
            PUBLISHED["autodl", "GDAS_V1"]
        )
    with pytest.raises(SpecError, match="unknown genotype in this text 'DARTS_V3'; did you mean 'DARTS_V"):
        Genotype.parse(DARTS, which="DARTS_V3")
    with pytest.raises(SpecError, match="holds 6 genotypes; there is no number 6"):
        Genotype.parse(SNAS, which=6)
    log = f"09:10 genotype = {DARTS_V1}\n09:20 genotype = {DARTS_V2}\n"
    assert Genotype.parse(log, which=-1) == DARTS_V2
    for which in (None, "genotype"):
        with pytest.raises(SpecError, match=r"2 genotypes.*which differ; say which: .*which=-1 for the last"):
            Genotype.parse(log, which=which)
    with pytest.raises(SpecError, match="only names"):
        Genotype.parse(AUTODL, which="genotype")


def test_the_shape_of_snas_is_the_published_one_in_either_form():
    """4c wide and 2 deep (Shu et al. 2020, Figure 1); edges that are "none" are no connections."""
    for form in ("", "_edge_all"):
        shape = genotype_shapes(Genotype.parse(SNAS, which=f"SNAS_mild{form}"))["normal"]
        assert (shape.width, shape.depth) == (4, 2)


@pytest.mark.parametrize("kind", ["mild", "moderate", "aggressive"])
def test_a_network_with_all_edges_is_the_one_without_its_none(kind):
    """SNAS publishes each cell twice, with all edges and with two a node; "none" adds zeros, so that the networks are
    the same, parameter by parameter. (The reduction cell of the aggressive one has nodes that are all zeros.)"""
    two, every = (Genotype.parse(PUBLISHED["snas", f"SNAS_{kind}{form}"]) for form in ("", "_edge_all"))
    networks = [DartsNetwork(one, (1, 8, 8), 3, channels=2, cells=3).double().eval() for one in (two, every)]
    assert parameters(networks[0]) == parameters(networks[1])
    where = {}
    for part in ("normal", "reduce"):
        of_two = [(i, *entry) for i, node in enumerate(two.nodes(part)) for entry in node]
        of_all = [(i, *entry) for i, node in enumerate(every.nodes(part)) for entry in node]
        where[part] = {of_all.index(edge): position for position, edge in enumerate(of_two)}
        assert {edge[1] for edge in set(of_all) - set(of_two)} == {"none"}
    state = networks[0].state_dict()
    for cell in networks[1].cells:
        assert len(cell.operations) == 14
    given = {}
    for name in networks[1].state_dict():
        if found := re.match(r"cells\.(\d)\.operations\.(\d+)\.(.*)", name):
            part = "reduce" if int(found[1]) in (1, 2) else "normal"
            given[name] = state[f"cells.{found[1]}.operations.{where[part][int(found[2])]}.{found[3]}"]
        else:
            given[name] = state[name]
    networks[1].load_state_dict(given)
    x = torch.randn(2, 1, 8, 8, dtype=torch.float64)
    torch.testing.assert_close(networks[1](x), networks[0](x), rtol=0, atol=1e-12)


PAPER = {
    "DARTS_V1": (3_645_840, 3_169_414),
    "DARTS_V2": (3_825_768, 3_349_342),
    "NASNet": (4_288_944, 3_830_950),
    "AmoebaNet": (3_603_072, 3_145_078),
}
"""Parameters with and without the auxiliary head at 36 channels and 20 cells for 10 classes, counted with the authors'
code."""


@pytest.mark.parametrize("name", PAPER)
def test_parameters_of_the_authors_networks(name):
    with torch.device("meta"):
        genotype = Genotype.parse(PUBLISHED["darts", name])
        network = DartsNetwork(genotype, (3, 32, 32), 10, channels=36, cells=20, auxiliary=True)
    counted = parameters(network)
    assert (counted, counted - parameters(network.auxiliary_head)) == PAPER[name]  # type: ignore[arg-type]


IMAGENET = {
    "DARTS_V1": (5_771_208, 4_510_432),
    "DARTS_V2": (5_979_528, 4_718_752),
    "NASNet": (6_800_520, 5_564_320),
    "AmoebaNet": (5_863_560, 4_627_360),
}
"""The same of their networks for ImageNet: 48 channels, 14 cells, 1000 classes, 224 x 224 pixels."""


@pytest.mark.parametrize("name", IMAGENET)
def test_parameters_of_the_authors_networks_for_imagenet(name):
    with torch.device("meta"):
        genotype, sizes = Genotype.parse(PUBLISHED["darts", name]), {"channels": 48, "cells": 14, "stem": "imagenet"}
        network = DartsNetwork(genotype, (3, 224, 224), 1000, auxiliary=True, **sizes)
    counted = parameters(network)
    assert (counted, counted - parameters(network.auxiliary_head)) == IMAGENET[name]  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["GDAS_V1", "SETN", "PNASNet"])
def test_networks_of_the_nested_form(name):
    network = DartsNetwork(Genotype.parse(PUBLISHED["autodl", name]), (1, 8, 8), 3, channels=2, cells=3)
    assert network(torch.randn(2, 1, 8, 8)).shape == (2, 3)


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
