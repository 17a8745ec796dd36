"""A cell that is computed again in the backward pass gives the same, for less memory."""

import pytest
import torch

import naslab as nl
from naslab.analysis.memory import peak
from naslab.randomness import seeded
from naslab.searchers.gradient.bilevel import exact_product

SPACES = {
    "darts": nl.spaces.DartsCell(nodes=2, channels=4, cells=4),
    "nasbench201": nl.spaces.NASBench201(channels=4, cells=2),
}


@pytest.fixture(params=SPACES)
def space(request):
    return SPACES[request.param]


def supernet(space, checkpointing):
    with seeded("supernet"):
        network = space.supernet(nl.tasks.Digits())
    network.checkpointing = checkpointing
    return network


def mixtures(space, requires_grad):
    generator = torch.Generator().manual_seed(1)
    rows = {
        part: torch.rand(edges, len(space.operations), generator=generator) for part, edges in space.edges().items()
    }
    return {part: matrix.requires_grad_(requires_grad) for part, matrix in rows.items()}


X = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("search", [False, True], ids=["weight step", "alpha step"])
def test_the_same_outputs_gradients_and_statistics_bit_for_bit(space, search):
    def step(checkpointing):
        network, weights = supernet(space, checkpointing), mixtures(space, search)
        logits = network(X, weights)
        wanted = [*(weights.values() if search else ()), *network.parameters()]
        found = torch.autograd.grad(logits.logsumexp(dim=1).sum(), wanted)
        return [logits.detach(), *found, *network.state_dict().values()]

    for ours, theirs in zip(step(True), step(False), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.slow
def test_the_exact_product_goes_through_it(space):
    def product(checkpointing):
        network, weights = supernet(space, checkpointing).double(), mixtures(space, True)
        alphas = [matrix.detach().double().requires_grad_() for matrix in weights.values()]
        x = X.double()

        def loss():
            return network(x, dict(zip(weights, alphas, strict=True))).logsumexp(dim=1).sum()

        parameters = list(network.parameters())
        v = [torch.ones_like(p) for p in parameters]
        return exact_product(loss, parameters, alphas, v)

    for ours, theirs in zip(product(True), product(False), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


def test_less_memory(space):
    def most(checkpointing):
        network, weights = supernet(space, checkpointing), mixtures(space, False)
        return peak(lambda: network(X.repeat(10, 1, 1, 1), weights).sum().backward())

    assert most(True) < 0.8 * most(False)
