"""Black-box search: a sampler proposes candidates, and an estimator evaluates them.

    repeat: ask until `workers` trials are open, and evaluate them
            wait for the first result; tell it to the sampler

A step is one result. A candidate that cannot be evaluated, or has no finite fitness, counts as a step; its event says
what happened, and the search goes on. When a run is replayed, nothing is evaluated again: the events hold which trial
finished, and its fitness. So a search is repeated exactly, although the order in which several workers finish is not
known beforehand.

The number of open trials may change during the search (`set("workers", 4)`, `Search.open(run, workers=4)`). A replay
has as many open as there were then.

Processes and executors are in `naslab.searchers.evaluations`, kept weights in `naslab.searchers.kept_trainings`.
"""

from __future__ import annotations

import json
import threading
import time
import warnings
from collections import deque
from collections.abc import Iterable, Mapping
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from naslab.architecture import Architecture
from naslab.blobs import Blobs
from naslab.errors import RunError, SpecError, whole
from naslab.estimators import Learning, as_estimator, objectives_of
from naslab.estimators.evaluation import Outcome, outcome_of
from naslab.estimators.store import WeightStore
from naslab.estimators.workers import MOST
from naslab.events import Evaluated, Event
from naslab.quantities import Objective, Quantity
from naslab.searchers.evaluations import Evaluations
from naslab.searchers.failures import Failures
from naslab.searchers.fidelities import agree_on_fidelities
from naslab.searchers.kept_trainings import KeptTrainings
from naslab.searchers.sampler import Sampler, Trial
from naslab.searchers.searcher import Stepper
from naslab.searchers.settings import Act, Count, Setting, Steerable, values_of
from naslab.snapshot import State
from naslab.spaces.space import Space

WORKERS, BUDGET = "workers", "budget"
"""Names of two settings that belong to the search and not to its sampler: the number of trials that are open at once,
and the total number of evaluations."""


MOST_ELSEWHERE = 100_000
"""Maximum number of open trials with an executor, which may have many machines."""


