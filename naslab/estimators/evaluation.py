"""The evaluation of one candidate: the same in this process, in a worker, or wherever an executor takes it.

A candidate that was trained before, or that inherits weights, comes as a *lineage*: the stages of training that lead
to it, the first from new weights. Usually all but the last are kept in files; what is not there any more is trained
again, and comes out the same.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from naslab.architecture import Architecture
from naslab.errors import RunPaused, SnapshotDamaged
from naslab.estimators.estimator import Estimator, Kept, Score, Trainable, WrongSetup, cannot_be_told

MAX_MESSAGE = 1000
"""Characters that are kept of what a failed candidate says."""


class Stage(NamedTuple):
    """A training that leads to a candidate."""

    architecture: Architecture
    fidelity: float | None
    """Epochs in all when it ends."""
    keep: Path | None
    """File in which it is left, if the estimator keeps weights."""


class Outcome(NamedTuple):
    """What came of a candidate."""

    status: str
    """"done"; or why there is no fitness: "failed", "crashed", "timed out", "cancelled"."""
    fitness: float | None
    figures: dict[str, float]
    message: str
    """Why there is none."""


def evaluate(estimator: Estimator, architecture: Architecture, lineage: Sequence[Stage] = ()) -> Outcome:
    """Score an architecture; an exception is the candidate's failure, not the search's.

    Args:
        estimator: what scores it; with a lineage, a `Trainable`.
        architecture: the candidate.
        lineage: how it is to be trained, its own stage last; empty: as the estimator sees fit.

    Raises:
        RunPaused: the disk takes no weights.
        WrongSetup: every candidate would fail, for instance as the estimator cannot be asked for that much training.
    """
    try:
        found = _trained(estimator, lineage) if lineage else estimator(architecture)
        fitness, figures = found if isinstance(found, Score) else (found, {})
        fitness = _plain(fitness)
        if isinstance(fitness, bool) or not isinstance(fitness, numbers.Real) or not math.isfinite(fitness):
            return failed(f"the estimator gave {fitness!r:.200}; a fitness is a finite number")
        figures = {str(name): float(_plain(value)) for name, value in figures.items()}
        if wrong := [f"{name}={value}" for name, value in figures.items() if not math.isfinite(value)]:
            return failed(f"the estimator gave the figures {', '.join(wrong)}; figures are finite numbers")
    except (RunPaused, WrongSetup):
        raise
    except Exception as error:  # whatever it is, it is the candidate's
        return failed(f"{type(error).__name__}: {error}")
    return Outcome("done", float(fitness), figures, "")


def _plain(value: Any) -> Any:
    """A scalar of NumPy's or torch's as a number of Python's."""
    return value.item() if getattr(value, "ndim", None) == 0 else value


def failed(message: str, status: str = "failed") -> Outcome:
    """A candidate without a fitness."""
    return Outcome(status, None, {}, message[:MAX_MESSAGE])


def _trained(estimator: Any, lineage: Sequence[Stage]) -> Score:
    """Train the last stage, and before it those that are not kept."""
    if not hasattr(estimator, "train"):
        raise cannot_be_told(estimator)
    while True:
        last = len(lineage) - 1
        start = last
        if estimator.keeps_weights:
            there = [place for place, stage in enumerate(lineage) if stage.keep and stage.keep.exists()]
            start = min(there[-1] + 1, last) if there else 0
        try:
            for place in range(start, last):
                _train(estimator, lineage, place)
            return _train(estimator, lineage, last)
        except SnapshotDamaged:
            lost = [stage.keep for stage in lineage[-2:] if stage.keep and stage.keep.exists()]
            if not lost:
                raise
            for path in lost:
                path.unlink()


def _train(estimator: Trainable, lineage: Sequence[Stage], place: int) -> Score:
    stage = lineage[place]
    begin = Kept(*lineage[place - 1]) if place else None
    return estimator.train(stage.architecture, fidelity=stage.fidelity, begin=begin, keep=stage.keep)
