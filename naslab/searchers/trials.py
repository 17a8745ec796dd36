"""A proposer and an estimator make a search: candidates asked, evaluated, told; one told, one step.

    repeat: ask until `workers` proposals are open, and have them evaluated
            wait for the first that is done; tell

A candidate that cannot be evaluated, or has no finite fitness, counts as a step; its event says what happened, and the
search goes on. A step that is done again is not evaluated again: which proposal was done, and its fitness, stand in the
journal. So a search is repeated exactly, although with several workers nobody knows beforehand who will be first.

How many are open at once may change on the way (`turn("workers", 4)`, `Search.open(run, workers=4)`). A step that is
done again is done with as many open as then.

Where the estimator keeps weights, each training is left in a file before its fitness is told, named after all that it
depends on. It is where training goes on, and what children inherit from. What is not there is trained again.
"""

from __future__ import annotations

import json
import os
import shutil
import warnings
import weakref
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, Future, wait
from contextlib import suppress
from functools import partial
from hashlib import blake2b
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, NamedTuple

from naslab import files, snapshot
from naslab.architecture import Architecture
from naslab.errors import NaslabError, RunError, RunPaused, SpecError, whole
from naslab.estimators import Learning, UnknownFidelity, as_estimator, objectives_of
from naslab.estimators.estimator import WrongSetup, cannot_be_told
from naslab.estimators.evaluation import Outcome, Stage, evaluate, failed, outcome_of, told
from naslab.estimators.workers import MOST, Crashed, NotStarted, TimedOut, Workers
from naslab.events import Evaluated, Event
from naslab.paths import is_folder
from naslab.quantities import Objective, Quantity
from naslab.searchers.failures import Failures
from naslab.searchers.searcher import Knob, Proposal, Proposer, State, turned
from naslab.spaces.space import Space

ROOM = 2 * 2**30
"""Bytes of kept trainings from which on the oldest are removed. What is missed later is trained again."""
KEPT = "[0-9]*.snapshot"
"""What kept trainings are called. A file that a worker is still writing begins with a dot."""
WORKERS = "workers"
"""What `turn` calls the number of proposals that are open at once. It is no knob of the searcher's."""


MOST_ELSEWHERE = 100_000
"""Proposals that are open at once with an executor, which may have many machines."""
PATIENCE = 1.0
"""Seconds after which candidates under way are looked at again."""
TRIES = 3
"""How often a candidate is evaluated that the executor loses, before it counts as crashed."""


class Trained(NamedTuple):
    """What has to be known of a proposal to train it again."""

    architecture: Architecture
    fidelity: float | None
    begins_from: int | None
    key: str
    """Checksum of all that its weights depend on, but for the estimator."""