class BlackBoxSearch(Steerable):
    """Evaluates the trials of a sampler until the budget is spent. A `naslab.searchers.searcher.Stepper`.

    Args:
        sampler: a new sampler, which nothing else uses from now on.
        estimator: scores an architecture, more is better: a benchmark, an estimator of `naslab.estimators`, or a
            function from an architecture to a number.
        budget: total number of evaluations.
        workers: number of trials that are open at once. With more than one, each is evaluated in its own process.
        executor: evaluates the trials instead: any `concurrent.futures.Executor`, for instance
            `naslab.estimators.Workers(2, timeout=60)`. The caller shuts it down. An executor that breaks when one of
            its processes dies, as `ProcessPoolExecutor` does, does not say which candidate was the cause: the first of
            the open ones counts as crashed, the others remain to be evaluated, and the search pauses.
    """

    def __init__(
        self,
        sampler: Sampler,
        estimator: Any,
        budget: int | None,
        *,
        workers: int = 1,
        executor: Executor | None = None,
    ) -> None:
        if estimator is None:
            raise SpecError(
                f"{sampler.name!r} evaluates nothing: say what scores an architecture, estimator=..., "
                "for instance nl.benchmarks.NASBench201()"
            )
        if sampler.asked:
            raise RunError(
                f"a search begins with a sampler that has not moved; this one has made {sampler.asked} trials. "
                "Make a new one, or go on with a run by Search.open(path)"
            )
        self.sampler = sampler
        self.estimator: Any = as_estimator(estimator)
        scored = self.estimator.space
        if scored is not None and scored.name != sampler.space.name:
            raise SpecError(
                f"the estimator scores architectures of {scored.name!r}, the searcher proposes those of "
                f"{sampler.space.name!r}; make the searcher with the estimator's space"
            )
        agree_on_fidelities(sampler, self.estimator)
        self._begun_for = self._budget = whole("budget, the number of candidates to evaluate,", budget, 1)
        """Total number of evaluations: as planned at the start, which the spec holds, and at present."""
        self._step = 0
        self._foretold: deque[tuple[int, Outcome]] = deque()
        """(number of a trial, outcome): results that are used instead of evaluating."""
        self.waited = 0.0
        """Seconds that the last step waited for its evaluation, which a replay saves."""
        self._best: tuple[Architecture, float] | None = None
        self.alone: AbstractContextManager[Any] = threading.RLock()
        """Lock that the thread which advances the search holds."""
        self._failures = Failures()
        self._most = MOST if executor is None else MOST_ELSEWHERE
        self._begun_with = self.workers = whole("workers", workers, 1, self._most)
        """Number of trials that are open at once: at the start, which the spec holds, and at present."""
        self._open: dict[int, tuple[Trial, Mapping[str, Any]]] = {}
        """Number -> an open trial, and the settings with which it was proposed."""
        self.trainings = KeptTrainings(bool(getattr(self.estimator, "keeps_weights", False)))
        self.evaluations = Evaluations(self.estimator, self.trainings, executor)
        self._learns = isinstance(self.estimator, Learning)
        if self._learns:
            self._use_estimator(self.estimator.with_state(()))

    def advance(self) -> Evaluated:
        """Asks for trials, evaluates them, tells the first result and returns its event.

        Raises:
            RunPaused: the executor is broken, and all results that it had were told.
        """
        if self._foretold:
            number, outcome = self._foretold[0]
            event = self.tell_again(number, outcome)
            self._foretold.popleft()
            self.waited = 0.0
            return event
        self._ask()
        wanted = [trial for trial, _ in self._open.values()]
        begun = time.perf_counter()
        if self.workers == 1 and self.evaluations.executor is None and not self.evaluations.under_way:
            trial = wanted[0]
            outcome = self.evaluations.evaluate_here(trial)
        else:
            trial, outcome = self.evaluations.wait_for_first(wanted, self.workers)
        self.waited = time.perf_counter() - begun
        self.trainings.evict(wanted)
        event = self._tell(trial, outcome)
        if (said := self._failures.note(event.status, event.message)) is not None:
            warnings.warn(said, stacklevel=4)  # points to the code that called `next(search)`
        return event

    def repeat(self, logged: Event) -> Event:
        """Repeats a logged step: the same trial finishes first, with the fitness that it had."""
        if not isinstance(logged, Evaluated):
            return self.advance()
        return self.tell_again(logged.number, outcome_of(logged))

    def beside(self) -> tuple[()]:
        """A step has no further events."""
        return ()

    def foretell(self, answers: Iterable[tuple[int, Outcome]]) -> None:
        """Uses these outcomes in the next steps instead of evaluating: (number of a trial, outcome)."""
        self._foretold.extend((number, outcome) for number, outcome in answers)

    def tell_again(self, number: int, outcome: Outcome) -> Evaluated:
        """Does a step with a known outcome of trial `number`."""
        self._ask()
        # If the trial is not open, the search has taken another course than the logged one. Then the oldest trial gets
        # the outcome, and its event differs from the logged one.
        trial, _ = self._open.get(number) or next(iter(self._open.values()))
        event = self._tell(trial, outcome)
        self._failures.note(event.status, event.message)  # counted, and not warned about a second time
        return event

    def _ask(self) -> None:
        """Asks for trials until as many are open as there are workers, within the budget."""
        while len(self._open) < self.workers and (self.sampler.asked < self._budget or not self._open):
            settings = values_of(self.sampler.settings)
            trial = self.sampler.ask()
            self._open[trial.number] = trial, settings
            self.trainings.note(trial)

    def _tell(self, trial: Trial, outcome: Outcome) -> Evaluated:
        fitness = outcome.fitness
        self.sampler.objective = (outcome.objectives or self.objectives)[0]
        self.sampler.tell(trial, fitness, outcome.metrics)
        if self._learns:
            self._use_estimator(self.estimator.update(outcome.metrics))
        _, inforce = self._open.pop(trial.number)
        self._step += 1
        if fitness is not None and (self._best is None or fitness > self._best[1]):
            self._best = trial.architecture, fitness
        best, best_fitness = self._best or (None, None)
        return Evaluated(
            step=self._step,
            number=trial.number,
            architecture=trial.architecture,
            origin=trial.origin,
            parents=trial.parents,
            status=outcome.status,
            fitness=fitness,
            fidelity=trial.fidelity,
            candidate=trial.candidate,
            begins_from=trial.begins_from,
            figures=outcome.metrics,
            details=self.sampler.diagnostics,
            probabilities=self.sampler.probabilities,
            message=outcome.message,
            values=outcome.values,
            objectives=outcome.objectives,
            best=best,
            best_fitness=best_fitness,
            settings=inforce,
        )

    def _use_estimator(self, estimator: Any) -> None:
        """Evaluates the next candidates by this estimator, which has learnt from the last one."""
        if estimator is not self.estimator:
            self.estimator = estimator
            self.evaluations.set_estimator(estimator)

    # --- executor and kept weights ----------------------------------------------------------------------

    @property
    def executor(self) -> Executor | None:
        """Executor that evaluates; None: this process or its own workers. Can be set while no evaluation is running."""
        return self.evaluations.executor

    @executor.setter
    def executor(self, executor: Executor | None) -> None:
        self.evaluations.executor = executor

    def cancel(self, number: int) -> None:
        """Cancels the evaluation of candidate `number`, which will count as failed."""
        self.evaluations.cancel(number)

    def keep_states_in(self, blobs: Blobs) -> None:
        """From now on, keeps the states of the sampler in `blobs`."""
        self.sampler.keep_states_in(blobs)

    def check_workers(self, workers: int) -> int:
        """Returns the number of trials to have open at once; `SpecError` if that many are not possible."""
        return int(self.check_setting(WORKERS, workers))

    def close(self) -> None:
        """Ends running evaluations and the workers that were started here. The next `advance` starts them again."""
        self.evaluations.close()

    def keep_in(self, store: WeightStore | Path) -> None:
        """Keeps trained weights in a store, or in a folder, which need not exist yet."""
        self.trainings.keep_in(store)

    def take_trainings(self, other: Stepper) -> None:
        """Copies the trained weights that another search still has."""
        if isinstance(other, BlackBoxSearch):
            self.trainings.take(other.trainings)

    # --- the interface of `Stepper` ----------------------------------------------------------------

    @property
    def space(self) -> Space:
        return self.sampler.space

    @property
    def task(self) -> Any:
        """Task that the estimator trains on; None for one that does not train."""
        return getattr(self.estimator, "task", None)

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """Objectives of the estimator; the first is the fitness. A single score may have others."""
        return objectives_of(self.estimator)

    def fingerprint(self) -> str:
        return self.estimator.fingerprint()

    @property
    def step(self) -> int:
        return self._step

    @property
    def total(self) -> int:
        return self._budget

    def planned(self, values: Mapping[str, Any]) -> int:
        return int(values.get(BUDGET, self._budget))

    @property
    def end_of_epoch(self) -> int:
        """Raises `SpecError`: there are no epochs."""
        raise SpecError(f"{self.sampler.name} evaluates candidates and has no epochs; count its steps")

    @property
    def best(self) -> Architecture:
        """The fittest architecture so far; of equally fit ones the first. `RunError` if there is none."""
        if self._best is None:
            what = "has been evaluated yet" if self._step == 0 else f"of {self._step} candidates could be evaluated"
            why = f" ({self._failures})" if self._step else ""
            raise RunError(f"there is no best architecture: none {what}{why}; the events say more")
        return self._best[0]

    @property
    def metrics(self) -> Mapping[str, Quantity]:
        """Name -> direction and unit: the fitness, and the values of the objectives."""
        first = self.objectives[0]
        fitness = Quantity("max", first.unit if first.sign > 0 else "")
        return {"fitness": fitness, **{objective.name: objective.quantity for objective in self.objectives}}

    @property
    def settings(self) -> Mapping[str, Setting]:
        return {**self.sampler.settings, **self._counts}

    @property
    def _counts(self) -> dict[str, Count]:
        planned = "Candidates to be evaluated in all; no fewer than are done, and one more."
        at_once = "Candidates that are evaluated at once; with several, who is first may differ from run to run."
        return {
            BUDGET: Count(value=self._budget, low=min(self._step + 1, self._budget), description=planned),
            WORKERS: Count(value=self.workers, high=self._most, description=at_once),
        }

    def apply_setting(self, name: str, value: Any) -> None:
        if name == WORKERS:
            self.workers = int(value)
        elif name == BUDGET:
            self._budget = int(value)
        else:
            self.sampler.apply_setting(name, value)

    def check_setting(self, name: str, value: Any) -> Any:
        """Returns the checked value. A `BUDGET` below the finished steps and one more is refused."""
        mine = self._counts.get(name) if isinstance(name, str) else None
        return self.sampler.check_setting(name, value) if mine is None else mine.check(name, value)

    def in_force(self, name: str) -> Any:
        mine = self._counts.get(name) if isinstance(name, str) else None
        return self.sampler.in_force(name) if mine is None else mine.value

    def aged(self, name: str, value: Any, step: int) -> Any:
        return value if name in self._counts else self.sampler.aged(name, value, step)

    @property
    def acts(self) -> Mapping[str, Act]:
        return self.sampler.acts

    def measure(self, name: str) -> float:
        """Raises `SpecError`: nothing can be measured besides the fitness."""
        raise SpecError(f"{self.sampler.name} cannot measure {name!r}")

    def spec(self) -> dict[str, Any]:
        """Returns JSON from which the search is made again.

        The initial number of workers is part of it, because the next proposal depends on how many trials are open.
        """
        several = {"workers": self._begun_with} if self._begun_with > 1 else {}
        return {
            **self.sampler.spec(),
            "estimator": self.estimator.spec(),
            "objectives": [list(objective) for objective in self.objectives],
            "budget": self._begun_for,
            **several,
        }

    def state_dict(self) -> State:
        best = None if self._best is None else [list(self._best[0].choices), self._best[1]]
        # "proposer/" and "knobs" are the names of earlier versions, which run folders keep
        sampler = {f"proposer/{name}": value for name, value in self.sampler.state_dict().items()}
        settings = {number: dict(values) for number, (_, values) in self._open.items()}
        failures, trained = self._failures.state_dict(), self.trainings.state_dict()
        mine = {"best": best, "failures": failures, "knobs": settings, "trained": trained}
        if self._learns:
            mine["estimator"] = self.estimator.state_dict()
        return {
            "step": self._step,
            "workers": self.workers,
            **({} if self._budget == self._begun_for else {"budget": self._budget}),
            **{name: json.dumps(value) for name, value in mine.items()},
            **sampler,
        }

    def load_state_dict(self, state: State) -> None:
        """Restores what `state_dict` returned. Running evaluations go on; their results are used if still wanted."""
        self._step = int(state["step"])  # type: ignore[arg-type]
        self.workers = int(state["workers"])  # type: ignore[arg-type]
        self._budget = int(state.get("budget", self._begun_for))  # type: ignore[arg-type]
        self._foretold.clear()
        best, failures, settings, trained = (
            json.loads(str(state[name])) for name in ("best", "failures", "knobs", "trained")
        )
        self._failures.load_state_dict(failures)
        if self._learns:
            self._use_estimator(self.estimator.with_state(json.loads(str(state["estimator"]))))
        self._best = None if best is None else (Architecture(self.space.name, tuple(best[0])), best[1])
        prefix = "proposer/"
        self.sampler.load_state_dict(
            {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
        )
        self._open = {each.number: (each, settings[str(each.number)]) for each in self.sampler.open}
        self.trainings.load_state_dict(self.space.name, trained)
