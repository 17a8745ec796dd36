import itertools
import math

import numpy as np
import pytest

import naslab as nl
from naslab.analysis.curves import incumbents
from naslab.errors import NaslabDeprecationWarning, RunError, SpecError
from naslab.estimators import Score, Table
from naslab.runs import Race
from naslab.searchers import BlackBoxSearch, LocalSearch, RandomSearch, RegularizedEvolution

TABLE = nl.benchmarks.NASBench201()


def evolution(seed):
    return RegularizedEvolution(TABLE.space, population=10, sample=3, seed=seed)


SEARCHERS = {"random": RandomSearch, "REA": evolution, "local": LocalSearch}


def test_a_round_goes_by_its_old_name_too():
    with pytest.warns(NaslabDeprecationWarning, match=r"naslab.runs.Lap is now called naslab.runs.RaceRound"):
        assert nl.runs.Lap is nl.runs.RaceRound


def test_whoever_has_spent_least_is_next():
    race = Race(SEARCHERS, TABLE, seeds=(3, 1), budget=4)
    rounds = list(race)
    assert [(each.searcher, each.seed) for each in rounds[:6]] == list(itertools.product(SEARCHERS, (3, 1)))
    assert [each.query for each in rounds] == [1] * 6 + [2] * 6 + [3] * 6 + [4] * 6
    assert [each.spent for each in rounds] == [each.query for each in rounds]
    assert (race.step, race.total, race.finished, race.progress) == (24, 24, True, 1.0)
    assert next(race, None) is None


def test_a_runner_is_the_same_in_any_company():
    together = Race(SEARCHERS, TABLE, seeds=range(5), budget=30).run()
    alone = Race({"REA": evolution}, TABLE, seeds=[3], budget=30).run()
    np.testing.assert_array_equal(alone.fitness[0, 0], together.fitness[1, 3])
    search = nl.Search(evolution(3), estimator=TABLE, budget=30)
    np.testing.assert_array_equal([event.fitness for event in search], together.fitness[1, 3])
    assert together.best("REA", 3) == alone.best("REA", 3) == search.best
    assert len({tuple(row) for row in together.fitness[1]}) == 5, "seeds differ"


def test_curves_against_the_table():
    race = Race(SEARCHERS, TABLE, seeds=range(3), budget=25).run()
    best = np.maximum.accumulate(race.fitness, axis=2)
    np.testing.assert_array_equal(race.curves("best"), best)
    np.testing.assert_allclose(race.curves("regret"), TABLE.column().max() - best)
    assert race.curves("rank")[2, 1, -1] == TABLE.rank(race.best("local", 1))
    np.testing.assert_array_equal(race.queries, 25)
    assert race.final("rank")["local"][1] == TABLE.rank(race.best("local", 1))


def test_judged_by_the_truth_chosen_by_what_was_seen():
    seen = Table(TABLE, "valid_accuracy", epochs=12)
    race = Race({"random": RandomSearch}, seen, seeds=range(4), budget=20).run()
    chosen = race.fitness[0, 2].argmax()
    assert race.curves("best")[0, 2, -1] == TABLE.column("test_accuracy")[race.numbers[0, 2, chosen]]
    assert race.best("random", 2) == TABLE.at(int(race.numbers[0, 2, chosen]))
    np.testing.assert_array_equal(
        race.curves("best")[0, 2], TABLE.column()[race.numbers[0, 2]][incumbents(race.fitness[0, 2])]
    )
    assert not any("test data" in text for text in race.card.warnings)
    assert any("test data" in text for text in Race({"r": RandomSearch}, TABLE, budget=3).run().card.warnings)
    with pytest.raises(SpecError, match="which knows every architecture"):
        Race({"random": RandomSearch}, seen, truth=lambda architecture: 1.0)


