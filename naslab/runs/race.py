"""A race: several searchers, many seeds each, on one axis of budget, as an iterator of frozen records.

    repeat: whoever has spent least does one evaluation

Nothing is shared between the runners but the estimator, so the curve of a searcher with a seed is the same in any
company. On a table a runner costs microseconds an evaluation; with an estimator that trains, it is the same class.

A race with a folder can be killed and opened again. What was evaluated stands there; a runner that has to go on is told
it once more, with the answers of then, and one that has ended is left alone.
"""

from __future__ import annotations

import heapq
import json
import math
import os
from collections import deque
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np

from naslab import estimators, markup
from naslab.architecture import Architecture
from naslab.card import Card
from naslab.errors import RunError, SpecError, listed, real, unknown, whole
from naslab.estimators import Table, as_estimator
from naslab.events import Raced
from naslab.runs.ending import Ending
from naslab.runs.folder import CANDIDATES
from naslab.runs.lanes import Move, OnTable, lanes_of
from naslab.runs.ledger import Ledger
from naslab.runs.places import located
from naslab.runs.race_card import card_of, seeds_of
from naslab.runs.race_curves import EVALUATIONS, RaceCurves
from naslab.runs.race_folder import RaceFolder, as_described_now, runners

FREE = 1000
"""Evaluations in a row that may cost nothing; a race on such an axis would never end."""


class Lap(NamedTuple):
    """One evaluation of one runner."""

    searcher: str
    seed: int
    query: int
    """Of this runner, from 1."""
    architecture: Architecture
    fitness: float | None
    """As the searcher saw it; None for a candidate that failed."""
    spent: float
    """By this runner, this evaluation included, on the axis of the budget."""


