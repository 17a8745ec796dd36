"""What moves in a race: a sampler with an estimator, or a search that brings its own."""

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
"""Evaluations; the race itself says when a runner has had enough."""


class Move(NamedTuple):
    """An evaluation."""

    architecture: Architecture
    fitness: float | None
    """None if it failed."""
    figures: Mapping[str, float]
    """What else was found."""
    number: int
    """Of the proposal."""
    status: str = "done"
    message: str = ""
    values: Mapping[str, float] = FrozenDict({})
    """Of the objectives, each in its own direction."""
    objectives: Sequence[Objective] = ()
    """Those that the score itself named."""


class Lane(Protocol):
    """One runner."""

    random: bool
    """Whether it is a random search."""

    @property
    def space(self) -> Space:
        """What it searches."""
        ...

    @property
    def table(self) -> Table | None:
        """The table that its fitness is from, if it is from one."""
        ...

    @property
    def objective(self) -> Objective:
        """What the fitness is the value of."""
        ...

    def move(self) -> Move | None:
        """One evaluation; None when there are no more."""
        ...

    def repeat(self, logged: Raced) -> None:
        """The same move again, with what came of it then."""
        ...

    def keep_in(self, folder: Path) -> None:
        """Leave what is trained in this folder."""
        ...

    def spec(self) -> dict[str, Any]:
        """JSON from which `again` makes it again, as it was at the beginning."""
        ...


class OnTable:
    """A sampler on a table: asked, looked up, told, with nothing in between."""

    def __init__(self, sampler: Sampler, table: Table) -> None:
        self._sampler, self.space = sampler, sampler.space
        self.table: Table = table
        self.objective = table.objectives[0]
        self.random = isinstance(sampler, RandomSearch)

    def move(self) -> Move:
        trial = self._sampler.ask()
        found = evaluate(self.table, trial.architecture)
        self._sampler.tell(trial, found.fitness, found.figures)
        return Move(
            trial.architecture,
            found.fitness,
            found.figures,
            trial.number,
            found.status,
            found.message,
            found.values,
        )

    def repeat(self, logged: Raced) -> None:
        self._sampler.tell(self._sampler.ask(), logged.fitness, logged.figures)

    def keep_in(self, folder: Path) -> None:
        """There is nothing to be kept."""

    def spec(self) -> dict[str, Any]:
        return self._sampler.spec()


class OnTrials:
    """A sampler with any estimator.

    Args:
        trials: new.
        described: whether the race knows the estimator, so that the sampler alone describes the runner.
    """

    def __init__(self, trials: BlackBoxSearch, *, described: bool) -> None:
        self._trials, self._described = trials, described
        self.random = isinstance(trials.sampler, RandomSearch)
        self.space, self.table = trials.space, _table(trials.estimator)
        self.objective = trials.objectives[0]

    def move(self) -> Move | None:
        if self._trials.step >= self._trials.total:
            return None
        return _move(self._trials.advance())

    def repeat(self, logged: Raced) -> None:
        self._trials.tell_again(logged.number, outcome_of(logged))

    def keep_in(self, folder: Path) -> None:
        self._trials.keep_in(folder)

    def spec(self) -> dict[str, Any]:
        spec = self._trials.sampler.spec() if self._described else self._trials.spec()
        return {name: value for name, value in spec.items() if name != "objectives"}  # which the estimator says


class OnSearch:
    """A whole `naslab.Search`, which keeps its own events."""

    def __init__(self, search: Search) -> None:
        self._search = search
        self._next = 0
        """Place among its events of what comes next."""
        assert isinstance(search.searcher, BlackBoxSearch)
        self.random = isinstance(search.searcher.sampler, RandomSearch)
        self.space, self.table = search.searcher.space, _table(search.searcher.estimator)
        self.objective = search.searcher.objectives[0]

    def move(self) -> Move | None:
        while self._next < len(self._search.events) or next(self._search, None) is not None:
            event = self._search.events[self._next]
            self._next += 1
            if isinstance(event, Evaluated):
                return _move(event)
        return None

    def repeat(self, logged: Raced) -> None:
        self.move()

    def keep_in(self, folder: Path) -> None:
        if self._search.run is None:
            raise SpecError(
                "a race that is kept needs searches that are kept: give them run=..., or give the race the samplers"
            )

    def spec(self) -> dict[str, Any]:
        return {"run": str(self._search.run), "id": self._search.identity}


