"""Regularizers against closed forms."""

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.testing import assert_close

import naslab as nl
from naslab.errors import SpecError
from naslab.networks.mixture import as_mixture
from naslab.randomness import seeded, torch_generator
from naslab.searchers import gradient as g

TASK = SimpleNamespace(input_shape=(1, 8, 8), classes=3)
SPACE = nl.spaces.NASBench201(channels=4, cells=1)
SHAPES = {"cell": (6, 5)}


def weights(name="weights"):
    return torch.rand(6, 5, generator=torch_generator(name)).softmax(dim=1)


def test_the_expected_cost_is_one_for_the_dearest_cell_and_its_gradient_that_of_the_table():
    table = torch.rand(6, 5, generator=torch_generator("table")).double()
    regularizer = g.Resource(weight=0.5, what="table", table={"cell": table.tolist()})
    costs = regularizer.costs(SPACE.supernet(TASK), (1, 8, 8), SHAPES)
    dearest = torch.nn.functional.one_hot(table.argmax(dim=1), 5).float()
    assert regularizer.term({"cell": dearest}, costs, {"resource_weight": 0.5}).item() == pytest.approx(0.5)
    mean = weights().requires_grad_()
    (found,) = torch.autograd.grad(regularizer.term({"cell": mean}, costs, {"resource_weight": 0.5}), mean)
    assert_close(found.double(), 0.5 * table / table.max(dim=1).values.sum(), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"what": "money"}, "unknown cost 'money'"),
        ({"what": "table"}, "no other what"),
        ({"table": {"cell": [[1.0] * 5] * 6}}, "no other what"),
        ({"weight": -1.0}, "weight must not be negative"),
    ],
)
def test_a_resource_that_makes_no_sense_is_refused(settings, says):
    with pytest.raises(SpecError, match=says):
        g.Resource(**settings)


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ([[1.0] * 4] * 6, "must have the parts and shapes"),
        ([[float("nan")] * 5] * 6, "finite"),
        ([[0.0] * 5] * 6, "cost 0"),
    ],
)
def test_a_table_that_makes_no_sense_is_refused(table, says):
    with pytest.raises(SpecError, match=says):
        g.Resource(what="table", table={"cell": table}).costs(SPACE.supernet(TASK), (1, 8, 8), SHAPES)


def test_entropy_in_nats():
    mean = {"cell": torch.full((6, 5), 0.2)}
    assert g.Entropy().term(mean, {}, {"entropy_weight": 2.0}).item() == pytest.approx(2 * np.log(5))
    decided = torch.eye(5).repeat(2, 1)[:6].requires_grad_()
    term = g.Entropy().term({"cell": decided}, {}, {"entropy_weight": 2.0})
    assert term.item() == 0
    assert torch.isfinite(torch.autograd.grad(term, decided)[0]).all()


@pytest.mark.parametrize("kind", ["random", "adversarial"])
def test_a_perturbed_row_is_a_distribution_within_the_radius(kind):
    given, slope = {"cell": weights()}, torch.randn(6, 5, generator=torch_generator("slope"))
    loss = lambda w: (w["cell"] * slope).sum()  # noqa: E731
    noise = torch_generator("noise")
    found = g.Perturbation(kind=kind).perturbed(given, loss, noise, {"perturbation": 0.02})["cell"]
    assert_close(found.sum(dim=1), torch.ones(6))
    assert (found >= 0).all()
    assert 0 < (found - given["cell"]).abs().max() < 0.02 * 1.5  # a little more, once brought back to sum one
    again = g.Perturbation(kind=kind).perturbed(given, loss, torch_generator("noise"), {"perturbation": 0.02})["cell"]
    assert torch.equal(found, again)


def test_a_row_of_which_nothing_is_left_goes_to_its_largest_weight():
    """At a radius above the weights, one row in a hundred is pushed below zero in all its places."""
    given = {"cell": torch.full((2000, 5), 0.2)}
    found = g.Perturbation().perturbed(given, lambda w: w["cell"].sum(), torch_generator(0), {"perturbation": 1.0})
    drawn = 0.2 + 2 * torch.rand(2000, 5, generator=torch_generator(0)) - 1
    lost = (drawn < 0).all(dim=1)
    assert 5 < lost.sum() < 50
    assert torch.equal(found["cell"][lost].argmax(dim=1), drawn[lost].argmax(dim=1))
    assert_close(found["cell"].sum(dim=1), torch.ones(2000))
    assert found["cell"].min() == 0


def test_the_adversary_finds_the_worst_corner():
    """A linear loss on one row: the worst is +radius where the slope is above, -radius below."""
    given = {"cell": torch.full((1, 4), 0.25)}
    slope = torch.tensor([[3.0, 1.0, -1.0, -3.0]])
    loss = lambda w: (w["cell"] * slope).sum()  # noqa: E731
    found = g.Perturbation(kind="adversarial").perturbed(given, loss, torch_generator(0), {"perturbation": 0.1})["cell"]
    assert_close(found, torch.tensor([[0.35, 0.35, 0.15, 0.15]]), rtol=0, atol=0.02)
    random = g.Perturbation().perturbed(given, loss, torch_generator(0), {"perturbation": 0.1})["cell"]
    assert loss({"cell": found}) > loss({"cell": random}) + 0.05