class Race(RaceCurves):
    """Searchers against each other. `next(race)` is one evaluation; to pause is to stop iterating.

    Args:
        searchers: name -> a class of `naslab.searchers`, or a function from a seed to a sampler or a `naslab.Search`,
            for instance `lambda seed: RegularizedEvolution(table.space, population=10, sample=3, seed=seed)`.
        estimator: what scores an architecture; not needed by searches that bring their own.
        seeds: whole numbers; each searcher runs once with each.
        budget: what each runner may spend. An evaluation that would end beyond it does not count.
        cost: "evaluations", or a figure of an evaluation, for instance "seconds": from the estimator's figures, or
            from the column of that name of a table, after as long a training as was asked for. One that
            fails before anybody says what it cost has cost nothing.
        truth: by what the architecture that a runner would give is judged, a benchmark or a `Table`. If left out, the
            objective of the table that is searched; without a table the fitness itself.
        run: folder to keep every evaluation in, which must not exist yet; `Race.open` goes on with it. None keeps
            them in memory.
    """

    def __init__(
        self,
        searchers: Mapping[str, Any],
        estimator: Any = None,
        *,
        seeds: Iterable[int] = range(10),
        budget: float = 100,
        cost: str = EVALUATIONS,
        truth: Any = None,
        run: str | os.PathLike[str] | None = None,
    ) -> None:
        if not isinstance(searchers, Mapping) or not searchers:
            raise SpecError(
                "a race needs searchers by name, for instance {'random': nl.searchers.RandomSearch}; "
                f"got {searchers!r:.200}"
            )
        if others := [name for name in searchers if not isinstance(name, str | int) or name == ""]:
            raise SpecError(f"each searcher of a race has a name, a string that is not empty; got {others[0]!r:.200}")
        self.searchers = tuple(str(name) for name in searchers)
        if len(set(self.searchers)) < len(searchers):
            raise SpecError(f"searchers need different names; they are {', '.join(map(repr, searchers))}")
        if not listed(seeds):
            raise SpecError(f"seeds is a list of whole numbers, not {seeds!r}; for that many seeds write range(...)")
        self.seeds = tuple(whole("a seed", seed) for seed in seeds)
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise SpecError(f"a race needs at least one seed, and each counts once; they are {list(self.seeds)}")
        self.cost = cost
        self.budget = float(whole("budget", budget, 1)) if cost == EVALUATIONS else real("budget", budget)
        if not 0 < self.budget < math.inf:
            raise SpecError(f"budget must be positive and finite, not {budget!r}")
        self.estimator = None if estimator is None else as_estimator(estimator)
        if isinstance(self.estimator, Table) and cost in self.estimator.benchmark.metrics:
            self.estimator = self.estimator.with_figure(cost)
        self._lanes = [lanes_of(str(name), factory, self.estimator, self.seeds) for name, factory in searchers.items()]
        self._check_cost()
        self.table = self._truth(truth)
        table = self.table
        utility = None if table is None else table.benchmark.utility(table.metric, epochs=table.epochs)
        longest = int(self.budget) if cost == EVALUATIONS else 64
        self._ledger = Ledger((len(self.searchers), len(self.seeds), longest), utility)
        self._step = 0
        self._free = np.zeros((len(self.searchers), len(self.seeds)), dtype=np.int64)
        self._best: dict[tuple[int, int], tuple[float, Architecture]] = {}
        self._next = [(0.0, s, n) for s in range(len(self.searchers)) for n in range(len(self.seeds))]
        heapq.heapify(self._next)
        self._behind: dict[tuple[int, int], deque[Raced]] = {}
        """Place of a runner -> what it has to be told once more before it goes on."""
        self._moves = 0
        self._folder: RaceFolder | None = None
        if run is not None:
            path = located(run)
            self._keep_candidates(path / CANDIDATES)
            self._folder = RaceFolder.create(path, self.spec(), total=self.total, estimator=self._fingerprint)

    @classmethod
    def open(
        cls, run: str | os.PathLike[str], searchers: Mapping[str, Any] | None = None, *, estimator: Any = None
    ) -> Self:
        """Go on with a race where it stopped, however it stopped.

        Args:
            run: the folder.
            searchers: as at the beginning, where JSON cannot bring them back (searchers of the user's own).
            estimator: what scores the candidates, where JSON cannot bring it back (the user's own function).
        """
        folder = RaceFolder(located(run))
        try:
            told = folder.spec
            seeds = tuple(told["seeds"])
            if estimator is None and told["estimator"] is not None:
                estimator = _again(told["estimator"])
            if searchers is None:
                logged = folder.events()
                searchers = {
                    name: runners(specs, seeds, estimator, [event for event in logged if event.searcher == name])
                    for name, specs in told["searchers"].items()
                }
            truth = None if told["truth"] is None else estimators.from_spec(told["truth"])
            race = cls(searchers, estimator, seeds=seeds, budget=told["budget"], cost=told["cost"], truth=truth)
            if race._fingerprint != folder.estimator:
                raise RunError(
                    f"the estimator is not that of the race at {folder.path}; pass the same as estimator=..."
                )
            described = json.loads(json.dumps(race.spec()["searchers"]))  # as the folder tells it: lists for tuples
            begun = {name: told["searchers"].get(name) for name in described}
            for name, specs in begun.items():
                if specs and any("run" in spec and "id" not in spec for spec in specs):  # told by an older naslab
                    described[name] = [
                        {key: value for key, value in one.items() if key != "id"} for one in described[name]
                    ]
            if others := [
                n for n in described if described[n] != begun[n] and described[n] != as_described_now(begun[n])
            ]:
                raise RunError(f"the race at {folder.path} was begun with another {others[0]!r}; pass the same ones")
            race._catch_up(folder)
        except BaseException:
            folder.close()
            raise
        return race

    def _check_cost(self) -> None:
        """`SpecError` if it is known beforehand that a runner could not say what an evaluation costs."""
        for row in self._lanes:
            if isinstance(row[0], OnTable):
                known = (EVALUATIONS, *row[0].table.benchmark.metrics)
                if self.cost not in known:
                    raise SpecError(unknown("cost", self.cost, known))

    def _catch_up(self, folder: RaceFolder) -> None:
        """Take over what stands in a folder."""
        self._folder = folder
        self._keep_candidates(folder.candidates)
        at = {(s, n): 0.0 for _, s, n in self._next}
        for event in folder.events():
            s, n = self.searchers.index(event.searcher), self.seeds.index(event.seed)
            self._behind.setdefault((s, n), deque()).append(event)
            at[s, n] = event.spent
            self._moves = event.step
            if event.spent <= self.budget:
                self._note(s, n, event.architecture, event.fitness, event.spent)
        self._next = [(spent, s, n) for (s, n), spent in at.items() if not self._enough(spent)]
        heapq.heapify(self._next)

    def _keep_candidates(self, folder: Path) -> None:
        for s, row in enumerate(self._lanes):
            for n, runner in enumerate(row):
                runner.keep_in(folder / f"{s}-{n}")

    def spec(self) -> dict[str, Any]:
        """JSON of all that `Race.open` needs."""
        return {
            "searchers": {
                name: [runner.spec() for runner in row] for name, row in zip(self.searchers, self._lanes, strict=True)
            },
            "estimator": None if self.estimator is None else self.estimator.spec(),
            "seeds": list(self.seeds),
            "budget": int(self.budget) if self.cost == EVALUATIONS else self.budget,
            "cost": self.cost,
            "truth": None if self.table is None else self.table.spec(),
        }

    @property
    def _fingerprint(self) -> str:
        return "" if self.estimator is None else self.estimator.fingerprint()

    def close(self) -> None:
        """Write what is left, and let others go on with the race."""
        if self._folder is not None:
            self._folder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- running ---------------------------------------------------------------------------------

    def __iter__(self) -> Race:
        return self

    def __next__(self) -> Lap:
        with Ending(self.close):
            return self._lap()

    def _lap(self) -> Lap:
        if self._folder is not None and self._folder.stuck:
            self._folder.write()
        while self._next:
            before, s, n = self._next[0]
            runner = self._lanes[s][n]
            behind = self._behind.pop((s, n), None)
            while behind:
                runner.repeat(behind.popleft())
            moved = runner.move()
            if moved is None:  # a search of its own, that has ended
                heapq.heappop(self._next)
                continue
            architecture, fitness = moved[:2]
            spent = before + self._price(s, n, moved)
            if self._enough(spent):
                heapq.heappop(self._next)
            else:
                heapq.heapreplace(self._next, (spent, s, n))
            if self._folder is not None:
                self._keep(s, n, moved, spent)
            if spent <= self.budget:
                return self._note(s, n, architecture, fitness, spent)
        if self._folder is not None:
            self._folder.write()
        raise StopIteration

    def _enough(self, spent: float) -> bool:
        """Whether a runner can do no more."""
        return spent > self.budget or (self.cost == EVALUATIONS and spent >= self.budget)

    def _keep(self, s: int, n: int, moved: Move, spent: float) -> None:
        assert self._folder is not None
        self._moves += 1
        self._folder.take(
            Raced(
                step=self._moves,
                searcher=self.searchers[s],
                seed=self.seeds[n],
                number=moved.number,
                architecture=moved.architecture,
                status=moved.status,
                fitness=moved.fitness,
                message=moved.message,
                figures=moved.figures,
                spent=spent,
                values=moved.values,
                objectives=moved.objectives,
            )
        )

    def run(self) -> Race:
        """To the end."""
        for _ in self:
            pass
        return self

    @property
    def folder(self) -> Path | None:
        """Where every evaluation is kept; None in memory."""
        return None if self._folder is None else self._folder.path

    @property
    def finished(self) -> bool:
        return not self._next

    @property
    def step(self) -> int:
        """Evaluations so far, of all runners."""
        return self._step

    @property
    def total(self) -> int:
        """Evaluations in all; where the budget is none of evaluations, what it will be if it goes on as so far."""
        if self.finished:
            return self._step
        if self.cost == EVALUATIONS:
            return int(self.budget) * self._free.size
        return max(self._step + 1, round(self._step / max(self.progress, 1e-3)))

    @property
    def progress(self) -> float:
        """Where the last runner is, as a part of the budget, in [0, 1]."""
        return min(1.0, self._next[0][0] / self.budget) if self._next else 1.0

    def _note(self, s: int, n: int, architecture: Architecture, fitness: float | None, spent: float) -> Lap:
        number = -1 if fitness is None or self.table is None else self.table.benchmark.index(architecture)
        query = self._ledger.note(s, n, fitness, number, spent)
        self._step += 1
        if fitness is not None and ((s, n) not in self._best or fitness > self._best[s, n][0]):
            self._best[s, n] = fitness, architecture
        return Lap(self.searchers[s], self.seeds[n], query + 1, architecture, fitness, spent)

    def _price(self, s: int, n: int, moved: Move) -> float:
        if self.cost == EVALUATIONS:
            return 1.0
        figures = moved.figures
        price = figures.get(self.cost)
        if price is None and moved.fitness is None:
            price = 0.0  # it failed before anything could be measured
        if price is None:
            raise SpecError(
                f"no evaluation says what it cost in {self.cost!r}; its figures are: {', '.join(figures) or 'none'}. "
                f"Take cost='evaluations', or an estimator that gives Score(fitness, {{{self.cost!r}: ...}})"
            )
        if not 0 <= price < math.inf:
            raise SpecError(f"a cost must be finite and not negative; {self.cost!r} is {price!r}")
        self._free[s, n] = 0 if price else self._free[s, n] + 1
        if self._free[s, n] > FREE:
            why = "" if moved.fitness is not None else f"; the last one failed, {moved.message}"
            raise RunError(f"{FREE} evaluations of {self.searchers[s]!r} in a row cost nothing in {self.cost!r}{why}")
        return price

    @property
    def card(self) -> Card:
        """What may be claimed from this race."""
        return card_of(self)

    def __repr__(self) -> str:
        head = (
            f"Race: {len(self.searchers)} searchers, {seeds_of(len(self.seeds))}, {self.budget:,.10g} {self.cost}; "
            f"{self.step:,} evaluations so far"
        )
        return markup.printable(f"{head}\n{self.card}" if self.step else head)

    def _repr_html_(self) -> str:
        return self.card._repr_html_() if self.step else markup.html_of(markup.element("pre", repr(self)))

    # --- within ----------------------------------------------------------------------------------

    def _truth(self, given: Any) -> Table | None:
        if given is None:
            return Table(self.estimator.benchmark) if isinstance(self.estimator, Table) else None
        found = as_estimator(given)
        if not isinstance(found, Table):
            raise SpecError(f"truth is a benchmark or a Table, which knows every architecture; got {given!r:.200}")
        for searcher, row in zip(self.searchers, self._lanes, strict=True):
            if row[0].space.name != found.space.name:
                raise SpecError(
                    f"truth={found.benchmark.name!r} knows architectures of {found.space.name!r}, and "
                    f"{searcher!r} searches {row[0].space.name!r}"
                )
        return found


def _again(described: dict[str, Any]) -> Any:
    """The estimator of a race that is opened."""
    try:
        return estimators.from_spec(described)
    except SpecError as error:
        if described.get("estimator") != "function":
            raise
        raise SpecError(
            f"the estimator of this race is a function, {described.get('called')!r}, which cannot be kept in a folder; "
            "pass it again as estimator=..., for instance Race.open(path, estimator=function)"
        ) from error