def _table(estimator: Any) -> Table | None:
    """The table that an estimator looks into, others around it or not."""
    for layer in layers(estimator):
        estimator = layer.inside
    return estimator if isinstance(estimator, Table) else None


def _move(event: Evaluated) -> Move:
    return Move(
        event.architecture,
        event.fitness,
        event.figures,
        event.number,
        event.status,
        event.message,
        event.values,
        event.objectives,
    )


def lane(name: str, made: Any, estimator: Any, *, quick: bool) -> Lane:
    """The runner for what a function of the seed gave.

    Args:
        made: a sampler, trials, or a `naslab.Search`; new.
        quick: whether it asks for no particular fidelity, so that a table can be looked up without more ado.
    """
    if isinstance(made, Sampler):
        if estimator is None:
            raise SpecError(f"searcher {name!r} evaluates nothing: give the race an estimator, such as a benchmark")
        trials = BlackBoxSearch(made, estimator, ENDLESS)  # which refuses what does not fit together
        return OnTable(made, estimator) if quick else OnTrials(trials, described=True)
    if isinstance(made, BlackBoxSearch):
        return OnTrials(made, described=False)
    if not isinstance(made, Search) or not isinstance(made.searcher, BlackBoxSearch):
        raise SpecError(
            f"searcher {name!r}: a race is among searches that evaluate candidates; the function of the seed gave "
            f"{made!r:.200}"
        )
    return OnSearch(made)


def lanes_of(name: str, factory: Any, estimator: Any, seeds: Sequence[int]) -> list[Lane]:
    """The runners of one searcher, in the order of the seeds.

    Args:
        name: of the searcher, for messages.
        factory: a class of `naslab.searchers`, or a function from a seed to a sampler, trials or a `naslab.Search`.
        estimator: what scores an architecture, if not the searches themselves.
        seeds: whole numbers.
    """
    first = _make(name, factory, estimator, seeds[0])
    if isinstance(first, Sampler):  # it is asked once, and is none of the runners
        quick = isinstance(estimator, Table) and first.ask().fidelity is None
        made, spare = [_make(name, factory, estimator, seed) for seed in seeds], [first]
    else:
        quick, made, spare = False, [first, *(_make(name, factory, estimator, seed) for seed in seeds[1:])], []
    if len({id(each) for each in [*spare, *made]}) < len(spare) + len(made):
        raise SpecError(f"searcher {name!r}: the function must make a new one for each seed, and gave one twice")
    _check_seeds(name, made, seeds)
    return [lane(name, each, estimator, quick=quick) for each in made]


def _check_seeds(name: str, made: Sequence[Any], seeds: Sequence[int]) -> None:
    """Runs that are the same count as many, and show a certainty that there is not."""
    first: dict[str, int] = {}
    for each, seed in zip(made, seeds, strict=True):
        if not isinstance(each, Sampler | BlackBoxSearch | Search):
            continue  # `lane` refuses it
        spec = each.spec if isinstance(each, Search) else each.spec()
        if (other := first.setdefault(json.dumps(spec, default=repr), seed)) != seed:
            given = f" (its own seed is {spec['seed']})" if "seed" in spec else ""
            raise SpecError(
                f"searcher {name!r}: expected another one for each seed, but the function gave the same for {other} "
                f"and {seed}{given}: their runs would be one and the same. Hand the seed on, for instance "
                "lambda seed: nl.searchers.RandomSearch(space, seed=seed)"
            )


def _make(name: str, factory: Any, estimator: Any, seed: int) -> Any:
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
