"""The trials of a search as a numeric table, with derived columns: families, generations, missed hurdles.

A *candidate* may be evaluated several times, each time after more training; each of these evaluations has its own row
and number. A *family* is a founder with all its descendants by first parents, and has the founder's number.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from naslab.architecture import Architecture
from naslab.events import Evaluated, Event
from naslab_widgets.figures.truth import UNKNOWN, Truth

COLUMNS = (
    "step",
    "number",
    "fitness",  # NaN for one that failed
    "best",  # fitness of the best so far
    "origin",  # position in `TrialTable.origins`
    "candidate",  # number of its first evaluation
    "stage",  # evaluations of the same candidate before this one
    "fidelity",  # NaN if unknown
    "hurdle",  # fitness that it had to exceed for further training, at that time; NaN if there was none
    "missed",  # 1 if it did not exceed the hurdle, 0 if it did; NaN without a hurdle or fitness
    "parent",  # evaluation that it continues, or that of its first parent; NaN for a founder
    "second_parent",
    "parent_step",
    "family",
    "generation",  # 0 for a founder
    "rank",  # true rank, from 1; NaN without a benchmark
    "regret",
    "best_regret",  # regret of the best so far
)
AT = {name: column for column, name in enumerate(COLUMNS)}
NAN = float("nan")
WORDS = {"hurdle": "trained on"}
"""Origin -> its name in pictures, where the origin's own name means the line of a hurdle."""


class CompletedTrial(NamedTuple):
    """The non-numeric parts of an evaluation."""

    architecture: Architecture
    status: str
    parents: tuple[int, ...]
    figures: Mapping[str, float]
    message: str


