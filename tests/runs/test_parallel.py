"""Several candidates at once: the order of what is done is the journal's, and everything else follows from it."""

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

import naslab as nl
from naslab.errors import RunError, RunPaused, SpecError
from naslab.estimators import Workers
from naslab.searchers import EPNAS, Hurdles, LocalSearch, RandomSearch, RegularizedEvolution, SuccessiveHalving

PROPOSERS = {
    "random": lambda space: RandomSearch(space, seed=2),
    "evolution": lambda space: RegularizedEvolution(space, population=5, sample=2, seed=2),
    "local search": lambda space: LocalSearch(space, seed=2),
    "hurdles": lambda space: Hurdles(space, steps=(12, 188), population=4, sample=2, per_hurdle=4, seed=2),
    "halving": lambda space: SuccessiveHalving(space, candidates=6, epochs=(12, 200), seed=2),
}


class Breaking(Executor):
    """An executor that evaluates when it is told to, and breaks as a `ProcessPoolExecutor` does."""

    def __init__(self):
        self.open, self.broken = [], False

    def submit(self, fn, /, *args, **kwargs):
        if self.broken:
            raise BrokenExecutor("it is broken")
        self.open.append((future := Future(), partial(fn, *args, **kwargs)))
        return future

    def work(self, place):
        future, call = self.open.pop(place)
        future.set_result(call())

    def break_down(self):
        self.broken = True
        for future, _ in self.open:
            future.set_exception(BrokenExecutor("a process died"))
        self.open = []


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


def finished(search, executor):
    while search.step < search.total:
        if search.total - search.step < 3:
            executor.drain()
        next(search)
    return list(search.events)


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


@pytest.fixture
def breaking(benchmark, monkeypatch):
    """A search with three open and an executor that breaks; whenever the search waits, `script` says what happens."""
    executor, script = Breaking(), []
    search = nl.Search(RandomSearch(benchmark.space), estimator=benchmark, budget=4, workers=3, executor=executor)
    wait = nl.searchers.evaluations.wait

    def waiting(futures, **options):
        if script:
            script.pop(0)()
        if search.searcher.executor is executor:
            assert any(future.done() for future in futures), "it would wait for ever"
        return wait(futures, **options)

    monkeypatch.setattr(nl.searchers.evaluations, "wait", waiting)
    return search, executor, script


def test_what_was_done_before_the_executor_broke_is_told(breaking):
    search, executor, script = breaking
    script += [lambda: (executor.work(2), executor.work(1), executor.break_down())]
    events = [next(search) for _ in range(3)]
    assert [(event.number, event.status) for event in events] == [(1, "crashed"), (2, "done"), (3, "done")]
    with pytest.raises(RunPaused, match=r"Breaking.*it is broken.*Nothing is lost"):
        next(search)
    search.searcher.executor = ThreadPoolExecutor(1)
    assert [(event.number, event.status) for event in search] == [(4, "done")]
    search.searcher.executor.shutdown()


@pytest.mark.parametrize("late", [False, True])
def test_of_those_that_were_under_way_when_it_broke_one_has_crashed(breaking, late):
    """The others are evaluated again, also where the executor is slow to say that they are lost."""
    search, executor, script = breaking

    def first_lost():
        executor.broken = True
        executor.open.pop(0)[0].set_exception(BrokenExecutor("a process died"))

    script += [first_lost, executor.break_down] if late else [executor.break_down]
    event = next(search)
    assert (event.number, event.status) == (1, "crashed")
    assert event.message == "a process died; or another that was under way, which will be evaluated again"
    for _ in range(2):
        with pytest.raises(RunPaused):
            next(search)
    search.searcher.executor = ThreadPoolExecutor(1)
    assert sorted((event.number, event.status) for event in search) == [(2, "done"), (3, "done"), (4, "done")]
    search.searcher.executor.shutdown()


