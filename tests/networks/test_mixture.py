"""Who mixes says what is computed, and supernets say what they can do."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from naslab.errors import SpecError
from naslab.networks import Dropouts, RecurrentSupernet
from naslab.networks.mixture import Mixture, Operations, as_mixture, operations_of, takes_mixtures
from naslab.networks.operation_costs import parameters
from naslab.networks.per_edge import from_per_edge, to_per_edge
from naslab.networks.recurrent_supernet import PART
from naslab.networks.skip_dropout import SkipMasks
from naslab.randomness import seeded, torch_generator
from naslab.searchers import gradient as g
from naslab.spaces import DartsCell, NASBench201

TASK = SimpleNamespace(input_shape=(1, 6, 6), classes=3)
CELL = NASBench201(channels=2, cells=1)
X = torch.rand(2, 1, 6, 6, generator=torch_generator("x"))


def recurrent(nodes=2):
    operations = ("none", "tanh", "relu", "sigmoid", "identity")
    return RecurrentSupernet(operations, nodes, 7, hidden=4, dropouts=Dropouts(0, 0, 0, 0, 0))


class Lines(nn.Module):
    """A scale and a skip connection for each of two edges, made without `MixedEdges`."""

    rows, columns = [0, 1], {"none": 0, "scale": 1, "skip_connect": 2}

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor([2.0, 3.0]))

    def forward(self, x, mixture):
        found = []
        drop = mixture.masks.of(self, x.device) if mixture.masks else lambda x: x
        for edge, (weights, used) in enumerate(zip(mixture.weights, mixture.used, strict=True)):
            scaled = weights[1] * self.scale[edge] * x if used[1] else torch.zeros_like(x)
            found.append(scaled + weights[2] * drop(x) if used[2] else scaled)
        return found

    def drops_skips(self, *, identity_only):
        return True

    def tensors(self):
        yield "scale", 1, "scale", True


class OwnSupernet(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = nn.ModuleDict({"leaving": nn.ModuleList([Lines()])})

    def forward(self, x, weights):
        return torch.stack(self.cell["leaving"][0](x, as_mixture(weights["line"]))).sum(dim=0)


# --- what is computed ------------------------------------------------------------------------------


def test_what_is_computed_is_told_and_not_read_out_of_the_weights():
    """The weights are not 0 anywhere; what is not to be computed adds nothing all the same, and is not normalised."""
    with seeded("supernet"):
        network = CELL.supernet(TASK)
    conv = CELL.operations.index("nor_conv_3x3")
    weights, kept = torch.full((6, 5), 0.5), np.zeros((6, 5), np.float32)
    kept[:, conv] = 1
    told = Mixture(weights, (kept != 0).tolist())
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    ours = network(X, {"cell": told})
    moved = {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])}
    assert any("nor_conv_3x3" in name for name in moved)
    assert not any("nor_conv_1x1" in name for name in moved)
    network.load_state_dict(before)
    assert_close(ours, network(X, {"cell": torch.from_numpy(0.5 * kept)}))


@pytest.mark.parametrize("space", [CELL, DartsCell(nodes=2, channels=4, cells=2)], ids=lambda space: space.name)
def test_one_architecture_is_the_same_told_or_read(space):
    with seeded("supernet"):
        network = space.supernet(TASK).eval()
    kept = space.one_hot(space.sample(3))
    told = network(X, {part: Mixture.one_hot(matrix) for part, matrix in kept.items()})
    assert torch.equal(told, network(X, {part: torch.from_numpy(matrix) for part, matrix in kept.items()}))


def test_on_the_meta_device_no_number_is_looked_at():
    network, weights = CELL.supernet(TASK).to("meta"), {"cell": torch.empty(6, 5, device="meta")}
    kept = [[column == 1 for column in range(5)] for _ in range(6)]
    assert network(X.to("meta"), {"cell": Mixture(weights["cell"], kept)}).shape == (2, 3)
    assert network(X.to("meta"), weights).shape == (2, 3), "there is nothing to be read: all are computed"
    text = recurrent().to("meta")
    tokens, alphas = torch.zeros(2, 3, dtype=torch.int64, device="meta"), torch.empty(3, 5, device="meta")
    assert text(tokens, {PART: Mixture.of_all(alphas)}).logits.shape == (2, 3, 7)


# --- what a supernet can do ------------------------------------------------------------------------


@pytest.mark.parametrize("one_in", [1, 2])
def test_the_operations_of_a_supernet_are_found_once(one_in):
    space = DartsCell(nodes=2, channels=4, cells=2)
    network = space.supernet(TASK, one_in=one_in)
    found = operations_of(network)
    assert sorted(row for name, one in found.items() if name.startswith("cells.0.") for row in one.rows) == [*range(5)]
    assert all(name == f"cells.{name[6]}.leaving.{name[-1]}" for name in found), "none that is inside another"
    assert not operations_of(recurrent())
    assert takes_mixtures(recurrent())
    assert not takes_mixtures(nn.Linear(1, 1))


@pytest.mark.parametrize("one_in", [1, 2])
def test_weights_edge_by_edge_are_all_that_the_operations_have(one_in):
    with seeded("one"):
        one = DartsCell(nodes=2, channels=4, cells=2).supernet(TASK, one_in=one_in)
    with seeded("other"):
        other = DartsCell(nodes=2, channels=4, cells=2).supernet(TASK, one_in=one_in)
    separate = to_per_edge(one)
    assert not any(".leaving." in name for name in separate)
    from_per_edge(other, separate)
    assert all(torch.equal(tensor, one.state_dict()[name]) for name, tensor in other.state_dict().items())


def test_operations_of_ones_own_can_have_it_all():
    network = OwnSupernet()
    assert isinstance(network.cell["leaving"][0], Operations)
    assert takes_mixtures(network)
    g.SkipDropout().check(network, "a search")
    x, weights = torch.ones(2, 4), torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    assert torch.equal(network(x, {"line": weights}), 3 * x)
    dropped = Mixture(weights, (weights != 0).tolist(), SkipMasks(0.5, ("a",)))
    assert set(network(x, {"line": dropped}).flatten().tolist()) == {2.0, 4.0}
    assert {name: tensor.tolist() for name, tensor in to_per_edge(network).items()} == {
        "cell.edges.0.operations.1.scale": [2.0],
        "cell.edges.1.operations.1.scale": [3.0],
    }
    assert not parameters(network, (4,), {"line": (2, 3)})["line"].any(), "no layer, nothing to be counted"


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (
            lambda n: n(torch.zeros(2, 3, dtype=torch.int64), {PART: Mixture(*dropping())}),
            "no skip connections to drop",
        ),
        (lambda n: to_per_edge(n), "RecurrentSupernet has no weights edge by edge"),
        (lambda n: g.SkipDropout().check(n, "darts"), "none can be found in .*: it is not made of .*Operations"),
        (lambda n: parameters(nn.Linear(1, 1), (1,), {"line": (2, 3)}), "Linear, it is not known what .* costs"),
    ],
    ids=["masks", "edge by edge", "dropout", "costs"],
)
def test_what_a_supernet_cannot_do_is_refused_by_name(ask, said):
    with pytest.raises(SpecError, match=said):
        ask(recurrent())


def dropping():
    weights = torch.full((3, 5), 0.2)
    return weights, [[True] * 5] * 3, SkipMasks(0.5, ("a",))
