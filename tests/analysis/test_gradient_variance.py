"""Exact for a linear model; a training that is watched is the same training."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch import nn

import naslab as nl
from naslab.analysis import generalisation_gap, gradient_variance, watching
from naslab.errors import DataError, Diverged, SpecError
from naslab.quantities import Objective, Quantity
from naslab.tasks.metrics import Mean
from naslab.tasks.order import batch_indices
from naslab.tasks.signature import Field, Head, Signature
from naslab.tasks.streams import Exchangeable
from naslab.trainers.report import Epoch, Report


class Regression(nl.tasks.Task):
    """Half the squared error of N points with D features, which a linear network fits."""

    name = "regression"
    objective = "loss"

    @property
    def signature(self):
        return Signature(Field((self.x.shape[1],)), {"y": Head("vector", self.y.shape[1])})

    def __init__(self, count=12, features=5):
        rng = np.random.default_rng(0)
        self.x = torch.from_numpy(rng.standard_normal((count, features)))
        self.y = torch.from_numpy(rng.standard_normal((count, 1)))

    def parts(self, seed, fraction=0.5):
        raise NotImplementedError

    def stream(self, split):
        return Exchangeable(torch.arange(len(self.x)), split)

    def batch(self, where, **_):
        return self.x[where], self.y[where]

    def loss(self, outputs, batch, *, smoothing=0.0):
        return ((outputs - batch[1]) ** 2).mean() / 2

    def metrics(self):
        return {"loss": Mean(lambda outputs, batch: float(self.loss(outputs, batch)), self.size, direction="min")}

    def spec(self):
        raise NotImplementedError

    def fingerprint(self):
        raise NotImplementedError


def linear():
    with nl.seeded(0):
        return nn.Linear(5, 1, bias=False).double()


def small():
    with nl.seeded(0):
        return nn.Sequential(
            nn.Conv2d(1, 4, 3, 4), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(), nn.Flatten(), nn.Linear(196, 10)
        )


@pytest.fixture(scope="module")
def task():
    return nl.tasks.FashionMNIST().subset(96, 40)


def test_a_linear_model_has_an_exact_variance():
    """The gradient of a mini-batch is X^T (X w - y) / B, written out."""
    task, network = Regression(), linear()
    found = gradient_variance(network, task, batch_size=3, batches=4, seed=5)
    x, y, w = task.x.numpy(), task.y.numpy()[:, 0], network.weight.detach().numpy()[0]
    everything = torch.arange(12)
    chosen = [batch_indices(everything, 3, b, 5, "variance").numpy() for b in range(4)]
    assert sorted(np.concatenate(chosen).tolist()) == list(range(12)), "no image twice"
    gradients = np.stack([x[b].T @ (x[b] @ w - y[b]) / 3 for b in chosen])
    assert found.variance == pytest.approx(gradients.var(axis=0, ddof=1).sum(), rel=1e-10)
    assert found.norm == pytest.approx(np.linalg.norm(x.T @ (x @ w - y) / 12), rel=1e-10), "that of all images"
    assert found.relative == pytest.approx(found.variance / found.norm**2)
    assert found.deviation == pytest.approx(math.sqrt(found.variance))
    assert found.loss == pytest.approx(((x @ w - y) ** 2).mean() / 2)
    assert (found.weights, found.batches, found.batch_size) == (5, 4, 3)


def test_images_that_are_alike_have_no_variance():
    task, network = Regression(), linear()
    task.x[:], task.y[:] = task.x[0].clone(), task.y[0].clone()
    found = gradient_variance(network, task, batch_size=3, batches=4)
    assert found.variance == pytest.approx(0, abs=1e-20)
    task.y[:] = (task.x @ network.weight.detach().T).clone()
    assert dataclasses.replace(found, norm=0.0, variance=0.0).relative == 0
    assert dataclasses.replace(found, norm=0.0, variance=1.0).relative == math.inf


def test_the_network_is_left_as_it_is(task):
    network = small().train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    generator = torch.get_rng_state()
    found = gradient_variance(network, task, batch_size=16, batches=3)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(module.training for module in network.modules())
    assert torch.equal(generator, torch.get_rng_state())
    assert gradient_variance(network.eval(), task, batch_size=16, batches=3) == found, "whatever mode it is in"
    assert gradient_variance(network, task, batch_size=16, batches=3, seed=1) != found


def test_a_training_that_is_watched_is_the_same_training(task):
    recipe = {"epochs": 2, "batch_size": 32, "seed": 3}
    report = nl.trainers.fit(alone := small(), task, progress=False, **recipe)
    steps = list(watching(watched := small(), task, batches=2, **recipe))
    assert [step.epochs for step in steps] == [0, 1, 2]
    assert [len(step.variances) for step in steps] == [1, 2, 3]
    assert steps[-1].history == report.history
    assert steps[0].variances[0] == gradient_variance(small(), task, batch_size=32, batches=2, seed=3)
    assert steps[-1].variances[-1] == gradient_variance(watched, task, batch_size=32, batches=2, seed=3)
    assert all(map(torch.equal, alone.state_dict().values(), watched.state_dict().values()))
    gap = generalisation_gap(report)
    assert generalisation_gap(steps[-1].history).loss.tolist() == gap.loss.tolist()


def test_bad_input(task):
    with pytest.raises(SpecError, match="batches must be a whole number from 2 up"):
        gradient_variance(small(), task, batches=1)
    with pytest.raises(DataError, match="batch of 97"):
        gradient_variance(small(), task, batch_size=97)
    with pytest.raises(SpecError, match="no parameter"):
        gradient_variance(nn.Flatten(), task)
    broken = small()
    with torch.no_grad():
        broken[0].weight.fill_(math.nan)
    with pytest.raises(Diverged, match="mini-batch 1 is not finite"):
        gradient_variance(broken, task, batch_size=16, batches=2)
    with pytest.raises(SpecError, match="unknown hyperparameter 'epoch'"):
        watching(small(), task, epoch=3)


def epoch(number, train, test):
    return Epoch(
        epoch=number,
        learning_rate=0.1,
        train_loss=train,
        train_accuracy=0.75,
        test_loss=test,
        test_accuracy=0.5,
    )


def test_the_generalisation_gap_by_hand():
    found = generalisation_gap([epoch(1, 2.0, 1.5), epoch(2, 1.0, 1.25)])
    assert found.epochs.tolist() == [1, 2]
    assert found.loss.tolist() == [-0.5, 0.25]
    assert found.accuracy.tolist() == [0.25, 0.25]
    with pytest.raises(DataError, match="no epoch"):
        generalisation_gap([])
    with pytest.raises(DataError, match=r"not all of .* are finite in the epochs \[2\]"):
        generalisation_gap([epoch(1, 1.0, 1.0), epoch(2, math.nan, 1.0)])


def test_the_gap_is_of_any_objective_and_greater_is_worse():
    metrics = {"train/loss": 1.0, "test/loss": 1.5, "train/bits": 2.0, "test/bits": 2.75}
    epochs = [Epoch(epoch=1, learning_rate=0.1, metrics=metrics)]
    found = generalisation_gap(epochs, Objective("bits", "min", "bits"))
    assert (found.loss.tolist(), found.worse.tolist(), found.objective.unit) == ([0.5], [0.75], "bits")
    with pytest.raises(SpecError, match="the gap is of the bits, not of an accuracy"):
        _ = found.accuracy
    assert generalisation_gap(epochs).worse.tolist() == [0.5], "of bare epochs without an accuracy the loss"
    with pytest.raises(DataError, match="has no 'train/f1'; it has measured train/loss, test/loss, train/bits"):
        generalisation_gap(epochs, Objective("f1", "max"))
    report = Report(
        history=tuple(epochs),
        parameters=1,
        recipe=nl.trainers.Recipe(epochs=1),
        seed=0,
        objective="bits",
        quantities={"loss": Quantity("min", "nats"), "bits": Quantity("min", "bits")},
    )
    assert generalisation_gap(report).worse.tolist() == [0.75]
