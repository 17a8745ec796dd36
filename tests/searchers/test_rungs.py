"""Successive halving and Hyperband: the sizes that the papers print, and who goes on."""

from fractions import Fraction

import pytest

import naslab as nl
from naslab.errors import SpecError
from naslab.searchers import (
    BOHB,
    Hurdles,
    Hyperband,
    HyperbandHyperparameters,
    SuccessiveHalving,
    SuccessiveHalvingHyperparameters,
)
from naslab.searchers.rungs import fitting

PRINTED = {  # Li et al. 2018, Table 1: R = 81, eta = 3; s -> (n_i, r_i)
    4: [(81, 1), (27, 3), (9, 9), (3, 27), (1, 81)],
    3: [(34, 3), (11, 9), (3, 27), (1, 81)],
    2: [(15, 9), (5, 27), (1, 81)],
    1: [(8, 27), (2, 81)],
    0: [(5, 81)],
}


def test_the_printed_table():
    brackets = HyperbandHyperparameters(most=81, eta=3).brackets
    assert [list(map(tuple, rungs)) for rungs in brackets] == list(PRINTED.values())


@pytest.mark.parametrize(("most", "eta"), [(1, 2), (2, 3), (3, 3), (16, 2), (17, 2), (243, 3), (1000, 10), (50, 4)])
def test_brackets_against_exact_fractions(most, eta):
    s_max = max(s for s in range(20) if Fraction(eta) ** s <= most)
    brackets = HyperbandHyperparameters(most=most, eta=eta).brackets
    assert len(brackets) == s_max + 1
    for s, rungs in zip(range(s_max, -1, -1), brackets, strict=True):
        n = -(-Fraction((s_max + 1) * eta**s, s + 1) // 1)
        assert [rung.size for rung in rungs] == [n // Fraction(eta) ** i for i in range(s + 1)]
        assert [rung.epochs for rung in rungs] == [max(1, round(Fraction(most, eta ** (s - i)))) for i in range(s + 1)]


@pytest.fixture
def play(benchmark):
    """Asks and tells; gives [(trial, fitness)]."""

    def play(sampler, steps, fitness=lambda trial: float(hash(trial.architecture.choices) % 9973)):
        said = []
        for _ in range(steps):
            trial = sampler.ask()
            said.append((trial, fitness(trial)))
            sampler.tell(*said[-1])
        return said

    return play


def rung_by_rung(said, sizes):
    for size in sizes:
        yield said[:size]
        said = said[size:]


def test_a_whole_hyperband(benchmark, play):
    number = benchmark.index
    sizes = [size for rungs in PRINTED.values() for size, _ in rungs]
    epochs = [epochs for rungs in PRINTED.values() for _, epochs in rungs]
    hyperband = Hyperband(benchmark.space, most=81, seed=3)
    said = play(hyperband, sum(sizes), lambda trial: float(number(trial.architecture)))
    before = []
    for rung, length in zip(rung_by_rung(said, sizes), epochs, strict=True):
        assert {trial.fidelity for trial, _ in rung} == {length}
        if rung[0][0].begins_from is not None:
            kept = sorted(before, key=lambda one: -one[1])[: len(rung)]
            assert [trial.begins_from for trial, _ in rung] == [trial.number for trial, _ in kept]
            assert [trial.candidate for trial, _ in rung] == [trial.candidate for trial, _ in kept]
        else:
            assert all(trial.candidate == trial.number for trial, _ in rung)
        before = rung
    assert hyperband.ask().fidelity == 1, "and from the beginning"


def test_successive_halving_keeps_the_best_half(benchmark, play):
    halving = SuccessiveHalving(benchmark.space, candidates=11, epochs=(1, 2, 4, 8), seed=0)
    said = play(halving, 2 * (11 + 5 + 2 + 1), lambda trial: float(-trial.number % 7))
    assert [trial.fidelity for trial, _ in said] == 2 * ([1] * 11 + [2] * 5 + [4] * 2 + [8])
    first = {trial.number: fitness for trial, fitness in said[:11]}
    best = sorted(first, key=lambda number: (-first[number], number))[:5]
    assert [trial.begins_from for trial, _ in said[11:16]] == best
    assert halving.diagnostics["sizes"] == [11, 5, 2, 1]
    assert halving.diagnostics["passed"][0] == min(sorted((f for _, f in said[19:30]), reverse=True)[:5])


def test_rungs_without_a_candidate_are_left_out():
    assert [tuple(r) for r in SuccessiveHalvingHyperparameters(candidates=3, epochs=(1, 2, 4), eta=3).rungs] == [
        (3, 1),
        (1, 2),
    ]


def test_failed_ones_go_no_further_and_a_bracket_may_end_early(benchmark, play):
    halving = SuccessiveHalving(benchmark.space, candidates=8, epochs=(1, 2, 4))
    said = play(halving, 8 + 3 + 2, lambda trial: float(trial.number) if trial.number in (2, 5, 7) else None)
    promoted = [trial for trial, _ in said if trial.fidelity == 2]
    assert [trial.begins_from for trial in promoted] == [7, 5, 2], "the three that are left, not four"
    assert said[11][0].fidelity == 1, "all three have failed: the next bracket"
    assert said[12][0].number == 13


def test_while_a_rung_is_not_complete_the_next_bracket_begins(benchmark):
    halving = SuccessiveHalving(benchmark.space, candidates=4, epochs=(1, 2))
    asked = [halving.ask() for _ in range(6)]
    assert [trial.fidelity for trial in asked] == [1] * 6
    for trial in asked[:3]:
        halving.tell(trial, float(trial.number))
    assert halving.ask().fidelity == 1, "the fourth of the first bracket may still be the best"
    halving.tell(asked[3], 9.0)
    promoted = [halving.ask(), halving.ask()]
    assert [trial.begins_from for trial in promoted] == [4, 3]
    assert halving.ask().fidelity == 1


def test_it_spends_less_on_what_looks_bad(benchmark):
    """At equal simulated seconds it finds what random search finds, or better (20 seeds, NAS-Bench-201)."""
    table = nl.estimators.Table(benchmark, "valid_accuracy", epochs=200)
    wins = 0
    for seed in range(20):
        found = {}
        for sampler in (
            SuccessiveHalving(benchmark.space, candidates=32, epochs=(12, 200), eta=8, seed=seed),
            SuccessiveHalving(benchmark.space, candidates=6, epochs=(200,), seed=seed),
        ):
            rungs = sampler.hyperparameters.rungs
            trials = nl.searchers.BlackBoxSearch(sampler, table, sum(rung.size for rung in rungs))
            events = [trials.advance() for _ in range(trials.total)]
            found[len(rungs)] = max(event.fitness for event in events if event.fidelity == 200)
        wins += found[2] >= found[1]
    assert wins >= 15


@pytest.mark.parametrize("known", [(12, 200), (4, 12, 36, 108), (2, 4), (1, 2, 5, 10), (7,)])
@pytest.mark.parametrize("searcher", [Hyperband, BOHB, SuccessiveHalving, Hurdles])
def test_what_suits_an_estimator_asks_for_lengths_that_it_knows(benchmark, searcher, known):
    sampler = searcher(benchmark.space, seed=1)
    sampler.adapt_fidelities(known)
    assert set(sampler.fidelities) <= set(known)
    assert max(sampler.fidelities) == max(known), "the whole training is one of them"
    assert len(sampler.fidelities) >= min(2, len(known))
    again = nl.searchers.from_spec(sampler.spec())
    again.adapt_fidelities((1000,))
    assert again.spec() == sampler.spec(), "what stands in a run is not chosen again"


@pytest.mark.parametrize("searcher", [Hyperband, BOHB, SuccessiveHalving, Hurdles])
def test_the_longest_training_is_the_longest_known(benchmark, searcher):
    """Also where the defaults, which are for a laptop, are all known: of 50 epochs they would see 9."""
    sampler = searcher(benchmark.space)
    sampler.adapt_fidelities(range(1, 51))
    assert max(sampler.fidelities) == 50
    assert len(sampler.fidelities) >= 3
    early = nl.estimators.Table(benchmark, epochs=12)
    assert early.fidelities == (12,)
    trials = nl.searchers.BlackBoxSearch(searcher(benchmark.space), early, 40)
    assert {trials.advance().fidelity for _ in range(40)} == {12}


@pytest.mark.parametrize(
    ("searcher", "given", "known", "lengths"),
    [
        (Hyperband, {"most": 9}, range(1, 51), [1, 3, 9]),
        (Hyperband, {"eta": 4}, range(1, 51), [3, 12, 50]),
        (Hyperband, {"most": 200}, (12, 200), [12, 200]),
        (BOHB, {"samples": 8}, range(1, 51), [2, 6, 17, 50]),
        (SuccessiveHalving, {"epochs": (1, 2)}, range(1, 51), [1, 2]),
        (SuccessiveHalving, {"candidates": 4}, (12, 200), [12, 200]),
        (SuccessiveHalving, {"candidates": 4}, range(1, 51), [12, 25, 50]),
        (SuccessiveHalving, {"eta": 32}, (12, 200), [12, 200]),
        (SuccessiveHalving, {"eta": 1.2}, (7,), [7]),
        (Hurdles, {"steps": (1, 1)}, range(1, 51), [1, 2]),
        (Hurdles, {"sample": 2}, range(1, 51), [12, 25, 50]),
        (Hurdles, {}, (7,), [7]),
    ],
)
def test_what_was_given_stays(benchmark, searcher, given, known, lengths):
    sampler = searcher(benchmark.space, **given)
    sampler.adapt_fidelities(known)
    assert list(sampler.fidelities) == lengths
    assert given.items() <= vars(sampler.hyperparameters).items()
    again = nl.searchers.from_spec(sampler.spec())
    again.adapt_fidelities((1000,))
    assert again.spec() == sampler.spec()


def test_hyperbands_own_settings_are_kept_where_they_suit():
    assert fitting(range(1, 82), 3) == {"most": 81, "eta": 3, "least": 1}
    assert fitting((4, 12, 36, 108), 2) == {"most": 108, "eta": 3, "least": 4}
    assert fitting((12, 200), 3) == {"most": 200, "eta": 16, "least": 12}
    with pytest.raises(SpecError, match="longer than the longest"):
        HyperbandHyperparameters(most=9, least=10)


def test_the_shortest_training_is_the_unit():
    """R = 324 in units of four epochs is the printed table, its epochs fourfold."""
    brackets = HyperbandHyperparameters(most=324, eta=3, least=4).brackets
    assert [[(n, r // 4) for n, r in rungs] for rungs in brackets] == list(PRINTED.values())


@pytest.mark.parametrize("searcher", [Hyperband, BOHB, SuccessiveHalving, Hurdles])
def test_on_a_table_with_few_lengths_it_runs_as_written(benchmark, searcher):
    search = nl.Search(searcher(benchmark.space, seed=0), estimator=benchmark, budget=80)
    events = list(search)
    assert [event.status for event in events] == ["done"] * 80
    assert {event.fidelity for event in events} == {12, 200}
    constrained = nl.estimators.Constrained(nl.estimators.Table(benchmark, metrics=["flops"]), {"flops": 100})
    assert constrained.fidelities == (12, 200)


@pytest.mark.parametrize(
    ("searcher", "given", "written"),
    [
        (Hurdles, {"steps": (1, 2)}, r"Hurdles\(space, steps=\(12, 188\)\)"),
        (Hyperband, {"most": 81}, r"Hyperband\(space, most=200, eta=16, least=12\)"),
        (BOHB, {"eta": 2}, r"BOHB\(space, most=200, eta=16, least=12\)"),
        (
            SuccessiveHalving,
            {"epochs": (1, 9), "candidates": 4},
            r"SuccessiveHalving\(space, candidates=4, epochs=\(12, 200\), eta=2.0\)",
        ),
    ],
)
def test_what_the_user_chose_is_refused_with_what_to_write(benchmark, searcher, given, written):
    with pytest.raises(SpecError, match=rf"known after 200, 12 epochs, not after .*; write {written}"):
        nl.Search(searcher(benchmark.space, **given), estimator=benchmark, budget=50)
    macro = nl.benchmarks.NASBenchMacro()
    with pytest.raises(SpecError, match=r"after the whole training only.*of several lengths cannot work"):
        nl.Search(searcher(macro.space), estimator=macro, budget=50)
