"""Inside a supernet: figures against the operations themselves, and against the mixture that they make."""

import math

import numpy as np
import pytest
import torch

import naslab as nl
from naslab.analysis import anatomy, feature_maps, gradients, shares
from naslab.errors import SpecError
from naslab.networks.mixture import Mixture
from naslab.operations.images import DARTS_OPERATIONS

SPACE = nl.spaces.DartsCell(nodes=2, channels=4, cells=3)


@pytest.fixture(scope="module")
def digits():
    return nl.tasks.Digits()


def searcher(digits, space=SPACE, **given):
    return nl.searchers.Darts(space, digits, seed=3, batch_size=16, epochs=1, **given)


@pytest.fixture(scope="module")
def known(digits):
    return anatomy(searcher(digits))


def test_every_edge_has_its_costs_shapes_and_windows(known):
    found = known
    assert len(found.edges) == 10
    assert found.units == "images"
    edge = found.edge("reduce", 0)
    assert edge.operations == SPACE.operations
    size = lambda name, channels: sum(p.numel() for p in DARTS_OPERATIONS[name](channels, 2, False).parameters())  # noqa: E731
    assert edge.parameters == tuple(float(size(name, 8) + size(name, 16)) for name in SPACE.operations)
    assert [(place.reads, place.gives) for place in edge.places] == [((8, 8, 8), (8, 4, 4)), ((16, 4, 4), (16, 2, 2))]
    # at stride 2 the second of two convolutions of 3 x 3 reaches 2 pixels of the state further on each side: 3 + 2 * 2
    windows = dict(zip(edge.operations, edge.receptive_fields, strict=True))
    assert windows == {
        "none": (0, 0),
        "max_pool_3x3": (3, 3),
        "avg_pool_3x3": (3, 3),
        "skip_connect": (1, 1),
        "sep_conv_3x3": (7, 7),
        "sep_conv_5x5": (13, 13),
        "dil_conv_3x3": (5, 5),
        "dil_conv_5x5": (9, 9),
    }
    assert dict(zip(edge.operations, found.edge("normal", 0).receptive_fields, strict=True))["sep_conv_5x5"] == (9, 9)
    with pytest.raises(SpecError, match="unknown part 'normla'"):
        found.edge("normla", 0)
    with pytest.raises(SpecError, match="0 to 4, not 5"):
        found.edge("normal", 5)


@pytest.mark.parametrize("name", ["sep_conv_3x3", "dil_conv_5x5", "max_pool_3x3"])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_window_is_as_far_as_a_pixel_of_the_output_is_moved_by(known, name, stride):
    """By trying: which pixels of the input have a gradient."""
    torch.manual_seed(0)
    operation = DARTS_OPERATIONS[name](4, stride, False).double().eval()
    x = (torch.rand(1, 4, 33, 33, dtype=torch.float64) + 0.5).requires_grad_()
    for weight in operation.parameters():
        weight.data.abs_()  # so that no ReLU cuts anything off
    out = operation(x)
    moved = torch.zeros(33, 33, dtype=torch.bool)
    for channel in range(4):
        (gradient,) = torch.autograd.grad(out[0, channel, 8, 8], x, retain_graph=True)
        moved |= (gradient[0] != 0).any(dim=0)
    rows = moved.any(dim=1).nonzero().flatten()
    seen = int(rows.max() - rows.min() + 1)
    edge = known.edge("reduce" if stride == 2 else "normal", 0)
    told = dict(zip(edge.operations, edge.receptive_fields, strict=True))[name][0]
    assert seen == told if "pool" not in name else seen <= told  # one of the nine is the largest


def test_gradients_are_those_of_the_loss(digits):
    stepper = searcher(digits)
    found = gradients(stepper)
    assert found.of_shares["normal"].shape == (5, 8)
    assert not found.of_shares["normal"][:, 0].any(), "nothing depends on none"
    # by hand, on the network itself
    network, batch = stepper.network.train(), digits.example(16)
    weights = {part: torch.tensor(p, requires_grad=True) for part, p in stepper.probabilities().items()}
    loss = digits.loss(network(batch[0], {part: Mixture.of_all(w) for part, w in weights.items()}), batch)
    loss.backward()
    assert found.loss == pytest.approx(loss.item(), rel=1e-6)
    for part, w in weights.items():
        assert np.allclose(found.of_shares[part], w.grad, atol=1e-5)
    of_edges = [p.grad for name, p in network.named_parameters() if ".leaving." in name]
    together = math.sqrt(sum(float(g.double().square().sum()) for g in of_edges))
    told = math.sqrt(sum(float((matrix.astype(np.float64) ** 2).sum()) for matrix in found.of_parameters.values()))
    assert told == pytest.approx(together, rel=1e-5)
    stacked = network.cells[0].leaving[1].stacked["sep_conv_3x3"]  # the first cell is a normal one; this leaves c(k-1)
    row = 1  # second edge of the first node
    of_one = [p.grad.chunk(len(network.cells[0].leaving[1].rows))[0] for p in stacked.parameters()]
    length = math.sqrt(sum(float(g.double().square().sum()) for g in of_one))
    assert found.of_parameters["normal"][row, 4] == pytest.approx(length, rel=1e-5)
    assert not found.of_parameters["normal"][:, 1:4].any(), "pooling and identity have no parameters"