def test_an_executor_that_breaks_between_two_steps(breaking):
    search, executor, script = breaking
    script += [lambda: executor.work(0)]
    assert (next(search).number, executor.break_down()) == (1, None)
    assert (event := next(search)).status == "crashed", "or the one that kills it would do so for ever"
    assert event.number == 2
    with pytest.raises(RunPaused):
        next(search)


def test_an_executor_that_recovers_goes_on(breaking):
    search, executor, script = breaking

    def hiccup():
        executor.break_down()
        executor.broken = False

    script += [hiccup] * 9
    with pytest.warns(UserWarning, match="failed alike"):
        assert [event.status for event in search] == ["crashed"] * 4


# --- with real processes ------------------------------------------------------------------------------

SCORES = """
import os, signal, time

def score(architecture):
    first, second, *_ = architecture.choices
    if first == "none":
        os.kill(os.getpid(), signal.SIGKILL) if "conv" in second else os._exit(3)
    if first == "skip_connect":
        time.sleep(60)
    if first == "nor_conv_1x1":
        raise ValueError("no")
    return float("nan") if first == "avg_pool_3x3" else float(len(second))

def slow(architecture):
    time.sleep(0.05)
    return float(sum(map(len, architecture.choices)))

def stuck(architecture):
    time.sleep(60)

def deadly(architecture):
    if architecture.choices[0] == "none":
        os._exit(3)
    time.sleep(0.02)
    return float(sum(map(len, architecture.choices)))
"""
EXPECTED = {
    "none": "crashed",
    "skip_connect": "timed out",
    "nor_conv_1x1": "failed",
    "avg_pool_3x3": "failed",
    "nor_conv_3x3": "done",
}


@pytest.fixture(scope="module")
def scores(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scores")
    (folder / "naslab_test_scores.py").write_text(SCORES)
    sys.path.insert(0, str(folder))
    import naslab_test_scores

    yield naslab_test_scores
    sys.path.remove(str(folder))


def kind(event):
    return event.architecture.choices[0]


@pytest.mark.slow
def test_whatever_becomes_of_a_candidate_is_a_status(benchmark, scores, tmp_path, state_of):
    with Workers(2, timeout=1, tries=2) as workers:
        sampler = RandomSearch(benchmark.space, seed=3)
        search = nl.Search(
            sampler,
            tmp_path / "run",
            estimator=scores.score,
            budget=20,
            workers=2,
            executor=workers,
            snapshot_every=99,
        )
        events = list(search)
        assert {kind(event) for event in events} == set(EXPECTED)
        for event in events:
            assert event.status == EXPECTED[kind(event)]
            assert event.fitness == (len(event.architecture.choices[1]) if event.status == "done" else None)
            assert bool(event.message) == (event.status != "done")
        assert max(event.fitness for event in events if event.fitness) == events[-1].best_fitness
        assert workers.submit(len, "ab").result(60) == 2
        moment = state_of(search)
        search.close()
        assert state_of(nl.Search.open(tmp_path / "run", estimator=scores.score)) == moment


def spawned(workers):
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))


def until_paused(search):
    """The events until the executor breaks; none if it does not."""
    with pytest.raises(RunPaused, match=r"ProcessPoolExecutor.*broken.*Nothing is lost.*executor=.*workers=2"):
        list(search)
    step = search.step
    with pytest.raises(RunPaused, match="broken"):  # and again, without a word in the journal
        next(search)
    assert search.step == step
    return [event for event in search.events if event.kind == "evaluated"]


