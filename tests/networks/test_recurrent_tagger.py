"""Taggers with a recurrent cell: two directions written out word by word, padding, and searches on named entities."""

import itertools
import math

import pytest
import torch

import naslab as nl
from naslab.errors import SpecError
from naslab.modes import evaluation_mode
from naslab.networks.mixture import Mixture
from naslab.operations.optimizations import Optimizations

CELL = nl.networks.RecurrentGenotype.parse(
    "Genotype(recurrent=[('relu', 0), ('sigmoid', 1), ('identity', 0)], concat=range(1, 4))"
)
F = {"tanh": torch.tanh, "relu": torch.relu, "sigmoid": torch.sigmoid, "identity": lambda x: x}


@pytest.fixture(scope="module")
def task():
    return nl.tasks.Entities.bundled("wnut17").subset(60, 20, 20)


@pytest.fixture(scope="module")
def space():
    return nl.spaces.RecurrentCell(nodes=3, hidden=16, dropouts=(0.0,) * 5)


def one_direction(x, layer):
    """The cell of one sentence [T, H], word by word and node by node."""
    hidden = x.shape[1]
    h, outputs = x.new_zeros(hidden), []
    for word in x:
        c, u = (torch.cat([word, h]) @ layer.first).chunk(2)
        states = [h + c.sigmoid() * (u.tanh() - h)]
        for (function, source), matrix in zip(CELL.recurrent, layer.nodes, strict=True):
            c, u = (states[source] @ matrix).chunk(2)
            states.append(states[source] + c.sigmoid() * (F[function](u) - states[source]))
        h = torch.stack(states[1:]).mean(0)
        outputs.append(h)
    return torch.stack(outputs)


@pytest.mark.parametrize("one_pass", [True, False])
def test_a_tagger_is_the_cell_in_both_directions(task, space, one_pass):
    torch.manual_seed(0)
    network = space.build(space.from_genotype(CELL), task).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(0.5 * torch.randn_like(parameter))
        network.letters.weight[0] = network.words.weight[0] = 0  # padding, which training never moves
    network.optimizations = Optimizations(one_pass=one_pass)
    batch = task.batch(torch.tensor([5, 0, 9]))
    with evaluation_mode(network), torch.no_grad():
        found = network(task.inputs(batch))
        for row, length in enumerate(batch["mask"].sum(1).tolist()):
            features = []
            for t in range(length):
                letters = batch["characters"][row, t]
                seen = network.letters(letters[letters != 0])  # [L, 16]
                padded = torch.cat([seen.new_zeros(1, 16), seen, seen.new_zeros(1, 16)])
                windows = torch.stack([padded[i : i + 3].t() for i in range(len(seen))])  # [L, 16, 3]
                spelled = (
                    torch.einsum("lcw,ocw->lo", windows, network.convolution.weight) + network.convolution.bias
                ).amax(0)
                word = torch.cat([network.words(batch["words"][row, t]), spelled])
                features.append(torch.tanh(network.features(word)))
            x = torch.stack(features)
            both = torch.cat(
                [one_direction(x, network.forwards), one_direction(x.flip(0), network.backwards).flip(0)], 1
            )
            torch.testing.assert_close(found.logits[row, :length], network.scores(both), rtol=1e-10, atol=1e-10)
    assert found.transitions is network.transitions
    task.check_outputs(found, batch)


def test_padding_changes_nothing(task, space):
    torch.manual_seed(1)
    network = space.build(space.from_genotype(CELL), task)
    together, alone = task.batch(torch.tensor([5, 0, 9])), task.batch(torch.tensor([9]))
    with evaluation_mode(network), torch.no_grad():
        length = alone["words"].shape[1]
        one = network(task.inputs(together)).logits[2, :length]
        torch.testing.assert_close(one, network(task.inputs(alone)).logits[0])


def test_the_supernet_of_one_cell_is_its_network(task, space):
    torch.manual_seed(2)
    architecture = space.from_genotype(CELL)
    supernet, network = space.supernet(task), space.build(architecture, task)
    network.load_state_dict({k: v for k, v in supernet.state_dict().items() if "norm" not in k})
    for direction in (supernet.forwards, supernet.backwards):
        direction.norm = None
    one_hot = {part: Mixture.one_hot(matrix) for part, matrix in space.one_hot(architecture).items()}
    batch = task.batch(torch.tensor([5, 0, 9]))
    torch.testing.assert_close(supernet(task.inputs(batch), one_hot).logits, network(task.inputs(batch)).logits)


def test_costs_count_both_directions(task, space):
    costs = space.supernet(task).operation_costs("multiply_adds")["recurrent"]
    assert costs.shape == (6, 5)
    assert costs[0].tolist() == [0, *[2 * 16 * 32] * 4]
    shares = space.supernet(task).operation_costs("parameters")["recurrent"]
    assert shares[:, 1].sum() == 2 * 3 * 16 * 32


@pytest.mark.parametrize("searcher", ["Darts", "IDarts", "GDAS"])
def test_a_search_on_named_entities(task, space, searcher):
    search = nl.Search(getattr(nl.searchers, searcher)(space, task, batch_size=10, epochs=1, seed=0))
    events = list(itertools.islice(search, 4))
    assert all(math.isfinite(event.valid_loss) for event in events)
    assert space.check(search.best)


@pytest.mark.parametrize("searcher", ["Darts", "GDAS", "SPOS"])
def test_a_search_in_bfloat16(task, space, searcher):
    losses = []
    for precision in ("float32", "bfloat16"):
        made = getattr(nl.searchers, searcher)(space, task, epochs=1, batch_size=8, seed=0, precision=precision)
        losses.append(next(nl.Search(made)).metrics["train/loss"])
    assert losses[1] == pytest.approx(losses[0], rel=0.01)
    assert losses[1] != losses[0]


@pytest.mark.slow
def test_a_tagger_finds_entities_that_it_was_trained_on(task, space):
    torch.manual_seed(0)
    network = space.build(space.from_genotype(CELL), task, hidden=32)
    named = [number for number, one in enumerate(task.sentences["train"]) if set(one.tags) != {"O"}]
    batch = task.batch(torch.tensor(named[:12]))
    optimizer = torch.optim.Adam(network.parameters(), 0.02)
    for _ in range(100):
        optimizer.zero_grad()
        task.loss(network(task.inputs(batch)), batch).backward()
        optimizer.step()
    with evaluation_mode(network), torch.no_grad():
        right, found, true = task.counts(network(task.inputs(batch)), batch)
    assert 2 * right / (found + true) > 0.6


def test_what_no_tagger_can_do(task, space):
    network = space.supernet(task)
    with pytest.raises(SpecError, match="one sequence"):
        network({k: v[:1] for k, v in task.inputs(task.example(2)).items()}, space_weights(space))
    with pytest.raises(SpecError, match=r"reads words \[B, T\]"):
        network({"words": torch.ones(3), "characters": torch.ones(3, 2)}, space_weights(space))
    with pytest.raises(SpecError, match="read"):
        nl.searchers.Darts(nl.spaces.NASBench201(), task)
    joint = nl.tasks.Joint({"a": task, "b": task})
    with pytest.raises(SpecError, match="one head"):
        space.build(space.from_genotype(CELL), joint)


def space_weights(space):
    return {"recurrent": torch.full((6, 5), 0.2)}
