"""Progressive dynamic hurdles, against the algorithm carried out by hand from its events."""

import math
from collections import Counter
from itertools import pairwise

import pytest

import naslab as nl
from naslab.errors import SpecError
from naslab.searchers import BlackBoxSearch, Hurdles

SIZES = dict(population=5, sample=3, per_hurdle=7)


@pytest.fixture
def curve(benchmark):
    """Fitness after some epochs: it rises, for each architecture in its own way."""

    class Curve:
        space, keeps_weights = benchmark.space, False

        def __call__(self, architecture):
            raise AssertionError("the searcher says for how long")

        def train(self, architecture, *, fidelity=None, begin=None, keep=None):
            number = benchmark.index(architecture)
            return nl.estimators.Score((number % 97) / 97 + fidelity * (1 + number % 7) / 7)

        def spec(self):
            return {"estimator": "curve"}

        def fingerprint(self):
            return "curve"

    return Curve()


def played(sampler, estimator, budget):
    trials = BlackBoxSearch(sampler, estimator, budget)
    return [trials.advance() for _ in range(budget)]


def test_a_hurdle_is_the_mean_of_those_with_the_longest_training(benchmark, curve):
    """The population, the hurdles and who trains on are worked out again, from the events alone."""
    sampler = Hurdles(benchmark.space, steps=(1, 2, 3), seed=5, **SIZES)
    trials = BlackBoxSearch(sampler, curve, 400)
    epochs, hurdles, alive, children = [1, 3, 6], [], {}, 0
    expected = None
    for _ in range(400):
        event = trials.advance()
        if expected is not None:  # it cleared a hurdle: it is trained on at once
            assert (event.candidate, event.begins_from, event.fidelity, event.origin) == (*expected, "hurdle")
        else:
            assert (event.candidate, event.begins_from, event.fidelity) == (event.number, None, 1)
        level = epochs.index(event.fidelity)
        if level < len(hurdles) and event.fitness > event.details["hurdles"][level]:
            expected = event.candidate, event.number, epochs[level + 1]
            assert event.details["hurdles"] == pytest.approx(hurdles)
            continue
        expected = None
        before, alive = alive, {each.number: each for each in sampler.population}
        assert alive[event.number].cleared == level
        removed = before.keys() - alive.keys()
        assert len(removed) == (len(before) == SIZES["population"])
        children += bool(event.parents)
        if children == SIZES["per_hurdle"] and len(hurdles) < 2:
            longest = [each.fitness for each in alive.values() if each.cleared == len(hurdles)]
            hurdles.append(sum(longest) / len(longest))
            children = 0
        assert event.details["hurdles"] == pytest.approx(hurdles)
    assert len(hurdles) == 2
    assert sampler.hurdles == pytest.approx(hurdles)


def test_stopped_ones_are_counted(benchmark, curve):
    events = played(Hurdles(benchmark.space, steps=(1, 2, 3), seed=5, **SIZES), curve, 300)
    ends = Counter()
    for event, later in pairwise(events):
        if later.begins_from != event.number:
            ends[event.fidelity] += 1
    stopped = events[-2].details["stopped"]
    assert [ends[epochs] for epochs in (1, 3, 6)] == stopped
    assert min(stopped) > 0
    assert sum(event.fidelity == 6 for event in events) < len(events) / 2, "hurdles spare training"


def test_the_least_fit_of_the_drawn_dies_and_the_fittest_bears(benchmark, curve):
    """With the whole population drawn again and again, only the fittest has children, and the least fit dies."""
    sampler = Hurdles(benchmark.space, steps=(1,), seed=1, population=4, sample=4, per_hurdle=5)
    sampler._drawn = lambda: list(sampler._alive)
    trials = BlackBoxSearch(sampler, curve, 60)
    for _ in range(60):
        before = sampler.population
        event = trials.advance()
        if len(before) == 4:
            assert event.parents == (max(before).number,)
            assert set(before) - set(sampler.population) == {min(before)}


def test_the_fitness_must_exceed_the_hurdle(benchmark):
    """All alike: the hurdle is what everybody has, and nobody clears it. (The second hurdle then waits.)"""
    space = benchmark.space
    sampler = Hurdles(space, steps=(1, 1, 1), seed=0, population=2, sample=1, per_hurdle=3)
    for _ in range(20):
        trial = sampler.ask()
        assert trial.fidelity == 1
        sampler.tell(trial, 0.5)
    assert sampler.hurdles == (0.5,)
    assert sampler.diagnostics["waiting"] == 20 - 2 - 3 - 3
    assert sampler.diagnostics["stopped"] == [20, 0, 0]


