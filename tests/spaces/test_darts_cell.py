from types import SimpleNamespace

import numpy as np
import pytest
import torch

from naslab.errors import SpecError
from naslab.networks.cost import cost
from naslab.networks.darts_supernet import joined
from naslab.networks.genotype import DARTS_V1, DARTS_V2, Genotype
from naslab.operations.images import DARTS_SEARCHED
from naslab.randomness import numpy_generator
from naslab.spaces import DartsCell
from naslab.tasks import Images
from naslab.trainers import fit

SPACE = DartsCell.paper()


def weights(**entries: float) -> dict[str, np.ndarray]:
    """Paper-sized weights of 0 with the entries given as `row_operation=value` in the normal cell."""
    matrices = {part: np.zeros((14, 8), dtype=np.float32) for part in ("normal", "reduce")}
    for name, value in entries.items():
        _, row, operation = name.split("_", 2)
        matrices["normal"][int(row), DARTS_SEARCHED.index(operation)] = value
    return matrices


def test_the_paper_s_space():
    assert SPACE.edges() == {"normal": 14, "reduce": 14}
    assert SPACE.operations == DARTS_SEARCHED
    assert (SPACE.channels, SPACE.cells) == (16, 8)
    assert SPACE.size == (7**8 * 1 * 3 * 6 * 10) ** 2


@pytest.mark.parametrize("genotype", [DARTS_V1, DARTS_V2], ids=["V1", "V2"])
def test_published_cells_are_in_the_space(genotype):
    architecture = SPACE.parse(str(genotype))
    again = SPACE.genotype(architecture)
    assert SPACE.from_genotype(again) == architecture
    for part in ("normal", "reduce"):
        assert [set(node) for node in again.nodes(part)] == [set(node) for node in genotype.nodes(part)]


def test_genotype_round_trip():
    rng = numpy_generator("genotypes")
    for nodes in (1, 2, 3, 4, 6):
        space = DartsCell(nodes=nodes)
        for _ in range(20):
            architecture = space.sample(rng)
            assert space.from_genotype(space.genotype(architecture)) == architecture
            assert space.parse(str(space.genotype(architecture))) == architecture


def test_choices_in_order():
    names = [choice.name for choice, _ in SPACE.walk(SPACE.parse(str(DARTS_V2)).choices)]
    assert names[:4] == ["normal/0/inputs", "normal/0/op_0", "normal/0/op_1", "normal/1/inputs"]
    assert names[12] == "reduce/0/inputs"
    assert SPACE.answers(SPACE.parse(str(DARTS_V2)))["normal/3/inputs"] == "0,2"
    choice = SPACE.next_choice(("0,1", "skip_connect", "skip_connect"))
    assert choice is not None
    assert choice.options == ("0,1", "0,2", "1,2")


# --- the published derivation ----------------------------------------------------------------------


def test_the_two_strongest_edges_with_their_strongest_operation():
    derived = SPACE.discretize(
        weights(w_2_sep_conv_3x3=0.3, w_3_sep_conv_5x5=0.2, w_3_max_pool_3x3=0.1, w_4_dil_conv_3x3=0.4)
    )
    assert SPACE.genotype(derived).nodes("normal")[1] == (("sep_conv_3x3", 0), ("dil_conv_3x3", 2))


def test_none_is_never_kept_and_does_not_make_an_edge_strong():
    derived = SPACE.discretize(weights(w_2_none=0.9, w_3_sep_conv_5x5=0.2, w_4_dil_conv_3x3=0.1))
    assert SPACE.genotype(derived).nodes("normal")[1] == (("sep_conv_5x5", 1), ("dil_conv_3x3", 2))


def test_ties_go_to_the_earlier_edge_and_the_earlier_operation():
    nodes = SPACE.genotype(SPACE.discretize(weights())).nodes("normal")
    assert nodes == [(("max_pool_3x3", 0), ("max_pool_3x3", 1))] * 4
    derived = SPACE.discretize(weights(w_4_sep_conv_5x5=0.5, w_4_dil_conv_3x3=0.5))
    assert SPACE.genotype(derived).nodes("normal")[1] == (("max_pool_3x3", 0), ("sep_conv_5x5", 2))