def test_seconds_are_the_axis_and_what_ends_too_late_does_not_count():
    race = Race({"random": RandomSearch}, Table(TABLE, epochs=12), seeds=(0, 1), budget=3000, cost="seconds").run()
    seconds = TABLE.column("seconds", epochs=12)
    for n in (0, 1):
        known = race.numbers[0, n] >= 0
        np.testing.assert_allclose(race.spent[0, n][known], seconds[race.numbers[0, n][known]].cumsum())
        assert race.spent[0, n][known][-1] <= 3000
        sampler = RandomSearch(TABLE.space, seed=n)
        drawn = [TABLE.index(sampler.ask().architecture) for _ in range(known.sum() + 1)]
        assert seconds[drawn].sum() > 3000, "one more would have been too late"
    rounds = list(Race({"random": RandomSearch}, Table(TABLE, epochs=12), seeds=(0, 1), budget=3000, cost="seconds"))
    before = {0: 0.0, 1: 0.0}
    for each in rounds:
        assert before[each.seed] <= min(before.values()) + 1e-9 or each.spent > 2500
        before[each.seed] = each.spent
    assert race.bands()["random"].x[-1] == 3000


def test_a_training_of_several_lengths_pays_for_what_is_new():
    halving = nl.searchers.SuccessiveHalving
    made = {"sh": lambda seed: halving(TABLE.space, candidates=3, epochs=(12, 200), eta=3, seed=seed)}
    race = Race(made, Table(TABLE, "valid_accuracy"), seeds=[0], budget=10_000, cost="valid_seconds").run()
    short, whole = (TABLE.column("valid_seconds", epochs=epochs) for epochs in (12, 200))
    numbers = race.numbers[0, 0]
    paid = np.diff(race.spent[0, 0], prepend=0.0)
    first, again = numbers[:3], numbers[3]
    np.testing.assert_allclose(paid[:3], short[first])
    assert again in first
    assert paid[3] == pytest.approx(whole[again] - short[again])


@pytest.mark.parametrize("searcher", [RandomSearch, LocalSearch, nl.searchers.QLearning])
@pytest.mark.slow
def test_what_a_table_knows_to_have_diverged_is_a_status(searcher):
    table = nl.benchmarks.NASBenchNLP()
    race = Race({"it": searcher}, table, seeds=(0, 1, 2), budget=120).run()
    assert (race.queries == 120).all()
    diverged = ~np.isfinite(table.utility())[race.numbers]
    assert diverged.any() or np.isnan(race.fitness).any()
    search = nl.Search(searcher(table.space, seed=1), estimator=table, budget=120)
    seen = [np.nan if event.fitness is None else event.fitness for event in search]
    np.testing.assert_array_equal(race.fitness[0, 1], seen)


def test_the_card_looks_into_what_stands_around_a_table():
    table = Table(TABLE, metrics=["parameters"])
    for estimator in (table, nl.estimators.Constrained(table, {"parameters": 1e9})):
        assert any("test data" in text for text in Race({"r": RandomSearch}, estimator, budget=3).run().card.warnings)
    own = {"r": lambda seed: BlackBoxSearch(RandomSearch(TABLE.space, seed=seed), table, 5)}
    assert any("test data" in text for text in Race(own, budget=3).run().card.warnings)


def test_what_begins_with_failures_that_cost_nothing_has_bands_all_the_same():
    def score(architecture):
        if TABLE.index(architecture) % 2:
            raise ValueError("odd")
        return Score(float(TABLE.index(architecture)), {"seconds": 1.0})

    def made(seed):
        search = RandomSearch(TABLE.space, seed=seed)
        while TABLE.index(RandomSearch(TABLE.space, seed=seed).ask().architecture) % 2 == 0:
            seed += 100
            search = RandomSearch(TABLE.space, seed=seed)
        return search

    race = Race({"r": made}, score, seeds=(0, 1), budget=6, cost="seconds")
    for _ in race:
        for even in (False, True):
            band = race.bands(even=even)["r"]
            assert np.isfinite(band.x).all()
    assert race.bands()["r"].x[[0, -1]].tolist() == [1, 6]


def test_names_and_truth_are_checked_before_the_first_lap():
    with pytest.raises(SpecError, match="need different names; they are 1, '1'"):
        Race({1: RandomSearch, "1": LocalSearch}, TABLE)
    with pytest.raises(SpecError, match="knows architectures of 'nasbench_macro', and 'r' searches 'nasbench201'"):
        Race({"r": RandomSearch}, TABLE, truth=nl.benchmarks.NASBenchMacro())


