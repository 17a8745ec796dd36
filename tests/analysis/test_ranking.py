"""Agreement of rankings: against pairs counted one by one, draws taken one by one, and known answers."""

import itertools
import math

import numpy as np
import pytest

import naslab as nl
from naslab.analysis.ranking import Ranking, overlap, regret
from naslab.errors import SpecError

TRUTH = np.array([5.0, 1.0, 4.0, 4.0, 2.0, 3.0, 0.0])
SCORES = np.array([6.0, 0.5, 7.0, 2.0, 2.0, 2.0, -1.0])


def by_pairs(s, t):
    """tau-b from its definition."""
    pairs = list(itertools.combinations(range(len(s)), 2))
    signs = [(np.sign(s[i] - s[j]), np.sign(t[i] - t[j])) for i, j in pairs]
    return sum(a * b for a, b in signs) / math.sqrt(sum(abs(a) for a, _ in signs) * sum(abs(b) for _, b in signs))


def mean_ranks(values):
    return np.array(
        [np.mean([sorted(values).index(v), len(values) - 1 - sorted(values)[::-1].index(v)]) for v in values]
    )


def draws(scores, top):
    """Every choice of the best by score that a fair draw among equals could give."""
    edge = sorted(scores)[-top]
    sure = [i for i, s in enumerate(scores) if s > edge]
    tied = [i for i, s in enumerate(scores) if s == edge]
    return [sure + list(drawn) for drawn in itertools.combinations(tied, top - len(sure))]


def test_correlations_with_ties():
    found = Ranking.of(SCORES, TRUTH, top=3, resamples=0)
    assert found.kendall.value == pytest.approx(by_pairs(SCORES, TRUTH), abs=1e-12)
    expected = np.corrcoef(mean_ranks(SCORES.tolist()), mean_ranks(TRUTH.tolist()))[0, 1]
    assert found.spearman.value == pytest.approx(expected, abs=1e-12)
    assert math.isnan(found.kendall.low)
    assert (found.count, found.top) == (7, 3)


@pytest.mark.parametrize("top", range(1, 8))
def test_the_best_with_ties(top):
    chosen, best = draws(SCORES.tolist(), top), draws(TRUTH.tolist(), top)
    expected = np.mean([len(set(a) & set(b)) / top for a in chosen for b in best])
    assert overlap(SCORES, TRUTH, top) == pytest.approx(expected, abs=1e-12)
    expected = np.mean([TRUTH.max() - max(TRUTH[i] for i in a) for a in chosen])
    assert regret(SCORES, TRUTH, top) == pytest.approx(expected, abs=1e-12)


@pytest.mark.slow
def test_perfect_and_reversed():
    truth = np.arange(30.0)
    same = Ranking.of(np.exp(truth / 10), truth, top=5)
    for interval, value in ((same.kendall, 1), (same.spearman, 1), (same.overlap, 1), (same.regret, 0)):
        assert interval == pytest.approx((value, value, value), abs=1e-9)
    turned = Ranking.of(-truth, truth, top=5)
    assert (turned.kendall.value, turned.spearman.value) == pytest.approx((-1, -1))
    assert (turned.overlap.value, turned.regret.value) == (0, 25)


@pytest.mark.slow
def test_intervals_cover():
    """Of 25 samples of a population whose correlation is known, about 19 in 20 have it in their interval."""
    rng = np.random.default_rng(0)
    rho, covered = 0.6, 0
    for seed in range(25):
        a = rng.standard_normal(100)
        b = rho * a + math.sqrt(1 - rho**2) * rng.standard_normal(100)
        found = Ranking.of(a, b, resamples=100, seed=seed).kendall
        covered += found.low <= 2 / math.pi * math.asin(rho) <= found.high
        assert found.low < found.value < found.high
    assert 20 <= covered <= 25


def test_wider_with_confidence_and_the_same_with_the_same_seed():
    rng = np.random.default_rng(1)
    a = rng.standard_normal(60)
    b = a + rng.standard_normal(60)
    narrow, wide = (Ranking.of(a, b, confidence=c, resamples=200).spearman for c in (0.5, 0.99))
    assert wide.low < narrow.low < narrow.high < wide.high
    first, again, other = (Ranking.of(a, b, seed=seed, resamples=50) for seed in (3, 3, 4))
    assert first == again
    assert first.spearman.low != other.spearman.low
    assert str(wide).startswith(f"{wide.value:.3f} ({wide.low:.3f} to ")


def test_a_table_against_itself():
    """Kendall's tau of 12 epochs with 200, over all of NAS-Bench-201: .594, as published."""
    table = nl.benchmarks.NASBench201("cifar10")
    found = Ranking.of(table.column("valid_accuracy", epochs=12), table.column("test_accuracy"), resamples=0)
    assert found.kendall.value == pytest.approx(0.594, abs=0.0005)
    flops = Ranking.of(table.column("flops"), table.column("test_accuracy"), resamples=0)
    assert flops.spearman.value == pytest.approx(0.753, abs=0.0005)


@pytest.mark.slow
def test_two_architectures_with_resamples_of_one():
    found = Ranking.of([1.0, 2.0], [1.0, 2.0], top=1)
    assert found.kendall == (1, 1, 1)


@pytest.mark.parametrize(
    ("scores", "truth", "message"),
    [
        ([1, 2, math.nan], [1, 2, 3], r"scores \[2\] are NaN"),
        ([1, 2, 3], [math.nan, 2, 3], r"truth \[0\] are NaN"),
        ([1, 2, 3], [math.inf, 2, 3], "truth must be finite"),
        ([1, 2], [1, 2, 3], "2 scores and 3 truths"),
        ([1], [1], "at least two"),
        ([], [], "at least two"),
        ([2, 2, 2], [1, 2, 3], "all 3 scores are 2"),
        ([1, 2, 3], [1, 1, 1], "all 3 truth are 1"),
        ([[1, 2]], [1, 2], "shape"),
        (["a", "b"], [1, 2], "must be numbers"),
    ],
)
def test_bad_values(scores, truth, message):
    with pytest.raises(SpecError, match=message):
        Ranking.of(scores, truth, top=1)


@pytest.mark.parametrize("options", [{"top": 0}, {"top": 4}, {"confidence": 1}, {"resamples": -1}, {"seed": -1}])
def test_bad_options(options):
    with pytest.raises(SpecError):
        Ranking.of([1, 2, 3], [1, 2, 3], **{"top": 1, **options})


def test_minus_infinity_is_a_rank():
    assert Ranking.of([-math.inf, 1, 2], [1, 2, 3], top=1, resamples=9).kendall.value == 1
