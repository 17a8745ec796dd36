import itertools
import math

import numpy as np
import pytest
from scipy import stats

from naslab import statistics
from naslab.errors import SpecError

FIRST = [3.1, 2.7, 3.9, 3.3, 2.9]
SECOND = [2.2, 2.8, 2.1, 2.5]


def test_intervals_and_tests_agree_with_scipy():
    expected = stats.t.interval(0.95, 4, np.mean(FIRST), stats.sem(FIRST))
    assert statistics.interval(FIRST) == pytest.approx(expected)
    welch = stats.ttest_ind(FIRST, SECOND, equal_var=False)
    assert statistics.welch(FIRST, SECOND).p == pytest.approx(welch.pvalue)
    assert statistics.mann_whitney(FIRST, SECOND).p == pytest.approx(stats.mannwhitneyu(FIRST, SECOND).pvalue)


def test_the_test_of_ranks_is_that_of_all_permutations():
    """Two-sided: twice the part of all ways to deal the nine samples that favour the first at least as much."""
    both, wins = FIRST + SECOND, statistics.superiority(FIRST, SECOND)
    deals = []
    for chosen in itertools.combinations(range(9), 5):
        others = [both[i] for i in range(9) if i not in chosen]
        deals.append(np.mean([[a > b for b in others] for a in (both[i] for i in chosen)]))
    assert statistics.mann_whitney(FIRST, SECOND).p == pytest.approx(2 * np.mean(np.array(deals) >= wins - 1e-9))
    assert statistics.least_p(5, 4) == pytest.approx(2 / len(deals))


def test_superiority_counts_pairs_and_half_of_the_ties():
    assert statistics.superiority([1, 2, 3], [2, 0]) == pytest.approx((1 + 1.5 + 2) / 6)
    assert statistics.superiority([2, 0], [1, 2, 3]) == pytest.approx(1 - 4.5 / 6)


def test_what_the_samples_cannot_tell():
    assert all(math.isnan(end) for end in statistics.interval([1.0]))
    assert all(math.isnan(end) for end in statistics.interval([0.1 + 0.2, 0.3]))
    assert math.isnan(statistics.welch([1.0], [2.0, 3.0]).p)
    assert math.isnan(statistics.welch([1.0, 1.0], [2.0, 2.0]).p)
    assert statistics.mann_whitney([1.0, 1.0], [1.0, 1.0]) == (1.0, 0.5)
    with pytest.raises(SpecError, match="there are 0 and 1"):
        statistics.mann_whitney([], [1.0])


def test_holm_on_the_papers_scheme():
    assert statistics.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert statistics.holm([0.6, 0.5]) == [1.0, 1.0]
    raised = statistics.holm([0.01, math.nan, 0.02])
    assert raised[0] == pytest.approx(0.02)
    assert math.isnan(raised[1])
    assert statistics.holm([]) == []
