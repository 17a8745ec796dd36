"""What becomes of candidates whose executor breaks, whose process dies, or whose search is killed."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from pools import PROPOSERS, kind

import naslab as nl
from naslab.errors import RunPaused
from naslab.estimators import Workers
from naslab.searchers import RandomSearch


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


@pytest.fixture(scope="module")
def benchmark():
    return nl.benchmarks.NASBench201()


@pytest.fixture(params=PROPOSERS)
def sampler(request, benchmark):
    return lambda: PROPOSERS[request.param](benchmark.space)


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
