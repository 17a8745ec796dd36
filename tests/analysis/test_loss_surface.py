"""A quadratic loss has an exact surface; the network is left alone; batch norm by name."""

import math

import numpy as np
import pytest
import torch
from torch import nn

import naslab as nl
from naslab.analysis import loss_surface, surveying
from naslab.analysis.loss_surface import direction
from naslab.errors import DataError, Diverged, SpecError
from naslab.tasks.metrics import Mean
from naslab.tasks.signature import Field, Head, Signature
from naslab.tasks.streams import Exchangeable


class Regression(nl.tasks.Task):
    """Half the mean squared error of N points with D features: quadratic in the weights of a linear network."""

    name = "regression"
    objective = "loss"

    @property
    def signature(self):
        return Signature(Field((self.x.shape[1],)), {"y": Head("vector", self.y.shape[1])})

    def __init__(self, count=12, features=5):
        rng = np.random.default_rng(0)
        self.x = torch.from_numpy(rng.standard_normal((count, features)))
        self.y = torch.from_numpy(rng.standard_normal((count, 2)))

    def parts(self, seed, fraction=0.5):
        raise NotImplementedError

    def stream(self, split):
        return Exchangeable(torch.arange(len(self.x)), split)

    def batch(self, where, **_):
        return self.x[where], self.y[where]

    def loss(self, outputs, batch, *, smoothing=0.0):
        return ((outputs - batch[1]) ** 2).sum(dim=1).mean() / 2

    def metrics(self):
        return {"loss": Mean(lambda outputs, batch: float(self.loss(outputs, batch)), self.size, direction="min")}

    def spec(self):
        raise NotImplementedError

    def fingerprint(self):
        raise NotImplementedError


def linear(seed=0):
    with nl.seeded(seed):
        return nn.Linear(5, 2).double()


@pytest.fixture(scope="module")
def task():
    return nl.tasks.FashionMNIST().subset(64, 40)


def normed():
    with nl.seeded(1):
        return nn.Sequential(
            nn.Conv2d(1, 4, 3, 2), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(), nn.Flatten(), nn.Linear(676, 10)
        )


def test_a_quadratic_loss_gives_its_exact_surface():
    task, network = Regression(), linear()
    found = loss_surface(network, task, points=5, reach=2.0, images=12, batch_size=5, seed=7)
    w, b = (p.detach().numpy() for p in network.parameters())
    d, e = (direction(network, 7, axis)["weight"].numpy() for axis in (0, 1))
    x, y = task.x.numpy(), task.y.numpy()
    for row, t in enumerate((-2, -1, 0, 1, 2)):
        for column, s in enumerate((-2, -1, 0, 1, 2)):
            expected = ((x @ (w + s * d + t * e).T + b - y) ** 2).sum(axis=1).mean() / 2
            assert found.loss[row, column] == pytest.approx(expected, rel=1e-12), "rows are along the second direction"
    assert found.centre == found.loss[2, 2]
    np.testing.assert_allclose(np.diff(found.loss, 3, axis=0), 0, atol=1e-9)
    inside = [found.loss[2 + t, 2 + s] - found.centre for s, t in ((0, 0), (0, 1), (1, 0), (0, -1), (-1, 0))]
    assert found.rise(1.0) == pytest.approx(np.mean(inside))
    assert found.status == ""
    assert found.finished


def test_directions_have_the_norm_of_each_filter():
    network = normed()
    found = direction(network, 0, 0)
    for name, weight in network.named_parameters():
        assert found[name].shape == weight.shape
        if weight.ndim == 1:
            assert not found[name].any(), "biases and batch norm stay"
        else:
            torch.testing.assert_close(found[name].flatten(1).norm(dim=1), weight.detach().flatten(1).norm(dim=1))
    other = direction(network, 0, 1)
    assert not torch.equal(found["0.weight"], other["0.weight"])
    assert torch.equal(found["0.weight"], direction(network, 0, 0)["0.weight"])


