"""What both supernets promise: the mixture is the weighted sum, and what weighs nothing is not computed."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close
from torch.utils.flop_counter import FlopCounterMode

from naslab.errors import SpecError
from naslab.networks.darts_supernet import DartsSupernet, joined
from naslab.networks.mixture import mixture
from naslab.networks.nasbench201 import NASBench201Supernet
from naslab.networks.per_edge import to_per_edge
from naslab.operations.images import DARTS_SEARCHED
from naslab.operations.optimizations import Optimizations
from naslab.randomness import numpy_generator, seeded, torch_generator
from naslab.spaces import DartsCell, NASBench201

TASK = SimpleNamespace(input_shape=(1, 8, 8), classes=3)
SPACES = [
    DartsCell(nodes=2, channels=2, cells=3),
    DartsCell(nodes=3, channels=2, cells=4, operations=("sep_conv_3x3", "avg_pool_3x3", "skip_connect")),
    NASBench201(channels=2, cells=1),
]
spaces = pytest.mark.parametrize("space", SPACES, ids=["darts", "darts without none", "nasbench201"])


def images(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch_generator("images"))


def make(space, task=TASK):
    with seeded("supernet"):
        return space.supernet(task).double()


def softmax_weights(space, requires_grad=False):
    generator = torch_generator("weights")
    alphas = {
        part: torch.randn(edges, len(space.operations), dtype=torch.float64, generator=generator)
        for part, edges in space.edges().items()
    }
    return {part: alpha.softmax(dim=1).requires_grad_(requires_grad) for part, alpha in alphas.items()}


def kept(space, architecture):
    return {part: torch.from_numpy(matrix).double() for part, matrix in space.one_hot(architecture).items()}


@spaces
def test_the_gradient_reaches_every_weight(space):
    weights = softmax_weights(space, requires_grad=True)
    make(space)(images(4, 1, 8, 8), weights).logsumexp(dim=1).sum().backward()
    none = space.operations.index("none") if "none" in space.operations else None
    for part, matrix in weights.items():
        assert matrix.grad is not None
        moved = matrix.grad != 0
        assert moved[:, [column for column in range(moved.shape[1]) if column != none]].all(), part
        if none is not None:
            assert not moved[:, none].any()


@spaces
def test_the_gradient_with_respect_to_the_weights_is_right(space):
    weights = softmax_weights(space, requires_grad=True)
    network = make(space).eval()
    x = images(2, 1, 8, 8)
    names = list(weights)

    def logits(*matrices: torch.Tensor) -> torch.Tensor:
        return network(x, dict(zip(names, matrices, strict=True))).sum()

    torch.autograd.gradcheck(logits, tuple(weights.values()), fast_mode=True)


@spaces
def test_what_weighs_nothing_is_not_computed_and_nothing_changes(space):
    architecture = space.sample(numpy_generator("skipping"))
    network = make(space)
    x = images(4, 1, 8, 8)
    with FlopCounterMode(display=False) as few:
        skipping = network(x, kept(space, architecture))
    with FlopCounterMode(display=False) as many:
        all_of_it = network(x, {part: w.requires_grad_() for part, w in kept(space, architecture).items()})
    assert few.get_total_flops() < many.get_total_flops()
    assert_close(skipping, all_of_it.detach(), rtol=1e-10, atol=1e-12)


@spaces
def test_a_one_hot_mixture_is_the_network_of_those_operations(space, plain):
    """With weights carried over, the built network (without affine parameters to set) gives the same logits."""
    architecture = space.sample(numpy_generator("one-hot"))
    supernet = make(space)
    network = space.build(architecture, TASK).double()
    carry_over(space, architecture, edge_by_edge(plain, space, supernet), network)
    x = images(4, 1, 8, 8)
    assert_close(supernet(x, kept(space, architecture)), network(x), rtol=1e-9, atol=1e-11)


def edge_by_edge(plain, space, supernet):
    """The plain supernet of the same weights."""
    if isinstance(space, NASBench201):
        same = plain.PlainNASBench201Supernet(space.operations, (1, 8, 8), 3, channels=2, cells=1)
    else:
        same = plain.PlainDartsSupernet(
            space.operations, space.nodes, (1, 8, 8), 3, channels=space.channels, cells=space.cells
        )
    same.double().load_state_dict(to_per_edge(supernet))
    return same


def carry_over(space, architecture, supernet, network):
    """Copy the stem, the classifier and the kept operations of the supernet into the network; the network's
    normalisations keep scale 1 and shift 0, with which they are those of the supernet. Pooling is normalised in a
    DARTS supernet but not in the network: there it is exchanged."""
    network.stem.load_state_dict(supernet.stem.state_dict())
    network.classifier.load_state_dict(supernet.classifier.state_dict())
    one_hot = space.one_hot(architecture)
    if isinstance(space, NASBench201):
        stacks = zip(supernet.layers, network.layers, strict=True)
        kept_columns = [("cell", column) for column in one_hot["cell"].argmax(axis=1)]
    else:
        stacks = zip(supernet.cells, network.cells, strict=True)
    for position, (mixed, cell) in enumerate(stacks):
        if not hasattr(mixed, "edges"):
            cell.load_state_dict(mixed.state_dict())
            continue
        if isinstance(space, NASBench201):
            rows = list(enumerate(column for _, column in kept_columns))
        else:
            cell.preprocess.load_state_dict(mixed.preprocess.state_dict(), strict=False)
            part = supernet.parts[position]
            rows = [(int(row), int(column)) for row, column in np.argwhere(one_hot[part])]
        for slot, (row, column) in enumerate(rows):
            candidate = mixed.edges[row].operations[column]
            if "pool" in space.operations[column]:
                cell.operations[slot] = candidate
            else:
                cell.operations[slot].load_state_dict(candidate.state_dict(), strict=False)


@spaces
def test_odd_images(space):
    task = SimpleNamespace(input_shape=(2, 7, 9), classes=3)
    assert make(space, task)(images(2, 2, 7, 9), softmax_weights(space)).shape == (2, 3)


@spaces
def test_all_weights_zero_is_still_a_network(space):
    weights = {part: torch.zeros_like(matrix) for part, matrix in softmax_weights(space).items()}
    logits = make(space)(images(2, 1, 8, 8), weights)
    assert torch.equal(logits[0], logits[1])


@spaces
def test_wrong_weights_are_refused(space):
    network, x = make(space), images(2, 1, 8, 8)
    with pytest.raises(SpecError, match="got nothing"):
        network(x, {})
    with pytest.raises(SpecError, match="must have shape"):
        network(x, {part: matrix[:, :-1] for part, matrix in softmax_weights(space).items()})


@spaces
def test_images_too_small_are_refused(space):
    with pytest.raises(SpecError, match="too small to be halved 2 times"):
        space.supernet(SimpleNamespace(input_shape=(1, 3, 3), classes=2))


# --- only DARTS ------------------------------------------------------------------------------------


def test_the_published_supernet():
    """1,930,618 parameters: the authors' network at C = 16, 8 cells, 10 classes, without its architecture weights."""
    with torch.device("meta"):
        network = DartsSupernet(DARTS_SEARCHED, 4, (3, 32, 32), 10, channels=16, cells=8)
    assert sum(p.numel() for p in network.parameters()) == 1_930_618
    assert network.shape == (14, 8)


