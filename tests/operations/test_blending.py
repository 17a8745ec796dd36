"""Normalisation and weighted sum in one pass, against the same written out."""

import pytest
import torch
import torch.nn.functional as F

from naslab.operations import blending, kernels, stacked
from naslab.operations.optimizations import Optimizations
from naslab.randomness import torch_generator
from naslab.threads import torch_threads

pytestmark = pytest.mark.skipif(not kernels.available(), reason="no C compiler here")
SIZES = [(1, 4, 1, 0), (2, 8, 2, 1), (3, 16, 4, 3), (2, 12, 3, 2), (1, 4, 6, 4)]
"""(D, C, K, S): with code of their own, and with more tensors than there is code for."""


def draw(edges, channels, many, others, *, pixels=(3, 5, 6), dtype=torch.float64, offset=0.0):
    generator = torch_generator("blending", edges, channels, many, others)
    batch, height, width = pixels

    def image(wide):
        drawn = torch.randn(batch, wide, height, width, generator=generator, dtype=torch.float64) + offset
        return drawn.to(dtype).contiguous(memory_format=torch.channels_last).requires_grad_()

    def matrix(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()

    stacks, shared = [image(edges * channels) for _ in range(many)], [image(channels) for _ in range(others)]
    above = [torch.randn(batch, channels, height, width, generator=generator).to(dtype) for _ in range(edges)]
    return stacks, matrix(many, edges * channels), shared, matrix(others, edges), above


def written_out(edges, stacks, scale, shared, weight):
    norms = [F.batch_norm(x, None, None, s, None, True, 0.0, 1e-5) for x, s in zip(stacks, scale, strict=True)]
    sums = torch.stack(norms).sum(0)
    return [
        part + sum(weight[s, d] * z for s, z in enumerate(shared)) for d, part in enumerate(sums.chunk(edges, dim=1))
    ]


def gradients(outputs, inputs, above):
    return torch.autograd.grad(outputs, inputs, above, allow_unused=True, materialize_grads=True)


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("threads", [1, 3])
def test_equal_to_the_sum_written_out(sizes, threads, monkeypatch):
    monkeypatch.setattr(kernels, "SMALLEST", 50)  # so that there is something to share
    stacks, scale, shared, weight, above = draw(*sizes)
    assert blending.fits(stacks, shared, sizes[0])
    with torch_threads(threads):
        ours, mean, variance = blending.blended(1e-5, sizes[0], stacks, scale, shared, weight)
        found = gradients(ours, [scale, weight, *stacks, *shared], above)
    theirs = written_out(sizes[0], stacks, scale, shared, weight)
    torch.testing.assert_close(list(ours), theirs, rtol=1e-12, atol=1e-12)
    expected = gradients(theirs, [scale, weight, *stacks, *shared], above)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(mean, torch.stack([x.mean((0, 2, 3)) for x in stacks]).detach())
    torch.testing.assert_close(variance, torch.stack([x.var((0, 2, 3)) for x in stacks]).detach())


@pytest.mark.parametrize("offset", [0.0, 300.0])
def test_in_single_precision(offset):
    """Against the same numbers in double precision; also where the mean is far greater than the deviation."""
    stacks, scale, shared, weight, above = draw(2, 16, 2, 1, pixels=(8, 24, 24), dtype=torch.float32, offset=offset)
    ours, *_ = blending.blended(1e-5, 2, stacks, scale, shared, weight)
    found = gradients(ours, [scale, weight, *stacks], above)
    twice = [[t.detach().double().requires_grad_() for t in several] for several in (stacks, shared)]
    s, w = (t.detach().double().requires_grad_() for t in (scale, weight))
    theirs = written_out(2, twice[0], s, twice[1], w)
    expected = gradients(theirs, [s, w, *twice[0]], [g.double() for g in above])
    for mine, exact in zip([*ours, *found], [*theirs, *expected], strict=True):
        assert (mine - exact).norm() <= (1e-5 if offset == 0 else 1e-3) * exact.norm()


def test_a_gradient_can_be_differentiated_again():
    """Also where one input is made of another, as a state and the convolutions that read it."""
    (x,), scale, (z,), weight, above = draw(1, 4, 1, 1)
    products = []
    for sum_of in (lambda *given: blending.blended(1e-5, 1, *given)[0], lambda *given: written_out(1, *given)):
        outputs = sum_of([(z * x.tanh()).contiguous(memory_format=torch.channels_last)], scale, [z], weight)
        first = torch.autograd.grad(outputs, [x, z, scale, weight], above, create_graph=True)
        goal = torch.cat([g.flatten() for g in first]).pow(3).sum()
        products.append(torch.autograd.grad(goal, [x, z, scale, weight]))
    for ours, theirs in zip(*products, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x.contiguous(),
        lambda x: x.bfloat16(),
        lambda x: x[:, :6].contiguous(memory_format=torch.channels_last),
        lambda x: x[:1, :, :1, :1],
    ],
    ids=["other layout", "other numbers", "odd channels", "one pixel"],
)
def test_what_it_cannot_do_is_left_to_pytorch(change):
    (x,), *_ = draw(1, 8, 1, 0)
    assert blending.fits([x])
    assert not blending.fits([change(x.detach())])


def test_a_layer_uses_it_and_has_a_switch(monkeypatch):
    used = []
    real = blending.blended
    monkeypatch.setattr(blending, "blended", lambda *given: used.append(given) or real(*given))
    (x,), (scale,), *_ = draw(2, 4, 1, 0, dtype=torch.float32)
    for optimizations, times in (
        (Optimizations(), 1),
        (Optimizations(one_pass=False), 1),
        (Optimizations(weighted_norm=False), 1),
    ):
        stacked.StackedNorm(2, 4).scaled(x, [0, 1], scale, optimizations)
        assert len(used) == times
    stacked.StackedNorm(2, 4).eval().scaled(x, [0, 1], scale, Optimizations())
    assert len(used) == 1


@pytest.mark.parametrize("edges", [[0, 1, 2], [0, 2]])
@pytest.mark.parametrize("momentum", [0.1, 0.7])
def test_running_statistics_are_those_of_pytorch(edges, momentum):
    (x,), (scale,), *_ = draw(len(edges), 4, 1, 0, dtype=torch.float32)
    norms = [stacked.StackedNorm(3, 4), stacked.StackedNorm(3, 4)]
    for norm, optimizations in zip(norms, (Optimizations(), Optimizations(one_pass=False)), strict=True):
        norm.momentum = momentum
        for factor in (1.0, 2.0):
            norm.scaled(factor * x + factor, edges, scale, optimizations)
    ours, theirs = (norm.state_dict() for norm in norms)
    assert ours["num_batches_tracked"].tolist() == [2 if edge in edges else 0 for edge in range(3)]
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value, rtol=1e-5, atol=1e-6)
    assert not torch.equal(ours["running_mean"], torch.zeros(12))
