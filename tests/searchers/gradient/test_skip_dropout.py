"""Dropout behind skip connections: its masks, its schedules, and that a recomputation sees the same masks."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

import naslab as nl
from naslab.analysis.steps import Steps, optimizations_of
from naslab.errors import SpecError
from naslab.networks.mixture import as_mixture
from naslab.networks.skip_dropout import SkipMasks
from naslab.randomness import seeded
from naslab.searchers import gradient as g

TASK = SimpleNamespace(input_shape=(1, 8, 8), classes=3)
TINY = nl.spaces.NASBench201(channels=4, cells=1)
CELL = nl.spaces.DartsCell(
    nodes=2, operations=("none", "max_pool_3x3", "skip_connect", "sep_conv_3x3"), channels=4, cells=3
)


@pytest.fixture(scope="module")
def digits():
    return nl.tasks.Digits().subset(64, 10)


def searcher(space, task, *regularizers, **given):
    return nl.searchers.GradientSearch(space, task, regularizers=regularizers, epochs=2, batch_size=16, seed=0, **given)


@pytest.mark.parametrize(
    "regularizer", [g.SkipDropout(rate=0.5), g.SkipDropout.published(0.5)], ids=["default", "published"]
)
@pytest.mark.parametrize("space", [TINY, CELL], ids=["nasbench201", "darts"])
@pytest.mark.slow
def test_cells_that_are_computed_again_drop_the_same(space, regularizer, digits):
    plain, checkpointed = (searcher(space, digits, regularizer, checkpointing=on) for on in (False, True))
    for _ in range(2):
        assert plain.advance() == checkpointed.advance()
    for name, value in plain.state_dict().items():
        again = checkpointed.state_dict()[name]
        assert torch.equal(value, again) if isinstance(value, torch.Tensor) else value == again, name


def test_published_masks_are_behind_the_identity_alone_and_each_edge_has_its_own():
    """With all weight on skip connections and one channel of ones, what comes out shows the masks."""
    with seeded(0):
        network = CELL.supernet(TASK)
    column = CELL.operations.index("skip_connect")
    for cell in network.cells:
        for leaving in cell.leaving:
            weights = torch.zeros(leaving.edges, len(CELL.operations))
            weights[:, column] = 1.0
            halves = "skip_connect" in leaving.stacked
            state = torch.ones(4, leaving.channels, 6, 6)
            if halves:
                state = torch.rand(state.shape, generator=torch.Generator().manual_seed(0))

            def outputs(masks=None, leaving=leaving, weights=weights, state=state):
                given = dataclasses.replace(as_mixture(weights), masks=masks)
                return torch.stack(
                    [sum(terms) for terms in leaving(state, given, network.optimizations)]
                )  # [D, B, C, H, W]

            plain = outputs()
            published = outputs(SkipMasks(0.5, ("a",), identity_only=True, each_edge=True))
            default = outputs(SkipMasks(0.5, ("a",)))
            assert not torch.equal(default, plain)
            if halves:
                assert torch.equal(published, plain)
                continue
            assert set(published.unique().tolist()) == {0.0, 2.0}
            assert all(torch.equal(edge, default[0]) for edge in default), "one mask for all edges"
            for edge in range(1, leaving.edges):
                assert not torch.equal(published[edge], published[0])
            assert not torch.equal(published[:, 0], published[:, 1]), "images have masks of their own"


def test_published_schedule():
    """The authors' train_search.py: p (E - e - 1) / E for ten epochs, then p exp(-0.2 (e - 10))."""
    schedule = g.SkipDropout.published(0.3).schedules()["skip_dropout"]
    rates = [schedule.at(epoch, 25, schedule.start, 0) for epoch in range(25)]
    expected = [0.3 * (25 - e - 1) / 25 for e in range(10)] + [0.3 * np.exp(-0.2 * (e - 10)) for e in range(10, 25)]
    assert rates == pytest.approx(expected, rel=1e-12)
    assert rates[0] == pytest.approx(0.288)
    assert rates[10] == pytest.approx(0.3)
    turned = [schedule.at(epoch, 25, 0.1, 12) for epoch in (12, 13)]
    assert turned == pytest.approx([0.1, 0.1 * np.exp(-0.2)]), "a value set by hand goes on in the same shape"