def test_searches_of_their_own_and_any_estimator():
    def scored(architecture):
        number = TABLE.index(architecture)
        if number % 3 == 0:
            raise ValueError("this one cannot be built")
        return Score(float(number), {"seconds": 2.0})

    race = Race({"random": RandomSearch}, nl.estimators.Table(TABLE), budget=3)
    assert race.table is not None
    with pytest.raises(SpecError, match="knows its space; give a function"):
        Race({"random": RandomSearch}, scored)
    searchers = {
        "random": lambda seed: RandomSearch(TABLE.space, seed=seed),
        "search": lambda seed: nl.Search(RandomSearch(TABLE.space, seed=seed), estimator=scored, budget=7),
        "trials": lambda seed: BlackBoxSearch(RandomSearch(TABLE.space, seed=seed), scored, 30),
    }
    race = Race(searchers, scored, seeds=range(4), budget=20).run()
    np.testing.assert_array_equal(race.fitness[0], race.fitness[2])
    np.testing.assert_array_equal(race.fitness[0, :, :7], race.fitness[1, :, :7])
    assert np.isnan(race.fitness[1, :, 7:]).all()
    assert race.queries[1].tolist() == [7] * 4
    assert np.isnan(race.fitness[0]).any(), "some cannot be built"
    assert not np.isnan(race.curves("best")[0, :, -1]).any()
    assert any("budgets differ" in text for text in race.card.warnings)
    with pytest.raises(SpecError, match="needs a table that knows"):
        race.curves("rank")
    assert race.optimum == np.nanmax(race.fitness)
    assert (race.bands("regret")["random"].median >= 0).all()
    timed = Race({"r": searchers["random"]}, scored, seeds=(0,), budget=9.0, cost="seconds").run()
    assert timed.spent[0, 0][np.isfinite(timed.fitness[0, 0])].tolist() == [2, 4, 6, 8]


def test_a_budget_of_seconds_needs_somebody_to_count_them():
    made = {"random": lambda seed: RandomSearch(TABLE.space, seed=seed)}
    with pytest.raises(SpecError, match=r"what it cost in 'seconds'.*figures are: none"):
        next(Race(made, lambda architecture: 1.0, budget=10, cost="seconds"))
    with pytest.raises(SpecError, match="unknown cost 'second'; did you mean 'seconds'"):
        Race(made, Table(TABLE, epochs=12), budget=10, cost="second")
    with pytest.raises(RunError, match="cost nothing"):
        Race(made, lambda architecture: Score(1.0, {"seconds": 0.0}), seeds=[0], budget=10, cost="seconds").run()
    with (
        pytest.raises(RunError, match=r"cost nothing in 'seconds'; the last one failed, ZeroDivisionError"),
        pytest.warns(UserWarning, match="failed alike"),
    ):
        Race(made, lambda architecture: 1 / 0, seeds=[0], budget=10, cost="seconds").run()
    with pytest.raises(SpecError, match=r"is -1\.0"):
        next(Race(made, lambda architecture: Score(1.0, {"seconds": -1.0}), budget=10, cost="seconds"))


def test_where_all_fail_there_is_nothing_and_it_is_said():
    race = Race(
        {"random": lambda seed: RandomSearch(TABLE.space, seed=seed)}, lambda a: math.nan, seeds=(0, 1), budget=5
    )
    assert repr(race).endswith("2 seeds, 5 evaluations; 0 evaluations so far")
    assert "found nothing" not in str(race.card), "it has not looked yet"
    assert "the race has not begun" in race.card.warnings
    alone = Race({"random": RandomSearch}, TABLE, seeds=[4], budget=2)
    assert "1 seed, 2 evaluations" in repr(alone.run())
    assert "one seed a searcher: there is no interval" in str(alone.card)
    assert race.bands()["random"].x.size == 0
    with pytest.warns(UserWarning, match="the first 3 candidates failed alike: the estimator returned nan"):
        race.run()
    assert np.isnan(race.curves("best")).all()
    assert math.isnan(race.optimum)
    assert "2 of 2 samples of 'random' found nothing" in repr(race)
    assert np.isnan(race.bands()["random"].median).all()
    with pytest.raises(RunError, match="nothing could be evaluated"):
        race.best("random", 0)


