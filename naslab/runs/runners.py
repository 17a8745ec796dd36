"""The runners of a race: a sampler with an estimator, or a whole search with an estimator of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from naslab.architecture import Architecture
from naslab.errors import SpecError
from naslab.estimators import Table
from naslab.estimators.evaluation import evaluate, outcome_of
from naslab.estimators.wrapped import layers
from naslab.events import Evaluated, Raced
from naslab.immutable import FrozenDict
from naslab.quantities import Objective
from naslab.runs.search import Search
from naslab.searchers import BlackBoxSearch, RandomSearch, Sampler
from naslab.spaces import Space

ENDLESS = 2**62
"""Budget of evaluations that a runner never reaches: the race itself stops it."""


class RaceEvaluation(NamedTuple):
    """One evaluation of a candidate by a runner."""

    architecture: Architecture
    fitness: float | None
    """More is better; None if the evaluation failed."""
    figures: Mapping[str, float]
    """Other values that the estimator found: "seconds", "parameters", ..."""
    number: int
    """Number of the proposal, from 1."""
    status: str = "done"
    message: str = ""
    values: Mapping[str, float] = FrozenDict({})
    """Value of each objective, in its own direction."""
    objectives: Sequence[Objective] = ()
    """Objectives that the score itself named; empty for those of the estimator."""


class RaceRunner(Protocol):
    """One searcher with one seed."""

    random: bool
    """True for random search, the baseline."""

    @property
    def space(self) -> Space:
        """The search space."""
        ...

    @property
    def table(self) -> Table | None:
        """The table in which the fitness is looked up; None if it is not."""
        ...

    @property
    def objective(self) -> Objective:
        """The objective that the fitness measures."""
        ...

    def evaluate_next(self) -> RaceEvaluation | None:
        """Evaluates the next candidate; None if the runner has ended."""
        ...

    def repeat(self, logged: Raced) -> None:
        """Propose again, and observe the logged result in the place of a new evaluation."""
        ...

    def keep_in(self, folder: Path) -> None:
        """Keep the trainings of candidates in this folder."""
        ...

    def spec(self) -> dict[str, Any]:
        """Returns JSON from which `Race.open` rebuilds the runner, as it was at the beginning."""
        ...


class TableRunner:
    """A sampler on a table: ask, look up, tell, without a `BlackBoxSearch` in between, which costs more than both."""

    def __init__(self, sampler: Sampler, table: Table) -> None:
        self._sampler, self.space = sampler, sampler.space
        self.table: Table = table
        self.objective = table.objectives[0]
        self.random = isinstance(sampler, RandomSearch)

    def evaluate_next(self) -> RaceEvaluation:
        trial = self._sampler.ask()
        found = evaluate(self.table, trial.architecture)
        self._sampler.tell(trial, found.fitness, found.metrics)
        return RaceEvaluation(
            trial.architecture,
            found.fitness,
            found.metrics,
            trial.number,
            found.status,
            found.message,
            found.values,
        )

    def repeat(self, logged: Raced) -> None:
        self._sampler.tell(self._sampler.ask(), logged.fitness, logged.figures)

    def keep_in(self, folder: Path) -> None:
        """Does nothing: a table trains nothing."""

    def spec(self) -> dict[str, Any]:
        return self._sampler.spec()


class EstimatorRunner:
    """A sampler with any estimator.

    Args:
        trials: a new search.
        described: True if the race stores the estimator, so that the spec of the runner is that of the sampler.
    """

    def __init__(self, trials: BlackBoxSearch, *, described: bool) -> None:
        self._trials, self._described = trials, described
        self.random = isinstance(trials.sampler, RandomSearch)
        self.space, self.table = trials.space, _table(trials.estimator)
        self.objective = trials.objectives[0]

    def evaluate_next(self) -> RaceEvaluation | None:
        if self._trials.step >= self._trials.total:
            return None
        return _evaluation_of(self._trials.advance())

    def repeat(self, logged: Raced) -> None:
        self._trials.tell_again(logged.number, outcome_of(logged))

    def keep_in(self, folder: Path) -> None:
        self._trials.keep_in(folder)

    def spec(self) -> dict[str, Any]:
        spec = self._trials.sampler.spec() if self._described else self._trials.spec()
        return {name: value for name, value in spec.items() if name != "objectives"}  # they follow from the estimator


class SearchRunner:
    """A whole `naslab.Search`, which keeps its own events, perhaps in a run folder of its own."""

    def __init__(self, search: Search) -> None:
        self._search = search
        self._next = 0
        """Index of the next event of the search to be read. After a kill the search may be ahead of the race."""
        assert isinstance(search.searcher, BlackBoxSearch)
        self.random = isinstance(search.searcher.sampler, RandomSearch)
        self.space, self.table = search.searcher.space, _table(search.searcher.estimator)
        self.objective = search.searcher.objectives[0]

    def evaluate_next(self) -> RaceEvaluation | None:
        while self._next < len(self._search.events) or next(self._search, None) is not None:
            event = self._search.events[self._next]
            self._next += 1
            if isinstance(event, Evaluated):
                return _evaluation_of(event)
        return None

    def repeat(self, logged: Raced) -> None:
        self.evaluate_next()

    def keep_in(self, folder: Path) -> None:
        if self._search.run is None:
            raise SpecError(
                "a race that is kept needs searches that are kept: give them run=..., or give the race the samplers"
            )

    def spec(self) -> dict[str, Any]:
        return {"run": str(self._search.run), "id": self._search.identity}


def _table(estimator: Any) -> Table | None:
    """Returns the table inside an estimator, through any wrappers; None if there is none."""
    for layer in layers(estimator):
        estimator = layer.inside
    return estimator if isinstance(estimator, Table) else None


def _evaluation_of(event: Evaluated) -> RaceEvaluation:
    return RaceEvaluation(
        event.architecture,
        event.fitness,
        event.figures,
        event.number,
        event.status,
        event.message,
        event.values,
        event.objectives,
    )


def runner_of(name: str, made: Any, estimator: Any, *, quick: bool) -> RaceRunner:
    """Returns the runner for the result of a function of the seed.

    Args:
        name: of the searcher, for errors.
        made: a new sampler, `BlackBoxSearch` or `naslab.Search`.
        estimator: of the race; None if the searches have their own.
        quick: True if the sampler asks for no fidelity, so that a table can be looked up directly.

    Raises:
        SpecError: it evaluates no candidates, or no estimator is given.
    """
    if isinstance(made, Sampler):
        if estimator is None:
            raise SpecError(f"searcher {name!r} evaluates nothing: give the race an estimator, such as a benchmark")
        trials = BlackBoxSearch(made, estimator, ENDLESS)  # raises `SpecError` if they do not fit
        return TableRunner(made, estimator) if quick else EstimatorRunner(trials, described=True)
    if isinstance(made, BlackBoxSearch):
        return EstimatorRunner(made, described=False)
    if not isinstance(made, Search) or not isinstance(made.searcher, BlackBoxSearch):
        raise SpecError(
            f"searcher {name!r}: a race is among searches that evaluate candidates; the function of the seed gave "
            f"{made!r:.200}"
        )
    return SearchRunner(made)


def runners_of(name: str, factory: Any, estimator: Any, seeds: Sequence[int]) -> list[RaceRunner]:
    """Returns the runners of one searcher, in the order of the seeds.

    Args:
        name: of the searcher, for errors.
        factory: a class of samplers, or a function from a seed to a sampler, a `BlackBoxSearch` or a `naslab.Search`.
        estimator: scores the architectures; None if the searches have their own.
        seeds: non-negative integers.
    """
    first = _make(name, factory, estimator, seeds[0])
    if isinstance(first, Sampler):  # a probe, which is asked for one candidate and then thrown away
        quick = isinstance(estimator, Table) and first.ask().fidelity is None
        made, spare = [_make(name, factory, estimator, seed) for seed in seeds], [first]
    else:
        quick, made, spare = False, [first, *(_make(name, factory, estimator, seed) for seed in seeds[1:])], []
    if len({id(each) for each in [*spare, *made]}) < len(spare) + len(made):
        raise SpecError(f"searcher {name!r}: the function must make a new one for each seed, and gave one twice")
    _check_seeds(name, made, seeds)
    return [runner_of(name, each, estimator, quick=quick) for each in made]


def _check_seeds(name: str, made: Sequence[Any], seeds: Sequence[int]) -> None:
    """Raises `SpecError` if two runners are equal: repeats of one run would look like independent ones, and shrink the
    confidence intervals to nothing.
    """
    first: dict[str, int] = {}
    for each, seed in zip(made, seeds, strict=True):
        if not isinstance(each, Sampler | BlackBoxSearch | Search):
            continue  # `runner_of` refuses it
        spec = each.spec if isinstance(each, Search) else each.spec()
        if (other := first.setdefault(json.dumps(spec, default=repr), seed)) != seed:
            given = f" (its own seed is {spec['seed']})" if "seed" in spec else ""
            raise SpecError(
                f"searcher {name!r}: expected another one for each seed, but the function gave the same for {other} "
                f"and {seed}{given}: their runs would be one and the same. Hand the seed on, for instance "
                "lambda seed: nl.searchers.RandomSearch(space, seed=seed)"
            )


def _make(name: str, factory: Any, estimator: Any, seed: int) -> Any:
    """Returns what the factory gives for a seed; a class of samplers is called with the estimator's space."""
    if isinstance(factory, type) and issubclass(factory, Sampler):
        space = None if estimator is None else estimator.space
        if space is None:
            raise SpecError(f"searcher {name!r}: a class needs an estimator that knows its space; give a function")
        return factory(space, seed=seed)
    if isinstance(factory, type):
        raise SpecError(
            f"searcher {name!r}: {factory.__name__} is no class of searchers by trials, whose candidates a race "
            "counts; give one, or a function of the seed that makes a whole nl.Search"
        )
    if not callable(factory):
        raise SpecError(f"searcher {name!r}: expected a class or a function of the seed, got {factory!r:.200}")
    return factory(seed)