def test_the_published_kind_is_kept_in_a_spec(digits):
    made = searcher(TINY, digits, g.SkipDropout.published(0.4))
    again = nl.searchers.from_spec(made.spec(), digits)
    assert again.parts.regularizers == (g.SkipDropout.published(0.4),)
    old = made.spec()
    old["hyperparameters"]["cures"] = [{"part": "skip_dropout", "rate": 0.3, "rate_end": 0.01}]
    assert nl.searchers.from_spec(old, digits).parts.regularizers == (g.SkipDropout(),)


@pytest.mark.parametrize("bad", [{"schedule": "steps"}, {"identity_only": 1}, {"each_edge": "yes"}])
def test_what_makes_no_sense_is_refused(bad):
    with pytest.raises(SpecError, match=next(iter(bad))):
        g.SkipDropout(**bad)


# --- number formats, and supernets of the user's own -------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda task, **how: nl.searchers.SNAS(TINY, task, epochs=1, batch_size=16, **how),
        lambda task, **how: nl.searchers.ProxylessNAS(TINY, task, epochs=1, batch_size=16, warmup=0.0, **how),
        lambda task, **how: searcher(CELL, task, g.Resource(what="parameters"), **how),
    ],
    ids=["snas", "proxylessnas", "resource"],
)
@pytest.mark.slow
def test_costs_are_counted_in_any_number_format(make, digits):
    rounded, plain = make(digits, precision="bfloat16"), make(digits)
    assert all(torch.equal(rounded._costs[part], plain._costs[part]) for part in plain._costs)
    assert np.isfinite(rounded.advance().train_loss)


class OwnSupernet(nn.Module):
    """A mixture of convolutions on each edge, made without anything of naslab's."""

    def __init__(self, edges, operations):
        super().__init__()
        self.edges = nn.ModuleList(
            nn.ModuleList(nn.Conv2d(1 if not edge else 2, 2, 3, padding=1) for _ in range(operations))
            for edge in range(edges)
        )
        self.last = nn.Linear(2, 10)

    def forward(self, x, weights):
        (matrix,) = weights.values()
        for row, candidates in zip(matrix, self.edges, strict=True):
            x = sum(weight * operation(x) for weight, operation in zip(row, candidates, strict=True))
        return self.last(x.mean(dim=(2, 3)))


@dataclasses.dataclass(frozen=True)
class Own(nl.spaces.NASBench201):
    def supernet(self, task):
        return OwnSupernet(6, len(self.operations))


@pytest.mark.parametrize("sampling", [g.FullMixture(), g.StraightThrough(), g.BinaryGates()])
def test_a_supernet_of_ones_own_is_given_plain_weights(sampling, digits):
    assert np.isfinite(searcher(Own(), digits, sampling=sampling).advance().train_loss)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda task: searcher(Own(), task, g.SkipDropout()), "SkipDropout needs skip connections.*OwnSupernet"),
        (lambda task: searcher(Own(), task, g.Resource()), "what='multiply_adds'.*OwnSupernet.*what='table'"),
        (lambda task: searcher(Own(), task, channels=g.PartialChannels(one_in=2)), "no partial channels.*one_in at 1"),
        (lambda task: searcher(Own(), task, checkpointing=True), "OwnSupernet cannot compute its cells again"),
        (
            lambda task: optimizations_of(Steps(OwnSupernet(1, 2), {"cell": 1}, 2, *task.batch(torch.arange(2))), 1),
            "OwnSupernet has no optimizations",
        ),
        (
            lambda task: searcher(
                dataclasses.replace(CELL, operations=("none", "sep_conv_3x3")), task, g.SkipDropout()
            ),
            "it has no 'skip_connect'",
        ),
    ],
)
def test_what_a_supernet_cannot_do_is_refused_when_the_search_is_made(made, said, digits):
    with pytest.raises(SpecError, match=said):
        made(digits)
