"""Evaluates the candidates of a search in this process, in workers on this machine, or by an executor.

    workers on this machine   receive the pickled estimator once
    any other executor        receives a `Job` of a few kilobytes with each candidate, if the estimator can be described
                              by its spec; else the pickled estimator with each candidate

An exception of a future becomes the status of its candidate, leads to another attempt, or pauses the search. It never
reaches the caller as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, Future, wait
from functools import partial
from typing import Any

import torch

from naslab.device import gpus_of
from naslab.errors import NaslabError, RunError, RunPaused, SpecError
from naslab.estimators.estimator import Learning, WrongSetup
from naslab.estimators.evaluation import Outcome, error_text, evaluate, failed
from naslab.estimators.job import Described, Job, NotMade, describe, evaluate_kept, run, stages
from naslab.estimators.workers import Crashed, NotStarted, TimedOut, Workers
from naslab.estimators.wrapped import layers
from naslab.searchers.kept_trainings import KeptTrainings
from naslab.searchers.sampler import Trial

PATIENCE = 1.0
"""Seconds between two looks at the running evaluations, for changes that `wait` does not report."""
TRIES = 3
"""Attempts to evaluate a candidate that the executor loses, before it counts as crashed."""


def _gpus(estimator: Any) -> tuple[int, ...] | None:
    """Returns the GPUs for the workers of an estimator: those of its device, if it has one, else all, which is None."""
    inner = estimator
    for layer in layers(estimator):
        inner = layer.inside
    device = getattr(inner, "device", None)
    return gpus_of(device) if isinstance(device, str | torch.device) else None


class Evaluations:
    """Evaluates trials, several at once if there are workers.

    Args:
        estimator: scores an architecture.
        trainings: kept weights, which a continued or inherited training starts from.
        executor: evaluates the trials; None: this process, or workers that are started here.
    """

    def __init__(self, estimator: Any, trainings: KeptTrainings, executor: Executor | None) -> None:
        self._trainings, self.executor = trainings, executor
        self.pool: Workers | None = None
        """Workers that this object started, if any."""
        self.under_way: dict[Trial, Future[Outcome]] = {}
        self._lost: dict[int, int] = {}
        """Number of a trial -> how often the executor lost it."""
        self._cancelled: set[int] = set()
        """Numbers of the trials that `cancel` was called for."""
        self._reported_broken: Executor | None = None
        """Broken executor for which one candidate was already reported as crashed."""
        self._described: Described | None = None
        """Description of the estimator by its spec; None if it is pickled instead."""
        self._description_tried = False
        """Whether `_described` was determined."""
        self.set_estimator(estimator)

    def set_estimator(self, estimator: Any) -> None:
        """Evaluates the next candidates by this estimator: the first one, or a later state of one that learns."""
        self.estimator = estimator
        # One object for all candidates: `Workers` pickles it for each worker once, by its identity.
        self.evaluate = partial(evaluate, estimator)

    def evaluate_here(self, trial: Trial) -> Outcome:
        """Evaluates a trial in this process and returns its outcome."""
        lineage = self._trainings.lineage(trial)
        return evaluate_kept(self.estimator, trial.architecture, lineage, self._trainings.store)

    def wait_for_first(self, wanted: Sequence[Trial], workers: int) -> tuple[Trial, Outcome]:
        """Waits for the first of the trials to finish; returns it with its outcome.

        Args:
            wanted: open trials; other running evaluations are stopped.
            workers: number of processes to start if there is no executor.

        Raises:
            RunPaused: the executor is broken, and all outcomes that it had were returned.
        """
        if self.executor is None:
            self.pool = self.pool or Workers(workers, gpus=_gpus(self.estimator))
            self.pool.grow(workers)
        executor: Any = self.executor or self.pool
        for stale in self.under_way.keys() - set(wanted):  # the search has gone back
            self._stop(self.under_way.pop(stale))
        while True:
            self.submit(executor, wanted)
            # `wait` is not notified of a future that was cancelled and that its executor never touches again. So it
            # waits for a second at most, and `done` is asked of all futures.
            ready = False
            while not ready:
                wait(self.under_way.values(), timeout=PATIENCE, return_when=FIRST_COMPLETED)
                ready = any(future.done() for future in self.under_way.values())
            trial = next(each for each in wanted if each in self.under_way and self.under_way[each].done())
            outcome = self._outcome_of(trial, self.under_way.pop(trial), executor)
            if outcome is not None:
                self._lost.pop(trial.number, None)
                return trial, outcome

    def submit(self, executor: Any, wanted: Sequence[Trial]) -> None:
        """Submits the trials that are not running. `RunPaused` if the executor refuses them and none is running."""
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
                return  # first the results of those that it has
            if not isinstance(future, Future):
                raise SpecError(
                    f"executor=... is a concurrent.futures.Executor, whose submit gives a concurrent.futures.Future; "
                    f"that of {type(executor).__name__} gave {future!r:.200}. Dask's is client.get_executor()"
                )
            self.under_way[trial] = future
            self._reported_broken = None

    def _call(self, trial: Trial, executor: Any) -> tuple[Callable[..., Outcome], Any, *tuple[Any, ...]]:
        """Returns what is submitted to the executor: a function and its arguments."""
        lineage, store = self._trainings.lineage(trial), self._trainings.store
        learns = isinstance(self.estimator, Learning)
        # An estimator that learns is a new object after each candidate, and workers would receive it each time. Its job
        # is smaller.
        if isinstance(executor, Workers) and not learns:
            return self.evaluate, trial.architecture, stages(lineage, store)
        if not self._description_tried:
            self._description_tried, self._described = True, describe(self.estimator)
        if self._described is None:
            return self.evaluate, trial.architecture, stages(lineage, store)
        where = None if store is None else store.spec()
        memory = self.estimator.state_dict() if learns else ()
        return run, Job(self._described, trial.architecture, lineage, where, memory).to_json()

    def _outcome_of(self, trial: Trial, future: Future[Outcome], executor: Any) -> Outcome | None:
        """Returns the outcome of a finished future; None if the candidate must be evaluated again.

        An exception of the evaluation itself is part of its outcome. So any exception of the future comes from the
        executor: a node that is gone, a connection that was closed, a process that died.
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
            self._described = None  # its spec did not make it again there: from now on it is pickled
            return None
        if isinstance(error, NotStarted):
            raise RunPaused(f"{error}. Nothing is lost: repair it, and call next again") from error
        if isinstance(error, TimedOut):
            return failed(str(error), "timed out")
        if isinstance(error, Crashed):
            return failed(str(error), "crashed")
        if isinstance(error, RunPaused | WrongSetup) or (
            isinstance(error, NaslabError) and isinstance(executor, Workers)
        ):
            raise error
        if isinstance(error, BrokenExecutor):
            # All its futures fail with the same error. The first one counts as crashed, since its process may have
            # died of it; the others get another attempt.
            if self._reported_broken is executor:
                return None
            self._reported_broken = executor
            others = "; or another that was under way, which will be evaluated again" if self.under_way else ""
            return failed(str(error).rstrip(".") + others, "crashed")
        tries = self._lost[trial.number] = self._lost.get(trial.number, 0) + 1
        if tries < TRIES:
            return None
        return failed(f"{error_text(error)} ({TRIES} times out of {TRIES})", "crashed")

    def _paused(self, error: Exception) -> RunPaused:
        said = str(error) if isinstance(error, BrokenExecutor) else error_text(error)
        return RunPaused(
            f"{type(self.executor or self.pool).__name__}, the executor, is broken and takes no more candidates "
            f"({said}). Nothing is lost: finished results are kept, and open candidates will be evaluated. Go on "
            "with another, Search.open(run, executor=...), or without, Search.open(run, workers=2): those workers are "
            "replaced when they die, and find out which candidate it was. In memory, set search.searcher.executor to "
            "another and call next again"
        )

    def cancel(self, number: int) -> None:
        """Cancels the evaluation of candidate `number`, which will count as failed; `RunError` if it is not running."""
        for trial, future in self.under_way.items():
            if trial.number == number:
                self._cancelled.add(number)
                return self._stop(future)
        evaluated = ", ".join(str(trial.number) for trial in self.under_way) or "none"
        raise RunError(f"candidate {number} is not being evaluated; those that are: {evaluated}")

    def _stop(self, future: Future[Outcome]) -> None:
        """Stops an evaluation, even a running one where the executor can; else its outcome is ignored."""
        executor = self.executor or self.pool
        if isinstance(executor, Workers):
            executor.cancel(future)
        else:
            future.cancel()

    def close(self) -> None:
        """Ends running evaluations and the workers that were started here; a later evaluation starts them again."""
        for future in self.under_way.values():
            self._stop(future)
        self.under_way.clear()
        if self.pool is not None:
            self.pool.shutdown(cancel_futures=True)
            self.pool = None