@pytest.mark.slow
@pytest.mark.parametrize(("workers", "then"), [(1, "executors"), (2, "workers")])
def test_an_executor_that_breaks_pauses_the_search(benchmark, scores, tmp_path, workers, then):
    with spawned(workers) as executor:
        search = nl.Search(
            RandomSearch(benchmark.space, seed=10),
            tmp_path / "run",
            estimator=scores.deadly,
            budget=15,  # so many that the pool is found broken before all others are done
            workers=workers,
            executor=executor,
            snapshot_every=3,
        )
        before = until_paused(search)
    [crashed] = [event for event in before if event.status == "crashed"]
    assert "abruptly" in crashed.message
    if workers == 1:  # with two, another may have been under way, and then it may have been that one
        assert "another" not in crashed.message
    search.close()
    with spawned(workers) as executor:
        given = {"executor": executor} if then == "executors" else {"workers": 2}
        search = nl.Search.open(tmp_path / "run", estimator=scores.deadly, **given)
        assert list(search.events)[: len(before)] == before
        list(search)
    events = [event for event in search.events if event.kind == "evaluated"]
    assert sorted(event.number for event in events) == list(range(1, 16))
    assert [event.number for event in events if kind(event) == "none"] == [5]
    assert {event.number for event in events if event.status != "done"} == {5, crashed.number}
    if workers == 1:
        assert crashed.number == 5
    search.close()


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


def test_closing_ends_what_is_under_way(benchmark, scores):
    search = nl.Search(RandomSearch(benchmark.space), estimator=scores.stuck, budget=4, workers=2)
    trials = search.searcher
    trials._ask()
    trials.evaluations.pool = pool = Workers(2)
    trials.evaluations.under_way = {
        trial: pool.submit(trials.evaluations.evaluate, trial.architecture) for trial in trials.sampler.open
    }
    end = time.monotonic() + 60
    while len(pool.processes) < 2:
        assert time.monotonic() < end
        time.sleep(0.01)
    trials.cancel(1)
    event = next(search)
    assert (event.number, event.status, event.fitness) == (1, "cancelled", None)
    start = time.monotonic()
    search.close()
    assert time.monotonic() - start < 2
    assert pool.processes == []


def living(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def descendants(pid):
    """Process ids of the children, and of theirs."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in map(int, (task / "children").read_text().split()):
            found += [child, *descendants(child)]
    return found


KILLED = """
import sys
sys.path.insert(0, sys.argv[2])
from naslab_test_scores import slow
import naslab as nl
if __name__ == "__main__":
    table = nl.benchmarks.NASBench201()
    sampler = nl.searchers.RegularizedEvolution(table.space, population=5, sample=2, seed=4)
    search = nl.Search(sampler, sys.argv[1], estimator=slow, budget=40, workers=2, snapshot_every=9)
    for event in search:
        print(event.step, flush=True)
"""


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


@pytest.mark.slow
@pytest.mark.parametrize(("code", "workers"), [(signal.SIGKILL, 2), (signal.SIGKILL, 4), (signal.SIGTERM, 1)])
def test_a_killed_search_reopens_with_every_candidate_told_once(scores, tmp_path, code, workers):
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    arguments = [sys.executable, str(script), str(tmp_path / "run"), os.path.dirname(scores.__file__)]
    with subprocess.Popen(
        arguments, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    ) as process:
        for line in process.stdout:
            if int(line) == 17:
                children = descendants(process.pid)
                process.send_signal(code)
                break
    ends = {-code, 0} if code == signal.SIGTERM else {-code}  # the signal may find a step, which is finished first
    assert process.returncode in ends
    assert len(children) >= 4, "the two workers, the server that forks them, the tracker"
    end = time.monotonic() + 10
    while any(map(living, children)):
        assert time.monotonic() < end, "an orphan"
        time.sleep(0.05)
    search = nl.Search.open(tmp_path / "run", estimator=scores.slow, workers=workers)
    assert search.step >= 17
    logged = [event.number for event in search.events if event.kind == "evaluated"]
    [opened] = search.searcher.sampler.open
    assert sorted([*logged, opened.number]) == list(range(1, search.step + 2))
    list(search)
    numbers = [event.number for event in search.events if event.kind == "evaluated"]
    assert sorted(numbers) == list(range(1, 41))
    search.rewind(5)
    assert [event.number for event in search.events if event.kind == "evaluated"] == numbers[:5]
    search.close()


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
