"""The evaluation of one candidate: the same in this process, in a worker, or wherever an executor takes it.

A candidate that was trained before, or that inherits weights, comes as a *lineage*: the stages of training that lead
to it, the first from new weights. Usually all but the last are kept in files; what is not there any more is trained
again, and comes out the same.
"""

from __future__ import annotations

import errno
import math
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from naslab import files, snapshot
from naslab.architecture import Architecture
from naslab.errors import RunError, RunPaused, SnapshotDamaged, SpecError, plain, real
from naslab.estimators.estimator import MOST_FITNESS, CheckpointRef, Estimator, Trainable, WrongSetup, cannot_be_told
from naslab.estimators.score import DEFAULT, Score, objectives_of
from naslab.events import Evaluated, Raced
from naslab.immutable import FrozenDict
from naslab.quantities import Objective
from naslab.torch_state import default_torch_state

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
    values: Mapping[str, float] = FrozenDict({})
    """Name of each objective -> its value as it was measured, in its own direction."""
    objectives: tuple[Objective, ...] = ()
    """Those that the score itself named; empty where they are the estimator's."""


@default_torch_state()
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
        found: Any = _trained(estimator, lineage) if lineage else estimator(architecture)
        own: tuple[Objective, ...] = ()
        named = objectives_of(estimator)
        if isinstance(found, Score):
            fitness, figures, own = found.fitness, found.figures, found.objectives
            _agree(own, named)
        else:  # no `Score` is made of it, for there are searches of a hundred thousand candidates a minute
            fitness, figures = found, {}
        number = None
        with suppress(SpecError):
            number = real("a fitness", fitness)
        figures = {str(name): float(plain(value)) for name, value in figures.items()}
        if wrong := [f"{name}={value}" for name, value in figures.items() if not math.isfinite(value)]:
            return failed(f"the estimator gave the figures {', '.join(wrong)}; figures are finite numbers")
        if number is None or abs(number) > MOST_FITNESS:
            came = f"the estimator gave {plain(fitness)!r:.200}"
            said = failed(f"{came}; a fitness is a number, up to {MOST_FITNESS:g} in size")
            return said._replace(figures=figures)
    except (RunPaused, WrongSetup):
        raise
    except Exception as error:  # whatever it is, it is the candidate's, unless it is about files of the house
        if isinstance(error, OSError) and _of_the_house(error, lineage):
            with snapshot.disk(f"keeping the training of {architecture}"):
                raise
        return failed(told(error))
    first = (own or named)[0]
    values = {first.name: first.sign * number}
    if own:
        values |= figures
    return Outcome("done", number, figures, "", values, () if own == named else own)


def outcome_of(event: Evaluated | Raced) -> Outcome:
    """The outcome that an event tells of."""
    figures, values = dict(event.figures), dict(event.values)
    return Outcome(event.status, event.fitness, figures, event.message, values, tuple(event.objectives))


def _agree(own: tuple[Objective, ...], named: tuple[Objective, ...]) -> None:
    """`WrongSetup` if the objectives of a score are others than those that its estimator names."""
    if own and own != named and named != DEFAULT:
        told = " and ".join("[" + "; ".join(f"{o.name}: {o.direction}" for o in each) + "]" for each in (own, named))
        raise WrongSetup(
            f"the score of a candidate has other objectives than its estimator: {told}; give Score(values=..., "
            "objectives=estimator.objectives)"
        )


def told(error: BaseException) -> str:
    """An exception in words, also one of somebody's own that cannot say what it is."""
    try:
        text = str(error)
    except Exception:
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def failed(message: str, status: str = "failed") -> Outcome:
    """A candidate without a fitness."""
    return Outcome(status, None, {}, message[:MAX_MESSAGE])


def _of_the_house(error: OSError, lineage: Sequence[Stage]) -> bool:
    """Whether the disk does not keep a training, as an estimator of the user's own says it."""
    if error.errno not in _OF_THE_DISK or not isinstance(error.filename, str | os.PathLike):
        return False
    folders = {stage.keep.parent for stage in lineage if stage.keep is not None}
    return not folders.isdisjoint(Path(error.filename).parents)


_DISK = (
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
_OF_THE_DISK = {getattr(errno, name) for name in _DISK if hasattr(errno, name)}


def _trained(estimator: Any, lineage: Sequence[Stage]) -> Score:
    """Train the last stage, and before it those that are not kept, or are found damaged."""
    if not hasattr(estimator, "train"):
        raise cannot_be_told(estimator)
    lost: set[int] = set()
    place = _first(estimator, lineage)
    while True:
        begun = _there(lineage[place])
        try:
            score = _train(estimator, lineage, place)
        except (RunError, FileNotFoundError) as error:  # what is kept is damaged, of another training, or gone
            source = place if begun else place - 1
            if isinstance(error, SnapshotDamaged) and source in lost:  # what was written a moment ago
                with snapshot.disk(f"reading the kept trainings of {lineage[-1].architecture}"):
                    raise OSError(str(error)) from error
            if not _lost(lineage, place, source, error) or source in lost:
                raise
            lost.add(source)  # each once, so that there is an end to it
            place = _first(estimator, lineage)
        else:
            if place == len(lineage) - 1:
                return score
            place += 1


def _first(estimator: Any, lineage: Sequence[Stage]) -> int:
    """The stage that is to be trained first."""
    last = len(lineage) - 1
    there = [place for place, stage in enumerate(lineage) if _there(stage)] if estimator.keeps_weights else [last]
    return min(there[-1] + 1, last) if there else 0


def _there(stage: Stage) -> bool:
    return stage.keep is not None and files.is_file(stage.keep)


def _lost(lineage: Sequence[Stage], place: int, source: int, error: Exception) -> bool:
    """Whether a stage failed because its source's file is damaged, or gone meanwhile. What is damaged is removed."""
    if source < 0 or (path := lineage[source].keep) is None:
        return False
    if isinstance(error, FileNotFoundError) and files.is_file(path):
        return False
    for stage in lineage[source : place + 1]:  # what it has left itself may be a copy
        if stage.keep is not None:
            _remove(stage.keep)
    return True


def _remove(path: Path) -> None:
    with snapshot.disk(f"removing {path}, which cannot be used,"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        files.remove(path)


def _train(estimator: Trainable, lineage: Sequence[Stage], place: int) -> Score:
    stage = lineage[place]
    if stage.keep is not None and not files.is_file(stage.keep):
        _remove(stage.keep)  # a link, say, that a stranger has put there
    begin = CheckpointRef(*lineage[place - 1]) if place else None
    return estimator.train(stage.architecture, fidelity=stage.fidelity, begin=begin, keep=stage.keep)
