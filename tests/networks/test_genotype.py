import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from published_genotypes import (
    AUTODL,
    DARTS,
    NAMED,
    NORMAL,
    PUBLISHED,
    PUBLISHED_V2,
    REDUCE,
    SIX,
    SNAS,
    V2,
    cells,
    nested,
)

from naslab.analysis.cell_shape import genotype_shapes
from naslab.errors import SpecError
from naslab.networks.genotype import DARTS_V1, DARTS_V2, Genotype


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
