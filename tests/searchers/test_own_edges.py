"""Edges that offer different operations: what an edge does not have has no weight there, and its alpha stands still."""

from dataclasses import dataclass
from typing import ClassVar

import networkx as nx
import numpy as np
import pytest
import torch
from torch import nn

import naslab as nl
from naslab.architecture import Choice
from naslab.errors import SpecError
from naslab.spaces import FixedSpace
from naslab.spaces.weight_sharing import candidates, edge_operations, weight_matrices

OPERATIONS = ("linear", "skip", "tanh", "relu")
EDGES = ((0, 1), (1, 2), (0, 2))
OFFERED = (("linear", "tanh"), ("relu", "skip"), ("skip",))
HAS = np.array([[1, 0, 1, 0], [0, 1, 0, 1], [0, 1, 0, 0]], dtype=bool)
WIDTH = 6
METHODS = {"darts": nl.searchers.Darts, "gdas": nl.searchers.GDAS}


def operation(name):
    made = {"linear": lambda: nn.Linear(WIDTH, WIDTH), "skip": nn.Identity, "tanh": nn.Tanh, "relu": nn.ReLU}
    return made[name]()


class Wired(nn.Module):
    """Of each edge, only the operations that it has; keeps the weights that it was last given."""

    def __init__(self, task):
        super().__init__()
        self.stem, self.head = nn.Linear(np.prod(task.input_shape), WIDTH), nn.Linear(WIDTH, task.classes)
        self.paths = nn.ModuleList(nn.ModuleDict({name: operation(name) for name in row}) for row in OFFERED)

    def forward(self, x, weights):
        self.given = weights["wires"]
        states = [self.stem(x.flatten(1)), 0.0, 0.0]
        for (source, node), row, paths in zip(EDGES, self.given, self.paths, strict=True):
            for name, path in paths.items():
                states[node] = states[node] + row[OPERATIONS.index(name)] * path(states[source])
        return self.head(states[2])


@dataclass(frozen=True)
class Wires(FixedSpace):
    name: ClassVar[str] = "wires_of_a_test"
    operations: ClassVar[tuple[str, ...]] = OPERATIONS

    def each_choice(self):
        return [Choice(f"edge_{row}", options) for row, options in enumerate(OFFERED)]

    def edge_operations(self):
        return {"wires": OFFERED}

    def edges(self):
        return {"wires": len(EDGES)}

    def supergraph(self):
        graph = nx.DiGraph()
        for node, role in enumerate(("input", "node", "output")):
            graph.add_node(node, part="wires", label=str(node), role=role)
        for row, (source, node) in enumerate(EDGES):
            graph.add_edge(source, node, row=row)
        return graph

    def graph(self, architecture):
        graph = self.supergraph()
        for (source, node), name in zip(EDGES, architecture.choices, strict=True):
            graph.edges[source, node]["op"] = name
        return graph

    def supernet(self, task):
        return Wired(task)

    build = None

    def discretize(self, weights):
        """The strongest of all columns: nothing here keeps it from a column that is only padded."""
        matrix = weight_matrices(weights, self.edges(), len(OPERATIONS))["wires"]
        return self.architecture([OPERATIONS[column] for column in matrix.argmax(axis=1)])

    def one_hot(self, architecture):
        found = np.zeros((len(EDGES), len(OPERATIONS)), dtype=np.float32)
        for row, name in enumerate(self.check(architecture).choices):
            found[row, OPERATIONS.index(name)] = 1
        return {"wires": found}


Wires.__abstractmethods__ = frozenset()


@pytest.fixture(scope="module")
def digits():
    return nl.tasks.Digits()


def searcher(name, digits, **given):
    made = METHODS[name](Wires(), digits, seed=2, batch_size=16, epochs=1, **given)
    with torch.no_grad():
        made.alphas["wires"][torch.from_numpy(~HAS)] += 50.0  # what is not there would win, if it were asked
    return made


@pytest.mark.parametrize("name", METHODS)
def test_what_an_edge_does_not_have_is_never_taken_and_stands_still(digits, name):
    made = searcher(name, digits)
    alpha = made.alphas["wires"]
    before = alpha.detach().clone()
    for _ in range(4):
        event = made.advance()
        probabilities = event.probabilities["wires"]
        assert (probabilities[~HAS] == 0).all()
        assert np.allclose(probabilities.sum(axis=1), 1)
        given = made.network.given.detach().numpy()
        assert (given[~HAS] == 0).all()
        assert np.allclose(given.sum(axis=1), 1)
        kept = made.space.one_hot(event.best)["wires"].astype(bool)
        assert not (kept & ~HAS).any()
        assert (kept.argmax(axis=1) == np.where(HAS, probabilities, -1).argmax(axis=1)).all()
        assert np.isfinite(event.metrics["entropy"])
    assert "mask/wires" not in event.settings
    assert torch.equal(alpha[~HAS], before[~HAS])
    moved = alpha.detach() != before
    assert moved[:2][torch.from_numpy(HAS[:2])].all()


@pytest.mark.parametrize("name", METHODS)
def test_a_run_of_it_is_opened_again_bit_for_bit(digits, name, tmp_path):
    search = nl.Search(METHODS[name](Wires(), digits, seed=2, batch_size=16, epochs=1), run=tmp_path / "run")
    next(search)
    search.set("mask/wires", {"0": ["tanh"]})
    event = next(search)
    assert event.probabilities["wires"][0].tolist() == [1, 0, 0, 0]
    expected, state = list(search.events), search.searcher.state_dict()
    search.close()
    again = nl.Search.open(tmp_path / "run", digits)
    assert list(again.events) == expected
    for key, value in again.searcher.state_dict().items():
        assert torch.equal(value, state[key]) if isinstance(value, torch.Tensor) else value == state[key]
    fork = again.fork(step=1)
    fork.set("mask/wires", {"0": ["tanh"]})
    assert next(fork) == event
    again.close()


def test_what_is_offered_is_that_of_the_edge(digits):
    made = searcher("darts", digits)
    assert [tuple(row) for row in made.settings["mask/wires"].options.values()] == list(OFFERED)
    for value, said in (
        ({"0": ["skip"]}, "unknown option 'skip'"),
        ({"2": ["skip"]}, "nothing would be left of the edge '2'"),
        ({"1": ["relu", "skip"]}, "nothing would be left of the edge '1'"),
    ):
        with pytest.raises(SpecError, match=said):
            made.set("mask/wires", value)
    with pytest.raises(SpecError, match="edge 0 of 'wires' has no operation 'skip'; it has linear, tanh"):
        made.act("nudge", {"part": "wires", "row": 0, "operation": "skip", "by": 1.0})


def test_edges_are_checked():
    assert edge_operations(Wires()) == {"wires": OFFERED}
    assert (candidates(Wires())["wires"] == HAS).all()
    table = nl.spaces.NASBench201()
    assert edge_operations(table) == {"cell": (table.operations,) * 6}
    for told, said in (
        ({"wires": OFFERED[:2]}, "must say the operations of the edges"),
        ({"other": OFFERED}, "must say the operations of the edges"),
        ({"wires": (*OFFERED[:2], ())}, "edge 2 of 'wires' needs some operations"),
        ({"wires": (*OFFERED[:2], ("skip", "skip"))}, "each once"),
        ({"wires": (*OFFERED[:2], ("skipp",))}, "did you mean 'skip'"),
    ):

        class Told(Wires):
            def edge_operations(self, told=told):
                return told

        with pytest.raises(SpecError, match=said):
            edge_operations(Told())
