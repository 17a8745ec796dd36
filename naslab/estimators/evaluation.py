"""Evaluation of one candidate, the same in this process, in a worker, or on another machine.

A candidate that continues a training, or inherits weights, has a *lineage*: the stages of training that lead to it, of
which the first starts from new weights. Usually all stages but the last have a checkpoint. A stage whose checkpoint is
missing or damaged is trained again, with the same result.
"""

from __future__ import annotations

import errno
import math
import os
import shutil
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import torch

from naslab import files, snapshot
from naslab.architecture import Architecture
from naslab.errors import RunError, RunPaused, SnapshotDamaged, SpecError, plain, real
from naslab.estimators.estimator import (
    MOST_FITNESS,
    CheckpointRef,
    Estimator,
    Trainable,
    WrongSetup,
    without_fidelities,
)
from naslab.estimators.score import DEFAULT, Score, objectives_of
from naslab.events import Evaluated, Raced
from naslab.immutable import FrozenDict
from naslab.out_of_memory import is_out_of_memory, release
from naslab.quantities import Objective
from naslab.torch_state import default_torch_state

MAX_MESSAGE = 1000
"""Characters kept of the error message of a failed candidate."""


class TrainingStage(NamedTuple):
    """One training in the lineage of a candidate."""

    architecture: Architecture
    fidelity: float | None
    """Epochs in total at its end."""
    keep: Path | None
    """File of its checkpoint; None if the estimator keeps no weights."""


class Outcome(NamedTuple):
    """Result of the evaluation of a candidate."""

    status: str
    """"done", or the reason that there is no fitness: "failed", "crashed", "timed out", "cancelled"."""
    fitness: float | None
    metrics: dict[str, float]
    message: str
    """Why there is no fitness; else empty."""
    values: Mapping[str, float] = FrozenDict({})
    """Name of each objective -> its measured value, in its own direction."""
    objectives: tuple[Objective, ...] = ()
    """Objectives of the score; empty if they are those of the estimator."""


@default_torch_state()
def evaluate(estimator: Estimator, architecture: Architecture, lineage: Sequence[TrainingStage] = ()) -> Outcome:
    """Returns the result of scoring an architecture; an exception fails the candidate, not the search.

    Args:
        estimator: what scores it; with a lineage, a `Trainable`.
        architecture: the candidate.
        lineage: stages of its training, its own last; empty to leave the training to the estimator.

    Raises:
        RunPaused: checkpoints cannot be written.
        WrongSetup: every candidate would fail, for instance because the training length is not available.
    """
    try:
        found: Any = _trained(estimator, lineage) if lineage else estimator(architecture)
        own: tuple[Objective, ...] = ()
        named = objectives_of(estimator)
        if isinstance(found, Score):
            fitness, metrics, own = found.fitness, found.metrics, found.objectives
            _agree(own, named)
        else:  # no `Score` is made: there are searches of a hundred thousand candidates a minute
            fitness, metrics = found, {}
        number = None
        with suppress(SpecError):
            number = real("a fitness", fitness)
        metrics = {str(name): float(plain(value)) for name, value in metrics.items()}
        if wrong := [f"{name}={value}" for name, value in metrics.items() if not math.isfinite(value)]:
            return failed(f"the estimator returned the metrics {', '.join(wrong)}; metrics are finite numbers")
        if number is None or abs(number) > MOST_FITNESS:
            came = f"the estimator returned {plain(fitness)!r:.200}"
            said = failed(f"{came}; a fitness is a number, up to {MOST_FITNESS:g} in size")
            return said._replace(metrics=metrics)
    except (RunPaused, WrongSetup):
        raise
    except Exception as error:  # any error is the candidate's, except one of our own checkpoint files
        if isinstance(error, OSError) and _storage_failed(error, lineage):
            with snapshot.disk(f"keeping the training of {architecture}"):
                raise
        lost = failed(error_text(error))
        if not is_out_of_memory(error):
            return lost
        traceback.clear_frames(error.__traceback__)
    else:
        first = (own or named)[0]
        values = {first.name: first.sign * number}
        if own:
            values |= metrics
        return Outcome("done", number, metrics, "", values, () if own == named else own)
    # The error is gone, and the next candidate needs the memory that its frames held.
    release("cuda" if torch.cuda.is_initialized() else "cpu")
    return lost


def outcome_of(event: Evaluated | Raced) -> Outcome:
    """Returns the outcome that an event recorded."""
    metrics, values = dict(event.figures), dict(event.values)
    return Outcome(event.status, event.fitness, metrics, event.message, values, tuple(event.objectives))


