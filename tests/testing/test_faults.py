"""Each check is called as it is, without a test runner, and says in words what is wrong with one fault."""

import sys
import unittest
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
import torch
from torch import nn

from naslab.errors import DataError
from naslab.tasks import Exchangeable
from naslab.testing import EstimatorCase, MetricCase, SearcherCase, SpaceCase, TaskCase
from naslab.testing.case import check_events, check_states, refused

sys.path.append(str(Path(__file__).parent / "package"))
import checks
import mine


def wrong(base, **members):
    """A class that does one thing otherwise; frozen dataclasses keep their name."""
    return type(base.__name__, (base,), members)


def case(base, made, **members):
    """A case of what is wrong."""
    return type("Case", (base,), {"make": lambda self, **given: made(**given), **members})()


def of_graph(self, architecture):
    graph = mine.Stack.graph(self, architecture)
    for node in graph:
        del graph.nodes[node]["role"]
    return graph


def of_numpy(self, architecture, task):
    network = mine.Stack.build(self, architecture, task)
    with torch.no_grad():
        network[1].weight.fill_(np.random.default_rng().random())
    return network


def ten_classes(self, architecture, task):
    network = mine.Stack.build(self, architecture, task)
    network[-1] = nn.Linear(network[-1].in_features, 10)
    return network


def cyclic(self, architecture):
    graph = mine.Stack.graph(self, architecture)
    graph.add_edges_from(nx.utils.pairwise(graph.nodes, cyclic=True))
    return graph


def unseeded(self):
    self.rng = np.random.default_rng()
    return mine.Climber.propose(self)


def deaf(self, name, value):
    pass


def summed(self, outputs, batch, *, smoothing=0.0):
    return (outputs - batch[1]).square().sum()


def own_valid(self, split):
    if split == "test":
        raise DataError("there is no test data; there are train and valid")
    return Exchangeable(range({"train": 48, "valid": 9}[split]), split)


def misread(self, seed, fraction=0.5):
    return self.stream("train"), Exchangeable(range(9))


def broadcast(self, outputs, batch, *, smoothing=0.0):
    return (outputs - batch[1].flatten()).square().mean()


def noisy(self, where, *, rows=slice(None), **_):
    return self.x[where][rows] + 0.1 * torch.rand(()), self.x[where][rows].mean((1, 2, 3))[:, None]


def late(self, where, *, augment=None, rows=slice(None), **_):
    x = self.x[where][rows]
    x = x if augment is None else x + torch.randn(x.shape, generator=augment)
    return x, x.flatten(1).mean(1, keepdim=True)


def overlapping(self, seed, fraction=0.5):
    return Exchangeable(range(40)), Exchangeable(range(30, 48))


def appended(self, state, outputs, batch):
    state = [] if state is None else state
    state.append(float((outputs - batch[1]).abs().max()))
    return state


def joined(self, states):
    return [one for part in states for one in part]


def nearest(self, state, outputs, batch):
    return 1.0 - float((outputs - batch[1]).abs().max())


def of_anything(self, architecture):
    return float(len(architecture.choices))


