"""A sampler with an estimator is driven, kept, resumed, rewound and forked like any other search."""

import json
import os
import subprocess
import sys

import pytest

import naslab as nl
from naslab.errors import RunError, SpecError
from naslab.events import Changed, Evaluated

PROPOSERS = {
    "random_search": nl.searchers.RandomSearch,
    "regularized_evolution": lambda space, **given: nl.searchers.RegularizedEvolution(
        space, population=5, sample=2, **given
    ),
    "local_search": nl.searchers.LocalSearch,
}


@pytest.fixture(scope="module")
def benchmark():
    return nl.benchmarks.NASBench201()


@pytest.fixture(params=PROPOSERS)
def sampler(request, benchmark):
    return lambda seed=0: PROPOSERS[request.param](benchmark.space, seed=seed)


@pytest.fixture(params=["memory", "folder"])
def begin(request, sampler, benchmark, tmp_path):
    """Begins a search of 30 candidates with a snapshot every 7."""

    def begin(estimator=None, budget=30):
        run = None if request.param == "memory" else nl.runs.fresh(tmp_path / "run")
        return nl.Search(sampler(), run=run, estimator=estimator or benchmark, budget=budget, snapshot_every=7)

    return begin


class Flaky:
    """Counts what it is asked; every third candidate fails."""

    def __init__(self):
        self.asked = []

    def __call__(self, architecture):
        self.asked.append(architecture)
        if len(self.asked) % 3 == 0:
            raise RuntimeError("no")
        return float(len(self.asked))


def test_one_evaluation_one_step_one_event_until_the_budget_is_spent(begin, benchmark):
    search = begin()
    events = list(search)
    assert all(isinstance(event, Evaluated) for event in events)
    assert [event.step for event in events] == [event.number for event in events] == list(range(1, 31))
    assert (search.step, search.total) == (30, 30)
    with pytest.raises(StopIteration):
        next(search)
    for event in events:
        assert event.fitness == benchmark.query(event.architecture).test_accuracy
    assert benchmark.query(search.best).test_accuracy == max(event.fitness for event in events)
    assert list(search.events) == events


def test_the_budget_counts_evaluations_and_failures(begin):
    score = Flaky()
    search = begin(score, budget=10)
    statuses = [event.status for event in search]
    assert len(score.asked) == 10
    assert statuses == ["done", "done", "failed"] * 3 + ["done"]
    assert search.events[2].message == "RuntimeError: no"
    assert search.best == score.asked[9]


@pytest.mark.parametrize("step", [0, 3, 7, 20, 30])
def test_rewind_is_exact(begin, state_of, step):
    search = begin()
    moments = [state_of(search), *(state_of(search) for _ in search)]
    events = list(search.events)
    search.rewind(step)
    assert (search.step, state_of(search)) == (step, moments[step])
    list(search)
    assert list(search.events) == events
    assert state_of(search) == moments[-1]


def test_every_moment_can_be_forked(begin, state_of, tmp_path):
    search = begin()
    moments = [state_of(search), *(state_of(search) for _ in search)]
    for step in (0, 5, 14, 29):
        with search.fork(tmp_path / f"fork-{step}", step=step) as fork:
            assert state_of(fork) == moments[step]
            list(fork)
            assert list(fork.events) == list(search.events)


def test_nothing_is_evaluated_twice(begin, tmp_path, state_of):
    """What has to be done again to reach a moment takes the fitness from the journal."""
    score = Flaky()
    search = begin(score)
    for _ in range(20):
        next(search)
    moment = state_of(search)
    search.fork(tmp_path / "fork", step=11).close()
    search._lost = True  # as after an interrupt
    assert state_of(search) == moment
    assert search.best == search.best
    assert len(score.asked) == 20
    search.rewind(17)
    assert len(score.asked) == 20


