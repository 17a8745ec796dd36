"""What the events tell of one candidate, against what the searcher itself knew."""

import pytest

import naslab as nl
from naslab.analysis import candidate
from naslab.errors import SpecError
from naslab.events import Evaluated


@pytest.fixture(scope="module")
def table():
    return nl.benchmarks.NASBench201()


def test_hurdles_say_who_was_stopped_and_why(table):
    search = nl.Search(
        nl.searchers.Hurdles(table.space, steps=(12, 188), per_hurdle=4, population=5, sample=2, seed=1),
        estimator=table,
        budget=60,
    )
    fates, trials = {}, []
    for event in search:
        trials.append(event)
        fates[event.number] = candidate(search.events, event.number)
    (hurdle,) = {h for event in trials for h in event.details["hurdles"]}
    longer = {event.candidate for event in trials if event.fidelity == 200}
    assert longer
    assert len(longer) < len(trials) - len(longer)
    raised = next(event.step for event in trials if event.details["hurdles"])
    for event in trials:
        told = fates[event.number].fate
        if event.fidelity == 200:
            assert told == "ended after 200 epochs: it has had the longest training"
        elif event.step <= raised:
            assert told == "ended after 12 epochs: no hurdle stood there yet"
        elif event.fitness > hurdle:
            assert told == f"goes on after 12 epochs: {event.fitness:.4g} cleared the hurdle of {hurdle:.4g}"
            assert event.number in longer
        else:
            assert told == f"stopped after 12 epochs: {event.fitness:.4g} did not clear the hurdle of {hurdle:.4g}"
            assert event.number not in longer
    # one that was trained on: its curve, its parents and its children, whichever of its evaluations is named
    last = next(event for event in trials if event.fidelity == 200 and event.parents)
    one = candidate(trials, last.number)
    assert one == candidate(trials, last.candidate)
    assert one.number == last.candidate
    assert [(part.number, part.epochs) for part in one.trainings] == [(last.candidate, 12), (last.number, 200)]
    assert one.curve == ((12.0, one.trainings[0].fitness), (200.0, last.fitness))
    assert one.fitness == last.fitness
    assert [parent.number for parent in one.parents] == list(last.parents)
    children = [e.number for e in trials if e.origin == "mutation" and set(e.parents) & {last.number, last.candidate}]
    assert [child.number for child in one.children] == children
    assert [c for c in {e.candidate for e in trials} if candidate(trials, c).best] == [
        max(trials, key=lambda e: e.fitness).candidate
    ]


def test_halving_says_what_the_least_that_went_on_had(table):
    search = nl.Search(
        nl.searchers.SuccessiveHalving(table.space, candidates=4, epochs=(12, 200), eta=2, seed=0),
        estimator=table,
        budget=6,
    )
    events = [next(search) for _ in range(3)]
    assert candidate(events, 1).fate == "waits after 12 epochs: the rung is not complete; 2 of 4 go on"
    events += list(search)
    went = sorted(events[:4], key=lambda event: -event.fitness)
    assert [event.origin for event in events[4:]] == ["promotion"] * 2
    least = went[1].fitness
    for event in went[2:]:
        fate = candidate(events, event.number).fate
        assert fate == (
            f"stopped after 12 epochs: {event.fitness:.4g} is below {least:.4g}, the least that went on; 2 of 4 go on"
        )
    assert candidate(events, went[0].number).fate == "ended after 200 epochs: it has reached the top rung"


def test_a_failure_a_forecast_and_a_plain_candidate():
    def event(number, **given):
        told = dict(origin="random", parents=(), status="done", fitness=0.5, message="", best=None, best_fitness=None)
        architecture = nl.architecture.Architecture("tree", (number,))
        return Evaluated(step=number, number=number, architecture=architecture, settings={}, **{**told, **given})

    figures = {"stopped": 1.0, "epochs": 3.0, "predicted": 0.4, "curve/1": 0.1, "curve/2": 0.2, "curve/3": 0.3}
    events = [
        event(1, status="crashed", fitness=None, message="the process died"),
        event(2, figures=figures),
        event(3, parents=(2,), figures={"seconds": 2.5}),
    ]
    assert candidate(events, 1).fate == "crashed: the process died"
    assert candidate(events, 1).curve == ()
    foreseen = candidate(events, 2)
    assert foreseen.fate == "stopped after 3 epochs: it was foreseen to come to 0.4 and not to become the best"
    assert foreseen.curve == ((1.0, 0.1), (2.0, 0.2), (3.0, 0.3))
    assert [child.number for child in foreseen.children] == [3]
    assert candidate(events, 3).fate == "evaluated, as every candidate is"
    assert candidate(events, 3).trainings[0].seconds == 2.5
    for wrong in (4, True, "1", None):
        with pytest.raises(SpecError, match="1 to 3"):
            candidate(events, wrong)
