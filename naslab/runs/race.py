"""A race: several searchers with many seeds each, compared over one budget axis, as an iterator of frozen records.

    repeat: the runner that has spent least does one evaluation

So at any moment all runners have spent about the same, and the curves can be compared while they grow. The runners
share nothing but the estimator: the curve of a searcher with a seed does not depend on the others in the race. A table
and an estimator that trains are used in the same way; on a table an evaluation takes microseconds.

A race with a folder can be killed and opened again. Its evaluations are logged there; a runner that goes on proposes
them again and observes the logged results, without a new evaluation. A runner that has ended is not replayed.
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
from naslab.runs.places import located
from naslab.runs.race_card import card_of, seeds_of
from naslab.runs.race_curves import EVALUATIONS, RaceCurves
from naslab.runs.race_folder import RaceFolder, as_described_now, runner_factory
from naslab.runs.race_results import RaceResults
from naslab.runs.runners import RaceEvaluation, TableRunner, runners_of

MOST_FREE_IN_A_ROW = 1000
"""Largest number of evaluations in a row that may cost nothing: a race with such a cost would never end."""


class RaceRound(NamedTuple):
    """One evaluation of one runner."""

    searcher: str
    seed: int
    query: int
    """Number of the evaluation of this runner, from 1."""
    architecture: Architecture
    fitness: float | None
    """Fitness that the searcher observed; None for a candidate that failed."""
    spent: float
    """Budget that this runner has spent, this evaluation included."""


class Race(RaceCurves):
    """A comparison of searchers. `next(race)` does one evaluation; to pause is to stop iterating.

    Args:
        searchers: name -> a class of `naslab.searchers`, or a function from a seed to a sampler or a `naslab.Search`,
            for instance `lambda seed: RegularizedEvolution(table.space, population=10, sample=3, seed=seed)`.
        estimator: scores the architectures; not needed for searches that have their own.
        seeds: non-negative integers; each searcher runs once with each.
        budget: budget of each runner. An evaluation that ends beyond it does not count.
        cost: unit of the budget: "evaluations", or a value of each evaluation, for instance "seconds", from the
            estimator's figures, or from the column of that name in a table, for the training length that was asked for.
            An evaluation that fails before its cost is known costs nothing.
        truth: benchmark or `Table` that values the incumbent of each runner. If left out, the objective of the table
            that is searched; without a table the fitness itself.
        run: folder to keep every evaluation in, which must not exist yet; `Race.open` goes on with it. None keeps
            them in memory.

    Raises:
        SpecError: the arguments contradict each other or are of the wrong kind.
        RunError: the folder is in use.
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
            self.estimator = self.estimator.with_metric(cost)
        self._runners = [
            runners_of(str(name), factory, self.estimator, self.seeds) for name, factory in searchers.items()
        ]
        self._check_cost()
        self.table = self._truth(truth)
        table = self.table
        utility = None if table is None else table.benchmark.utility(table.metric, epochs=table.epochs)
        longest = int(self.budget) if cost == EVALUATIONS else 64
        self._results = RaceResults((len(self.searchers), len(self.seeds), longest), utility)
        self._step = 0
        self._free_in_a_row = np.zeros((len(self.searchers), len(self.seeds)), dtype=np.int64)
        self._best: dict[tuple[int, int], tuple[float, Architecture]] = {}
        self._next = [(0.0, s, n) for s in range(len(self.searchers)) for n in range(len(self.seeds))]
        heapq.heapify(self._next)
        self._to_replay: dict[tuple[int, int], deque[Raced]] = {}
        """(searcher, seed) indices of a runner -> logged evaluations that it has to replay before it goes on."""
        self._evaluations = 0
        self._folder: RaceFolder | None = None
        if run is not None:
            path = located(run)
            self._keep_candidates(path / CANDIDATES)
            self._folder = RaceFolder.create(path, self.spec(), total=self.total, estimator=self._fingerprint)

    @classmethod
    def open(
        cls, run: str | os.PathLike[str], searchers: Mapping[str, Any] | None = None, *, estimator: Any = None
    ) -> Self:
        """Go on with a race where it stopped, even after a kill.

        Args:
            run: the folder.
            searchers: as at the beginning; needed if JSON cannot describe them (functions or classes of the user).
            estimator: as at the beginning; needed if JSON cannot describe it (a function of the user).

        Raises:
            RunError: there is no race, another process drives it, or the searchers or the estimator differ from those
                that it was begun with.
        """
        folder = RaceFolder(located(run))
        try:
            spec = folder.spec
            seeds = tuple(spec["seeds"])
            if estimator is None and spec["estimator"] is not None:
                estimator = _rebuilt_estimator(spec["estimator"])
            if searchers is None:
                logged = folder.events()
                searchers = {
                    name: runner_factory(specs, seeds, estimator, [event for event in logged if event.searcher == name])
                    for name, specs in spec["searchers"].items()
                }
            truth = None if spec["truth"] is None else estimators.from_spec(spec["truth"])
            race = cls(searchers, estimator, seeds=seeds, budget=spec["budget"], cost=spec["cost"], truth=truth)
            if race._fingerprint != folder.estimator:
                raise RunError(
                    f"the estimator is not that of the race at {folder.path}; pass the same as estimator=..."
                )
            described = json.loads(json.dumps(race.spec()["searchers"]))  # as JSON gives it back: lists for tuples
            begun = {name: spec["searchers"].get(name) for name in described}
            for name, specs in begun.items():
                if specs and any("run" in spec and "id" not in spec for spec in specs):  # written by an older naslab
                    described[name] = [
                        {key: value for key, value in one.items() if key != "id"} for one in described[name]
                    ]
            if others := [
                n for n in described if described[n] != begun[n] and described[n] != as_described_now(begun[n])
            ]:
                raise RunError(f"the race at {folder.path} was begun with another {others[0]!r}; pass the same ones")
            race._restore(folder)
        except BaseException:
            folder.close()
            raise
        return race

    def _check_cost(self) -> None:
        """Raises `SpecError` if a table, which is known before the first evaluation, has no such cost."""
        for row in self._runners:
            if isinstance(row[0], TableRunner):
                known = (EVALUATIONS, *row[0].table.benchmark.metrics)
                if self.cost not in known:
                    raise SpecError(unknown("cost", self.cost, known))

    def _restore(self, folder: RaceFolder) -> None:
        """Take over the evaluations that are logged in a folder. Runners replay theirs only when their turn comes."""
        self._folder = folder
        self._keep_candidates(folder.candidates)
        at = {(s, n): 0.0 for _, s, n in self._next}
        for event in folder.events():
            s, n = self.searchers.index(event.searcher), self.seeds.index(event.seed)
            self._to_replay.setdefault((s, n), deque()).append(event)
            at[s, n] = event.spent
            self._evaluations = event.step
            if event.spent <= self.budget:
                self._note(s, n, event.architecture, event.fitness, event.spent)
        self._next = [(spent, s, n) for (s, n), spent in at.items() if not self._exhausted(spent)]
        heapq.heapify(self._next)

    def _keep_candidates(self, folder: Path) -> None:
        for s, row in enumerate(self._runners):
            for n, runner in enumerate(row):
                runner.keep_in(folder / f"{s}-{n}")

    def spec(self) -> dict[str, Any]:
        """Returns JSON from which `Race.open` rebuilds the race."""
        return {
            "searchers": {
                name: [runner.spec() for runner in row] for name, row in zip(self.searchers, self._runners, strict=True)
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
        """Write the remaining evaluations and release the folder."""
        if self._folder is not None:
            self._folder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- running ---------------------------------------------------------------------------------

    def __iter__(self) -> Race:
        return self

    def __next__(self) -> RaceRound:
        with Ending(self.close):
            return self._round()

    def _round(self) -> RaceRound:
        """Does the next evaluation that counts. `_next` is a heap, so that its first entry has spent least."""
        if self._folder is not None and self._folder.stuck:
            self._folder.write()
        while self._next:
            before, s, n = self._next[0]
            runner = self._runners[s][n]
            replayed = self._to_replay.pop((s, n), None)
            while replayed:
                runner.repeat(replayed.popleft())
            found = runner.evaluate_next()
            if found is None:  # a `naslab.Search` that has ended by itself
                heapq.heappop(self._next)
                continue
            architecture, fitness = found[:2]
            spent = before + self._cost_of(s, n, found)
            if self._exhausted(spent):
                heapq.heappop(self._next)
            else:
                heapq.heapreplace(self._next, (spent, s, n))
            if self._folder is not None:
                self._keep(s, n, found, spent)
            if spent <= self.budget:
                return self._note(s, n, architecture, fitness, spent)
        if self._folder is not None:
            self._folder.write()
        raise StopIteration

    def _exhausted(self, spent: float) -> bool:
        """True if a runner has spent its budget."""
        return spent > self.budget or (self.cost == EVALUATIONS and spent >= self.budget)

    def _keep(self, s: int, n: int, found: RaceEvaluation, spent: float) -> None:
        assert self._folder is not None
        self._evaluations += 1
        self._folder.take(
            Raced(
                step=self._evaluations,
                searcher=self.searchers[s],
                seed=self.seeds[n],
                number=found.number,
                architecture=found.architecture,
                status=found.status,
                fitness=found.fitness,
                message=found.message,
                figures=found.figures,
                spent=spent,
                values=found.values,
                objectives=found.objectives,
            )
        )

    def run(self) -> Race:
        """Do all evaluations that are left."""
        for _ in self:
            pass
        return self

    @property
    def folder(self) -> Path | None:
        """Folder of the race; None in memory."""
        return None if self._folder is None else self._folder.path

    @property
    def finished(self) -> bool:
        return not self._next

    @property
    def step(self) -> int:
        """Number of evaluations so far, of all runners."""
        return self._step

    @property
    def total(self) -> int:
        """Number of evaluations at the end of the race; extrapolated if the budget is not counted in evaluations."""
        if self.finished:
            return self._step
        if self.cost == EVALUATIONS:
            return int(self.budget) * self._free_in_a_row.size
        return max(self._step + 1, round(self._step / max(self.progress, 1e-3)))

    @property
    def progress(self) -> float:
        """Share of the budget that the runner which has spent least has spent, in [0, 1]."""
        return min(1.0, self._next[0][0] / self.budget) if self._next else 1.0

    def _note(self, s: int, n: int, architecture: Architecture, fitness: float | None, spent: float) -> RaceRound:
        number = -1 if fitness is None or self.table is None else self.table.benchmark.index(architecture)
        query = self._results.note(s, n, fitness, number, spent)
        self._step += 1
        if fitness is not None and ((s, n) not in self._best or fitness > self._best[s, n][0]):
            self._best[s, n] = fitness, architecture
        return RaceRound(self.searchers[s], self.seeds[n], query + 1, architecture, fitness, spent)

    def _cost_of(self, s: int, n: int, found: RaceEvaluation) -> float:
        if self.cost == EVALUATIONS:
            return 1.0
        figures = found.figures
        price = figures.get(self.cost)
        if price is None and found.fitness is None:
            price = 0.0  # it failed before its cost could be measured
        if price is None:
            raise SpecError(
                f"no evaluation says what it cost in {self.cost!r}; its figures are: {', '.join(figures) or 'none'}. "
                f"Take cost='evaluations', or an estimator that gives Score(fitness, {{{self.cost!r}: ...}})"
            )
        if not 0 <= price < math.inf:
            raise SpecError(f"a cost must be finite and not negative; {self.cost!r} is {price!r}")
        self._free_in_a_row[s, n] = 0 if price else self._free_in_a_row[s, n] + 1
        if self._free_in_a_row[s, n] > MOST_FREE_IN_A_ROW:
            why = "" if found.fitness is not None else f"; the last one failed, {found.message}"
            raise RunError(
                f"{MOST_FREE_IN_A_ROW} evaluations of {self.searchers[s]!r} in a row cost nothing in {self.cost!r}{why}"
            )
        return price

    @property
    def card(self) -> Card:
        """The card of the race: results with intervals, tests, and warnings about what may not be claimed."""
        return card_of(self)

    def __repr__(self) -> str:
        head = (
            f"Race: {len(self.searchers)} searchers, {seeds_of(len(self.seeds))}, {self.budget:,.10g} {self.cost}; "
            f"{self.step:,} evaluations so far"
        )
        return markup.printable(f"{head}\n{self.card}" if self.step else head)

    def _repr_html_(self) -> str:
        return self.card._repr_html_() if self.step else markup.html_of(markup.element("pre", repr(self)))

    # --- the truth -------------------------------------------------------------------------------

    def _truth(self, given: Any) -> Table | None:
        if given is None:
            return Table(self.estimator.benchmark) if isinstance(self.estimator, Table) else None
        found = as_estimator(given)
        if not isinstance(found, Table):
            raise SpecError(f"truth is a benchmark or a Table, which knows every architecture; got {given!r:.200}")
        for searcher, row in zip(self.searchers, self._runners, strict=True):
            if row[0].space.name != found.space.name:
                raise SpecError(
                    f"truth={found.benchmark.name!r} knows architectures of {found.space.name!r}, and "
                    f"{searcher!r} searches {row[0].space.name!r}"
                )
        return found


def _rebuilt_estimator(described: dict[str, Any]) -> Any:
    """Returns the estimator of a race that is opened; `SpecError` if it is a function, which only the user has."""
    try:
        return estimators.from_spec(described)
    except SpecError as error:
        if described.get("estimator") != "function":
            raise
        raise SpecError(
            f"the estimator of this race is a function, {described.get('called')!r}, which cannot be kept in a folder; "
            "pass it again as estimator=..., for instance Race.open(path, estimator=function)"
        ) from error