def test_an_interrupt_loses_no_candidate_and_tells_none_twice(begin):
    calm, interrupted = begin(), []

    def score(architecture):
        if len(interrupted) < 3 and len(search.events) == 9:
            interrupted.append(architecture)
            raise KeyboardInterrupt
        return table(architecture)

    table = nl.estimators.Table(nl.benchmarks.NASBench201())
    search = begin(nl.estimators.Function(score, objectives=table.objectives))
    while search.step < search.total:
        try:
            next(search)
        except KeyboardInterrupt:
            assert search.step == 9
    assert len(set(interrupted)) == 1
    assert len(interrupted) == 3
    assert list(search.events) == list(calm)


def test_a_run_is_opened_again(sampler, benchmark, tmp_path, state_of):
    path = tmp_path / "run"
    table = nl.estimators.Table(benchmark, "valid_accuracy", epochs=12)
    calm = nl.Search(sampler(), estimator=table, budget=30)
    expected = list(calm)
    for stop in (4, 11, 30):
        search = nl.Search.open(path) if path.exists() else nl.Search(sampler(), path, estimator=table, budget=30)
        while search.step < stop:
            next(search)
        search.close()
    search = nl.Search.open(path)
    assert list(search.events) == expected
    assert state_of(search) == state_of(calm)
    assert search.best == calm.best
    assert (search.step, search.total) == (30, 30)
    assert search.searcher.spec() == calm.searcher.spec()


KILLED = """
import os, sys, naslab as nl
table = nl.benchmarks.NASBench201()
sampler = nl.searchers.RegularizedEvolution(table.space, population=5, sample=2, seed=4)
search = nl.Search(sampler, sys.argv[1], estimator=table, budget=40, snapshot_every=9)
for event in search:
    if event.step == 25:
        os._exit(9)
"""


@pytest.mark.slow
def test_a_killed_search_goes_on_with_every_candidate_told_once(benchmark, tmp_path):
    path = tmp_path / "run"
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(path)], env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=120
    )
    assert done.returncode == 9
    search = nl.Search.open(path)
    assert search.step == 25
    steps = [*(event for event in search.events if isinstance(event, Evaluated)), *search]
    sampler = nl.searchers.RegularizedEvolution(benchmark.space, population=5, sample=2, seed=4)
    assert steps == list(nl.Search(sampler, estimator=benchmark, budget=40))


def test_a_function_is_to_be_given_again(sampler, tmp_path):
    score = Flaky()
    with nl.Search(sampler(), tmp_path / "run", estimator=score, budget=9, snapshot_every=100) as search:
        for _ in range(5):
            next(search)
    with pytest.raises(SpecError, match=r"'Flaky'.*Search.open\(path, estimator=function\)"):
        nl.Search.open(tmp_path / "run")
    with pytest.raises(RunError, match=r"estimator is not the estimator of the run.*as estimator="):
        nl.Search.open(tmp_path / "run", estimator=len)
    assert nl.Search.open(tmp_path / "run", estimator=score).step == 5
    assert len(score.asked) == 5


def test_another_training_is_told_apart(tmp_path):
    space, digits = nl.spaces.DartsCell(nodes=2, channels=2, cells=3), nl.tasks.Digits()
    begun, other = (nl.estimators.Training(space, digits, epochs=1, channels_last=last) for last in (False, None))
    nl.Search(nl.searchers.RandomSearch(space, seed=0), tmp_path / "run", estimator=begun, budget=1).close()
    with pytest.raises(RunError, match=r"expected \w+ \(recipe.channels_last was False, now None\)\. Pass the same"):
        nl.Search.open(tmp_path / "run", estimator=other)
    nl.Search.open(tmp_path / "run").close()


def test_another_table_is_noticed(sampler, benchmark, tmp_path):
    nl.Search(sampler(), tmp_path / "run", estimator=benchmark, budget=9).close()
    with pytest.raises(RunError, match="estimator is not the estimator"):
        nl.Search.open(tmp_path / "run", estimator=nl.benchmarks.NASBench201("cifar100"))