@pytest.mark.parametrize("one_in", [1, 2])
def test_maps_are_what_the_mixture_is_made_of(digits, one_in):
    space = nl.spaces.NASBench201(channels=4, cells=1)
    stepper = nl.searchers.PCDarts(space, digits, one_in=one_in, warmup=0.0, batch_size=16, epochs=1, seed=1)
    found = feature_maps(stepper, "cell", 3, example=2, place=1)
    assert found.place == "layers.2.leaving.0"
    assert found.operations == space.operations
    assert found.maps.shape == (5, 8, 4, 4)
    assert found.maps[0].any() == (one_in == 2), "none gives nothing, but for the channels that go past it"
    # what the edge adds to its node, seen in a run of the whole mixture
    seen = []
    network = stepper.network.train()
    network.get_submodule(found.place).register_forward_hook(lambda module, given, output: seen.append(output))
    with torch.no_grad():
        means = {part: Mixture.of_all(torch.tensor(p)) for part, p in stepper.probabilities().items()}
        network(digits.example(16)[0], means)
    of_edge = sum(seen[0][2])[2].numpy()  # edges 0-1, 0-2, 0-3 leave node 0: row 3 is the third of them
    assert np.allclose(np.tensordot(found.shares, found.maps, 1), of_edge, atol=1e-5)
    sheet = found.sheet(channels=3)
    assert sheet.shape == (6 * 5 - 1, 3 * 5 - 1)
    assert sheet.dtype == np.uint8
    assert (sheet[4] == 255).all(), "a line between the rows"
    assert set(np.unique(sheet[:4, :4])) >= {0, 255}, "from black to white"
    if one_in == 1:
        assert (sheet[5:9, :4] == 128).all(), "none is of equal numbers"


def test_looking_inside_changes_nothing(digits):
    """Every event afterwards is what it would have been, with dropout, a second-order step and momentum."""
    space = nl.spaces.NASBench201(channels=4, cells=1)
    looked, plain = (nl.Search(searcher(digits, space, order=2)) for _ in range(2))
    anatomy(looked)
    for number in range(4):
        gradients(looked)
        feature_maps(looked, "cell", 1)
        assert next(looked) == next(plain), f"step {number + 1}"
    before, after = plain.searcher.state_dict(), looked.searcher.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(v, after[k]) if isinstance(v, torch.Tensor) else v == after[k] for k, v in before.items())
    found = shares(looked.events, "cell", 1)
    assert found.steps.tolist() == [1, 2, 3, 4]
    assert np.array_equal(found.values[2], looked.events[2].probabilities["cell"][1])
    assert shares(looked.events, "cell", 1, points=2).steps.tolist() == [1, 4]


def test_what_has_no_mixture_or_no_images_is_refused_in_a_sentence(digits):
    text = nl.tasks.LanguageModel.bundled("shakespeare", unit="characters")
    recurrent = nl.searchers.Darts(nl.spaces.RecurrentCell(nodes=2, hidden=8), text, batch_size=8, epochs=1)
    edge = anatomy(recurrent).edge("recurrent", 2)
    assert edge.places == ()
    assert edge.parameters == (0.0, 64.0, 64.0, 64.0, 64.0)
    assert gradients(recurrent).of_shares["recurrent"].shape == (3, 5)
    assert gradients(recurrent).of_parameters == {}
    with pytest.raises(SpecError, match="feature maps are of images"):
        feature_maps(recurrent, "recurrent", 0)
    table = nl.benchmarks.NASBench201()
    search = nl.Search(nl.searchers.RandomSearch(table.space), estimator=table, budget=3)
    for look in (anatomy, gradients, lambda one: feature_maps(one, "cell", 0)):
        with pytest.raises(SpecError, match="'random_search' has no mixture to look into"):
            look(search)
    next(search)
    with pytest.raises(SpecError, match="hold no shares"):
        shares(search.events, "cell", 0)
    refused = {"part": ("cell", "part"), "row": (5, "0 to 4"), "place": (2, "place"), "example": (-1, "example")}
    for name, (value, said) in refused.items():
        with pytest.raises(SpecError, match=said):
            feature_maps(searcher(digits), **{"part": "normal", "row": 0, name: value})
