import numpy as np
import pytest

import naslab as nl
from naslab import statistics
from naslab.analysis import oracle
from naslab.analysis.curves import at, band, incumbents, summed_up
from naslab.analysis.oracle import ranks
from naslab.errors import SpecError

TABLE = nl.benchmarks.NASBench201()


def test_every_candidate_at_its_true_place():
    seen = nl.estimators.Table(TABLE, "valid_accuracy", epochs=12)
    search = nl.Search(nl.searchers.RandomSearch(TABLE.space, seed=0), estimator=seen, budget=30)
    list(search)
    found = oracle(search.events, TABLE)
    for query in (0, 11, 29):
        assert found.rank[query] == TABLE.rank(found.architectures[query])
        assert found.regret[query] == pytest.approx(TABLE.regret(found.architectures[query]))
        assert found.fitness[query] == seen(found.architectures[query])
    assert found.architectures[found.best[-1]] == search.best
    assert found.of_best(found.rank)[-1] == TABLE.rank(search.best)
    assert found.percentile[0] == pytest.approx(100 * (1 - (found.rank[0] - 1) / 15_625))
    cheap = oracle(search.events, TABLE, "parameters")
    assert cheap.rank[3] == TABLE.rank(cheap.architectures[3], "parameters")
    with pytest.raises(SpecError, match="evaluated none yet"):
        oracle([], TABLE)


@pytest.mark.filterwarnings("ignore:.* failed")  # which is said
def test_failed_candidates_have_a_place_but_are_never_the_best():
    def scored(architecture):
        raise ValueError("no")

    search = nl.Search(nl.searchers.RandomSearch(TABLE.space, seed=0), estimator=scored, budget=3)
    list(search)
    found = oracle(search.events, TABLE)
    assert np.isnan(found.fitness).all()
    assert found.best.tolist() == [-1] * 3
    assert np.isnan(found.of_best(found.rank)).all()
    assert (found.rank >= 1).all()


def test_ranks_of_equals_and_of_the_unknown():
    assert ranks(np.array([3.0, 5, 5, np.nan, 1])).tolist() == [3, 1, 1, 5, 4]


def test_incumbents():
    fitness = np.array([[np.nan, 2, 1, 2, 3], [np.nan] * 5, [-1, -2, np.nan, -1, -0.5]])
    assert incumbents(fitness).tolist() == [[-1, 1, 1, 1, 4], [-1] * 5, [0, 0, 0, 0, 4]]


def test_curves_of_unequal_length_on_a_grid():
    curves = np.array([[5.0, 4, 3], [9, 8, np.nan]])
    spent = np.array([[1.0, 3, 10], [2, 4, np.nan]])
    expected = [[np.nan, 5, 5, 4, 4, 3], [np.nan, np.nan, 9, 9, 8, 8]]
    np.testing.assert_array_equal(at(curves, spent, np.array([0.5, 1, 2, 3, 9.9, 10])), expected)


def test_bands_with_gaps_against_numpy():
    values = np.random.default_rng(0).normal(size=(9, 5))
    values[0, 1] = values[1:, 2] = values[:, 3] = np.nan
    found = summed_up(np.arange(5.0), values)
    for column in (0, 1, 4):
        known = values[:, column][np.isfinite(values[:, column])]
        got = (found.mean[column], found.lower[column], found.median[column], found.upper[column])
        assert got == pytest.approx((known.mean(), *np.quantile(known, [0.25, 0.5, 0.75])))
        low, high = statistics.interval(known.tolist())
        assert (found.low[column], found.high[column]) == pytest.approx((low, high))
    assert found.seeds.tolist() == [9, 8, 1, 0, 9]
    assert found.low[2] == found.high[2] == found.mean[2] == values[0, 2]
    assert np.isnan([found.mean[3], found.median[3], found.low[3]]).all()
    assert band(np.zeros((0, 3)), np.zeros((0, 3)), np.ones(2)).x.size == 0
    with pytest.raises(SpecError, match=r"both be \[N, Q\]"):
        band(np.zeros(3), np.zeros(3), np.ones(2))