def test_derivation_against_the_rule_spelt_out():
    """The paper's rule in other words: rank a node's predecessors by their best operation that is not none."""
    rng = numpy_generator("derivation")
    for space in (DartsCell(), DartsCell(operations=("skip_connect", "none", "sep_conv_3x3")), DartsCell(nodes=2)):
        operations = space.operations
        matrices = {part: rng.random((edges, len(operations))) for part, edges in space.edges().items()}
        genotype = space.genotype(space.discretize(matrices))
        for part, matrix in matrices.items():
            row = 0
            for node, entries in enumerate(genotype.nodes(part)):
                best = {}
                for source in range(2 + node):
                    pairs = zip(matrix[row], operations, strict=True)
                    best[source] = max((weight, name) for weight, name in pairs if name != "none")
                    row += 1
                ranked = sorted(best, key=lambda source: best[source][0], reverse=True)[:2]
                assert set(entries) == {(best[source][1], source) for source in ranked}


def test_a_space_without_none_derives_too():
    space = DartsCell(operations=("skip_connect", "sep_conv_3x3"))
    assert space.kept_operations == space.operations
    assert space.discretize(space.one_hot(space.sample(numpy_generator(1)))) is not None


# --- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"nodes": 0}, "nodes must be a whole number of at least 1, not 0"),
        ({"nodes": 65}, "at most 64 nodes"),
        ({"channels": -4}, "channels must be"),
        ({"cells": 0}, "cells must be"),
        ({"operations": ("sep_conv3x3",)}, "unknown operation 'sep_conv3x3'; did you mean 'sep_conv_3x3'"),
        ({"operations": ("skip_connect", "skip_connect")}, "named twice"),
        ({"operations": ("none",)}, "at least one besides 'none'"),
        ({"operations": ()}, "at least one besides 'none'"),
        ({"operations": "none"}, "must be a list"),
        ({"operations": (["none"],)}, "unknown operation"),
    ],
)
def test_nonsense_is_refused(parameters, sentence):
    with pytest.raises(SpecError) as caught:
        DartsCell(**parameters)
    assert sentence in str(caught.value)


def test_genotypes_that_are_not_in_the_space():
    with pytest.raises(SpecError, match="expected 3 nodes"):
        DartsCell(nodes=3).from_genotype(DARTS_V1)
    with pytest.raises(SpecError, match="node 3 of 'normal', from 2: unknown operation 'dil_conv_3x3'"):
        DartsCell(operations=("skip_connect", "sep_conv_3x3", "max_pool_3x3")).from_genotype(DARTS_V2)
    twice = ((("skip_connect", 0), ("sep_conv_3x3", 0)), (2,))
    with pytest.raises(SpecError, match="reads input 0 twice"):
        DartsCell(nodes=1).from_genotype(Genotype(*twice, *twice))
    none = ((("none", 0), ("sep_conv_3x3", 1)), (2,))
    with pytest.raises(SpecError, match="node 0 of 'normal', from 0: unknown operation 'none'"):
        DartsCell(nodes=1).from_genotype(Genotype(*none, *none))
    partial = Genotype(DARTS_V1.normal, (3, 4, 5), DARTS_V1.reduce, DARTS_V1.reduce_concat)
    with pytest.raises(SpecError, match="all of them concatenated"):
        SPACE.from_genotype(partial)
    every = str(SPACE.all_edges().genotype(SPACE.all_edges().sample(numpy_generator("every"))))
    with pytest.raises(SpecError, match=r"node 1 of 'normal' reads 3 states.*DartsCellAllEdges.*Genotype\.parse"):
        SPACE.parse(every)


# --- all edges -------------------------------------------------------------------------------------


