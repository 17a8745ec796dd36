"""DARTS as it is composed, against the plain one."""

import copy

import pytest
import torch
import torch.nn.functional as F

import naslab as nl
from naslab.reference.darts import darts

CELL = nl.spaces.DartsCell(
    nodes=2, operations=("none", "max_pool_3x3", "skip_connect", "sep_conv_3x3"), channels=2, cells=3
)
TABLE = nl.spaces.NASBench201(channels=2, cells=1)
STEPS = 3


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("space", [CELL, TABLE], ids=["darts cell", "nasbench201"])
def test_the_same_alphas_and_weights(space, order, digits, batches):
    """To the last bit, after steps with momentum, a gradient that is clipped, and a learning rate that is changed."""
    given = dict(w_lr=0.1, w_momentum=0.8, w_weight_decay=0.01, gradient_clipping=0.5, alpha_lr=0.05)
    searcher = nl.searchers.Darts(space, digits, seed=1, batch_size=8, epochs=1, order=order, **given)
    network = copy.deepcopy(searcher.network).train()
    alphas = {part: alpha.detach().clone().requires_grad_() for part, alpha in searcher.alphas.items()}
    start = [w.detach().clone() for w in network.parameters()]

    steps = []
    for step in range(STEPS):
        if step == 1:
            searcher.set("w_lr", 0.03)
        rate = searcher.advance().rates["w_lr"]
        train, valid = batches[-2:]
        steps.append((train, valid, rate))
    assert len({rate for _, _, rate in steps}) == 2

    darts(
        lambda batch, mixture: F.cross_entropy(network(batch[0], mixture), batch[1]),
        list(network.parameters()),
        alphas,
        steps,
        order,
        alpha_rate=0.05,
        momentum=0.8,
        decay=0.01,
        clip=0.5,
    )
    for part, alpha in searcher.alphas.items():
        torch.testing.assert_close(alpha, alphas[part], rtol=0, atol=0, msg=part)
        assert alpha.abs().max() > 0.05, "the architecture has moved"
    for (name, w), plain, before in zip(searcher.network.named_parameters(), network.parameters(), start, strict=True):
        torch.testing.assert_close(w, plain, rtol=0, atol=0, msg=name)
        assert not torch.equal(plain, before), f"{name} has not moved"
