"""What shared weights make of a child: what the child alone makes of copies of them, whatever normalises it."""

import pytest
import torch
from torch import nn

import naslab as nl
from naslab import snapshot
from naslab.errors import SpecError
from naslab.networks.batch_norm import BATCH_NORM
from naslab.networks.per_edge import to_per_edge
from naslab.searchers.inherited import inherited_metrics
from naslab.tasks.streams import Exchangeable

CELL = nl.spaces.DartsCell(
    nodes=2, operations=("none", "skip_connect", "sep_conv_3x3", "dil_conv_5x5"), channels=4, cells=3
)
TABLED = nl.spaces.NASBench201(channels=4, cells=1)
CHILDREN = {
    "darts_cell": (CELL, CELL.sample(nl.randomness.numpy_generator("child"))),
    "nasbench201": (
        TABLED,
        TABLED.parse("|nor_conv_3x3~0|+|none~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_1x1~1|nor_conv_3x3~2|"),
    ),
}


@pytest.fixture(scope="module")
def trained(digits):
    """A search by gradients, some steps on; not one of its statistics is the child's."""
    found = {}
    for name, (space, _) in CHILDREN.items():
        found[name] = nl.searchers.Darts(space, digits, order=1, epochs=4, batch_size=64, w_lr=0.1, seed=1)
        for _ in range(25):
            found[name].advance()
    return found


def alone(search, space, child):
    """A network of its own with copies of the weights, each under the name that it has there."""
    network, shared = space.build(child, search.task), to_per_edge(search.network)
    if space is CELL:
        edges = {
            part: [(row, int(matrix[row].argmax())) for row in matrix.any(axis=1).nonzero()[0]]
            for part, matrix in space.one_hot(child).items()
        }
        of_cell = [edges[part] for part in search.network.parts]
    else:
        of_cell = [list(enumerate(space.one_hot(child)["cell"].argmax(axis=1)))] * len(search.network.layers)
    state = network.state_dict()
    for name in state:
        stack, _, rest = name.partition(".")
        if ".operations." in name:
            number, _, slot, own = rest.split(".", 3)
            row, column = of_cell[int(number)][int(slot)]
            name_there = f"{stack}.{number}.edges.{row}.operations.{column}.{own}"
        else:
            name_there = name
        if name_there in shared:
            state[name] = shared[name_there]
        else:
            assert name.endswith(("weight", "bias"))  # a scale of 1 and a shift of 0, which the supernet has not
    network.load_state_dict(state)
    return network


@torch.no_grad()
def judged(network, search, batch_norm, many):
    """Accuracy on the first validation images, in mini-batches of at most 64, by torch's own means."""
    train, valid = (search._feeds[name].stream.indices for name in ("weights", "architecture"))
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    if batch_norm == "recalibrated":
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # torch's cumulative average
        for part in train[:many].chunk(-(-many // 64)):
            network.train()(search.task.batch(part)[0])
    network.train(batch_norm == "batch")
    logits = torch.cat([network(search.task.batch(part)[0]) for part in valid[:many].chunk(-(-many // 64))])
    return float((logits.argmax(dim=1) == search.task.train.labels[valid[:many]]).float().mean())


@pytest.mark.parametrize("batch_norm", BATCH_NORM)
@pytest.mark.parametrize("name", CHILDREN)
@pytest.mark.slow
def test_a_child_inside_is_the_child_alone(trained, name, batch_norm):
    search, (space, child) = trained[name], CHILDREN[name]
    found = search.accuracy(child, batch_norm=batch_norm, images=256)
    assert found == pytest.approx(judged(alone(search, space, child), search, batch_norm, 256), abs=0.008)
    assert found != search.accuracy(space.sample(nl.randomness.numpy_generator("other")), images=256)


def test_the_ways_differ(trained):
    """After 25 steps the kept statistics, of the mixture, serve a child badly."""
    search, (_, child) = trained["nasbench201"], CHILDREN["nasbench201"]
    found = {batch_norm: search.accuracy(child, batch_norm=batch_norm, images=256) for batch_norm in BATCH_NORM}
    assert len(set(found.values())) == 3


@pytest.mark.slow
def test_it_changes_nothing(make):
    """Of any searcher with shared weights: asked twice the same, and the next steps are what they would have been."""
    asked, left = make(), make()
    for searcher in (asked, left):
        searcher.advance()
    child = asked.space.sample(nl.randomness.numpy_generator("child"))
    before, rng = snapshot.digest(asked.state_dict()), torch.random.get_rng_state()
    of_images = "accuracy" in asked.task.metrics()
    for batch_norm in BATCH_NORM:
        found = [asked.score(child, batch_norm=batch_norm, examples=50 if of_images else 40) for _ in range(2)]
        assert found[0] == found[1]
        assert not of_images or found[0] * 50 == pytest.approx(round(found[0] * 50))
    assert snapshot.digest(asked.state_dict()) == before
    assert torch.equal(torch.random.get_rng_state(), rng)
    assert asked.advance() == left.advance()
    with pytest.raises(SpecError, match="batch_norm"):
        asked.score(child, batch_norm="none")


def test_what_cannot_be_judged_is_said(trained):
    search = trained["nasbench201"]
    with pytest.raises(SpecError, match="more than the"):
        search.accuracy(CHILDREN["nasbench201"][1], images=10**6)
    with pytest.raises(SpecError):
        search.accuracy(CHILDREN["darts_cell"][1])
    with pytest.raises(SpecError, match="images"):
        search.accuracy(CHILDREN["nasbench201"][1], images=0)


def test_logits_that_are_not_finite_are_not_right(digits):
    """argmax of NaN is a class, too."""
    _, labels = digits.batch(torch.arange(40))
    wrong = torch.full((40, 10), float("nan"))

    def accuracy(rows):
        logits = torch.where(rows[:, None], nn.functional.one_hot(labels, 10).double(), wrong)
        chosen = Exchangeable(torch.arange(40))
        options = dict(batch_norm="batch", examples=40, batch_size=40, device=torch.device("cpu"))
        return inherited_metrics(nn.Identity(), lambda x: logits, digits, chosen, chosen, **options)["accuracy"]

    assert accuracy(torch.ones(40, dtype=torch.bool)) == 1.0
    assert accuracy(torch.arange(40) < 10) == 0.25
    assert accuracy(torch.zeros(40, dtype=torch.bool)) == 0.0


def test_a_searcher_without_shared_weights_says_so(digits):
    class Bare(nl.searchers.Darts):
        name = "bare"
        measure_child = nl.searchers.SupernetSearcher.measure_child

    with pytest.raises(SpecError, match="bare has no shared weights"):
        Bare(TABLED, digits, order=1).accuracy(CHILDREN["nasbench201"][1])
