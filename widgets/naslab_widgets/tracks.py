"""`Track`: the data that a comparison keeps of one search of any kind, one row of float64 per step.

A row is that of `RowFormat` (step and metrics for a space without edges), followed by the columns of `EXTRA`. Values
that a search does not have are NaN, and `Track.lacks` gives the reason.
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
"""Columns after those of `RowFormat`: objective of the best so far, the search's progress on each axis other than
steps, and number of its best cell."""
RANKINGS = ("kendall", "spearman", "overlap")


class Track:
    """Turns the events of one search into rows, given the seconds that its steps have taken so far."""

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
            trials: True if an estimator evaluates the candidates: their objective is then the estimator's, not a metric
                of the search's own shared weights.
            metrics: metrics of the search: name -> direction and unit.
            objective: objective of its evaluations.
        """
        self.name, self.space, self.total, self.trials = name, space, total, trials
        self.objective = objective
        self.metrics = _measured(metrics, None if trials else objective)
        self.format = RowFormat(space, self.metrics) if hasattr(space, "edges") else None
        self._plain = 1 + len(self.metrics) if self.format is None else self.format.width
        self.width = self._plain + len(EXTRA)
        self.clear()

    def clear(self) -> None:
        """Forget all events, because the search was rewound."""
        self.step, self.epochs, self.seconds = 0, math.nan, 0.0
        self.history, self.log = History(self.width), Log(self.metrics)
        self.cells: dict[Architecture, int] = {}
        """Each cell that has been the best -> its number, from 0."""
        self._ranked = Sampled(limit=400)
        self._measured: dict[str, Sampled] = {}
        self._kinds: set[type[Event]] = set()
        self._epoch, self._began, self._length = -1, 0, 0
        self._seen, self._last = 0, None

    # --- events ----------------------------------------------------------------------------------

    def follow(self, events: Sequence[Event], seconds: float) -> tuple[list[np.ndarray], bool]:
        """Take the new events among all events of the search.

        Returns:
            The new rows, and True if the search was rewound: all rows are then new.
        """
        # The last event taken must still be at its position; otherwise the search was rewound or replaced its history.
        back = bool(self._seen) and (self._seen > len(events) or events[self._seen - 1] is not self._last)
        if back:
            self.clear()
        news = list(events[self._seen :])
        if news:
            self._seen, self._last = self._seen + len(news), news[-1]
        return [row for event in news if (row := self.take(event, seconds)) is not None], back

    def take(self, event: Event, seconds: float) -> np.ndarray | None:
        """Returns the row of a step; None for events that are no steps, such as messages and rankings."""
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
        """Update the fractional number of epochs.

        The length of the current epoch is taken from the one before; in the first epoch it is the total number of steps
        divided by the number of epochs (`expect`).
        """
        epoch = getattr(event, "epoch", self._epoch)
        if epoch != self._epoch:
            self._length = self.step - 1 - self._began if self._epoch >= 0 else 0
            self._epoch, self._began = epoch, self.step - 1
        if epoch >= 0:
            whole = self._length or self._guess
            self.epochs = epoch + min(1.0, (self.step - self._began) / whole if whole else 0.0)

    _guess = 0
    """Expected steps of the first epoch; 0 if unknown."""

    def expect(self, epochs: Any) -> None:
        """Set the number of epochs of the whole search; ignored for searches that have none."""
        if isinstance(epochs, int) and epochs > 0 and not self.trials:
            self._guess = self.total // epochs

    @property
    def place(self) -> tuple[float, float, float]:
        """(epochs, seconds, per cent of the whole search) so far."""
        return self.epochs, self.seconds, 100 * self.step / max(self.total, 1)

    def at(self, axis: str) -> float:
        """Returns the progress on an axis of `AXES`; NaN if the search does not have it."""
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
        """Returns the objective of the best so far, in its own direction; NaN if there is none."""
        best = event.best_fitness if isinstance(event, Evaluated) and self.trials else None
        return math.nan if best is None else objective_among([event], self.objective).sign * best

    def _cell(self, event: Event) -> float:
        best = getattr(event, "best", None)
        return -1 if best is None else self.cells.setdefault(best, len(self.cells))

    # --- for the browser -------------------------------------------------------------------------

    @property
    def lacks(self) -> list[str]:
        """Data that other searches may have and this one lacks, with the reasons."""
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
        """(step, epochs, seconds, share, one value for each of `RANKINGS`) of every ranking, thinned."""
        return [_known(point) for point in self._ranked.kept]

    @property
    def measured(self) -> dict[str, list[list[float | None]]]:
        """Metric -> (step, epochs, seconds, share, value) of each `Measured` event, thinned."""
        return {name: [_known(point) for point in points.kept] for name, points in self._measured.items()}

    @property
    def kin(self) -> str:
        """Key that is equal for searches whose cells can be compared edge by edge, or decision by decision."""
        if self.format is not None:
            return json.dumps([self.space.name, self.format.operations, self.format.edges])
        return json.dumps([self.space.name, [str(choice.name) for choice in self.space.fixed_choices or ()]])

    def description(self) -> dict[str, Any]:
        """Returns the constant description for the page, as JSON."""
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
        """Returns picture and decisions of a cell by number, for spaces without edges; None for an unknown number."""
        best = next((each for each, at in self.cells.items() if at == number), None)
        if best is None:
            return None
        answers = [[str(name), str(value)] for name, value in self.space.answers(best).items()]
        return {"picture": cell(self.space.graph(best), frame=frame_of(self.space)), "choices": answers}

    @property
    def best(self) -> Architecture | None:
        """The best cell after the last step."""
        last = self.history.last
        number = -1 if last is None else int(last[-1])
        return next((each for each, at in self.cells.items() if at == number), None)


def judged(event: Evaluated, objective: Objective) -> dict[str, float]:
    """Returns the metrics of a child evaluated with the shared weights: the objective, and the loss if known."""
    found: dict[str, float] = {}
    loss = event.details.get("valid_loss")
    if isinstance(loss, float):
        found["loss"] = loss
    if event.fitness is not None:
        own = objective_among([event], objective)
        found[own.name] = own.sign * event.fitness
    return found


def _measured(metrics: Mapping[str, Quantity], judged_by: Objective | None) -> dict[str, Quantity]:
    """Returns the metrics of a row; for children evaluated with shared weights also those of `judged`."""
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
    """Returns the argument of a comparison as a dict by name or a list; a single item is refused before it is touched.

    A search is an iterator: iterating over it as if it were a list would run it.

    Args:
        what: what is compared, in the plural, for the error text.
        example: correct call, for the error text.
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
    """Returns name -> search: the names of a mapping, or those of the searchers, numbered where several are equal."""
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