def _agree(own: tuple[Objective, ...], named: tuple[Objective, ...]) -> None:
    """Raises `WrongSetup` if the objectives of a score differ from those that its estimator declares."""
    if own and own != named and named != DEFAULT:
        both = " and ".join("[" + "; ".join(f"{o.name}: {o.direction}" for o in each) + "]" for each in (own, named))
        raise WrongSetup(
            f"the score of a candidate has other objectives than its estimator: {both}; give Score(values=..., "
            "objectives=estimator.objectives)"
        )


def error_text(error: BaseException) -> str:
    """Returns type and message of an exception, also of one whose `__str__` fails."""
    try:
        text = str(error)
    except Exception:
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def failed(message: str, status: str = "failed") -> Outcome:
    """Returns the outcome of a candidate without a fitness."""
    return Outcome(status, None, {}, message[:MAX_MESSAGE])


def _storage_failed(error: OSError, lineage: Sequence[TrainingStage]) -> bool:
    """True if an estimator of the user could not write a checkpoint because of the disk, which pauses the search."""
    if error.errno not in _DISK_ERRORS or not isinstance(error.filename, str | os.PathLike):
        return False
    folders = {stage.keep.parent for stage in lineage if stage.keep is not None}
    return not folders.isdisjoint(Path(error.filename).parents)


_DISK_ERROR_NAMES = (
    "ENOSPC",
    "EDQUOT",
    "EFBIG",
    "EIO",
    "EROFS",
    "EACCES",
    "EPERM",
    "EMFILE",
    "ENFILE",
    "ESTALE",
    "ENODEV",
    "ENXIO",
)
_DISK_ERRORS = {getattr(errno, name) for name in _DISK_ERROR_NAMES if hasattr(errno, name)}  # some lack on Windows


def _trained(estimator: Any, lineage: Sequence[TrainingStage]) -> Score:
    """Trains the last stage, and before it those whose checkpoint is missing or damaged; returns the last score."""
    if not hasattr(estimator, "train"):
        raise without_fidelities(estimator)
    lost: set[int] = set()
    place = _first(estimator, lineage)
    while True:
        begun = _has_checkpoint(lineage[place])
        try:
            score = _train(estimator, lineage, place)
        except (RunError, FileNotFoundError) as error:  # a checkpoint is damaged, of another training, or missing
            source = place if begun else place - 1
            if (
                isinstance(error, SnapshotDamaged) and source in lost
            ):  # it was written a moment ago: the disk is at fault
                with snapshot.disk(f"reading the kept trainings of {lineage[-1].architecture}"):
                    raise OSError(str(error)) from error
            if not _lost(lineage, place, source, error) or source in lost:
                raise
            lost.add(source)  # each only once, so that the loop ends
            place = _first(estimator, lineage)
        else:
            if place == len(lineage) - 1:
                return score
            place += 1


def _first(estimator: Any, lineage: Sequence[TrainingStage]) -> int:
    """Returns the index of the first stage to train: the one after the last checkpoint."""
    last = len(lineage) - 1
    there = (
        [place for place, stage in enumerate(lineage) if _has_checkpoint(stage)] if estimator.keeps_weights else [last]
    )
    return min(there[-1] + 1, last) if there else 0


def _has_checkpoint(stage: TrainingStage) -> bool:
    return stage.keep is not None and files.is_file(stage.keep)


def _lost(lineage: Sequence[TrainingStage], place: int, source: int, error: Exception) -> bool:
    """True if a stage failed because the checkpoint it begins with is damaged or missing; damaged files are removed."""
    if source < 0 or (path := lineage[source].keep) is None:
        return False
    if isinstance(error, FileNotFoundError) and files.is_file(path):
        return False
    for stage in lineage[source : place + 1]:  # its own checkpoint may be a copy of the damaged one
        if stage.keep is not None:
            _remove(stage.keep)
    return True


def _remove(path: Path) -> None:
    with snapshot.disk(f"removing {path}, which cannot be used,"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        files.remove(path)


def _train(estimator: Trainable, lineage: Sequence[TrainingStage], place: int) -> Score:
    stage = lineage[place]
    if stage.keep is not None and not files.is_file(stage.keep):
        _remove(stage.keep)  # a folder or a link in its place
    begin = CheckpointRef(*lineage[place - 1]) if place else None
    return estimator.train(stage.architecture, fidelity=stage.fidelity, begin=begin, keep=stage.keep)