def test_every_candidate_below_the_hurdle_or_failing_and_it_goes_on(benchmark):
    sampler = Hurdles(benchmark.space, steps=(1, 1), seed=0, population=3, sample=2, per_hurdle=2)
    for number in range(5):
        sampler.tell(sampler.ask(), float(number))
    assert len(sampler.hurdles) == 1
    for _ in range(50):
        trial = sampler.ask()
        assert trial.fidelity == 1
        sampler.tell(trial, -1.0 if trial.number % 2 else None)
    assert len(sampler.population) == 3
    while (trial := sampler.ask()).begins_from is None:
        sampler.tell(trial, 99.0)
    sampler.tell(trial, None)  # it fails while it trains on
    assert trial.number not in [member.number for member in sampler.population]
    assert sampler.ask().begins_from is None


def test_with_one_step_there_are_no_hurdles(benchmark):
    events = played(Hurdles(benchmark.space, steps=(200,), seed=0, **SIZES), benchmark, 40)
    assert {event.fidelity for event in events} == {200}
    assert events[-1].details["hurdles"] == []
    assert events[-1].details["waiting"] == 0


def test_on_a_table_with_its_seconds(benchmark):
    table = nl.estimators.Table(benchmark, "valid_accuracy", epochs=12)
    events = played(Hurdles(benchmark.space, steps=(12, 188), seed=0, **SIZES), table, 100)
    for event in events:
        epochs = int(event.fidelity)
        assert event.fitness == benchmark.query(event.architecture, epochs=epochs).valid_accuracy
        seconds = benchmark.query(event.architecture).seconds
        assert event.figures["seconds"] == pytest.approx(seconds * {12: 0.06, 200: 0.94}[epochs])
    assert {event.fidelity for event in events} == {12, 200}


def test_a_table_that_does_not_know_so_many_epochs_says_so(benchmark):
    with pytest.raises(nl.estimators.UnknownFidelity, match=r"for 10 epochs, but .* known after 200, 12 epochs"):
        BlackBoxSearch(Hurdles(benchmark.space, steps=(10, 190)), benchmark, 5)
    with pytest.raises(nl.estimators.UnknownFidelity, match=r"has no choice of it.*Training"):
        BlackBoxSearch(Hurdles(benchmark.space), lambda architecture: 1.0, 5)
    macro = nl.benchmarks.NASBenchMacro()
    with pytest.raises(nl.estimators.UnknownFidelity, match="after the whole training only"):
        BlackBoxSearch(Hurdles(macro.space), macro, 5)


# --- as in the paper: each field with a probability, and a beginning that is given -----------------------


def test_the_population_begins_with_what_is_given(benchmark, curve):
    given = [benchmark.at(number) for number in (5, 77, 900)]
    sampler = Hurdles(benchmark.space, seed=4, first=[given[0], *(one.choices for one in given[1:])], **SIZES)
    events = played(sampler, curve, 8)
    assert [event.architecture for event in events[:3]] == given
    assert [event.origin for event in events] == ["first"] * 3 + ["random"] * 2 + ["mutation"] * 3
    assert sampler.from_spec(sampler.spec()).hyperparameters == sampler.hyperparameters
    with pytest.raises(SpecError, match="at most as many as the population, 5, not 6"):
        Hurdles(benchmark.space, first=[given[0]] * 6, **SIZES)


def test_each_choice_of_a_child_changes_with_the_probability(benchmark, curve):
    sampler = Hurdles(benchmark.space, seed=4, mutation_rate=0.25, **SIZES)
    events = {event.number: event for event in played(sampler, curve, 1500)}
    changed = Counter(
        benchmark.space.distance(event.architecture, events[event.parents[0]].architecture)
        for event in events.values()
        if event.origin == "mutation"
    )
    drawn = sum(changed.values())
    expected = [math.comb(6, n) * 0.25**n * 0.75 ** (6 - n) for n in range(7)]
    expected[1] += expected[0]  # where nothing would change, one choice is changed
    assert changed[0] == 0
    for n in range(1, 7):
        assert abs(changed[n] - drawn * expected[n]) < 4 * math.sqrt(drawn * expected[n] * (1 - expected[n]))
    for wrong in (0, 1.5, "often", True):
        with pytest.raises(SpecError, match="mutation_rate"):
            Hurdles(benchmark.space, mutation_rate=wrong)