def test_only_the_stem_has_affine_parameters():
    network = make(SPACES[0])
    affine = [name for name, m in network.named_modules() if isinstance(m, nn.BatchNorm2d) and m.affine]
    assert affine == ["stem.1"]


def test_pooling_is_normalised():
    leaving = make(SPACES[0]).cells[0].leaving[0]
    modules = {**leaving.shared, **leaving.stacked}
    assert set(modules) == set(DARTS_SEARCHED) - {"none"}
    for name, operation in modules.items():
        last = list(operation.modules())[-1]
        assert isinstance(last, nn.BatchNorm2d) == (name != "skip_connect"), name


def test_a_mixed_cell_is_the_sum_of_equation_2(plain):
    """The cell written out from the paper: o(x) = sum over operations of weight times operation, node after node."""
    space = SPACES[0]
    network, weights = make(space), softmax_weights(space)
    cell, matrix = network.cells[0], weights["normal"]
    edges = edge_by_edge(plain, space, network).cells[0].edges
    x = images(2, 6, 8, 8)
    states = [cell.preprocess.before_last(x), cell.preprocess.last(x)]
    row = 0
    for _ in range(2):
        node = torch.zeros_like(states[0])
        for state in states:
            for column, operation in enumerate(edges[row].operations):
                node = node + matrix[row, column] * operation(state)
            row += 1
        states.append(node)
    by_source = mixture(weights, "normal", *network.shape).by_source(network.rows)
    found = joined(cell([x], [x], by_source, Optimizations()))
    assert_close(found, torch.cat(states[2:], dim=1), rtol=1e-10, atol=1e-12)


# --- only NAS-Bench-201 ----------------------------------------------------------------------------


def test_nasbench201_cells_have_no_affine_parameters():
    network = NASBench201Supernet(NASBench201().operations, (3, 8, 8), 4, channels=4, cells=1)
    norms = [m for m in network.layers[0].modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(norms) == 2 * 3  # two convolutions on the edges from each of three nodes
    assert not any(norm.affine for norm in norms)
    assert all(m.affine for m in network.layers[1].modules() if isinstance(m, nn.BatchNorm2d))
