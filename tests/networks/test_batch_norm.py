"""How a child is normalised, against the formulas written out, and what is left behind: nothing."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.testing import assert_close

from naslab.errors import SpecError
from naslab.networks.batch_norm import BATCH_NORM, enough_to_normalise, normalised
from naslab.operations.stacked import StackedNorm
from naslab.randomness import seeded, torch_generator


def images(name, count=16):
    return 3 + 2 * torch.randn(count, 3, 4, 4, dtype=torch.float64, generator=torch_generator(name))


@pytest.fixture
def network():
    """Convolution, normalisation, ReLU, with statistics of other images than any test's."""
    with seeded("batch norm"):
        made = nn.Sequential(nn.Conv2d(3, 5, 1), nn.BatchNorm2d(5), nn.ReLU()).double()
    made(images("training"))
    return made


def by_hand(network, x, mean, variance):
    y = network[0](x)
    return F.relu((y - mean[:, None, None]) / (variance[:, None, None] + network[1].eps).sqrt())


def under(network, batch_norm, x, looked_at=()):
    with normalised(network, batch_norm, network, looked_at):
        return network(x)


def test_the_statistics_of_the_mini_batch(network):
    x = images("x")
    y = network[0](x)
    expected = by_hand(network, x, y.mean(dim=(0, 2, 3)), y.var(dim=(0, 2, 3), unbiased=False))
    assert_close(under(network, "batch", x), expected.detach())


def test_the_kept_ones(network):
    x, norm = images("x"), network[1]
    assert_close(under(network, "kept", x), by_hand(network, x, norm.running_mean, norm.running_var).detach())


def test_measured_anew_they_are_the_mean_of_the_mini_batches_and_of_nothing_else(network):
    x, looked_at = images("x"), [images("first", 8), images("second", 24), images("third", 4)]
    ys = [network[0](batch).detach() for batch in looked_at]
    mean = torch.stack([y.mean(dim=(0, 2, 3)) for y in ys]).mean(dim=0)
    variance = torch.stack([y.var(dim=(0, 2, 3), unbiased=True) for y in ys]).mean(dim=0)
    assert_close(under(network, "recalibrated", x, looked_at), by_hand(network, x, mean, variance).detach())


def test_so_it_is_for_several_edges_at_once():
    """Of the edges that the child has; a stacked normalisation counts, and forgets, by itself."""
    norm = StackedNorm(3, 2).double()
    wide = torch.cat([images("wide", 16)] * 2, dim=1)  # [16, 6, 4, 4]
    norm(wide * 7, [0, 1, 2])
    looked_at = [wide[:8, :4], wide[8:, :4]]
    with normalised(norm, "recalibrated", lambda x: norm(x, [0, 2]), looked_at):
        found = norm(wide[:, :4], [0, 2])
    mean = torch.stack([x.mean(dim=(0, 2, 3)) for x in looked_at]).mean(dim=0)
    variance = torch.stack([x.var(dim=(0, 2, 3)) for x in looked_at]).mean(dim=0)
    assert_close(found, F.batch_norm(wide[:, :4], mean, variance, eps=norm.eps))


@pytest.mark.parametrize("batch_norm", BATCH_NORM)
@pytest.mark.parametrize("training", [True, False])
def test_afterwards_all_is_as_it_was(network, batch_norm, training):
    network.train(training)
    network[2].eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(KeyError), normalised(network, batch_norm, network, [images("first")]):
        network(images("x"))
        assert not torch.is_grad_enabled()
        raise KeyError
    assert torch.is_grad_enabled()
    assert [module.training for module in network] == [training, training, False]
    assert network[1].momentum == 0.1
    assert network[1].track_running_stats
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_another_way_is_refused(network):
    with pytest.raises(SpecError, match="did you mean 'recalibrated'"):
        under(network, "recalibrate", images("x"))


@pytest.mark.parametrize(
    ("units", "said"),
    [
        (
            "images",
            "a mini-batch of 1 image leaves it one where the image has shrunk to 1 x 1 pixel; take .* image less$",
        ),
        ("tokens", "a mini-batch of 1 token leaves it one; take batch_size=2 or more$"),
    ],
)
def test_too_little_to_normalise_is_said_in_what_the_task_counts(units, said):
    with pytest.raises(SpecError, match=said), enough_to_normalise(1, units=units):
        nn.BatchNorm1d(3)(torch.zeros(1, 3))
