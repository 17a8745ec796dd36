"""What architectures are worth on tasks that are no image classification."""

import importlib.util
import math
import pickle
from pathlib import Path

import pytest
import torch
from torch import nn

import naslab as nl
from naslab.errors import SpecError
from naslab.estimators import Objective, Resources, Training, ZeroCost
from naslab.estimators.zero_cost import scores
from naslab.networks.cost import cost
from naslab.networks.mixture import MixedEdges
from naslab.networks.operation_costs import _Layers

_spec = importlib.util.spec_from_file_location("other_tasks", Path(__file__).parents[1] / "trainers" / "other_tasks.py")
_tasks = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_tasks)
Numbers, TwoHeads, TwoOutputs, recurrent = _tasks.Numbers, _tasks.TwoHeads, _tasks.TwoOutputs, _tasks.recurrent

SPACE = nl.spaces.RecurrentCell(nodes=2, hidden=8, dropouts=(0.0,) * 5)
CELL = SPACE.parse("Genotype(recurrent=[('relu', 0), ('tanh', 1)], concat=range(1, 3))")
QUICK = {"epochs": 2, "batch_size": 4, "learning_rate": 1.0, "momentum": 0.0, "scale_rate": True}


@pytest.fixture(scope="module")
def text():
    return _tasks.text(short_share=0.0)


def test_the_fitness_of_a_training_is_the_objective_with_the_sign_of_a_fitness(text):
    estimator = Training(SPACE, text, **QUICK)
    assert estimator.objectives == (Objective("bits_per_character", "min", "bits"),)
    score = estimator(CELL)
    with nl.seeded(0, "training", "weights"):
        network = SPACE.build(CELL, text)
    report = nl.trainers.fit(network, text, threads=1, held_out=0.2, **QUICK)
    assert score.fitness == -report.valid < -1
    assert score.metrics["best_valid_bits_per_character"] == report.valid
    assert score.metrics["valid/perplexity"] == pytest.approx(2**report.valid, rel=1e-6)
    assert score.metrics["train_loss"] == report.history[-1].train_loss
    assert "test/loss" in report.metrics
    assert pickle.loads(pickle.dumps(estimator))(CELL).fitness == score.fitness


def test_a_training_of_less_data(text):
    less = Training(SPACE, text, data=0.5, **QUICK)._data
    assert len(less.numbers["train"]) == round(0.5 * len(text.numbers["train"]))
    assert (less.numbers["train"] == text.numbers["train"][: len(less.numbers["train"])]).all()
    assert less.numbers["valid"] is text.numbers["valid"]
    with pytest.raises(SpecError, match="a text has no size that could be 3"):
        Training(SPACE, text, size=3, **QUICK)
    assert Numbers.drawn().reduced() is not None
    with pytest.raises(SpecError, match=r"'numbers' cannot be reduced; leave data at 1\.0 and size at None"):
        Numbers.drawn().reduced(0.5)


def test_a_search_on_text_climbs_down_the_bits(text):
    search = nl.Search(
        nl.searchers.RegularizedEvolution(SPACE, population=2, sample=2, seed=1),
        estimator=Training(SPACE, text, **{**QUICK, "epochs": 1}),
        budget=3,
    )
    events = list(search)
    assert [event.status for event in events] == ["done"] * 3
    assert search.best == max(events, key=lambda event: event.fitness).architecture
    assert all(event.fitness < 0 for event in events)


def test_resources_of_a_recurrent_cell_by_hand(text):
    """For each of the tokens: x and h to 2 H, each node from H to 2 H, H to the vocabulary."""
    words, tokens = len(text.vocabulary), 5
    found = Resources(SPACE, text)(CELL).metrics
    assert found["flops"] == tokens * (8 * 16 + 8 * 16 + 2 * 8 * 16 + 8 * words)
    assert found["parameters"] == 8 * words + words + 16 * 16 + 2 * 8 * 16
    assert found["latency"] > 0
    assert found["intensity"] > 0
    assert found["memory"] > 4 * found["parameters"]
    two = text.inputs(text.example(2))
    network = SPACE.build(CELL, text)
    assert cost(network, two).multiply_adds == 2 * cost(network, text).multiply_adds == 2 * found["flops"]