class TrialTable:
    """The trials of a search, one row each; costs a few microseconds and 144 bytes per evaluation."""

    def __init__(self, truth: Truth | None = None) -> None:
        self.truth = truth
        self.origins: dict[str, int] = {}
        """Origin -> its position, in the order of appearance."""
        self.completed: list[CompletedTrial] = []
        """One entry per row."""
        self.failed = 0
        self.best: int | None = None
        """Row of the fittest evaluation; the first one of equals."""
        self._rows = np.empty((256, len(COLUMNS)))
        self._places: dict[int, int] = {}
        self._steps, self._families, self._generations = array("q"), array("q"), array("i")
        self._trained: dict[int, tuple[int, int]] = {}
        self._hurdles: Sequence[float] = ()
        """Hurdles after the last event: they apply to the next one, which may raise them."""
        self._best_fitness, self._best_regret = -float("inf"), NAN
        self._fittest, self._sorted = np.zeros(0, dtype=int), 0

    def take(self, events: Iterable[Event]) -> None:
        """Add the evaluations among the events."""
        rows = [self._row_of(event) for event in events if isinstance(event, Evaluated)]
        if not rows:
            return
        end = len(self.completed)
        if end > len(self._rows):
            # Doubling keeps the cost of appending constant on average.
            grown = np.empty((max(end, 2 * len(self._rows)), len(COLUMNS)))
            grown[: end - len(rows)] = self._rows[: end - len(rows)]
            self._rows = grown
        self._rows[end - len(rows) : end] = rows

    def __len__(self) -> int:
        return len(self.completed)

    @property
    def rows(self) -> np.ndarray:
        """The table as [n, len(COLUMNS)] float64, a view."""
        return self._rows[: len(self.completed)]

    @property
    def since(self) -> int:
        """First step of the pictures: that of the first trial if every step since is a trial, else 1."""
        steps = self.column("step") if len(self) else np.ones(1)
        return int(steps[0]) if steps[-1] - steps[0] < len(steps) else 1

    def column(self, name: str) -> np.ndarray:
        """Returns a column, [n] float64."""
        return self.rows[:, AT[name]]

    def fittest(self, most: int) -> list[int]:
        """Returns the rows of the `most` fittest, best first, earlier ones first among equals.

        The result is cached and only later rows are compared with it, so that `most` must be the same in every call.
        """
        rows = np.concatenate([self._fittest, np.arange(self._sorted, len(self))])
        fitness = self.column("fitness")[rows]
        rows, fitness = rows[np.isfinite(fitness)], fitness[np.isfinite(fitness)]
        if len(rows) > 4 * most:  # a linear-time cut before sorting; >= keeps all ties
            keep = fitness >= np.partition(fitness, -most)[-most]
            rows, fitness = rows[keep], fitness[keep]
        self._fittest, self._sorted = rows[np.argsort(-fitness, kind="stable")][:most], len(self)
        return self._fittest.tolist()

    def best_until(self, step: int) -> int | None:
        """Returns the row of the fittest evaluation up to a step, the earliest of equals; None if there is none."""
        fitness = self.column("fitness")[: np.searchsorted(self.column("step"), step, side="right")]
        return None if not np.isfinite(fitness).any() else int(np.nanargmax(fitness))

    def around(self, step: int, most: int) -> np.ndarray:
        """Returns at most `most` rows before and after a step."""
        middle = int(np.searchsorted(self.column("step"), step))
        return self.rows[max(0, middle - most) : middle + most + 1]

    def place(self, number: int) -> int | None:
        """Returns the row of an evaluation by its number; None if it is unknown."""
        return self._places.get(number)

    def before(self, place: int) -> tuple[int, ...]:
        """Returns the numbers of the evaluations that a row comes from: its own earlier training, and its parents."""
        first = self.rows[place, AT["parent"]]
        return tuple(dict.fromkeys((*([int(first)] if first == first else []), *self.completed[place].parents)))

    def ancestry(self, number: int, most: int = 1000) -> list[int]:
        """Returns the rows of an evaluation and its ancestors, nearest first (breadth-first search), at most `most`."""
        start = self.place(number)
        found: dict[int, None] = {} if start is None else {start: None}
        queue = list(found)
        for place in queue:  # the queue grows during the loop
            for parent in self.before(place):
                at = self.place(parent)
                if at is not None and at not in found and len(found) < most:
                    found[at] = None
                    queue.append(at)
        return list(found)

    def _row_of(self, event: Evaluated) -> tuple[float, ...]:
        number, parents, fitness = event.number, event.parents, event.fitness
        candidate = number if event.candidate is None else event.candidate
        continued, stage, place = candidate != number, 0, len(self.completed)
        before = parents[0] if parents else event.begins_from
        if continued:
            before, stage = self._trained.get(candidate, (candidate, 1))
            self._trained[candidate] = number, stage + 1
        at = None if before is None else self._places.get(before)
        if before is None or at is None:
            family, generation, parent, parent_step = number, 0, NAN, NAN
        else:
            parent, family, parent_step = before, self._families[at], self._steps[at]
            generation = self._generations[at] + (not continued)
        hurdle = self._hurdles[stage] if stage < len(self._hurdles) else NAN
        hurdles = event.details.get("hurdles", ())
        self._hurdles = hurdles if isinstance(hurdles, Sequence) else ()
        rank, regret = self.truth.of(event.architecture) if self.truth else UNKNOWN
        if fitness is None:
            self.failed += 1
        elif fitness > self._best_fitness:
            self._best_fitness, self._best_regret, self.best = fitness, regret, place
        self._places[number] = place
        self._steps.append(event.step)
        self._families.append(family)
        self._generations.append(generation)
        self.completed.append(CompletedTrial(event.architecture, event.status, parents, event.figures, event.message))
        return (
            event.step,
            number,
            NAN if fitness is None else fitness,
            NAN if event.best_fitness is None else event.best_fitness,
            self.origins.setdefault(WORDS.get(event.origin, event.origin), len(self.origins)),
            candidate,
            stage,
            NAN if event.fidelity is None else event.fidelity,
            hurdle,
            _missed(fitness, hurdle),
            parent,
            parents[1] if len(parents) > 1 else NAN,
            parent_step,
            family,
            generation,
            rank,
            regret,
            self._best_regret,
        )


def _missed(fitness: float | None, hurdle: float) -> float:
    """Applies the searcher's rule in float64: in float32, a fitness just above the hurdle could be equal to it."""
    return NAN if fitness is None or hurdle != hurdle else float(fitness <= hurdle)
