"""Rows of numbers from events, compared with what one would count by hand."""

import numpy as np
import pytest

import naslab as nl
from naslab.architecture import Architecture
from naslab_widgets.figures.trial_table import TrialTable
from naslab_widgets.figures.truth import Truth


def forest(evaluated, n=400, seed=0):
    """Trials with random parents, some failed, told out of the order in which they were proposed."""
    rng = np.random.default_rng(seed)
    numbers = np.arange(1, n + 1)
    for at in range(0, n - 3, 4):
        numbers[at : at + 4] = rng.permutation(numbers[at : at + 4])
    events = []
    for step, number in enumerate(numbers.tolist(), 1):
        known = [event.number for event in events]
        parents = tuple(rng.choice(known, size=rng.integers(0, 3)).tolist()) if step > 8 else ()
        fitness = None if rng.random() < 0.1 else float(rng.integers(0, 50))
        events.append(evaluated(step, fitness, number=number, parents=parents))
    return events


def test_families_generations_and_ancestors_are_those_of_a_plain_walk(evaluated):
    events = forest(evaluated)
    ledger = TrialTable()
    for at in range(0, len(events), 37):  # in batches
        ledger.take(events[at : at + 37])
    by_number = {event.number: event for event in events}
    for place, event in enumerate(events):
        line, generation = event, 0
        while line.parents:
            line, generation = by_number[line.parents[0]], generation + 1
        assert ledger.column("family")[place] == line.number
        assert ledger.column("generation")[place] == generation
        if event.parents:
            assert ledger.column("parent_step")[place] == by_number[event.parents[0]].step
        found, queue = set(), [event.number]
        while queue:
            number = queue.pop()
            found.add(number)
            queue += [parent for parent in by_number[number].parents if parent not in found]
        ancestry = [int(ledger.column("number")[row]) for row in ledger.ancestry(event.number)]
        assert ancestry[0] == event.number
        assert set(ancestry) == found
        assert len(ancestry) == len(found)


def test_the_fittest_are_the_first_of_a_stable_sort_however_they_came(evaluated):
    events = forest(evaluated, n=1000, seed=1)
    ledger = TrialTable()
    for at in range(0, len(events), 90):
        ledger.take(events[at : at + 90])
        known = [(-event.fitness, row) for row, event in enumerate(events[: at + 90]) if event.fitness is not None]
        assert ledger.fittest(40) == [row for _, row in sorted(known)[:40]]
    assert ledger.failed == sum(event.fitness is None for event in events)
    assert ledger.best == ledger.fittest(40)[0]


def test_training_that_goes_on_is_one_candidate(evaluated):
    hurdles = {"hurdles": [0.4, 0.6]}
    ledger = TrialTable()
    ledger.take(
        [
            evaluated(1, 0.5, fidelity=1.0, details=hurdles),
            evaluated(2, 0.3, parents=(1,), fidelity=1.0, details=hurdles),
            evaluated(3, 0.7, candidate=1, begins_from=1, fidelity=2.0, details=hurdles),
            evaluated(4, 0.9, candidate=1, begins_from=3, fidelity=3.0, details=hurdles),
            evaluated(5, 0.9, parents=(1,), begins_from=4, fidelity=1.0, details=hurdles),
        ]
    )
    assert ledger.column("stage").tolist() == [0, 0, 1, 2, 0]
    assert ledger.column("generation").tolist() == [0, 1, 0, 0, 1]
    np.testing.assert_array_equal(ledger.column("parent"), [np.nan, 1, 1, 3, 1])
    np.testing.assert_array_equal(ledger.column("hurdle"), np.array([np.nan, 0.4, 0.6, np.nan, 0.4]))
    np.testing.assert_array_equal(ledger.column("missed"), np.array([np.nan, 1, 0, np.nan, 0]))
    assert [int(ledger.column("number")[row]) for row in ledger.ancestry(4)] == [4, 3, 1]


def test_a_candidate_is_held_against_the_hurdles_before_it_was_told(evaluated):
    ledger = TrialTable()
    for step, (fitness, hurdles) in enumerate([(0.3, []), (0.5, [0.4]), (0.4, [0.4]), (None, [0.45]), (0.45, [])], 1):
        ledger.take([evaluated(step, fitness, details={"hurdles": hurdles})])  # in batches of one
    ledger.take([evaluated(6, 0.1)])
    np.testing.assert_array_equal(ledger.column("hurdle"), np.array([np.nan, np.nan, 0.4, 0.4, 0.45, np.nan]))
    np.testing.assert_array_equal(ledger.column("missed"), np.array([np.nan, np.nan, 1, np.nan, 1, np.nan]))


def test_the_truth_is_that_of_the_table(evaluated):
    table = nl.benchmarks.NASBench201("cifar10")
    truth = Truth(table)
    events = [evaluated(step, float(step % 3), number=7 * step) for step in range(1, 30)]
    ledger = TrialTable(truth)
    ledger.take(events)
    for row, event in enumerate(events):
        assert ledger.column("rank")[row] == table.rank(event.architecture)
        assert ledger.column("regret")[row] == pytest.approx(table.regret(event.architecture), rel=1e-6)
    assert ledger.column("best_regret")[-1] == ledger.column("regret")[1]  # the first with fitness 2
    assert np.isnan(truth.of(Architecture("elsewhere", ("a",)))).all()
    assert truth.of(table.at(int(table.column().argmax()))) == (1.0, 0.0)