class Mixing(MixedEdges):
    """A linear layer from 4 to 6 for both of its edges, and a product that is no layer."""

    def __init__(self):
        nn.Module.__init__(self)
        self.rows, self.linear = [0, 1], nn.Linear(4, 6)
        self.bare = nn.Parameter(torch.zeros(5, 6, 2))

    def forward(self, x):
        y = self.linear(x)
        blended = torch.bmm(y.expand(5, 3, 6), self.bare)
        return blended, y @ y.t()


def test_linear_layers_and_products_with_a_weight_are_counted_inside_operations():
    module = Mixing().to("meta")
    with _Layers([module]) as counted, torch.no_grad():
        module(torch.empty(3, 4, device="meta"))
    assert counted.inside[module] == {"parameters": 24 + 60, "multiply_adds": 3 * 4 * 6 + 5 * 3 * 6 * 2}


def test_proxies_look_at_the_loss_of_the_task(text):
    network, batch = recurrent(text), text.example(4)
    found = scores(network, text.inputs(batch), batch, ["snip", "grad_norm"], loss=text.loss)
    (gradient,) = torch.autograd.grad(text.loss(network(text.inputs(batch)), batch), [network.decoder.weight])
    assert found["grad_norm"] == pytest.approx(float(gradient.norm()), rel=1e-5), "the only linear layer"
    assert found["snip"] == pytest.approx(float((gradient * network.decoder.weight).detach().abs().sum()), rel=1e-5)


def test_a_network_of_bare_matrices_has_gradients_too(text):
    with nl.seeded(0):
        network = SPACE.build(CELL, text)
    batch = text.example(4)
    found = scores(network, text.inputs(batch), batch, ["grad_norm", "grasp"], loss=text.loss)
    matrices = [weight for weight in network.parameters() if weight.ndim > 1]
    gradients = torch.autograd.grad(text.loss(network(text.inputs(batch)), batch), matrices)
    assert found["grad_norm"] == pytest.approx(sum(float(gradient.norm()) for gradient in gradients), rel=1e-5)
    assert found["grasp"] != 0


def test_proxies_of_outputs_by_name():
    task, network = TwoHeads.drawn(), TwoOutputs()
    batch = task.batch(torch.arange(6))
    x = task.inputs(batch).clone().requires_grad_()
    found = scores(network, task.inputs(batch), batch, ["grad_norm", "synflow", "jacob_cov"], loss=task.loss)
    weights = [network.value.weight, network.sign.weight]
    gradients = torch.autograd.grad(task.loss(network(x), batch), weights)
    assert found["grad_norm"] == pytest.approx(sum(float(gradient.norm()) for gradient in gradients), rel=1e-5)
    assert found["synflow"] == pytest.approx(sum(float(weight.detach().abs().sum()) for weight in weights), rel=1e-5)
    assert math.isfinite(found["jacob_cov"])


@pytest.mark.parametrize(
    ("proxy", "why"),
    [
        ("naswot", "NASWOT looks at which ReLUs are on, and this network computes none"),
        ("synflow", "synflow sends ones in place of the input, which must be real numbers, not torch.int64"),
        ("jacob_cov", "jacob_cov differentiates by the input, which must be real numbers, not torch.int64"),
        ("fisher", "fisher looks at the output channels of convolutions and linear layers, and the network has none"),
    ],
)
def test_a_proxy_that_cannot_look_at_a_text_says_why(text, proxy, why):
    with pytest.raises(SpecError, match=why):
        ZeroCost(SPACE, text, proxy, batch_size=4)(CELL)


def test_a_proxy_that_can_is_an_estimator_as_for_images(text):
    one, same, other = (ZeroCost(SPACE, text, "snip", batch_size=4, seed=seed)(CELL) for seed in (0, 0, 1))
    assert one == same != other
    assert (
        ZeroCost(SPACE, text, "flops", batch_size=4)(CELL) == Resources(SPACE, text, ["flops"])(CELL).metrics["flops"]
    )
    with pytest.raises(SpecError, match=r"fewer tokens than a mini-batch of 5000: .*too few for 5000 columns"):
        ZeroCost(SPACE, text, batch_size=5000)
