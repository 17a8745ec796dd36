"""What a search, or a run that is looked at, says of its numbers: metrics, objective, unit of its data, notes.

A stand-in for a search, in a test or a notebook, need not say any of it; nothing is then guessed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from naslab.events import Evaluated, Event
from naslab.quantities import FITNESS, Objective, Quantity
from naslab.tasks.task import Task


def metrics_of(search: Any) -> dict[str, Quantity]:
    """Name -> direction and unit, in the order in which they are shown."""
    return dict(getattr(search, "metrics", None) or {})


def objective_of(search: Any) -> Objective:
    """What an evaluation of this search is judged by."""
    named = tuple(getattr(search, "objectives", None) or ())
    if named and named != (FITNESS,):
        return named[0]
    task = task_of(search)
    metrics = metrics_of(search)
    if task is not None and FITNESS.name in metrics:  # shared weights, judged by the task
        return objective_of_task(task)
    return Objective(FITNESS.name, "max", metrics.get(FITNESS.name, Quantity()).unit)


def objective_of_task(task: Task) -> Objective:
    """What a task judges an architecture by."""
    quantity = task.quantities[task.objective]
    return Objective(task.objective, quantity.direction or "max", quantity.unit)


def objective_among(events: Iterable[Event], otherwise: Objective) -> Objective:
    """That which the scores of the events name themselves, if they do."""
    named = (event.objectives[0] for event in events if isinstance(event, Evaluated) and event.objectives)
    return next(named, otherwise)


def task_of(search: Any) -> Task | None:
    """What is learnt, if the search says so: by its shared weights, or by the candidates that an estimator trains."""
    searcher = getattr(search, "searcher", search)
    for one in (search, searcher, getattr(searcher, "estimator", None), getattr(search, "estimator", None)):
        if isinstance(task := getattr(one, "task", None), Task):
            return task
    return None


def notes_of(search: Any) -> list[str]:
    """What should be said wherever a result is shown."""
    task = task_of(search)
    return [] if task is None else list(task.notes)
