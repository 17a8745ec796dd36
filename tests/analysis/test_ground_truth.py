"""Scores held against a table, and the moment a search turns: against what the table says, and counted step by step."""

import numpy as np
import pytest

import naslab as nl
from naslab.analysis import ChangePoint, GroundTruth, Ranking, change_point, rank_correlation
from naslab.errors import SpecError


@pytest.fixture(scope="module")
def table():
    return nl.benchmarks.NASBench201("cifar100")


def test_a_sample_is_of_the_table_each_once_and_seeded(table):
    known, again, other = (GroundTruth.of(table, 200, seed=seed) for seed in (0, 0, 1))
    assert len(set(known.numbers.tolist())) == len(known) == 200
    assert known.numbers.tolist() == again.numbers.tolist() != other.numbers.tolist()
    assert known.truth.tolist() == [table.query(int(n)).test_accuracy for n in known.numbers]
    assert [table.index(a) for a in known.architectures] == known.numbers.tolist()
    assert known.ranks.tolist() == [table.rank(a) for a in known.architectures]
    assert (known.size, known.name) == (15625, "nasbench201 cifar100 test_accuracy")
    assert known.optimum == table.column().max()


def test_less_is_more_where_it_is(table):
    latency = GroundTruth.of(nl.estimators.Table(table, "seconds", epochs=12), [0, 11, 284])
    assert latency.truth.tolist() == [-table.query(n, epochs=12).seconds for n in (0, 11, 284)]
    assert latency.name == "nasbench201 cifar100 seconds after 12 epochs"


def test_the_place_of_any_architecture(table):
    known = GroundTruth.of(table, 2)
    best = table.best().architecture
    assert known.place(best) == (9930, pytest.approx(table.best().test_accuracy), 1, 0.0)
    skips = table.at(1835)
    assert known.place(skips)[2:] == (table.rank(skips), pytest.approx(table.regret(skips)))
    assert known.place(nl.spaces.DartsCell.laptop().sample(np.random.default_rng(0))) is None


def test_another_column_held_against_it(table):
    known, early = GroundTruth.of(table, 150), nl.estimators.Table(table, "valid_accuracy", epochs=12)
    found = rank_correlation(known, early, resamples=50)
    scores = table.query_many(known.numbers, metric="valid_accuracy", epochs=12)
    assert found.scores.tolist() == scores.tolist()
    assert found.ranking == Ranking.of(scores, known.truth, resamples=50)
    assert found.failed == ()
    assert rank_correlation(known, table, resamples=10).ranking.kendall.value == 1.0
    assert rank_correlation(known, lambda a: -known.place(a).truth, resamples=10).ranking.spearman.value == -1.0


def test_scores_that_are_all_equal_are_no_ranking(table):
    found = rank_correlation(GroundTruth.of(table, 5), lambda architecture: 0.1)
    assert (found.ranking, found.scores.tolist()) == (None, [0.1] * 5)


def test_what_fails_is_left_out_and_named(table):
    known = GroundTruth.of(table, 30)
    first, second = known.architectures[3], known.architectures[7]

    def score(architecture):
        if architecture == first:
            raise ZeroDivisionError("by zero")
        return float("nan") if architecture == second else known.place(architecture).truth

    found = rank_correlation(known, score, resamples=10)
    assert found.ranking.kendall.value == 1.0
    assert found.known.numbers.tolist() == np.delete(known.numbers, [3, 7]).tolist()
    expected = [(int(known.numbers[3]), "ZeroDivisionError: by zero"), (int(known.numbers[7]), "its score is nan")]
    assert list(found.failed) == expected
    with pytest.raises(SpecError, match="30 of 30 architectures could not be scored"):
        rank_correlation(known, lambda architecture: float("inf"))


@pytest.mark.parametrize(
    ("sample", "said"),
    [
        (1, "from 2 up"),
        ("40", "from 2 up, not '40'"),
        (20000, "more than the 15625"),
        ([3], "at least two"),
        ([3, 3], "each once"),
    ],
)
def test_nonsense_is_refused(table, sample, said):
    with pytest.raises(SpecError, match=said):
        GroundTruth.of(table, sample)
    with pytest.raises(SpecError, match="the truth is a benchmark"):
        GroundTruth.of([1, 2, 3], sample)


def by_hand(values):
    """Of one value a step: the split after which the sum of the deviations from the mean has been greatest."""
    deviations = np.cumsum(np.array(values) - np.mean(values))[:-1]
    at = int(np.argmax(deviations.round(9))) + 1
    return at, np.mean(values[:at]), np.mean(values[at:])


def test_the_moment_of_the_collapse():
    assert change_point([1, 61], [94.0, 54.3], 100) == ChangePoint(61, 94.0, 54.3)
    rng = np.random.default_rng(0)
    for _ in range(50):
        lengths = rng.integers(1, 9, size=6)
        truth = rng.normal(size=6)
        steps = 1 + np.cumsum([0, *lengths[:-1]])
        at, before, after = by_hand(np.repeat(truth, lengths))
        found = change_point(steps.tolist(), truth, int(lengths.sum()))
        if before <= after:
            assert found is None
        else:
            assert found.step == at + 1
            assert (found.before, found.after) == (pytest.approx(before), pytest.approx(after))


def test_what_rises_or_stays_does_not_turn():
    assert change_point([1, 40, 70], [54.3, 90.0, 94.0], 100) is None
    assert change_point([1], [90.0], 100) is None
    assert change_point([1, 40], [90.0, 90.0], 100) is None
    with pytest.raises(SpecError, match="none after end=20"):
        change_point([1, 40], [90.0, 91.0], 20)
