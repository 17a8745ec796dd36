"""Executors of others: whatever they raise is told of a candidate, or pauses the search; it never comes out raw."""

import asyncio
import concurrent.futures
import pickle
from concurrent.futures import CancelledError, Executor, Future

import pytest

import naslab as nl
from naslab.errors import RunPaused, SpecError
from naslab.estimators.workers import NotStarted
from naslab.searchers import RandomSearch


class CommClosed(Exception):
    """What a cluster says whose node is gone."""


class Flaky(Executor):
    """Evaluates at once; of the submissions whose number is in `lost`, the future raises what it is told."""

    def __init__(self, error, lost):
        self.error, self.lost, self.submitted = error, lost, 0

    def submit(self, fn, /, *args, **kwargs):
        self.submitted += 1
        future = Future()
        if self.submitted not in self.lost:
            future.set_result(fn(*args, **kwargs))
        elif self.error == "cancelled":
            future.cancel()
            future.set_running_or_notify_cancel()
        else:
            future.set_exception(self.error)
        return future


@pytest.fixture
def begin(table):
    def begin(executor, budget=4, **given):
        return nl.Search(RandomSearch(table.space, seed=3), estimator=table, budget=budget, executor=executor, **given)

    return begin


ERRORS = {
    "an error of its own": CommClosed("the node is gone"),
    "no text": RuntimeError(),
    "cancelled": "cancelled",
    "cancelled, as concurrent.futures says it": CancelledError(),
    "cancelled, as asyncio says it": asyncio.CancelledError("lost"),
    "interrupted there": KeyboardInterrupt(),
    "left there": SystemExit(3),
    "out of memory": MemoryError(),
    "late": TimeoutError(),
    "no such file there": FileNotFoundError(2, "no data", "/data"),
    "cannot be sent": pickle.PicklingError("a lambda"),
    "an error of naslab's": SpecError("a worker of another version"),
}


@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)
def test_a_candidate_that_the_executor_loses_is_evaluated_again(begin, error):
    calm = list(begin(Flaky(None, ())))
    executor = Flaky(error, {2, 3})
    assert list(begin(executor)) == calm
    assert executor.submitted == 6


@pytest.mark.filterwarnings("ignore:the first 3 candidates failed alike")
@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)
def test_one_that_is_lost_three_times_counts_as_crashed(begin, error):
    executor = Flaky(error, {2, 3, 4})
    events = list(begin(executor))
    assert [event.status for event in events] == ["done", "crashed", "done", "done"]
    kind = "CancelledError" if error == "cancelled" else type(error).__name__
    assert events[1].message.startswith(kind)
    assert events[1].message.endswith("(3 times out of 3)")
    events = list(begin(Flaky(error, range(100))))
    assert [event.status for event in events] == ["crashed"] * 4


def test_several_at_once(begin):
    search = begin(Flaky(CommClosed(), {1, 2, 3, 5, 8}), workers=3, budget=6)
    assert [event.status for event in search] == ["done"] * 6


@pytest.mark.parametrize(
    "error", [RuntimeError("cannot schedule new futures after shutdown"), CommClosed("no scheduler"), OSError(24, "no")]
)
def test_an_executor_that_takes_nothing_pauses(begin, error, tmp_path):
    executor = Flaky(None, ())
    search = begin(executor, run=tmp_path / "run")
    first = next(search)

    def submit(*_, **__):
        raise error

    executor.submit = submit
    for _ in range(2):
        with pytest.raises(RunPaused, match=rf"Flaky.*{type(error).__name__}.*Nothing is lost.*executor="):
            next(search)
    search.close()
    search = nl.Search.open(tmp_path / "run", executor=Flaky(None, ()))
    assert [first, *search] == list(begin(Flaky(None, ())))


def test_what_gives_no_futures_is_no_executor(begin):
    executor = Flaky(None, ())
    executor.submit = lambda fn, *args: fn(*args)
    with pytest.raises(SpecError, match=r"concurrent\.futures\.Future; that of Flaky gave"):
        next(begin(executor))


def test_what_is_no_outcome_is_told(begin):
    executor = Flaky(None, ())
    executor.submit = lambda fn, *args: (future := Future(), future.set_result({"fitness": 1}))[0]
    event = next(begin(executor))
    assert (event.status, event.message) == ("crashed", "Flaky gave {'fitness': 1}, and no outcome")


def test_where_no_worker_can_be_started_no_candidate_is_to_blame(begin):
    search = begin(Flaky(NotStarted("no process could be started"), {2}))
    next(search)
    with pytest.raises(RunPaused, match="could be started"):
        next(search)
    assert [event.status for event in (*search.events, *search)] == ["done"] * 4


def test_one_that_somebody_has_cancelled_is_not_tried_again(begin):
    executor, future = Flaky(None, ()), Future()
    executor.submit = lambda *_, **__: future
    search = begin(executor)
    search.searcher._ask()
    search.searcher.evaluations.submit(executor, [trial for trial, _ in search.searcher._open.values()])
    search.searcher.cancel(1)
    future.set_running_or_notify_cancel()
    assert next(search).status == "cancelled"


class Mute(Exception):
    """Cannot say what it is."""

    def __str__(self):
        raise RuntimeError("no words")


def test_an_error_that_without_fidelities_is_a_status():
    def evaluate(architecture):
        raise Mute

    search = nl.Search(nl.searchers.RandomSearch(nl.spaces.NASBench201()), estimator=evaluate, budget=1)
    assert (next(search).status, search.events[-1].message) == ("failed", "Mute")


def test_a_candidate_that_its_executor_cancels_and_forgets_is_waited_for_in_vain_by_nobody():
    class Forgetful(concurrent.futures.Executor):
        def submit(self, *given, **options):
            future = concurrent.futures.Future()
            future.cancel()
            return future

    search = nl.Search(
        nl.searchers.RandomSearch(nl.spaces.NASBench201()), estimator=lambda a: 1.0, budget=1, executor=Forgetful()
    )
    assert next(search).status == "crashed"
