"""Counts by hand and by enumeration; uniform draws; the ends against all wirings."""

import math
from collections import Counter

import numpy as np
import pytest

import naslab as nl
from naslab.analysis import Wirings, cell_shapes, deepest, rewirings, widest
from naslab.errors import SpecError
from naslab.networks.genotype import DARTS_V2


def sampled(space, seed=0):
    return space.sample(np.random.default_rng(seed))


def operations(space, architecture):
    """Part and node -> sorted operations."""
    graph = space.graph(architecture)
    return Counter((v, op) for _, v, named in graph.edges(data="op") if named for op in named.split(" + "))


def test_counts_by_hand():
    darts = nl.spaces.DartsCell()
    distinct = darts.architecture(
        [v for _ in range(2) for n in range(4) for v in ("0,1", "sep_conv_3x3", "skip_connect")]
    )
    assert Wirings(darts, distinct).size == (2 * 6 * 12 * 20) ** 2, "ordered pairs of distinct states, node after node"
    alike = darts.architecture([v for _ in range(2) for n in range(4) for v in ("0,1", "sep_conv_3x3", "sep_conv_3x3")])
    assert Wirings(darts, alike).size == (1 * 3 * 6 * 10) ** 2, "with equal operations an order means nothing"
    nasnet = nl.spaces.NASNetCell()
    assert Wirings(nasnet, sampled(nasnet)).size == (2 * 3 * 4 * 5 * 6) ** 4
    macro = nl.spaces.EnasMacro()
    assert Wirings(macro, sampled(macro)).size == 2**66
    table = nl.spaces.NASBench201()
    cell = table.architecture(["none", "none", "skip_connect", "nor_conv_3x3", "nor_conv_3x3", "nor_conv_3x3"])
    assert Wirings(table, cell).size == math.factorial(6) // (2 * 6)


@pytest.mark.parametrize("name", ["nasbench201", "nasbench101", "darts_cell"])
def test_the_wirings_are_all_architectures_with_these_operations(name):
    """Against a filter over the whole space, or over all answers to the choices about connections."""
    space = {
        "nasbench201": nl.spaces.NASBench201(),
        "nasbench101": nl.spaces.NASBench101(vertices=5, edges=6),
        "darts_cell": nl.spaces.DartsCell(nodes=2, operations=("skip_connect", "sep_conv_3x3")),
    }[name]

    def kept(candidate):
        answers = space.answers(candidate)
        if name == "nasbench101":
            return {key: value for key, value in answers.items() if not key.endswith("inputs")}
        if name == "nasbench201":
            return sorted(answers.values())
        return sorted((key.rpartition("/")[0], v) for key, v in answers.items() if not key.endswith("inputs"))

    everything = list(space.enumerate())
    for seed in (1, 4, 9):
        architecture = everything[int(np.random.default_rng(seed).integers(len(everything)))]
        wirings = Wirings(space, architecture)
        assert set(wirings) == {other for other in everything if kept(other) == kept(architecture)}
        assert len(set(wirings)) == wirings.size
        assert architecture in set(wirings)


def test_rewirings_keep_the_operations_and_are_repeatable():
    space = nl.spaces.DartsCell()
    architecture = space.from_genotype(DARTS_V2)
    found = rewirings(space, architecture, 30, seed=3)
    assert len(set(found)) == 30
    assert architecture not in found
    for other in found:
        space.check(other)
        assert operations(space, other) == operations(space, architecture)
    assert rewirings(space, architecture, 30, seed=3) == found
    assert rewirings(space, architecture, 30, seed=4) != found
    for other in rewirings(space, architecture, 10, part="normal"):
        assert other.choices[12:] == architecture.choices[12:]
        assert other.choices[:12] != architecture.choices[:12]


def test_every_wiring_is_as_likely():
    space = nl.spaces.NASBench201()
    cell = space.architecture(["none", "none", "none", "none", "skip_connect", "nor_conv_3x3"])
    drawn = Counter(found for seed in range(1000) for found in rewirings(space, cell, 1, seed))
    assert len(drawn) == 29, "all but the cell itself"
    expected = 1000 / 29
    assert sum((many - expected) ** 2 / expected for many in drawn.values()) < 62, "chi square, p = 0.0002 for 28"


def test_the_ends_of_darts():
    space = nl.spaces.DartsCell()
    architecture = sampled(space, 5)
    assert {shape[:2] for shape in cell_shapes(space, widest(space, architecture)).values()} == {(4.0, 2)}
    assert {shape[:2] for shape in cell_shapes(space, deepest(space, architecture)).values()} == {(1.5, 5)}
    for end in (widest, deepest):
        assert operations(space, end(space, architecture)) == operations(space, architecture)


@pytest.mark.parametrize("space", [nl.spaces.DartsCell.laptop(), nl.spaces.NASNetCell(blocks=3)], ids=lambda s: s.name)
def test_the_ends_found_node_by_node_are_those_of_all_wirings(space):
    architecture = sampled(space, 2)
    free = [name for name in space.answers(architecture) if name.startswith("normal/")]
    shapes = [cell_shapes(space, other)["normal"] for other in Wirings(space, architecture, free)]
    assert Wirings(space, architecture).size > 3000, "or all would have been looked at"
    wide, deep = (cell_shapes(space, end(space, architecture))["normal"] for end in (widest, deepest))
    assert (wide.width, -wide.depth) == max((shape.width, -shape.depth) for shape in shapes)
    assert (deep.depth, -deep.width) == max((shape.depth, -shape.width) for shape in shapes)


def test_bad_input():
    table, darts = nl.spaces.NASBench201(), nl.spaces.DartsCell()
    cell = table.architecture(["none"] * 5 + ["skip_connect"])
    with pytest.raises(SpecError, match="5 other ways, which is fewer than n=6"):
        rewirings(table, cell, 6)
    with pytest.raises(SpecError, match="nasbench_macro has no connections"):
        Wirings(macro := nl.spaces.NASBenchMacro(), sampled(macro))
    with pytest.raises(SpecError, match="unknown part 'norml'; did you mean 'normal'"):
        widest(darts, sampled(darts), part="norml")
    with pytest.raises(SpecError, match="from 0 to 5"):
        Wirings(table, cell).at(6)
    with pytest.raises(SpecError, match="unknown choice"):
        Wirings(table, cell, ["cell/9/from_0"])
    with pytest.raises(SpecError, match="does not belong"):
        Wirings(darts, cell)