@pytest.mark.parametrize("batch_norm", ["batch", "kept", "recalibrated"])
def test_the_network_is_left_bit_for_bit_at_every_row(task, batch_norm):
    network = normed().train()
    network[2].eval()
    modes = [module.training for module in network.modules()]
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    generator = torch.get_rng_state()
    for number, found in enumerate(surveying(network, task, points=3, images=32, batch_norm=batch_norm), start=1):
        assert found.rows == number
        assert np.isnan(found.loss[number:]).all()
        assert np.isfinite(found.loss[:number]).all()
        assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
        assert [module.training for module in network.modules()] == modes
        assert network[1].momentum == 0.1
        assert network[1].track_running_stats
    assert torch.equal(generator, torch.get_rng_state()), "and no randomness is used up"


def test_batch_norm_means_what_it_says(task):
    """At the centre, against forward passes written out."""
    network = normed()
    network[1].running_mean.fill_(0.3)
    centres = {
        mode: loss_surface(network, task, points=3, images=64, batch_size=64, batch_norm=mode).centre
        for mode in ("batch", "kept", "recalibrated")
    }
    x, y = task.batch(torch.arange(64))
    with torch.no_grad():
        kept = nn.functional.cross_entropy(network.eval()(x), y)
        a = network[0](x)
        mean, spread = a.mean(dim=(0, 2, 3), keepdim=True), a.var(dim=(0, 2, 3), keepdim=True, unbiased=False)
        seen = [
            nn.functional.cross_entropy(network[5](((a - mean) / (s + 1e-5).sqrt()).relu().flatten(1)), y)
            for s in (spread, a.var(dim=(0, 2, 3), keepdim=True))
        ]
    assert centres["kept"] == pytest.approx(kept.item(), rel=1e-5)
    assert centres["batch"] == pytest.approx(seen[0].item(), rel=1e-5)
    assert centres["recalibrated"] == pytest.approx(seen[1].item(), rel=1e-5)
    assert centres["kept"] != pytest.approx(centres["batch"], rel=1e-3)


def test_losses_that_are_not_finite_are_stated():
    class Cliff(Regression):
        def loss(self, outputs, batch, *, smoothing=0.0):
            value = super().loss(outputs, batch)
            return value if value < self.limit else value * math.nan

    task, network = Cliff(), linear()
    task.limit = 2 * super(Cliff, task).loss(network(task.x), (task.x, task.y))
    found = loss_surface(network, task, points=3, reach=5.0, images=12)
    assert "of 9 losses are not finite" in found.status
    assert found.rise(5.0) == math.inf
    task.limit = -1
    with pytest.raises(Diverged, match="own loss is nan"):
        loss_surface(network, task, points=3, images=12)


def test_bad_input(task):
    for options, told in (
        ({"points": 4}, "points must be odd.*5, not 4"),
        ({"points": 1}, "from 3 up"),
        ({"reach": 0}, "positive"),
        ({"batch_norm": "frozen"}, "unknown batch_norm 'frozen'"),
        ({"seed": -1}, "seed"),
    ):
        with pytest.raises(SpecError, match=told):
            surveying(normed(), task, **options)
    with pytest.raises(DataError, match="64 train images, and images=65"):
        surveying(normed(), task, images=65)
    with pytest.raises(DataError, match="unknown split"):
        surveying(normed(), task, split="valid")
    with pytest.raises(SpecError, match="no weights"):
        surveying(nn.Flatten(), task)
    first = next(surveying(normed(), task, points=3, images=8))
    with pytest.raises(SpecError, match="1 of 3 rows"):
        first.rise()
    *_, last = surveying(normed(), task, points=3, images=8)
    for radius, told in ((0.5, "no point but the centre"), (-1, "not -1"), (math.nan, "not nan"), (10, "reaches 1")):
        with pytest.raises(SpecError, match=told):
            last.rise(radius)