def test_no_perturbation_at_radius_zero():
    given = {"cell": weights()}
    found = g.Perturbation().perturbed(given, lambda w: w["cell"].sum(), torch_generator(0), {"perturbation": 0.0})
    assert_close(found["cell"], given["cell"])


def test_only_skip_connections_drop():
    with seeded("dropout"):
        network = SPACE.supernet(TASK)
    x = torch.rand(4, 1, 8, 8, generator=torch_generator("x"))
    regularizer, rates = g.SkipDropout(), {"skip_dropout": 0.5}

    def all_on(operation, masks=None):
        one = torch.zeros(6, 5)
        one[:, SPACE.operations.index(operation)] = 1.0
        return {"cell": dataclasses.replace(as_mixture(one), masks=masks)}

    for operation in ("skip_connect", "nor_conv_3x3", "avg_pool_3x3"):
        plain = network(x, all_on(operation))
        dropped = network(x, all_on(operation, regularizer.masks(rates, ("a",))))
        assert torch.equal(network(x, all_on(operation, regularizer.masks(rates, ("a",)))), dropped)
        assert_close(network(x, all_on(operation, regularizer.masks({"skip_dropout": 0.0}, ("a",)))), plain)
        assert torch.equal(dropped, plain) == (operation != "skip_connect")
        assert_close(network(x, all_on(operation)), plain)


def records(values, name="eigenvalue"):
    return [{name: value, "valid_accuracy": 0.0} for value in values]


def test_the_eigenvalue_stops_when_its_average_rises_too_fast():
    stop = g.EigenvalueStop(window=2, ratio=0.75)
    assert stop.stop(records([1.0, 1.0, 1.0])) is None, "nothing to compare with yet"
    assert stop.stop(records([1.0, 1.0, 1.0, 1.6])) is None, "1 is no less than 0.75 * 1.3"
    assert stop.stop(records([1.0, 1.0, 1.0, 1.7])) == 1, "1 is less than 0.75 * 1.35"
    assert stop.stop(records([1.0, 1.0, -1.0, -1.7])) == 1, "magnitudes count"
    assert stop.stop(records([2.0, 2.0, 1.0, 1.0])) is None


def test_patience():
    tracking = g.SizeTracking(patience=2)
    accuracies = [0.1, 0.5, 0.4, 0.5, 0.3]
    stops = [tracking.stop([{"fitness": a, "parameters": 1} for a in accuracies[:n]]) for n in range(1, 6)]
    assert stops == [None, None, None, 1, 1]
    assert g.SizeTracking().stop([{"fitness": a} for a in accuracies]) is None


def test_the_best_of_each_size_and_the_front():
    a, b, c, d = (SPACE.at(n) for n in (1, 2, 3, 4))
    from naslab.searchers.gradient.history import EpochHistory

    digits = nl.tasks.Digits()
    history = EpochHistory([g.SizeTracking()], digits)
    rows = [(900, 0.5, a), (500, 0.4, b), (900, 0.7, c), (700, 0.3, d), (900, 0.6, b)]
    records = [{"parameters": n, "valid_accuracy": v, "choices": list(x.choices)} for n, v, x in rows]
    history.load_state_dict(json.dumps([records, [0.5], None, None]))  # as it was kept when there were accuracies alone
    found = history.by_size("nasbench201")
    assert [tuple(one)[:4] for one in found] == [(500, 0.4, 1, b), (700, 0.3, 3, d), (900, 0.7, 2, c)]
    assert [one.parameters for one in g.pareto(found)] == [500, 900]
    again = EpochHistory([g.SizeTracking()], digits)
    again.load_state_dict(history.state_dict())
    assert again.by_size("nasbench201") == found


@pytest.mark.parametrize(
    "make",
    [
        lambda: g.Perturbation(kind="loud"),
        lambda: g.Perturbation(radius=-0.1),
        lambda: g.Perturbation(steps=0),
        lambda: g.SkipDropout(rate=1.0),
        lambda: g.SkipDropout(rate_end=0.0),
        lambda: g.EigenvalueStop(window=0),
        lambda: g.EigenvalueStop(ratio=0.0),
        lambda: g.SizeTracking(patience=-1),
        lambda: g.PartialChannels(one_in=0),
        lambda: g.PartialChannels(edge_normalisation="yes"),
        lambda: g.Reinforce(baseline_decay=1.0),
    ],
)
def test_nonsense_is_refused(make):
    with pytest.raises(SpecError):
        make()


def test_a_stopping_criterion_written_for_the_old_names_goes_on_and_warns():
    from naslab.errors import NaslabDeprecationWarning
    from naslab.searchers.gradient import regularizers

    with pytest.warns(NaslabDeprecationWarning, match="Watch is now called .*StoppingCriterion"):
        old = regularizers.Watch
    assert old is g.StoppingCriterion
    with (
        pytest.warns(NaslabDeprecationWarning, match="Third.figures is now called metrics"),
        pytest.warns(NaslabDeprecationWarning, match="Third.verdict is now called stop"),
    ):

        class Third(g.StoppingCriterion):
            """Stops after three epochs."""

            def figures(self, search):
                return {"epochs": 1.0}

            def verdict(self, records):
                return 1 if len(records) == 3 else None

    third = Third()
    assert third.metrics(None) == {"epochs": 1.0}
    assert [third.stop([{}] * n) for n in (1, 2, 3)] == [None, None, 1]
