"""A proposer and an estimator make a search: one candidate a step, asked, evaluated, told.

A candidate that cannot be evaluated, or has no finite fitness, counts as a step; its event says what happened, and the
search goes on. A step that is done again is not evaluated again: its fitness stands in the journal.
"""

from __future__ import annotations

import json
import math
import numbers
from collections.abc import Mapping
from typing import Any

from naslab.architecture import Architecture
from naslab.errors import RunError, SpecError, whole
from naslab.estimators import Score, as_estimator
from naslab.events import Evaluated, Event
from naslab.searchers.searcher import Knob, Proposal, Proposer, State, turned
from naslab.spaces.space import Space

MAX_MESSAGE = 1000
"""Characters that are kept of what a failed candidate says."""


class Trials:
    """Evaluates what a proposer asks for, until the budget is spent. A `naslab.searchers.searcher.Driven`.

    Args:
        proposer: a new one; from here on it belongs to the trials.
        estimator: scores an architecture, more is better: a benchmark, anything of `naslab.estimators`, or a
            function from an architecture to a number.
        budget: evaluations in all.
    """

    def __init__(self, proposer: Proposer, estimator: Any, budget: int | None) -> None:
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
        self.proposer, self.estimator = proposer, as_estimator(estimator)
        scored = self.estimator.space
        if scored is not None and scored.name != proposer.space.name:
            raise SpecError(
                f"the estimator scores architectures of {scored.name!r}, the searcher proposes those of "
                f"{proposer.space.name!r}; make the searcher with the estimator's space"
            )
        self._budget, self._step = whole("budget, the number of candidates to evaluate,", budget, 1), 0
        self._best: tuple[Architecture, float] | None = None

    def advance(self) -> Evaluated:
        """Ask for a candidate, evaluate it, tell."""
        proposal = self.proposer.ask()
        return self._tell(proposal, *self._evaluate(proposal.architecture))

    def repeat(self, logged: Event) -> Event:
        """The same with the fitness that was found then."""
        if not isinstance(logged, Evaluated):
            return self.advance()
        return self._tell(self.proposer.ask(), logged.fitness, logged.figures, logged.message)

    def _evaluate(self, architecture: Architecture) -> tuple[float | None, Mapping[str, float], str]:
        """Its fitness and figures; or None, nothing, and why."""
        try:
            found = self.estimator(architecture)
        except Exception as error:  # whatever it is, it is the candidate's, not the search's
            return None, {}, f"{type(error).__name__}: {error}"[:MAX_MESSAGE]
        fitness, figures = found if isinstance(found, Score) else (found, {})
        if isinstance(fitness, bool) or not isinstance(fitness, numbers.Real) or not math.isfinite(fitness):
            return None, {}, f"the estimator gave {fitness!r:.200}; a fitness is a finite number"
        return float(fitness), figures, ""

    def _tell(self, proposal: Proposal, fitness: float | None, figures: Mapping[str, float], message: str) -> Evaluated:
        inforce = {name: knob.value for name, knob in self.proposer.knobs.items()}
        self.proposer.tell(proposal, fitness, figures)
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
            status="failed" if fitness is None else "done",
            fitness=fitness,
            fidelity=proposal.fidelity,
            candidate=proposal.candidate,
            begins_from=proposal.begins_from,
            figures=figures,
            details=self.proposer.details,
            probabilities=self.proposer.probabilities,
            message=message,
            best=best,
            best_fitness=best_fitness,
            knobs=inforce,
        )

    # --- what the house asks -----------------------------------------------------------------------

    @property
    def space(self) -> Space:
        return self.proposer.space

    @property
    def task(self) -> Any:
        """What the estimator trains on; None for one that does not train."""
        return getattr(self.estimator, "task", None)

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
            raise RunError(f"there is no best architecture: none {what}; the events say more")
        return self._best[0]

    @property
    def knobs(self) -> Mapping[str, Knob]:
        return self.proposer.knobs

    def turn(self, name: str, value: float) -> None:
        self.proposer.turn(name, value)

    def check_knob(self, name: str, value: float) -> float:
        return turned(name, value, self.knobs)

    def measure(self, name: str) -> float:
        """There is nothing to measure besides the fitness."""
        raise SpecError(f"{self.proposer.name} cannot measure {name!r}")

    def spec(self) -> dict[str, Any]:
        return {**self.proposer.spec(), "estimator": self.estimator.spec(), "budget": self._budget}

    def state_dict(self) -> State:
        best = None if self._best is None else [list(self._best[0].choices), self._best[1]]
        proposer = {f"proposer/{name}": value for name, value in self.proposer.state_dict().items()}
        return {"step": self._step, "best": json.dumps(best), **proposer}

    def load_state_dict(self, state: State) -> None:
        self._step = int(state["step"])  # type: ignore[arg-type]
        best = json.loads(str(state["best"]))
        self._best = None if best is None else (Architecture(self.space.name, tuple(best[0])), best[1])
        prefix = "proposer/"
        self.proposer.load_state_dict(
            {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
        )
