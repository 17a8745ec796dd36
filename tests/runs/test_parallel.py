"""Several candidates at once: the order of what is done is the journal's, and everything else follows from it."""

import random
import time
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from pools import PROPOSERS, finished

import naslab as nl
from naslab.errors import RunError, SpecError
from naslab.searchers import EPNAS, RandomSearch, RegularizedEvolution


class Shuffled(nl.estimators.Workers):
    """An executor that computes at once, and says so in a random order: of several waiting, any may be first."""

    def __init__(self, at_once, seed):
        self._random, self._waiting, self._at_once = random.Random(seed), [], at_once

    def submit(self, fn, /, *args, **kwargs):
        self._waiting.append((future := Future(), fn, args, kwargs))
        if len(self._waiting) == self._at_once:
            future_, fn_, args_, kwargs_ = self._waiting.pop(self._random.randrange(self._at_once))
            future_.set_result(fn_(*args_, **kwargs_))
        return future

    def cancel(self, future):
        self._waiting = [one for one in self._waiting if one[0] is not future]

    def drain(self):
        for future, fn, args, kwargs in self._waiting:
            future.set_result(fn(*args, **kwargs))
        self._waiting = []


@pytest.fixture(scope="module")
def benchmark():
    return nl.benchmarks.NASBench201()


@pytest.fixture(params=PROPOSERS)
def sampler(request, benchmark):
    return lambda: PROPOSERS[request.param](benchmark.space)


def shuffled(sampler, benchmark, run=None, budget=40, seed=0, every=6):
    executor = Shuffled(3, seed)
    search = nl.Search(
        sampler(), run, estimator=benchmark, budget=budget, workers=3, executor=executor, snapshot_every=every
    )
    return search, executor


def test_each_is_told_once_in_the_order_in_which_it_was_done(sampler, benchmark):
    search, executor = shuffled(sampler, benchmark)
    events = finished(search, executor)
    assert [event.step for event in events] == list(range(1, 41))
    assert sorted(event.number for event in events) == list(range(1, 41))
    assert [event.number for event in events] != list(range(1, 41))
    assert search.searcher.sampler.open == ()
    late = max(event.number - event.step for event in events)
    assert late == 2, "three are open, no more"
    for event in events:
        assert event.fitness == benchmark.query(event.architecture, epochs=int(event.fidelity or 200)).test_accuracy


@pytest.mark.parametrize("step", [0, 4, 6, 17, 39])
@pytest.mark.slow
def test_rewind_and_open_repeat_the_order_of_the_journal(sampler, benchmark, state_of, tmp_path, step):
    search, executor = shuffled(sampler, benchmark, tmp_path / "run", every=5)
    moments = [state_of(search)]
    while search.step < 40:
        if search.step > 37:
            executor.drain()
        next(search)
        moments.append(state_of(search))
    with search.fork(tmp_path / "fork", step=step) as fork:
        assert state_of(fork) == moments[step]
    search.rewind(step)
    assert state_of(search) == moments[step]
    search.close()
    again = nl.Search.open(tmp_path / "run", executor=Shuffled(3, 0))
    assert again.step == step
    assert state_of(again) == moments[step]


def test_what_is_under_way_is_kept_when_the_search_comes_back_to_it(benchmark):
    asked = []

    def score(architecture):
        asked.append(architecture)
        return float(len(architecture.choices))

    search = nl.Search(
        RandomSearch(benchmark.space), estimator=score, budget=9, workers=3, executor=ThreadPoolExecutor(1)
    )
    next(search)
    search._lost = True  # as after an interrupt
    list(search)
    assert len(asked) == 9
    search.searcher.executor.shutdown()


def test_an_interrupt_while_waiting(benchmark, monkeypatch):
    search, executor = shuffled(lambda: RandomSearch(benchmark.space, seed=2), benchmark)
    calm, calm_executor = shuffled(lambda: RandomSearch(benchmark.space, seed=2), benchmark)
    for _ in range(5):
        next(search)

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(nl.searchers.evaluations, "wait", interrupted)
        with pytest.raises(KeyboardInterrupt):
            next(search)
    assert search.step == 5
    assert finished(search, executor) == finished(calm, calm_executor)


def test_the_knobs_are_those_with_which_it_was_asked(benchmark):
    search, executor = shuffled(lambda: RegularizedEvolution(benchmark.space, population=5, sample=2), benchmark)
    for _ in range(10):
        next(search)
    opened = {trial.number for trial in search.searcher.sampler.open}
    assert len(opened) == 2
    search.set("sample", 4)
    events = [event for event in finished(search, executor) if event.kind == "evaluated"]
    for event in events:
        old = event.number in opened or event.step <= 10
        assert event.knobs == {"sample": 2 if old else 4}


def test_the_run_knows_its_workers(benchmark, tmp_path):
    search, _ = shuffled(lambda: RandomSearch(benchmark.space), benchmark, tmp_path / "run")
    next(search)
    search.close()
    assert nl.runs.read(tmp_path / "run").spec["workers"] == 3
    for workers in (0, True, 1.5):
        with pytest.raises(SpecError, match="workers"):
            nl.Search(RandomSearch(benchmark.space), estimator=benchmark, budget=3, workers=workers)


def test_a_candidate_that_is_not_evaluated_cannot_be_cancelled(benchmark):
    search, _ = shuffled(lambda: RandomSearch(benchmark.space), benchmark)
    with pytest.raises(RunError, match="7 is not being evaluated; those that are: none"):
        search.searcher.cancel(7)