class Trials:
    """Evaluates what a proposer asks for, until the budget is spent. A `naslab.searchers.searcher.Driven`.

    Args:
        proposer: a new one; from here on it belongs to the trials.
        estimator: scores an architecture, more is better: a benchmark, anything of `naslab.estimators`, or a
            function from an architecture to a number.
        budget: evaluations in all.
        workers: proposals that are open at once. With more than one, each is evaluated in a process of its own.
        executor: who evaluates instead, any `concurrent.futures.Executor`, for instance
            `naslab.estimators.Workers(2, timeout=60)`. Whoever made it ends it. One that breaks when a process of its
            dies, as `ProcessPoolExecutor` does, does not say which candidate it was: of those that it had the first
            counts as crashed, the others are still to be evaluated, and the search pauses.
    """

    def __init__(
        self,
        proposer: Proposer,
        estimator: Any,
        budget: int | None,
        *,
        workers: int = 1,
        executor: Executor | None = None,
    ) -> None:
        if estimator is None:
            raise SpecError(
                f"{proposer.name!r} evaluates nothing: say what scores an architecture, estimator=..., "
                "for instance nl.benchmarks.NASBench201()"
            )
        if proposer.asked:
            raise RunError(
                f"a search begins with a proposer that has not moved; this one has made {proposer.asked} proposals. "
                "Make a new one, or go on with a run by Search.open(path)"
            )
        self.proposer = proposer
        self.estimator: Any = as_estimator(estimator)
        scored = self.estimator.space
        if scored is not None and scored.name != proposer.space.name:
            raise SpecError(
                f"the estimator scores architectures of {scored.name!r}, the searcher proposes those of "
                f"{proposer.space.name!r}; make the searcher with the estimator's space"
            )
        self._agree_on_fidelities()
        self._budget, self._step = whole("budget, the number of candidates to evaluate,", budget, 1), 0
        self._best: tuple[Architecture, float] | None = None
        self._failures = Failures()
        self._most = MOST if executor is None else MOST_ELSEWHERE
        self._begun_with = self.workers = whole("workers", workers, 1, self._most)
        """Proposals that are open at once: at first, and now."""
        self.executor = executor
        self._pool: Workers | None = None
        self._open: dict[int, tuple[Proposal, Mapping[str, float]]] = {}
        """Number -> a proposal that is not told yet, and the knobs with which it was asked."""
        self._under_way: dict[Proposal, Future[Outcome]] = {}
        self._lost: dict[int, int] = {}
        """Number of a proposal -> how often the executor has lost it."""
        self._cancelled: set[int] = set()
        """Numbers of proposals that somebody has cancelled."""
        self._broke: Executor | None = None
        """An executor that is broken, as far as is known, and a candidate has been told as crashed for it."""
        self._evaluate = partial(evaluate, self.estimator)  # one object, which goes to each worker once
        self._learns = isinstance(self.estimator, Learning)
        if self._learns:
            self._judge_by(self.estimator.remember(()))
        self._keeps = bool(getattr(self.estimator, "keeps_weights", False))
        self._trained: dict[int, Trained] = {}
        self._folder: Path | None = None

    def _agree_on_fidelities(self) -> None:
        """Have trainings asked for that are to be had; `UnknownFidelity` says what to write, if the user's are not."""
        known = getattr(self.estimator, "fidelities", None)
        if known:
            self.proposer.suit(known)
        self.proposer.trainable = partial(_trainable, self.estimator)
        if self.proposer.fidelities and not hasattr(self.estimator, "train"):
            raise cannot_be_told(self.estimator)
        if (check := getattr(self.estimator, "check_fidelity", None)) is None:
            return
        try:
            for epochs in sorted(
                self.proposer.fidelities, reverse=True
            ):  # the longest first: its advice serves for all
                check(epochs)
        except UnknownFidelity as error:
            suited = self.proposer.suited(known) if known else {}
            if not suited:
                raise
            written = ", ".join(f"{name}={value!r}" for name, value in suited.items())
            raise UnknownFidelity(f"{error}; write {type(self.proposer).__name__}(space, {written})") from None

    def advance(self) -> Evaluated:
        """Ask, evaluate, tell the first that is done.

        Raises:
            RunPaused: the executor is broken, and what came of the candidates that it had is told.
        """
        self._ask()
        if self.workers == 1 and self.executor is None and not self._under_way:
            proposal, _ = next(iter(self._open.values()))
            outcome = self._evaluate(proposal.architecture, self._lineage(proposal))
        else:
            proposal, outcome = self._first()
        if self._keeps:
            self._make_room()
        event = self._tell(proposal, outcome)
        if (said := self._failures.note(event.status, event.message)) is not None:
            warnings.warn(said, stacklevel=4)  # whoever called `next(search)`
        return event

    def repeat(self, logged: Event) -> Event:
        """The same with the fitness that was found then, for the proposal that was first then."""
        if not isinstance(logged, Evaluated):
            return self.advance()
        return self.tell_again(logged.number, outcome_of(logged))

    def tell_again(self, number: int, outcome: Outcome) -> Evaluated:
        """A step whose outcome is known: of the proposal with that number."""
        self._ask()
        proposal, _ = self._open.get(number) or next(iter(self._open.values()))
        event = self._tell(proposal, outcome)
        self._failures.note(event.status, event.message)  # was said then
        return event

    def _ask(self) -> None:
        """Have as many proposals open as there are workers, and the budget allows."""
        while len(self._open) < self.workers and (self.proposer.asked < self._budget or not self._open):
            knobs = {name: knob.value for name, knob in self.proposer.knobs.items()}
            proposal = self.proposer.ask()
            self._open[proposal.number] = proposal, knobs
            if self._keeps or proposal.fidelity is not None:
                self._trained[proposal.number] = self._told_apart(proposal)

    def _tell(self, proposal: Proposal, outcome: Outcome) -> Evaluated:
        fitness = outcome.fitness
        self.proposer.tell(proposal, fitness, outcome.figures)
        if self._learns:
            self._judge_by(self.estimator.hear(outcome.figures))
        _, inforce = self._open.pop(proposal.number)
        self._step += 1
        if fitness is not None and (self._best is None or fitness > self._best[1]):
            self._best = proposal.architecture, fitness
        best, best_fitness = self._best or (None, None)
        return Evaluated(
            step=self._step,
            number=proposal.number,
            architecture=proposal.architecture,
            origin=proposal.origin,
            parents=proposal.parents,
            status=outcome.status,
            fitness=fitness,
            fidelity=proposal.fidelity,
            candidate=proposal.candidate,
            begins_from=proposal.begins_from,
            figures=outcome.figures,
            details=self.proposer.details,
            probabilities=self.proposer.probabilities,
            message=outcome.message,
            values=outcome.values,
            objectives=outcome.objectives,
            best=best,
            best_fitness=best_fitness,
            settings=inforce,
        )

    def _judge_by(self, estimator: Any) -> None:
        """The next candidates are evaluated by what the estimator knows now."""
        if estimator is not self.estimator:
            self.estimator, self._evaluate = estimator, partial(evaluate, estimator)

    # --- several at once ---------------------------------------------------------------------------

    def _first(self) -> tuple[Proposal, Outcome]:
        """Of the open proposals one that is done, and what came of it."""
        if self.executor is None:
            self._pool = self._pool or Workers(self.workers)
            self._pool.grow(self.workers)
        executor: Any = self.executor or self._pool
        wanted = [proposal for proposal, _ in self._open.values()]
        for stale in self._under_way.keys() - set(wanted):  # the search has gone back
            self._stop(self._under_way.pop(stale))
        while True:
            self._submit(executor, wanted)
            # `wait` does not hear of one that is cancelled and that its executor never looks at again.
            ready = False
            while not ready:
                wait(self._under_way.values(), timeout=PATIENCE, return_when=FIRST_COMPLETED)
                ready = any(future.done() for future in self._under_way.values())
            proposal = next(each for each in wanted if each in self._under_way and self._under_way[each].done())
            outcome = self._came(proposal, self._under_way.pop(proposal), executor)
            if outcome is not None:
                self._lost.pop(proposal.number, None)
                return proposal, outcome

    def _submit(self, executor: Any, wanted: Sequence[Proposal]) -> None:
        """Have those evaluated that are not yet. `RunPaused` if the executor takes none, and has none."""
        for proposal in wanted:
            if proposal in self._under_way:
                continue
            lineage = self._lineage(proposal)
            try:
                future = executor.submit(self._evaluate, proposal.architecture, lineage)
            except NaslabError:
                raise
            except Exception as error:  # it is broken, was shut down, cannot be reached, ...
                if not self._under_way:
                    raise self._paused(error) from error
                return
            if not isinstance(future, Future):
                raise SpecError(
                    f"executor=... is a concurrent.futures.Executor, whose submit gives a concurrent.futures.Future; "
                    f"that of {type(executor).__name__} gave {future!r:.200}. Dask's is client.get_executor()"
                )
            self._under_way[proposal] = future
            self._broke = None

    def _came(self, proposal: Proposal, future: Future[Outcome], executor: Any) -> Outcome | None:
        """What came of a candidate; None if it is to be evaluated again.

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
        if isinstance(error, CancelledError) and proposal.number in self._cancelled:
            return failed("it was cancelled", "cancelled")
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
            others = "; or another that was under way, which will be evaluated again" if self._under_way else ""
            return failed(str(error).rstrip(".") + others, "crashed")
        tries = self._lost[proposal.number] = self._lost.get(proposal.number, 0) + 1
        if tries < TRIES:
            return None
        return failed(f"{told(error)} ({TRIES} times out of {TRIES})", "crashed")

    def _paused(self, error: Exception) -> RunPaused:
        said = str(error) if isinstance(error, BrokenExecutor) else told(error)
        return RunPaused(
            f"{type(self.executor or self._pool).__name__}, the executor, is broken and takes no more candidates "
            f"({said}). Nothing is lost: what is done is told, and what is open will be evaluated. Go on with another, "
            "Search.open(run, executor=...), or leave it out, Search.open(run, workers=2): those workers are replaced "
            "when they die, and find out which candidate it was. In memory, set search.searcher.executor to another "
            "and call next again"
        )

    def cancel(self, number: int) -> None:
        """Give up the candidate of that number, which is being evaluated: it will be told as one that failed."""
        for proposal, future in self._under_way.items():
            if proposal.number == number:
                self._cancelled.add(number)
                return self._stop(future)
        evaluated = ", ".join(str(proposal.number) for proposal in self._under_way) or "none"
        raise RunError(f"candidate {number} is not being evaluated; those that are: {evaluated}")

    def _stop(self, future: Future[Outcome]) -> None:
        """Also one that runs, where the executor can; else what comes of it is not looked at."""
        executor = self.executor or self._pool
        if isinstance(executor, Workers):
            executor.cancel(future)
        else:
            future.cancel()

    def close(self) -> None:
        """End what is being evaluated, and the workers that were started here. It can be asked for again."""
        for future in self._under_way.values():
            self._stop(future)
        self._under_way.clear()
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    # --- what is kept of trainings -----------------------------------------------------------------

    def keep_in(self, folder: Path) -> None:
        """Leave trainings in this folder, which need not exist yet."""
        try:
            files.check_folder(folder)
        except OSError as error:
            raise RunError(f"no trainings are kept in {error.filename}: {error.strerror}") from None
        self._folder = folder

    def take_trainings(self, other: Trials) -> None:
        """Have what others have trained, as far as it can still be had."""
        if other._folder is None or not is_folder(other._folder):
            return
        with suppress(OSError, RunPaused):  # what cannot be had is trained again
            if self._folder is None:
                self._folder = self._temporary_folder()
            self._folder.mkdir(parents=True, exist_ok=True)
            for file in filter(files.is_file, other._folder.glob(KEPT)):
                snapshot.write_bytes(self._folder / file.name, files.read(file))

    def _told_apart(self, proposal: Proposal) -> Trained:
        before = None if proposal.begins_from is None else self._trained[proposal.begins_from].key
        told = json.dumps([proposal.architecture.choices, proposal.fidelity, before])
        key = blake2b(told.encode(), digest_size=6).hexdigest()
        return Trained(proposal.architecture, proposal.fidelity, proposal.begins_from, key)

    def _lineage(self, proposal: Proposal) -> tuple[Stage, ...]:
        """The trainings that lead to a proposal, its own last; none where the estimator is to do as it sees fit."""
        stages: list[Stage] = []
        number = proposal.number if proposal.number in self._trained else None
        while number is not None:
            architecture, fidelity, before, _ = self._trained[number]
            stages.append(Stage(architecture, fidelity, self._file(number) if self._keeps else None))
            number = before
        return tuple(reversed(stages))

    def _file(self, number: int) -> Path:
        if self._folder is None:
            self._folder = self._temporary_folder()
        return self._folder / f"{number:06d}-{self._trained[number].key}.snapshot"

    def _temporary_folder(self) -> Path:
        with snapshot.disk("making a temporary folder for trainings"):
            folder = mkdtemp(prefix="naslab-candidates-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return Path(folder)

    def _make_room(self) -> None:
        """Remove the oldest trainings that no open proposal begins with, if there are too many."""
        if self._folder is None or not is_folder(self._folder):
            return
        there: list[tuple[float, int, str]] = []
        with suppress(OSError):
            for file in self._folder.glob(KEPT):
                with suppress(OSError):  # a worker may remove one that is damaged
                    found = files.check_file(file)
                    there.append((found.st_mtime, found.st_size, str(file)))
        used = sum(size for _, size, _ in there)
        needed = {str(stage.keep) for proposal, _ in self._open.values() for stage in self._lineage(proposal)[-2:]}
        for _, size, path in sorted(there):
            if used <= ROOM:
                return
            if path not in needed:
                with suppress(OSError):
                    os.unlink(path)
                used -= size

    # --- what the house asks -----------------------------------------------------------------------

    @property
    def space(self) -> Space:
        return self.proposer.space

    @property
    def task(self) -> Any:
        """What the estimator trains on; None for one that does not train."""
        return getattr(self.estimator, "task", None)

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """What the estimator wants of its values, the first of them the fitness. A score may name others."""
        return objectives_of(self.estimator)

    def fingerprint(self) -> str:
        return self.estimator.fingerprint()

    @property
    def step(self) -> int:
        return self._step

    @property
    def total(self) -> int:
        return self._budget

    @property
    def best(self) -> Architecture:
        """The fittest so far; of equals the first."""
        if self._best is None:
            what = "has been evaluated yet" if self._step == 0 else f"of {self._step} candidates could be evaluated"
            why = f" ({self._failures})" if self._step else ""
            raise RunError(f"there is no best architecture: none {what}{why}; the events say more")
        return self._best[0]

    @property
    def metrics(self) -> Mapping[str, Quantity]:
        """The fitness, and the values of the objectives."""
        first = self.objectives[0]
        fitness = Quantity("max", first.unit if first.sign > 0 else "")
        return {"fitness": fitness, **{objective.name: objective.quantity for objective in self.objectives}}

    @property
    def knobs(self) -> Mapping[str, Knob]:
        return self.proposer.knobs

    def turn(self, name: str, value: float) -> None:
        if name == WORKERS:
            self.workers = int(value)
        else:
            self.proposer.turn(name, value)

    def check_knob(self, name: str, value: float) -> float:
        """Also `WORKERS`: proposals that are asked from then on."""
        return whole(name, value, 1, self._most) if name == WORKERS else turned(name, value, self.knobs)

    def measure(self, name: str) -> float:
        """There is nothing to measure besides the fitness."""
        raise SpecError(f"{self.proposer.name} cannot measure {name!r}")

    def spec(self) -> dict[str, Any]:
        """The workers it began with are a part of it: on how many proposals are open depends what is proposed next."""
        several = {"workers": self._begun_with} if self._begun_with > 1 else {}
        return {
            **self.proposer.spec(),
            "estimator": self.estimator.spec(),
            "objectives": [list(objective) for objective in self.objectives],
            "budget": self._budget,
            **several,
        }

    def state_dict(self) -> State:
        best = None if self._best is None else [list(self._best[0].choices), self._best[1]]
        proposer = {f"proposer/{name}": value for name, value in self.proposer.state_dict().items()}
        knobs = {number: dict(knobs) for number, (_, knobs) in self._open.items()}
        trained = [[number, list(one.architecture.choices), *one[1:]] for number, one in self._trained.items()]
        mine = {"best": best, "failures": self._failures.memory(), "knobs": knobs, "trained": trained}
        if self._learns:
            mine["estimator"] = self.estimator.memory()
        return {
            "step": self._step,
            "workers": self.workers,
            **{name: json.dumps(value) for name, value in mine.items()},
            **proposer,
        }

    def load_state_dict(self, state: State) -> None:
        """Evaluations that are under way go on; what is still wanted of them is used."""
        self._step = int(state["step"])  # type: ignore[arg-type]
        self.workers = int(state["workers"])  # type: ignore[arg-type]
        best, failures, knobs, trained = (
            json.loads(str(state[name])) for name in ("best", "failures", "knobs", "trained")
        )
        self._failures.remember(failures)
        if self._learns:
            self._judge_by(self.estimator.remember(json.loads(str(state["estimator"]))))
        self._best = None if best is None else (Architecture(self.space.name, tuple(best[0])), best[1])
        prefix = "proposer/"
        self.proposer.load_state_dict(
            {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
        )
        self._open = {each.number: (each, knobs[str(each.number)]) for each in self.proposer.open}
        self._trained = {
            number: Trained(Architecture(self.space.name, tuple(choices)), *rest) for number, choices, *rest in trained
        }


def _trainable(estimator: Any, epochs: float) -> bool:
    """Whether an estimator can be asked for a training of that length, as far as it says so."""
    try:
        getattr(estimator, "check_fidelity", lambda _: None)(epochs)
    except UnknownFidelity:
        return False
    return True
