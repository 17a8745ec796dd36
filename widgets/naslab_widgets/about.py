"""What a search, or a run that is looked at, says of its numbers: metrics, objective, unit of its data, notes.

A stand-in for a search, in a test or a notebook, need not say any of it; nothing is then guessed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from naslab.events import Evaluated, Event
from naslab.quantities import FITNESS, Objective, Quantity
from naslab.runs.shown import Shown


def metrics_of(search: Any) -> dict[str, Quantity]:
    """Name -> direction and unit, in the order in which they are shown."""
    return dict(getattr(search, "metrics", None) or {})


def shown_of(search: Any) -> Shown:
    """What of the task stands beside the numbers; of a race, of what its estimator trains candidates on."""
    said = getattr(search, "shown", None)
    return said if isinstance(said, Shown) else Shown.of(search)


def objective_of(search: Any) -> Objective:
    """What an evaluation of this search is judged by."""
    named = tuple(getattr(search, "objectives", None) or ())
    if named and named != (FITNESS,):
        return named[0]
    metrics = metrics_of(search)
    judged = shown_of(search).objective
    if judged is not None and FITNESS.name in metrics:  # a child, with shared weights
        return judged
    return Objective(FITNESS.name, "max", metrics.get(FITNESS.name, Quantity()).unit)


def objective_among(events: Iterable[Event], otherwise: Objective) -> Objective:
    """That which the scores of the events name themselves, if they do."""
    named = (event.objectives[0] for event in events if isinstance(event, Evaluated) and event.objectives)
    return next(named, otherwise)


def notes_of(search: Any) -> list[str]:
    """What should be said wherever a result is shown."""
    return list(shown_of(search).notes)


def summary(search: Any) -> str:
    """What is searched, in a line: searcher, space, task, seed, and where it is kept."""
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
    """A path as short as it can be typed from here."""
    place = os.path.abspath(path)
    relative = os.path.relpath(place)
    return (place if relative.startswith(os.pardir) else relative).replace(os.sep, "/")