def test_workers_of_its_own_and_the_same_search_with_one_or_two(benchmark, tmp_path):
    """Random search asks the same whoever is first, so that only the order may differ."""
    found = {}
    for workers in (1, 2):
        search = nl.Search(RandomSearch(benchmark.space, seed=1), estimator=benchmark, budget=30, workers=workers)
        found[workers] = {event.number: (event.architecture, event.fitness) for event in search}
        search.close()
    assert found[1] == found[2]
    assert search.searcher.evaluations.pool is None


@pytest.mark.slow
def test_epnas_trains_its_children_in_two_processes(state_of, tmp_path):
    """Children are told in whatever order they are done, also when the next layer's turn has come meanwhile."""
    space = nl.spaces.ChainSkips(layers=3, channels=2, kernels=(1, 3), filters=(1, 2), strides=(1, 2))
    training = nl.estimators.Training(space, nl.tasks.Digits(), data=0.05, epochs=1, batch_size=32)
    sampler = EPNAS(space, units=5, children=2, per_layer=4, imagined=4, parents=2, seed=3)
    search = nl.Search(sampler, tmp_path / "run", estimator=training, budget=11, workers=2, snapshot_every=4)
    begun = [next(search) for _ in range(6)]
    assert len(search.searcher.evaluations.pool.processes) == 2
    middle = state_of(search)
    search.close()  # one is under way, and begins again
    search = nl.Search.open(tmp_path / "run")
    assert (search.searcher.workers, state_of(search)) == (2, middle)
    events = [*begun, *search]
    assert sorted(event.number for event in events) == list(range(1, 12))
    assert {event.status for event in events} == {"done"}
    assert max(len(space.layers_of(event.architecture)) for event in events) == 3
    assert search.searcher.sampler.open == ()
    assert set(search.searcher.sampler._known) == {event.architecture.choices for event in events}
    end = state_of(search)
    search.close()
    with nl.Search.open(tmp_path / "run") as again:
        assert (list(again.events), state_of(again)) == (events, end)


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.slow
def test_a_run_goes_on_with_another_number_of_workers(sampler, benchmark, tmp_path, state_of, workers):
    """The past is exact; each candidate is told once; and the change is a part of the run from then on."""
    search, executor = shuffled(sampler, benchmark, tmp_path / "run", every=7)
    for _ in range(16):
        next(search)
    past, moment = list(search.events), state_of(search)
    search.close()
    executor = ThreadPoolExecutor(1) if workers > 1 else None
    search = nl.Search.open(tmp_path / "run", workers=workers, executor=executor)
    assert (list(search.events), state_of(search)) == (past, moment)
    for _ in range(10):
        next(search)
    search.close()
    search = nl.Search.open(tmp_path / "run", executor=executor)
    assert search.searcher.workers == workers
    moments = {search.step: state_of(search)}
    for _ in search:
        assert len(search.searcher.sampler.open) < max(workers, 3)
        moments[search.step] = state_of(search)
    changes = [event for event in search.events if event.kind == "changed"]
    assert changes == [nl.events.Changed(step=17, name="workers", old=3, new=workers)]
    assert sorted(event.number for event in search.events if event.kind == "evaluated") == list(range(1, 41))
    for step in (39, 26, 16, 3):
        search.rewind(step)
        assert state_of(search) == moments.get(step, moment if step == 16 else state_of(search))
    assert search.searcher.workers == 3, "as at that step"
    search.close()


def test_workers_are_hired_and_dismissed_on_the_way(benchmark):
    search = nl.Search(RandomSearch(benchmark.space, seed=1), estimator=benchmark, budget=40)
    alone = [(event.architecture, event.fitness) for event in search]
    search = nl.Search(RandomSearch(benchmark.space, seed=1), estimator=benchmark, budget=40)
    told = {}
    for step, workers in ((5, 3), (12, 2), (20, 4), (30, 1)):
        while search.step < step:
            event = next(search)
            told[event.number] = event.architecture, event.fitness
        search.set("workers", workers)
    told |= {event.number: (event.architecture, event.fitness) for event in search}
    assert [told[number] for number in range(1, 41)] == alone
    assert search.searcher.evaluations.pool.workers == 4
    assert search.searcher.evaluations.under_way == {}, "none was evaluated here and there"
    search.close()
    assert search.knobs == {}


@pytest.mark.parametrize("workers", [0, -1, 1.5, True, "two"])
def test_a_number_of_workers_that_is_none_leaves_the_run_as_it_is(benchmark, tmp_path, workers):
    with nl.Search(RandomSearch(benchmark.space), tmp_path / "run", estimator=benchmark, budget=9) as search:
        next(search)
    with pytest.raises(SpecError, match="workers must be a whole number"):
        nl.Search.open(tmp_path / "run", workers=workers)
    with nl.Search.open(tmp_path / "run") as search:
        assert len(list(search)) == 8
    with pytest.raises(SpecError, match="workers must be a whole number"):
        nl.Search.open(tmp_path / "run", workers=workers)  # also when all is done


def test_what_is_under_way_and_no_longer_wanted_is_forgotten(benchmark):
    def score(architecture):
        time.sleep(0.05)
        return 1.0

    with ThreadPoolExecutor(3) as executor:
        search = nl.Search(RandomSearch(benchmark.space), estimator=score, budget=20, workers=3, executor=executor)
        for _ in range(8):
            next(search)
        time.sleep(0.3)  # by now the two that are open are done
        search.rewind(0)
        assert [next(search).number <= 3 for _ in range(1)] == [True]
        assert {trial.number for trial in search.searcher.evaluations.under_way} <= {1, 2, 3}
