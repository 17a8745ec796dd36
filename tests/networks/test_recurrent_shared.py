"""Recurrent cells with the shared weights of ENAS: one matrix for each node, function and state that it reads."""

import itertools
import math

import pytest
import torch

import naslab as nl
from naslab.errors import SpecError
from naslab.networks import RECURRENT_ENAS_CORRECTED, RECURRENT_V2, RecurrentGenotype
from naslab.operations.optimizations import Optimizations

TEXT = "to be or not to be that is the question\n" * 60
F = {"tanh": torch.tanh, "relu": torch.relu, "sigmoid": torch.sigmoid, "identity": lambda x: x}


@pytest.fixture(scope="module")
def task():
    return nl.tasks.LanguageModel.from_text(TEXT, bptt=6)


@pytest.fixture(scope="module")
def space():
    return nl.spaces.RecurrentCell(nodes=3, hidden=8, dropouts=(0.0,) * 5)


def test_the_published_arcs():
    assert RecurrentGenotype.from_arc("0 2 1 1 1 1 1 3 2 0 5 2 3 0 5 1") == RECURRENT_V2
    assert RECURRENT_ENAS_CORRECTED.recurrent == (
        *(("sigmoid", 0), ("tanh", 1), ("relu", 2), ("sigmoid", 2)),
        *(("tanh", 4), ("tanh", 5), ("sigmoid", 3), ("sigmoid", 6)),
    )
    withdrawn = RecurrentGenotype.from_arc([0, 2, 1, 3], functions=("tanh", "relu", "identity", "sigmoid"))
    assert withdrawn.recurrent == (("identity", 0), ("sigmoid", 1))
    for arc, message in (
        ("0 2 1", "two whole numbers"),
        ("", "two whole"),
        ("0 x", "two whole"),
        ([0, 1.5], "two whole"),
        ("0 4", "0 to 3"),
        ("1 0", "state"),
    ):
        with pytest.raises(SpecError, match=message):
            RecurrentGenotype.from_arc(arc)


def test_a_child_has_the_published_number_of_weights():
    space = nl.spaces.RecurrentCell(hidden=800)
    signature = nl.tasks.Signature(
        nl.tasks.Field((None,), "int64", 10_000), {"logits": nl.tasks.Head("sequence", 10_000)}
    )
    with torch.device("meta"):
        network = space.build(space.from_genotype(RECURRENT_ENAS_CORRECTED), signature)
        shared = space.shared_weights(signature)
    assert nl.networks.parameters(network) == 20_800_000 + 10_000  # and the bias of the decoder
    matrices = 36 * 4  # (1 + ... + 8) states, 4 functions
    assert nl.networks.parameters(shared) == 10_000 * 800 + 10_000 + 4 * 800**2 + matrices * 2 * 800**2


@pytest.mark.parametrize("one_pass", [True, False])
def test_a_child_is_computed_with_its_own_matrices(task, space, one_pass):
    torch.manual_seed(0)
    shared = space.shared_weights(task).double()
    shared.optimizations = Optimizations(one_pass=one_pass)
    with torch.no_grad():
        for parameter in shared.parameters():
            parameter.copy_(0.4 * torch.randn_like(parameter))
    for architecture in itertools.islice((space.sample(seed) for seed in range(9)), 3):
        child = space.layers_of(architecture)
        tokens, _ = task.example(2)
        state = torch.randn(2, 8, dtype=torch.float64)
        outputs = shared((tokens, state), child)
        h, expected = state, []
        for t in range(tokens.shape[1]):
            c, u = (torch.cat([shared.embedding[tokens[:, t]], h], 1) @ shared.cells.first).chunk(2, dim=1)
            states = [h + c.sigmoid() * (u.tanh() - h)]
            for node, (function, source) in enumerate(child.recurrent, 1):
                matrix = shared.cells.matrices[f"{node}_{function}_{source}"]
                c, u = (states[source] @ matrix).chunk(2, dim=1)
                states.append(states[source] + c.sigmoid() * (F[function](u) - states[source]))
            h = torch.stack(states[1:]).mean(0)
            expected.append(h @ shared.embedding.t() + shared.bias)
        torch.testing.assert_close(outputs.logits, torch.stack(expected, 1), rtol=1e-11, atol=1e-11)
        shared.zero_grad()
        outputs.logits.sum().backward()
        used = {f"{node}_{function}_{source}" for node, (function, source) in enumerate(child.recurrent, 1)}
        assert {name for name, matrix in shared.cells.matrices.items() if matrix.grad is not None} == used


@pytest.mark.parametrize("searcher", ["Enas", "EN2AS", "SPOS", "FairNAS"])
@pytest.mark.parametrize("kind", ["text", "entities"])
def test_searches_of_single_cells(searcher, kind, task, space, tmp_path):
    sizes = {"epochs": 1, "batch_size": 8, "seed": 0}
    if searcher == "EN2AS":
        sizes |= {"archive": 3, "nearest": 2}
    if kind == "entities":
        task = nl.tasks.Entities.bundled("wnut17").subset(24, 16, 8)
    search = nl.Search(getattr(nl.searchers, searcher)(space, task, **sizes), run=tmp_path / "run")
    events = list(itertools.islice(search, 4))
    trained = [event for event in events if event.kind == "child_trained"]
    assert trained
    assert all(math.isfinite(event.train_loss) for event in trained)
    following = next(search)
    search.close()
    again = nl.Search.open(tmp_path / "run", task=task)
    again.rewind(4)
    assert next(again) == following  # the carried state of the text is a part of the search's
    again.close()
    assert space.check(search.best)
