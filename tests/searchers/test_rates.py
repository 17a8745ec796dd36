"""The range test, on a loss whose course is known, and against the search that it is a copy of."""

import math

import numpy as np
import pytest
import torch

import naslab as nl
from naslab.errors import SpecError
from naslab.searchers import finding_rates, lr_find
from naslab.searchers.rates import Rates

TINY = nl.spaces.NASBench201(channels=4, cells=1)


@pytest.fixture(scope="module")
def digits():
    return nl.tasks.Digits()


def rates_of(rates, losses, **given):
    about = dict(name="w_lr", metric="train/loss", unit="nats", now=0.1, steps=len(rates), ended="tried")
    return Rates(rates=np.array(rates, float), losses=np.array(losses, float), **{**about, **given})


def test_suggestions_of_a_known_course():
    """The loss falls along the logarithm of the rate up to 0.1, most steeply at 0.01, and rises then."""
    rates = np.geomspace(1e-5, 1, 401)
    place = np.log10(rates)
    losses = np.where(place < -1, 2 - np.tanh(2 * (place + 2)), 2 - math.tanh(2) + 5 * (place + 1))
    found = rates_of(rates, losses)
    assert found.rates[found.least] == pytest.approx(0.1, rel=0.15), "the mean lags a little"
    assert found.tenth == pytest.approx(0.01, rel=0.15)
    assert found.suggestion == found.tenth
    assert found.steepest == pytest.approx(0.01, rel=0.5)
    assert "a tenth of where the loss is least" in str(found)


def test_no_suggestion_where_the_loss_does_not_fall():
    rates = np.geomspace(1e-5, 1, 60)
    noise = np.random.default_rng(0).normal(2.3, 0.1, 60)
    for losses in (noise, np.linspace(1, 3, 60), np.full(60, 2.0)):
        found = rates_of(rates, losses)
        assert (found.suggestion, found.steepest, found.least) == (None, None, None)
        assert str(found) == "w_lr: the loss did not fall from 1.0e-05 to 1.0e+00"


def test_the_mean_has_no_bias_towards_its_beginning():
    assert rates_of([1, 2, 3], [5.0, 5.0, 5.0]).smoothed.tolist() == pytest.approx([5, 5, 5])
    assert rates_of([1, 2], [1.0, 3.0]).smoothed[1] == pytest.approx((0.9 * 1 + 3) / 1.9)


@pytest.mark.slow
def test_weights_are_tried_with_an_architecture_that_stands_still(digits):
    """Each loss is that of the search's own step, at that rate, and with alphas that do not move: bit for bit."""
    make = lambda: nl.searchers.Darts(TINY, digits, batch_size=16, epochs=1, seed=2, order=2)  # noqa: E731
    found = lr_find(make(), "w_lr", steps=4, low=1e-3, high=1.0)
    assert found.rates.tolist() == pytest.approx([1e-3, 1e-2, 1e-1, 1.0])
    assert found.now == pytest.approx(0.025)
    by_hand, losses = make(), []
    before = {part: alpha.detach().clone() for part, alpha in by_hand.alphas.items()}
    by_hand.apply_setting("alpha_lr", 0.0)
    for rate in found.rates.tolist():
        by_hand.apply_setting("w_lr", rate)
        losses.append(by_hand.advance().train_loss)
    assert found.losses.tolist() == losses
    assert all(torch.equal(before[part], alpha) for part, alpha in by_hand.alphas.items())


@pytest.mark.slow
def test_alphas_are_tried_with_weights_that_stand_still(digits, monkeypatch):
    copies = []
    real = nl.searchers.Darts.from_spec.__func__
    monkeypatch.setattr(
        nl.searchers.Darts, "from_spec", classmethod(lambda cls, *given: copies.append(real(cls, *given)) or copies[-1])
    )
    darts = nl.searchers.Darts(TINY, digits, batch_size=16, epochs=1, seed=2)
    for found in finding_rates(darts, "alpha_lr", steps=3):
        assert found.metric == "valid/loss"
        (copy,) = copies
        assert all(
            torch.equal(mine, theirs)
            for mine, theirs in zip(
                darts.network.state_dict().values(), copy.network.state_dict().values(), strict=True
            )
        )
    assert found.ended == "tried"
    assert not torch.equal(darts.alphas["cell"], copy.alphas["cell"])
    assert darts.step == 0


@pytest.mark.slow
def test_it_ends_where_the_loss_explodes(digits):
    spos = nl.searchers.SPOS(TINY, digits, batch_size=64, epochs=4, seed=1, train_portion=0.5, w_momentum=0.9)
    found = lr_find(spos, "w_lr", steps=60, low=1e-3, high=1e4)
    assert found.ended in ("exploded", "diverged")
    assert len(found.losses) < 60
    assert np.isfinite(found.losses).all()
    smoothed = found.smoothed
    assert found.ended == "diverged" or smoothed[-1] > 4 * smoothed.min()
    assert (smoothed[:-1] <= 4 * np.minimum.accumulate(smoothed)[:-1]).all(), "not before"


def test_an_update_of_several_paths_has_one_rate(digits):
    fair = nl.searchers.FairNAS(
        TINY, digits, batch_size=256, epochs=1, train_portion=0.5, population=4, parents=2, crossovers=1, mutations=1
    )
    events, real = [], type(fair).advance
    type(fair).advance = lambda self: events.append(real(self)) or events[-1]
    try:
        found = lr_find(fair, "w_lr", steps=3, low=1e-3, high=1e-1)  # more updates than the search has
    finally:
        del type(fair).advance
    used = [event.settings["w_lr"] for event in events]
    assert used == pytest.approx([1e-3] * 5 + [1e-2] * 5 + [1e-1] * 5)
    assert found.losses[1] == pytest.approx(sum(event.train_loss for event in events[5:10]) / 5)


@pytest.mark.slow
def test_what_has_no_such_rate_is_refused(digits):
    table = nl.benchmarks.NASBench201()
    trials = nl.Search(nl.searchers.RandomSearch(table.space), estimator=table, budget=3)
    with pytest.raises(SpecError, match="a search by trials has no loss"):
        lr_find(trials)
    spos = nl.searchers.SPOS(TINY, digits, batch_size=64, epochs=1, train_portion=0.5)
    with pytest.raises(SpecError, match="unknown learning rate 'alpha_lr'"):
        lr_find(spos, "alpha_lr")
    darts = nl.searchers.Darts(TINY, digits, batch_size=512, epochs=1, seed=2)
    for given in ({"low": 0.0}, {"low": 1.0, "high": 0.1}, {"steps": 1}, {"high": float("inf")}):
        with pytest.raises(SpecError):
            lr_find(darts, **given)
    while darts.step < darts.total:
        darts.advance()
    with pytest.raises(SpecError, match="all of its steps are done"):
        lr_find(darts)
