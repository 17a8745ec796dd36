"""Partial channels against the paper's mixed operation written out edge by edge."""

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.testing import assert_close

from naslab.errors import SpecError
from naslab.networks.mixture import MixedEdges, Mixture, total
from naslab.networks.nasbench201 import MixedCell, _without_parameters
from naslab.networks.partial_channels import PartialMixedEdges, leaving, shuffled
from naslab.operations.images import DARTS_OPERATIONS
from naslab.operations.optimizations import Optimizations
from naslab.randomness import numpy_generator, seeded, torch_generator
from naslab.spaces import DartsCell, NASBench201

OPERATIONS = ("none", "max_pool_3x3", "skip_connect", "sep_conv_3x3", "dil_conv_5x5")
TASK = SimpleNamespace(input_shape=(1, 8, 8), classes=3)


def pooled(operation, channels, stride):
    return DARTS_OPERATIONS[operation](channels, stride, False)


def single(module, edge, edges, channels, stride):
    """The operation of one edge with its part of the stacked weights, in the plain form of `images.py`."""
    found = {}
    for name, stacked in module.part.stacked.items():
        plain = DARTS_OPERATIONS[name](channels, stride, False).double()
        state = {}
        for key, tensor in stacked.state_dict().items():
            piece = tensor.chunk(edges)[edge]
            state[key] = piece.squeeze(0) if key.endswith("num_batches_tracked") else piece
        plain.load_state_dict(state)
        found[name] = plain
    for name in ("max_pool_3x3", "skip_connect"):
        found.setdefault(name, pooled(name, channels, stride))
    return found


@pytest.mark.parametrize("one_in", [2, 4])
@pytest.mark.parametrize(("stride", "side"), [(1, 6), (2, 6), (2, 5)])
def test_the_mixture_is_the_papers_written_out(one_in, stride, side):
    """Xu et al. 2020, Eq. 3: slice, mix, pool what goes past, concatenate, shuffle; one edge at a time."""
    edges, channels = 3, 8
    with seeded("partial"):
        module = PartialMixedEdges(one_in, OPERATIONS, range(edges), channels, stride, pooled).double()
    generator = torch_generator("partial")
    x = torch.randn(4, channels, side, side, dtype=torch.float64, generator=generator)
    weights = torch.rand(edges, len(OPERATIONS), dtype=torch.float64, generator=generator)
    ours = module(x, Mixture(weights, [[True] * len(OPERATIONS)] * edges), Optimizations())
    for edge in range(edges):
        operations = single(module, edge, edges, channels // one_in, stride)
        worked, past = x[:, : channels // one_in], x[:, channels // one_in :]
        if stride == 2:
            past = F.max_pool2d(past, 2, 2, ceil_mode=True)
        expected = 0.0
        for column, name in enumerate(OPERATIONS):
            y = torch.zeros_like(operations["max_pool_3x3"](worked)) if name == "none" else operations[name](worked)
            whole = torch.cat([y, past], dim=1)
            b, c, h, w = whole.shape
            whole = whole.view(b, one_in, c // one_in, h, w).transpose(1, 2).reshape(b, c, h, w)
            expected = expected + weights[edge, column] * whole
        assert_close(total(ours[edge]), expected, rtol=1e-9, atol=1e-10)


def test_channels_are_shuffled_across_groups():
    x = torch.arange(8.0).view(1, 8, 1, 1)
    assert shuffled(x, 4).flatten().tolist() == [0, 2, 4, 6, 1, 3, 5, 7]


def test_all_channels_are_the_ordinary_mixture():
    assert type(leaving(1, OPERATIONS, range(2), 8, 1, pooled)) is MixedEdges
    for space in (DartsCell(nodes=2, channels=4, cells=3), NASBench201(channels=4, cells=1)):
        with seeded("one"):
            one = space.supernet(TASK)
        with seeded("one"):
            other = space.supernet(TASK, one_in=1)
        assert one.state_dict().keys() == other.state_dict().keys()
        assert all(
            torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True)
        )


@pytest.mark.parametrize("space", [DartsCell(nodes=2, channels=4, cells=3), NASBench201(channels=4, cells=1)])
def test_an_edge_that_is_not_there_lets_nothing_past(space):
    """An operation left out is an operation of weight zero; an edge without any adds nothing."""
    with seeded("there"):
        network = space.supernet(TASK, one_in=2).double()
    kept = {part: torch.from_numpy(m).double() for part, m in space.one_hot(space.sample(numpy_generator(3))).items()}
    x = torch.randn(4, 1, 8, 8, dtype=torch.float64, generator=torch_generator("there"))
    computed = network(x, {part: m.clone().requires_grad_() for part, m in kept.items()}).detach()
    assert_close(network(x, kept), computed, rtol=1e-9, atol=1e-11)


def test_channels_that_do_not_divide_are_refused():
    with pytest.raises(SpecError, match=r"one channel in 3 of 4 .* multiple of 3"):
        NASBench201(channels=4, cells=1).supernet(TASK, one_in=3)
    with pytest.raises(SpecError, match="one_in must be a whole number of at least 1"):
        NASBench201(channels=4, cells=1).supernet(TASK, one_in=0)


def test_fewer_channels_fewer_weights():
    sizes = [sum(p.numel() for p in MixedCell(("nor_conv_3x3",), 16, k).parameters()) for k in (1, 2, 4)]
    assert sizes == [sizes[0], sizes[0] // 4, sizes[0] // 16]
    assert isinstance(_without_parameters("skip_connect", 4, 1), nn.Identity)