OF_METRIC = {"batches": checks.TestWorst.batches, "perfect": checks.TestWorst.perfect}
FAULTS = {
    "a graph without roles": (
        lambda: case(SpaceCase, wrong(mine.Stack, graph=of_graph)),
        "test_the_graph_is_a_labelled_dag",
        r"the node 'stack/0' of the graph lacks \['role'\]",
    ),
    "a graph with a circle": (
        lambda: case(SpaceCase, wrong(mine.Stack, graph=cyclic)),
        "test_the_graph_is_a_labelled_dag",
        "is no directed acyclic graph",
    ),
    "weights that are drawn elsewhere": (
        lambda: case(SpaceCase, wrong(mine.Stack, build=of_numpy)),
        "test_a_network_has_a_head_for_each_that_the_task_wants",
        "two networks of one seed differ in '1.weight'",
    ),
    "a number of classes that is written down": (
        lambda: case(SpaceCase, wrong(mine.Stack, build=ten_classes)),
        "test_a_built_network_gives_what_the_heads_are_to_give_and_learns",
        "gives 10 numbers, expected 3",
    ),
    "a formula that is wrong": (
        lambda: case(SpaceCase, mine.Stack, expected_size=6**3 - 1),
        "test_size",
        "the size is 216, expected 215",
    ),
    "samples of the space's own": (
        lambda: case(
            SpaceCase, wrong(mine.Stack, sample=lambda self, rng: mine.Stack.sample(self, np.random.default_rng()))
        ),
        "test_samples_are_legal_varied_and_repeatable",
        "other architectures for the same random numbers; draw from rng",
    ),
    "suggestions that no seed determines": (
        lambda: case(SearcherCase, lambda **given: wrong(mine.Climber, propose=unseeded)(mine.Stack(), **given)),
        "test_same_seed_same_search_however_torch_is_set",
        r"step \d+ differs: .* is .*, expected",
    ),
    "a setting that is not taken": (
        lambda: case(SearcherCase, lambda **given: wrong(mine.Climber, apply_setting=deaf)(mine.Stack(), **given)),
        "test_a_slider_acts_on_the_next_step",
        r"set\('chance', 1.0\) put 0.5 into force",
    ),
    "nonsense that is taken": (
        lambda: case(SearcherCase, lambda **given: mine.Climber(mine.Stack(), **given), nonsense=({"chance": 1.0},)),
        "test_nonsense_is_refused_when_made",
        r"a searcher with {'chance': 1.0} is accepted; expected SpecError",
    ),
    "a loss that is a sum": (
        lambda: case(TaskCase, wrong(mine.Brightness, loss=summed)),
        "test_the_loss_is_a_mean_with_a_gradient",
        r"the loss of a mini-batch is [\d.]+, and its parts .* give [\d.]+: the loss is to be the mean",
    ),
    "a loss whose shapes broadcast": (
        lambda: case(TaskCase, wrong(mine.Brightness, loss=broadcast)),
        "test_the_loss_is_a_mean_with_a_gradient",
        r"or shapes broadcast: outputs a tensor \[6, 1\], batch a tuple of a tensor \[6, 1, 6, 6\], a tensor \[6, 1\]",
    ),
    "a batch of the world's random numbers": (
        lambda: case(TaskCase, wrong(mine.Brightness, batch=noisy)),
        "test_a_mini_batch_is_a_function_of_where_it_is",
        "drew from torch's global generator; use `augment`",
    ),
    "augmentation of a part": (
        lambda: case(TaskCase, wrong(mine.Brightness, batch=late)),
        "test_processes_that_share_a_mini_batch_see_what_one_would",
        "are not those of the whole, .*: draw what is random for all of it",
    ),
    "parts with the same examples": (
        lambda: case(TaskCase, wrong(mine.Brightness, parts=overlapping)),
        "test_the_parts_are_seeded_and_have_nothing_in_common",
        r"the examples \[30, 31, .*\] are in both parts",
    ),
    "validation data that is read from the training data": (
        lambda: case(TaskCase, wrong(mine.Brightness, stream=own_valid, parts=misread)),
        "test_the_parts_are_seeded_and_have_nothing_in_common",
        r"the second of its parts is of the split 'train', from which its mini-batches would be read: return stream\(",
    ),
    "a spec without its fingerprint": (
        lambda: case(TaskCase, wrong(mine.Brightness, spec=lambda self: {"task": self.name, "count": 64, "seed": 0})),
        "test_it_is_found_again_from_its_spec",
        r"spec\(\) has None under 'fingerprint', expected '[0-9a-f]{64}'",
    ),
    "a state that is changed": (
        lambda: case(
            MetricCase,
            wrong(mine.Worst, update=appended, merge=joined, compute=lambda self, state: max(state)),
            **OF_METRIC,
        ),
        "test_a_state_is_pickled_and_is_not_changed",
        r"update\(\) of the metric changes the state that it is given",
    ),
    "a direction the wrong way": (
        lambda: case(MetricCase, wrong(mine.Worst, update=nearest), **OF_METRIC),
        "test_nothing_is_better_than_perfect",
        r"a mini-batch has 0.\d+, and the perfect one 1.0, although the direction is 'min'",
    ),
    "a fitness for any architecture": (
        lambda: case(EstimatorCase, lambda: wrong(mine.Slim, __call__=of_anything)(mine.Stack())),
        "test_an_architecture_of_another_space_is_refused",
        r"an architecture of another space .* is accepted; expected SpecError",
    ),
    "a fingerprint of the name": (
        lambda: case(
            EstimatorCase,
            lambda: wrong(mine.Slim, fingerprint=lambda self: self.name)(mine.Stack()),
            other=lambda self: wrong(mine.Slim, fingerprint=lambda self: self.name)(mine.Stack(), 5),
        ),
        "test_the_fingerprint_is_that_of_what_it_scores",
        "an estimator that scores otherwise has the same fingerprint, 'mine_slim'",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named(fault):
    make, check, said = FAULTS[fault]
    with pytest.raises(AssertionError, match=said):
        getattr(make(), check)()


def test_a_check_that_does_not_apply_is_skipped():
    with pytest.raises(unittest.SkipTest, match="Stack is no Mixable"):
        checks.TestStack().test_discretize_refuses_what_is_no_weight()


def test_what_make_is_to_give_is_said():
    for base in (SpaceCase, SearcherCase, EstimatorCase, TaskCase):
        with pytest.raises(NotImplementedError, match=r"make\(.*gives the .* to be checked: def make\(self"):
            base().make()


def test_an_error_of_another_kind_is_no_refusal():
    with (
        pytest.raises(AssertionError, match="the nonsense raises KeyError: 'x'; expected SpecError"),
        refused("the nonsense"),
    ):
        {}["x"]


def test_states_and_events_that_differ_are_told_by_what_differs():
    with pytest.raises(AssertionError, match=r"later: the entries \['b'\] of the state differ; b is 2, expected 3"):
        check_states({"a": 1, "b": 2}, {"a": 1, "b": 3}, "later")
    with pytest.raises(AssertionError, match=r"later: the state lacks \['b'\]"):
        check_states({"a": 1}, {"a": 1, "b": 3}, "later")
    first, other = (mine.Climber(mine.Stack(), seed=seed) for seed in (1, 2))
    events = [checks.TestClimber().begun(seed=one.seed).advance() for one in (first, other)]
    with pytest.raises(AssertionError, match=r"again: step 1 differs: architecture is Architecture\("):
        check_events(events[:1], events[1:], "again")