def test_bands_on_the_way_and_at_the_end():
    race = Race({"random": RandomSearch}, TABLE, seeds=range(30), budget=50)
    for _ in range(30 * 20 + 7):
        next(race)
    band = race.bands("regret")["random"]
    assert band.x[-1] == 20, "as far as all seeds have come"
    np.testing.assert_array_equal(band.seeds, 30)
    race.run()
    band = race.bands("regret")["random"]
    values = race.curves("regret")[0][:, band.x.astype(int) - 1]
    np.testing.assert_allclose(band.median, np.median(values, axis=0))
    np.testing.assert_allclose([band.lower, band.upper], np.quantile(values, [0.25, 0.75], axis=0))
    assert (np.diff(band.x) > 0).all()
    assert (band.x[0], band.x[-1]) == (1, 50)
    begun = Race(SEARCHERS, TABLE, budget=5)
    next(begun)
    assert "the race has not ended" in begun.card.warnings[-2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (({}, TABLE), "needs searchers by name"),
        ((["random"], TABLE), "needs searchers by name"),
        (({"random": RandomSearch},), "needs an estimator that knows its space"),
        (({"random": lambda seed: RandomSearch(TABLE.space, seed=seed)},), "evaluates nothing: give the race"),
        (({"random": "random"}, TABLE), "expected a class or a function of the seed"),
        (({"gdas": nl.searchers.GDAS}, TABLE), "GDAS is no class of searchers by trials"),
        (({"random": lambda seed: object()}, TABLE), "among searches that evaluate candidates"),
        (({"random": lambda seed, one=RandomSearch(TABLE.space): one}, TABLE), "gave one twice"),  # noqa: B008
    ],
)
def test_what_cannot_race(arguments, message):
    with pytest.raises(SpecError, match=message):
        Race(*arguments)


@pytest.mark.parametrize(
    "searcher",
    [
        lambda seed: RegularizedEvolution(TABLE.space, population=5, sample=2),
        lambda seed: BlackBoxSearch(RandomSearch(TABLE.space, seed=0), TABLE, 5),
        lambda seed: nl.Search(RandomSearch(TABLE.space, seed=seed // 2), estimator=TABLE, budget=5),
    ],
)
def test_a_forgotten_seed_is_noticed_before_the_race(searcher):
    with pytest.raises(SpecError, match=r"'it': .* the same for 0 and 1 \(its own seed is 0\).*Hand the seed on"):
        Race({"random": RandomSearch, "it": searcher}, TABLE, seeds=range(3), budget=5)
    Race({"it": searcher}, TABLE, seeds=[1], budget=5).run()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seeds": 3}, "write range"),
        ({"seeds": ()}, "at least one seed"),
        ({"seeds": (1, 1)}, "each counts once"),
        ({"budget": 0}, "budget must be a whole number from 1 up"),
        ({"budget": -1.0, "cost": "seconds"}, "positive and finite"),
        ({"budget": math.inf, "cost": "seconds"}, "positive and finite"),
    ],
)
def test_nonsense_is_refused(options, message):
    with pytest.raises(SpecError, match=message):
        Race({"random": RandomSearch}, TABLE, **options)
    with pytest.raises(SpecError, match="did you mean 'regret'"):
        Race({"random": RandomSearch}, TABLE).curves("regrets")


@pytest.mark.slow
def test_the_oracle_bands_at_500_seeds():
    """Against an independent computation: mean and deviation of the best of n, 500 seeds (population 10, sample 3)."""
    expected = {
        "random": {10: (93.11, 0.55), 50: (93.71, 0.28), 100: (93.86, 0.22)},
        "REA": {10: (93.11, 0.53), 50: (93.89, 0.31), 100: (94.14, 0.23)},
        "local": {10: (92.97, 0.91), 50: (94.17, 0.30), 100: (94.31, 0.15)},
    }
    race = Race(SEARCHERS, TABLE, seeds=range(500), budget=100).run()
    for s, name in enumerate(race.searchers):
        for n, (mean, deviation) in expected[name].items():
            ours = race.curves("best")[s, :, n - 1]
            error = math.sqrt(2 * deviation**2 / 500)  # both are estimates from 500 seeds
            assert abs(ours.mean() - mean) < 2 * error + 0.005, (name, n)
            assert abs(ours.std() - deviation) < 0.15 * deviation + 0.005, (name, n)