def test_a_knob_is_turned_and_logged(benchmark):
    sampler = nl.searchers.RegularizedEvolution(benchmark.space, population=5, sample=2)
    search = nl.Search(sampler, estimator=benchmark, budget=30)
    next(search)
    search.set("sample", 4)
    assert next(search).knobs == {"sample": 4.0}
    assert search.events[1] == Changed(step=2, name="sample", old=2, new=4.0)
    list(search)
    events = list(search.events)
    search.rewind(10)
    list(search)
    assert list(search.events) == events


def test_nothing_to_turn_and_nothing_to_measure(begin):
    search = begin()
    with pytest.raises(SpecError, match="w_lr"):
        search.set("w_lr", 0.1)
    with pytest.raises(SpecError, match="cannot measure"):
        search.measure("alpha_norm")
    assert search.task is None


def test_best_before_the_first_step(begin):
    search = begin()
    with pytest.raises(RunError, match="none has been evaluated yet"):
        _ = search.best


def test_a_supernet_searcher_takes_neither_estimator_nor_budget(small, benchmark):
    for given in ({"estimator": benchmark}, {"budget": 3}):
        with pytest.raises(SpecError, match="for samplers"):
            nl.Search(small(), **given)


@pytest.mark.parametrize("given", [{}, {"budget": 3}, {"estimator": len}, {"estimator": len, "budget": 0}])
def test_a_proposer_needs_both(sampler, given):
    with pytest.raises(SpecError, match=r"estimator|budget"):
        nl.Search(sampler(), **given)


def test_the_run_says_what_it_is(benchmark, tmp_path):
    sampler = nl.searchers.RandomSearch(benchmark.space, seed=7)
    nl.Search(sampler, tmp_path / "run", estimator=benchmark, budget=9).close()
    reader = nl.runs.read(tmp_path / "run")
    assert reader.total == 9
    assert reader.space == benchmark.space
    assert json.loads(json.dumps(reader.spec)) == {
        "searcher": "random_search",
        "space": benchmark.space.spec(),
        "seed": 7,
        "hyperparameters": {},
        "estimator": {
            "estimator": "table",
            "benchmark": {"benchmark": "nasbench201", "data_set": "cifar10"},
            "metric": "test_accuracy",
            "epochs": None,
        },
        "objectives": [["test_accuracy", "max", "per cent"]],
        "budget": 9,
    }
    assert reader.objectives == (nl.estimators.Objective("test_accuracy", "max", "per cent"),)


@pytest.mark.parametrize(
    ("sampler", "longest"),
    [
        (lambda space: nl.searchers.Hurdles(space, steps=(1, 1, 5)), 7),
        (lambda space: nl.searchers.Hyperband(space, most=9), 9),
        (lambda space: nl.searchers.SuccessiveHalving(space), None),
    ],
)
def test_trainings_that_are_not_to_be_had_are_refused_before_the_first(sampler, longest):
    space, digits = nl.spaces.NASBench201(channels=4, cells=1), nl.tasks.Digits()
    asked = sampler(space)
    longest = longest or max(asked.fidelities)
    with pytest.raises(SpecError, match=rf"epochs={longest}\)"):
        nl.Search(asked, estimator=nl.estimators.Training(space, digits, epochs=longest - 1), budget=60)
    nl.Search(sampler(space), estimator=nl.estimators.Training(space, digits, epochs=longest), budget=60).close()


def test_a_misspelt_limit_stops_the_search_instead_of_failing_every_candidate(benchmark):
    limited = nl.estimators.Constrained(nl.estimators.Table(benchmark), {"parms": 1000})
    search = nl.Search(nl.searchers.RandomSearch(benchmark.space), estimator=limited, budget=3)
    with pytest.raises(SpecError, match="no metric 'parms'"):
        next(search)
    assert search.step == 0
