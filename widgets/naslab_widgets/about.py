"""Metrics, objective, data unit and notes of a search or of a run reader, as the views need them.

An object that only stands in for a search, in a test or a notebook, may lack any of them. Nothing is guessed then:
there are no metrics, and the objective is the fitness without a unit.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from naslab.events import Evaluated, Event
from naslab.quantities import FITNESS, Objective, Quantity
from naslab.runs.shown import Shown


def metrics_of(search: Any) -> dict[str, Quantity]:
    """Returns name -> direction and unit, in display order."""
    return dict(getattr(search, "metrics", None) or {})


def shown_of(search: Any) -> Shown:
    """Returns what the views show of the task; for a race, of the task that its estimator trains candidates on."""
    said = getattr(search, "shown", None)
    return said if isinstance(said, Shown) else Shown.of(search)


def objective_of(search: Any) -> Objective:
    """Returns the objective by which this search compares its candidates."""
    named = tuple(getattr(search, "objectives", None) or ())
    if named and named != (FITNESS,):
        return named[0]
    metrics = metrics_of(search)
    judged = shown_of(search).objective
    if judged is not None and FITNESS.name in metrics:  # a child, with shared weights
        return judged
    return Objective(FITNESS.name, "max", metrics.get(FITNESS.name, Quantity()).unit)


def objective_among(events: Iterable[Event], otherwise: Objective) -> Objective:
    """Returns the objective that the scores of the events name, else `otherwise`."""
    named = (event.objectives[0] for event in events if isinstance(event, Evaluated) and event.objectives)
    return next(named, otherwise)


def notes_of(search: Any) -> list[str]:
    """Returns the caveats of the task that are shown beside every result."""
    return list(shown_of(search).notes)


def summary(search: Any) -> str:
    """Returns one line about a search: searcher, space, task, seed, run folder."""
    searcher = getattr(search, "searcher", None)
    sampler = getattr(searcher, "sampler", searcher)
    seed = getattr(sampler, "seed", getattr(searcher, "seed", None))
    task = getattr(search, "task", None)
    run = getattr(search, "run", None)
    parts = [
        "" if sampler is None else type(sampler).__name__,
        type(getattr(search, "space", None)).__name__,
        "" if task is None else type(task).__name__,
        f"seed {seed}" if isinstance(seed, int) else "",
        "in memory" if run is None else short_path(run),
    ]
    return " · ".join(filter(None, parts))


def short_path(path: str | os.PathLike[str]) -> str:
    """Returns the path relative to the working directory if it lies inside it, else the absolute path."""
    place = os.path.abspath(path)
    relative = os.path.relpath(place)
    return (place if relative.startswith(os.pardir) else relative).replace(os.sep, "/")