def test_all_edges_keep_the_strongest_operation_of_each():
    space = DartsCell(nodes=2, operations=("none", "skip_connect", "sep_conv_3x3"), channels=2, cells=3).all_edges()
    assert space.edges() == {"normal": 5, "reduce": 5}
    rng = numpy_generator("all edges")
    matrices = {part: rng.random((5, 3)) for part in ("normal", "reduce")}
    matrices["normal"][3] = (0.4, 0.4, 0.2)  # a tie
    architecture = space.discretize(matrices)
    genotype = space.genotype(architecture)
    strongest = [space.operations[max(range(3), key=row.__getitem__)] for row in matrices["normal"].tolist()]
    assert [operation for operation, _ in genotype.normal] == strongest
    assert strongest[3] == "none"
    assert [source for _, source in genotype.normal] == [0, 1, 0, 1, 2]
    assert space.parse(str(genotype)) == space.from_genotype(genotype) == architecture
    assert space.discretize(space.one_hot(architecture)) == architecture
    edges = [(u, v, op) for u, v, op in space.graph(architecture).edges(data="op") if op and u.startswith("normal")]
    assert len(edges) == 5 - strongest.count("none")
    task = SimpleNamespace(input_shape=(1, 8, 8), classes=3)
    assert len(space.build(architecture, task).cells[0].operations) == 5


def test_all_edges_and_the_supernet_are_one_network():
    """Under the one-hot weights of an architecture the supernet computes its edges, all of them, and no others."""
    space = DartsCell(nodes=2, operations=("none", "skip_connect", "max_pool_3x3"), channels=2, cells=3)
    every, task = space.all_edges(), SimpleNamespace(input_shape=(1, 8, 8), classes=3)
    assert (every.nodes, every.operations, every.channels, every.cells) == (2, space.operations, 2, 3)
    architecture = every.architecture(["skip_connect"] * 4 + ["none"] + ["max_pool_3x3"] * 5)
    supernet = every.supernet(task)
    weights = {part: torch.from_numpy(matrix) for part, matrix in every.one_hot(architecture).items()}
    seen = []
    supernet.cells[0].register_forward_hook(lambda module, inputs, output: seen.append(joined(output)))
    supernet(torch.randn(2, 1, 8, 8), weights)
    assert seen[0].shape == (2, 4, 8, 8)
    torch.testing.assert_close(seen[0][:, :2], seen[0][:, 2:])  # both nodes add up the two inputs, and no more
    assert len(seen[0].unique()) > 100


def test_cells_of_two_edges_among_those_of_all():
    space = DartsCell.paper().all_edges()
    for genotype in (DARTS_V1, DARTS_V2):
        found = space.genotype(space.from_genotype(genotype))
        for part in ("normal", "reduce"):
            for node, every in zip(genotype.nodes(part), found.nodes(part), strict=True):
                assert set(node) == {entry for entry in every if entry[0] != "none"}
    with pytest.raises(SpecError, match="unknown operation 'none'"):
        DartsCell(operations=DARTS_SEARCHED[1:]).all_edges().from_genotype(DARTS_V1)
    with pytest.raises(SpecError, match="more edges than an architecture has choices"):
        DartsCell(nodes=63).all_edges()


def test_the_network_for_large_images_is_trained_with_its_auxiliary_head():
    rng = numpy_generator("large images")
    x = rng.integers(0, 256, (24, 3, 64, 64)).astype(np.uint8)
    task = Images.from_arrays(x, np.arange(24) % 3, classes=3)
    space = DartsCell(nodes=2, operations=("skip_connect", "max_pool_3x3", "dil_conv_3x3"))
    network = space.build(space.sample(rng), task, channels=4, cells=3, stem="imagenet", auxiliary=True)
    before = network.auxiliary_head[-1].weight.detach().clone()
    report = fit(network, task, epochs=1, batch_size=8, seed=0)
    assert np.isfinite(report.history[-1].train_loss)
    assert not torch.equal(before, network.auxiliary_head[-1].weight)
    assert cost(network, task.input_shape).multiply_adds > 0
