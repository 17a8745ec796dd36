"""`Track`: what a comparison keeps of one search, of any kind: one row of float64 per step, and what the search lacks.

A row is that of `RowFormat` (of a space without edges: the step and the metrics), and behind it `EXTRA`. What a search
does not have is NaN, and `Track.lacks` says why.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from naslab.architecture import Architecture
from naslab.errors import SpecError, listed
from naslab.events import Evaluated, Event, Measured, Ranked, SupernetStep
from naslab.immutable import FrozenDict
from naslab.quantities import FITNESS, Objective, Quantity
from naslab.runs.branches import ASIDE
from naslab_widgets.about import objective_among
from naslab_widgets.figures import cell
from naslab_widgets.figures.cell import frame_of
from naslab_widgets.rows import History, RowFormat, Sampled, columns_of
from naslab_widgets.wire import Log

AXES = {
    "steps": "mini-batches, or candidates",
    "epochs": "passes over the training data",
    "seconds": "time that the steps took",
    "share": "of the whole search, in per cent",
}
"""Axis along which searches are compared -> its tooltip."""
EXTRA = ("best", "epochs", "seconds", "share", "cell")
"""Behind the row of a step: the objective of the best so far, where the search then was, number of its best cell."""
RANKINGS = ("kendall", "spearman", "overlap")


class Track:
    """One search: give it the events as they come, and the seconds that its steps have taken so far."""

    def __init__(
        self,
        name: str,
        space: Any,
        *,
        total: int,
        trials: bool,
        metrics: Mapping[str, Quantity] = FrozenDict({}),
        objective: Objective = FITNESS,
    ) -> None:
        """
        Args:
            total: steps of the whole search.
            trials: whether it evaluates candidates by an estimator: what they are worth is then measured elsewhere, and
                is no metric of its own shared weights.
            metrics: of the search: name -> direction and unit.
            objective: what its evaluations are judged by.
        """
        self.name, self.space, self.total, self.trials = name, space, total, trials
        self.objective = objective
        self.metrics = _measured(metrics, None if trials else objective)
        self.format = RowFormat(space, self.metrics) if hasattr(space, "edges") else None
        self._plain = 1 + len(self.metrics) if self.format is None else self.format.width
        self.width = self._plain + len(EXTRA)
        self.clear()

    def clear(self) -> None:
        """Forget all events: the search was rewound."""
        self.step, self.epochs, self.seconds = 0, math.nan, 0.0
        self.history, self.log = History(self.width), Log(self.metrics)
        self.cells: dict[Architecture, int] = {}
        """Every cell that was the best for a while -> its number, from 0."""
        self._ranked = Sampled(limit=400)
        self._measured: dict[str, Sampled] = {}
        self._kinds: set[type[Event]] = set()
        self._epoch, self._began, self._length = -1, 0, 0
        self._seen, self._last = 0, None

    # --- what happened ---------------------------------------------------------------------------

    def follow(self, events: Sequence[Event], seconds: float) -> tuple[list[np.ndarray], bool]:
        """Take what is new among all the events of the search; the new rows, and whether the search had gone back."""
        back = bool(self._seen) and (self._seen > len(events) or events[self._seen - 1] is not self._last)
        if back:
            self.clear()
        news = list(events[self._seen :])
        if news:
            self._seen, self._last = self._seen + len(news), news[-1]
        return [row for event in news if (row := self.take(event, seconds)) is not None], back

    def take(self, event: Event, seconds: float) -> np.ndarray | None:
        """The row of a step; nothing for what is said beside the steps."""
        if isinstance(event, Ranked):
            values = [getattr(event, name) for name in RANKINGS]
            self._ranked.extend([[event.step, *self.place, *(value and value[0] for value in values)]])
        if isinstance(event, Measured) and event.name in self.metrics:
            points = self._measured.setdefault(event.name, Sampled(limit=400))
            points.extend([[event.step, *self.place, event.value]])
        if isinstance(event, ASIDE):
            self.log.take(event)
            return None
        self._kinds.add(type(event))
        self.step, self.seconds = event.step, seconds
        self._count_epochs(event)
        row = np.concatenate([self._row(event), np.array([self._best(event), *self.place, self._cell(event)])])
        self.history.append(row)
        return row

    def _count_epochs(self, event: Event) -> None:
        """A part of an epoch is known from the length of the one before; in the first, from that of the search."""
        epoch = getattr(event, "epoch", self._epoch)
        if epoch != self._epoch:
            self._length = self.step - 1 - self._began if self._epoch >= 0 else 0
            self._epoch, self._began = epoch, self.step - 1
        if epoch >= 0:
            whole = self._length or self._guess
            self.epochs = epoch + min(1.0, (self.step - self._began) / whole if whole else 0.0)

    _guess = 0
    """Steps of the first epoch, if they are known before it has ended."""

    def expect(self, epochs: Any) -> None:
        """How many epochs the whole search has."""
        if isinstance(epochs, int) and epochs > 0 and not self.trials:
            self._guess = self.total // epochs

    @property
    def place(self) -> tuple[float, float, float]:
        """Epochs, seconds, and the share of the whole search in per cent."""
        return self.epochs, self.seconds, 100 * self.step / max(self.total, 1)

    def at(self, axis: str) -> float:
        """Where it stands on an axis; NaN where it has no such thing."""
        return dict(zip(AXES, (self.step, *self.place), strict=True))[axis]

    # --- a row -----------------------------------------------------------------------------------

    def _row(self, event: Event) -> np.ndarray:
        figures = self._figures(event)
        best = getattr(event, "best", None)
        if self.format is None:
            return np.array([event.step, *figures], dtype=np.float64)
        if isinstance(event, SupernetStep):
            return self.format.row(event)
        return self.format.plain(event.step, figures, best)

    def _figures(self, event: Event) -> list[float]:
        found = dict(getattr(event, "metrics", {}))
        if isinstance(event, Evaluated) and not self.trials:
            found |= {f"valid/{name}": value for name, value in judged(event, self.objective).items()}
        return [found.get(name, math.nan) for name in self.metrics]

    def _best(self, event: Event) -> float:
        """The objective of the best so far, as it is measured."""
        best = event.best_fitness if isinstance(event, Evaluated) and self.trials else None
        return math.nan if best is None else objective_among([event], self.objective).sign * best

    def _cell(self, event: Event) -> float:
        best = getattr(event, "best", None)
        return -1 if best is None else self.cells.setdefault(best, len(self.cells))

    # --- for the browser -------------------------------------------------------------------------

    @property
    def lacks(self) -> list[str]:
        """What other searches may have and this one has not, and why."""
        if not self._kinds:
            return []
        found = []
        if SupernetStep not in self._kinds:
            why = (
                "it evaluates candidates one by one"
                if self.trials
                else "it trains single paths of the shared weights"
                if self.format is not None
                else "the decisions of its space are not operations on edges"
            )
            found.append(f"no alphas: {why}")
        if self.trials:
            found.append("no losses and no epochs: what a candidate is worth comes from an estimator")
        elif self._kinds == {Evaluated}:
            found.append("no training loss: nothing has been trained yet")
        return found

    @property
    def ranked(self) -> list[list[float | None]]:
        """(step, epochs, seconds, share, one of each of `RANKINGS`) of every ranking, thinned."""
        return [_known(point) for point in self._ranked.kept]

    @property
    def measured(self) -> dict[str, list[list[float | None]]]:
        """Metric -> (step, epochs, seconds, share, value) of each time that it was measured by itself, thinned."""
        return {name: [_known(point) for point in points.kept] for name, points in self._measured.items()}

    @property
    def kin(self) -> str:
        """The same for searches whose cells can be compared edge by edge, or decision by decision."""
        if self.format is not None:
            return json.dumps([self.space.name, self.format.operations, self.format.edges])
        return json.dumps([self.space.name, [str(choice.name) for choice in self.space.fixed_choices or ()]])

    def description(self) -> dict[str, Any]:
        """What the browser must know, once, as JSON."""
        found: dict[str, Any] = {"operations": [], "parts": []} if self.format is None else self.format.description()
        metrics = columns_of(self.metrics)
        places = {name: self._plain + column for column, name in enumerate(EXTRA)}
        return {
            "name": self.name,
            "width": self.width,
            "total": self.total,
            "kin": self.kin,
            "columns": {"steps": 0, **metrics, **places},
            "operations": found["operations"],
            "parts": found["parts"],
        }

    def portrait(self, number: int) -> dict[str, Any] | None:
        """A cell by its number: its picture, and its decisions; for spaces without edges."""
        best = next((each for each, at in self.cells.items() if at == number), None)
        if best is None:
            return None
        answers = [[str(name), str(value)] for name, value in self.space.answers(best).items()]
        return {"picture": cell(self.space.graph(best), frame=frame_of(self.space)), "choices": answers}

    @property
    def best(self) -> Architecture | None:
        """The newest of `cells` that was the best."""
        last = self.history.last
        number = -1 if last is None else int(last[-1])
        return next((each for each, at in self.cells.items() if at == number), None)


def judged(event: Evaluated, objective: Objective) -> dict[str, float]:
    """Metrics of a child that was judged with the shared weights: the objective, and the loss where it is known."""
    found: dict[str, float] = {}
    loss = event.details.get("valid_loss")
    if isinstance(loss, float):
        found["loss"] = loss
    if event.fitness is not None:
        own = objective_among([event], objective)
        found[own.name] = own.sign * event.fitness
    return found


def _measured(metrics: Mapping[str, Quantity], judged_by: Objective | None) -> dict[str, Quantity]:
    """The metrics that a row has; of children that are judged by shared weights also those of `judged`."""
    if judged_by is None:
        return {}
    found = dict(metrics)
    if found.pop(FITNESS.name, None) is None:
        return found
    loss = {"valid/loss": found["train/loss"]} if "train/loss" in found else {}
    return {**found, **loss, f"valid/{judged_by.name}": judged_by.quantity}


def _known(point: Sequence[float | None]) -> list[float | None]:
    return [None if x is None or math.isnan(x) else float(x) for x in point]


def several(given: Any, what: str, example: str) -> dict[str, Any] | list[Any]:
    """What a comparison was given, as a dict by name or a list; one thing by itself is refused before it is touched.

    A search is an iterator: to look through it as if it were a list would run it.

    Args:
        what: is compared, in the plural.
        example: of how it is written.
    """
    alone = isinstance(given, str | bytes | os.PathLike) or hasattr(given, "settings") or hasattr(given, "total")
    if alone or not listed(given):
        raise SpecError(f"a comparison needs a list or mapping of {what}, not {given!r:.80}; write {example}")
    if not isinstance(given, Mapping):
        return list(given)
    found = {str(name): each for name, each in given.items()}
    if len(found) < len(given):
        raise SpecError(f"each of the {what} needs a name of its own as text, not {list(given)}; rename those alike")
    return found


def named(searches: Any) -> dict[str, Any]:
    """Names for searches: those of a mapping, or those of their searchers, told apart where several are alike."""
    searches = several(searches, "searches", "Compare([first, second])")
    if isinstance(searches, dict):
        return searches
    specs = [getattr(search, "spec", None) for search in searches]
    names = [
        str(spec.get("searcher", search) if isinstance(spec, Mapping) else search)
        for search, spec in zip(searches, specs, strict=True)
    ]
    counted: dict[str, int] = {}
    found: dict[str, Any] = {}
    for name, search in zip(names, searches, strict=True):
        counted[name] = counted.get(name, 0) + 1
        found[name if names.count(name) == 1 else f"{name} {counted[name]}"] = search
    return found
