from functools import cache

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

import naslab as nl
from naslab.analysis import landscape
from naslab.analysis.landscape import autocorrelation, codes, discriminants, fitness_distance
from naslab.errors import SpecError


@cache
def macro():
    return nl.benchmarks.NASBenchMacro()


def test_the_map_is_that_of_linear_discriminant_analysis():
    """Compared with scikit-learn's, on codes without the columns that follow from the others; up to turn and scale."""
    table = macro()
    found = landscape(table)
    columns = codes(table.space, table.choices)
    order = found.utility.argsort(kind="stable").argsort(kind="stable")
    free = columns.reshape(len(table), -1, 3)[:, :, 1:].reshape(len(table), -1)
    theirs = LinearDiscriminantAnalysis(solver="eigen", n_components=2).fit_transform(free, order * 8 // len(table))
    for axis in range(2):
        correlation = np.corrcoef(found.points[:, axis], theirs[:, axis])[0, 1]
        assert abs(correlation) > 0.99, axis
    np.testing.assert_allclose(found.points.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(found.points.std(axis=0), 1, atol=1e-4)
    assert np.corrcoef(found.points[:, 0], found.utility)[0, 1] > 0.5, "good is on the right"
    assert landscape(table) is found, "kept"
    np.testing.assert_array_equal(found.path([table.at(7), table.at(7)]), found.points[[7, 7]])


@pytest.mark.slow
def test_ruggedness_against_all_pairs():
    table = macro()
    digits = np.array(
        [
            [choice.options.index(v) for choice, v in zip(table.space.fixed_choices, row, strict=True)]
            for row in table.choices
        ]
    )
    utility = table.utility()
    centred = (utility - utility.mean()) / utility.std()
    found = autocorrelation(table, utility)
    columns = codes(table.space, table.choices)
    sums, pairs = np.zeros(9), np.zeros(9)
    for rows in np.array_split(np.arange(len(table)), 10):
        differ = np.round(8 - columns[rows] @ columns.T).astype(np.int64).ravel()
        sums += np.bincount(differ, weights=np.outer(centred[rows], centred).ravel(), minlength=9)
        pairs += np.bincount(differ, minlength=9)
    np.testing.assert_allclose(found, sums / pairs, atol=1e-9)
    best = digits[utility == utility.max()]
    assert len(best) == 2, "the nearest of the two counts"
    nearest = (digits[:, None] != best).sum(axis=2).min(axis=1)
    expected = np.corrcoef(utility, nearest)[0, 1]
    assert fitness_distance(columns, utility) == pytest.approx(expected)


def test_autocorrelation_of_a_sum_is_known():
    """For a sum of what each choice does, the correlation falls by 1/K with each of the K choices that differ, plus
    what is regained by chance: at d differing, 1 - d n / (K (n - 1)) for n options each."""
    table = macro()
    worth = np.random.default_rng(0).normal(size=(8, 3))
    digits = np.array(
        [
            [choice.options.index(v) for choice, v in zip(table.space.fixed_choices, row, strict=True)]
            for row in table.choices
        ]
    )
    utility = np.stack([worth[k][digits[:, k]] for k in range(8)]).sum(axis=0)
    expected = [1 - d * 3 / (8 * 2) for d in range(9)]
    np.testing.assert_allclose(autocorrelation(table, utility), expected, atol=1e-9)


@pytest.mark.slow
def test_what_without_fidelities():
    table = macro()
    utility = np.array(table.utility())
    utility[5] = np.nan
    assert autocorrelation(table, utility).size == 0
    assert autocorrelation(table, np.ones(len(table))).size == 0
    columns = codes(table.space, table.choices)
    assert np.isnan(fitness_distance(columns, np.ones(len(table))))
    assert np.isnan(fitness_distance(columns, np.full(len(table), np.nan)))
    for odd in (utility, np.ones(len(table)), np.full(len(table), np.nan)):
        points = discriminants(columns, odd)
        assert np.isfinite(points).all()
        assert (points.std(axis=0) > 0.5).all()
    with pytest.raises(SpecError, match="no architecture"):
        codes(table.space, [])


def test_codes_where_choices_depend_on_each_other():
    space = nl.spaces.DartsCell(nodes=2)
    rng = np.random.default_rng(0)
    architectures = [space.sample(rng) for _ in range(20)]
    columns = codes(space, [architecture.choices for architecture in architectures])
    assert columns.sum(axis=1).tolist() == [len(architecture.choices) for architecture in architectures]
    one = discriminants(columns[:1], np.ones(1))
    assert one.tolist() == [[0, 0]]
