"""The evaluations of a search's candidates: in this process, in workers of this machine, or where an executor takes
them.

    workers of this machine   get the estimator once, as an object, whatever it is
    any other executor        gets a `Job` with each candidate, a few kilobytes, if the estimator can be described so;
                              else the estimator itself, each time

Whatever a future raises is a status of its candidate, has it evaluated again, or pauses the search. It never comes out
raw.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, Future, wait
from functools import partial
from typing import Any

from naslab.errors import NaslabError, RunError, RunPaused, SpecError
from naslab.estimators.estimator import Learning, WrongSetup
from naslab.estimators.evaluation import Outcome, evaluate, failed, told
from naslab.estimators.job import Described, Job, NotMade, describe, evaluate_kept, run, stages
from naslab.estimators.workers import Crashed, NotStarted, TimedOut, Workers
from naslab.searchers.kept_trainings import KeptTrainings
from naslab.searchers.sampler import Trial

PATIENCE = 1.0
"""Seconds after which candidates under way are looked at again."""
TRIES = 3
"""How often a candidate is evaluated that the executor loses, before it counts as crashed."""


class Evaluations:
    """Has trials evaluated, several at once if need be.

    Args:
        estimator: what scores an architecture.
        trainings: where trainings that lead to a candidate are left.
        executor: who evaluates, if not this process or workers that are started here.
    """

    def __init__(self, estimator: Any, trainings: KeptTrainings, executor: Executor | None) -> None:
        self._trainings, self.executor = trainings, executor
        self.pool: Workers | None = None
        """Workers that were started here."""
        self.under_way: dict[Trial, Future[Outcome]] = {}
        self._lost: dict[int, int] = {}
        """Number of a trial -> how often the executor has lost it."""
        self._cancelled: set[int] = set()
        """Numbers of trials that somebody has cancelled."""
        self._broke: Executor | None = None
        """An executor that is broken, as far as is known, and a candidate has been told as crashed for it."""
        self._described: Described | None = None
        """The estimator in words; None if it is sent as an object."""
        self._asked = False
        """Whether it is known if it can be described."""
        self.use(estimator)

    def use(self, estimator: Any) -> None:
        """Evaluate the next candidates by this estimator: the first, or the same once it knows more."""
        self.estimator = estimator
        self.evaluate = partial(evaluate, estimator)  # one object, which goes to each worker once

    def here(self, trial: Trial) -> Outcome:
        """The outcome of a trial, evaluated in this process."""
        lineage = self._trainings.lineage(trial)
        return evaluate_kept(self.estimator, trial.architecture, lineage, self._trainings.store)

    def first(self, wanted: Sequence[Trial], workers: int) -> tuple[Trial, Outcome]:
        """Of some trials one that is done, with its outcome.

        Args:
            wanted: those that are open; whatever else is under way is stopped.
            workers: processes that are started here, if there is no executor.

        Raises:
            RunPaused: the executor is broken, and the outcomes of the candidates that it had are told.
        """
        if self.executor is None:
            self.pool = self.pool or Workers(workers)
            self.pool.grow(workers)
        executor: Any = self.executor or self.pool
        for stale in self.under_way.keys() - set(wanted):  # the search has gone back
            self._stop(self.under_way.pop(stale))
        while True:
            self.submit(executor, wanted)
            # `wait` does not hear of one that is cancelled and that its executor never looks at again.
            ready = False
            while not ready:
                wait(self.under_way.values(), timeout=PATIENCE, return_when=FIRST_COMPLETED)
                ready = any(future.done() for future in self.under_way.values())
            trial = next(each for each in wanted if each in self.under_way and self.under_way[each].done())
            outcome = self._came(trial, self.under_way.pop(trial), executor)
            if outcome is not None:
                self._lost.pop(trial.number, None)
                return trial, outcome

    def submit(self, executor: Any, wanted: Sequence[Trial]) -> None:
        """Have those evaluated that are not yet. `RunPaused` if the executor takes none, and has none."""
        for trial in wanted:
            if trial in self.under_way:
                continue
            function, *given = self._call(trial, executor)
            try:
                future = executor.submit(function, *given)
            except NaslabError:
                raise
            except Exception as error:  # it is broken, was shut down, cannot be reached, ...
                if not self.under_way:
                    raise self._paused(error) from error
                return
            if not isinstance(future, Future):
                raise SpecError(
                    f"executor=... is a concurrent.futures.Executor, whose submit gives a concurrent.futures.Future; "
                    f"that of {type(executor).__name__} gave {future!r:.200}. Dask's is client.get_executor()"
                )
            self.under_way[trial] = future
            self._broke = None

    def _call(self, trial: Trial, executor: Any) -> tuple[Callable[..., Outcome], Any, *tuple[Any, ...]]:
        """What an executor is given: a function and its arguments."""
        lineage, store = self._trainings.lineage(trial), self._trainings.store
        learns = isinstance(self.estimator, Learning)
        if isinstance(executor, Workers) and not learns:  # one that learns is another object after each candidate
            return self.evaluate, trial.architecture, stages(lineage, store)
        if not self._asked:
            self._asked, self._described = True, describe(self.estimator)
        if self._described is None:
            return self.evaluate, trial.architecture, stages(lineage, store)
        where = None if store is None else store.spec()
        memory = self.estimator.memory() if learns else ()
        return run, Job(self._described, trial.architecture, lineage, where, memory).to_json()

    def _came(self, trial: Trial, future: Future[Outcome], executor: Any) -> Outcome | None:
        """The outcome of a candidate; None if it is to be evaluated again.

        Whatever the evaluation itself raised is in the outcome. Any other exception is of the executor: a node that is
        gone, a connection that was closed, a process that died.
        """
        try:
            error = future.exception()
        except CancelledError as cancelled:
            error = cancelled
        if error is None:
            outcome: Any = future.result()
            if isinstance(outcome, Outcome):
                return outcome
            return failed(f"{type(executor).__name__} gave {outcome!r:.200}, and no outcome", "crashed")
        if isinstance(error, CancelledError) and trial.number in self._cancelled:
            return failed("it was cancelled", "cancelled")
        if isinstance(error, NotMade):
            self._described = None  # from now on the estimator is sent as an object
            return None
        if isinstance(error, NotStarted):
            raise RunPaused(f"{error}. Nothing is lost: mend it, and call next again") from error
        if isinstance(error, TimedOut):
            return failed(str(error), "timed out")
        if isinstance(error, Crashed):
            return failed(str(error), "crashed")
        if isinstance(error, RunPaused | WrongSetup) or (
            isinstance(error, NaslabError) and isinstance(executor, Workers)
        ):
            raise error
        if isinstance(error, BrokenExecutor):
            if self._broke is executor:
                return None
            self._broke = executor
            others = "; or another that was under way, which will be evaluated again" if self.under_way else ""
            return failed(str(error).rstrip(".") + others, "crashed")
        tries = self._lost[trial.number] = self._lost.get(trial.number, 0) + 1
        if tries < TRIES:
            return None
        return failed(f"{told(error)} ({TRIES} times out of {TRIES})", "crashed")

    def _paused(self, error: Exception) -> RunPaused:
        said = str(error) if isinstance(error, BrokenExecutor) else told(error)
        return RunPaused(
            f"{type(self.executor or self.pool).__name__}, the executor, is broken and takes no more candidates "
            f"({said}). Nothing is lost: what is done is told, and what is open will be evaluated. Go on with another, "
            "Search.open(run, executor=...), or leave it out, Search.open(run, workers=2): those workers are replaced "
            "when they die, and find out which candidate it was. In memory, set search.searcher.executor to another "
            "and call next again"
        )

    def cancel(self, number: int) -> None:
        """Give up the candidate of that number, which is being evaluated: it will be told as one that failed."""
        for trial, future in self.under_way.items():
            if trial.number == number:
                self._cancelled.add(number)
                return self._stop(future)
        evaluated = ", ".join(str(trial.number) for trial in self.under_way) or "none"
        raise RunError(f"candidate {number} is not being evaluated; those that are: {evaluated}")

    def _stop(self, future: Future[Outcome]) -> None:
        """Also one that runs, where the executor can; else its outcome is not looked at."""
        executor = self.executor or self.pool
        if isinstance(executor, Workers):
            executor.cancel(future)
        else:
            future.cancel()

    def close(self) -> None:
        """End what is being evaluated, and the workers that were started here. It can be asked for again."""
        for future in self.under_way.values():
            self._stop(future)
        self.under_way.clear()
        if self.pool is not None:
            self.pool.shutdown(cancel_futures=True)
            self.pool = None
