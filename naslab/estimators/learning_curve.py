"""Learning curves: stop a training that will not become the best (Baker, Gupta, Raskar & Naik 2018,
https://arxiv.org/abs/1705.10823; the idea is that of Domhan, Springenberg & Hutter 2015,
https://www.ijcai.org/Proceedings/15/Papers/487.pdf).

    the first few candidates: train each to the end
    then, for each candidate, after each look at its fitness:
        f <- regression on the trainings that went to the end: from the curve up to here to the fitness at the end
        s <- its error, each of those trainings left out in turn
        stop if  P(end <= best so far) = Phi((best - f(curve)) / s)  is 95 % or more;  its fitness is then f(curve)

A regression on the curves of this search assumes nothing of their shape. So it holds under a cosine, too, where the
fitness rises late, and every curve that is fitted to a single training falls short.

Differences from Baker et al.:
- The regression is kernel ridge, whose error with one left out has a closed form (they have nu-SVR, among others), and
  it predicts what is still to be gained: from a dozen examples that is the better forecast.
- Besides the curve and its first differences it sees the curve of the training loss, where the estimator inside gives
  one as the figure "train_loss" (Ru et al. 2021, https://arxiv.org/abs/2006.04492, rank by its sum). Parameters of the
  architecture, which they add, made no forecast better on the curves that were tried.
- It learns from every training that went to the end, not only from a set at the beginning.

Those that are stopped are those whose forecast is low: so their fitness is, in the mean, a little lower than what would
have come of them.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from naslab import files, snapshot
from naslab.architecture import Architecture
from naslab.errors import SpecError, real, whole
from naslab.estimators.estimator import CheckpointRef, Estimator, Score, UnknownFidelity, scratch
from naslab.estimators.kernel_ridge import KernelRidge
from naslab.estimators.wrapped import Wrapped
from naslab.quantities import as_objectives

CURVE, LOSS = "curve", "train_loss"
"""Names of the figures: "curve/3" is the fitness after 3 epochs, "train_loss/3" the training loss."""
ENDING = ".curve"
LONGEST = 2**24
"""Bytes of what was seen of a training, at most."""
"""Of the file beside a kept training, which holds what was seen of it."""
MOST = 200
"""Trainings that the regression learns from: the last ones."""

Curve = tuple[tuple[float, ...], ...]
"""For each look (fitness,), or (fitness, training loss)."""


class Forecast(NamedTuple):
    """What a training that is under way is expected to come to."""

    fitness: float
    deviation: float

    def below(self, height: float) -> float:
        """The probability that it ends no higher."""
        if not self.deviation:
            return float(self.fitness <= height)
        return math.erfc((self.fitness - height) / (self.deviation * math.sqrt(2))) / 2


class LearningCurve(Wrapped):
    """The fitness after the whole training; or, where that will hardly be the best so far, a forecast of it.

    Its figures, besides those inside: "epochs" that were trained, "stopped" (1 or 0), "predicted" (the forecast, for
    one that was stopped), and the curve: "curve/1", "curve/2", ... A forecast never exceeds the best so far, so that
    the best of a search was always trained to the end.

    What it knows are the curves of the events: it is immutable, and `hear` gives the one that knows more. A candidate
    that goes on from another training, or is asked for at another length, is trained as it is asked for: nothing is
    stopped, and nothing learnt.

    Args:
        inside: trains on from where it stopped: `Training`, or the `Table` of a benchmark that knows many lengths.
        epochs: of the whole training.
        every: epochs from one look at a curve to the next.
        first: trainings that go to the end before any is stopped.
        confidence: how likely one must be not to become the best, to be stopped.
    """

    name = "learning_curve"
    decides = True

    def __init__(
        self, inside: Estimator, epochs: int, *, every: int = 1, first: int = 10, confidence: float = 0.95
    ) -> None:
        super().__init__(inside)
        if not hasattr(inside, "train"):
            raise UnknownFidelity(
                f"learning curves are of trainings, and {getattr(inside, 'name', inside)!r} has none; give an "
                "estimator with train(), for instance nl.estimators.Training(space, task, epochs=12)"
            )
        self.epochs, self.every = whole("epochs", epochs, 1), whole("every", every, 1)
        self.first, self.confidence = whole("first", first, 3), real("confidence", confidence)
        if not 0.5 < self.confidence < 1:
            raise SpecError(f"confidence is a probability above 0.5 and below 1, not {confidence!r}")
        self.looks: tuple[int, ...] = (*range(self.every, self.epochs, self.every), self.epochs)
        for look in self.looks:
            self.check_fidelity(look)
        self._known: tuple[Curve, ...] = ()
        self._models: dict[int, KernelRidge] = {}
        """Looks that have been had -> the regression from there; a cache."""

    # --- a candidate -----------------------------------------------------------------------------------

    def judge(self, architecture: Architecture, score: Score) -> Score:
        """Of a training that is not watched: as it is."""
        return score

    def __call__(self, architecture: Architecture) -> Score:
        return self.train(architecture)

    def train(
        self,
        architecture: Architecture,
        *,
        fidelity: float | None = None,
        begin: CheckpointRef | None = None,
        keep: Path | None = None,
    ) -> Score:
        """See `naslab.estimators.Trainable`; without `begin`, the training may be stopped."""
        if begin is not None or fidelity not in (None, self.epochs):
            return super().train(architecture, fidelity=fidelity, begin=begin, keep=keep)
        with ExitStack() as stack:
            if keep is None and self.keeps_weights:
                keep = stack.enter_context(scratch()) / "training.snapshot"
            seen = [] if keep is None else _seen(keep)
            for number, epochs in enumerate(self.looks):
                if number == len(seen):
                    before = None
                    if number and (keep is None or keep.exists()):
                        before = CheckpointRef(architecture, self.looks[number - 1], keep)
                    found: Any = self.inside.train(architecture, fidelity=epochs, begin=before, keep=keep)  # type: ignore[attr-defined]
                    seen.append(found if isinstance(found, Score) else Score(found))
                    if keep is not None:
                        _write(keep, seen)
                forecast = self.forecast([_point(score) for score in seen[: number + 1]])
                if forecast is not None and forecast.below(self.best) >= self.confidence:
                    return self._scored(seen[: number + 1], forecast)
            return self._scored(seen, None)

    def _scored(self, seen: Sequence[Score], forecast: Forecast | None) -> Score:
        """What is told of a candidate."""
        epochs, stopped = self.looks[len(seen) - 1], forecast is not None
        figures = {**seen[-1].figures, "epochs": float(epochs), "stopped": float(stopped)}
        if "seconds" in figures:
            figures["seconds"] = sum(score.figures["seconds"] for score in seen)
        if forecast is not None:
            figures["predicted"] = forecast.fitness
        for look, score in zip(self.looks, seen, strict=False):
            figures |= {f"{name}/{look}": value for name, value in zip((CURVE, LOSS), _point(score), strict=False)}
        return seen[-1].but(seen[-1].fitness if forecast is None else forecast.fitness, figures)

    # --- what is known ---------------------------------------------------------------------------------

    @property
    def best(self) -> float:
        """The best fitness after a whole training; minus infinity before there is one."""
        return max((curve[-1][0] for curve in self._known), default=-math.inf)

    def forecast(self, curve: Sequence[Sequence[float]]) -> Forecast | None:
        """Of the fitness at the end, from the looks at a training so far; None while too little is known, and at the
        end."""
        looks = len(curve)
        known = [each for each in self._known[-MOST:] if len(each[0]) == len(curve[0])]
        if len(known) < self.first or looks == len(self.looks):
            return None
        if looks not in self._models:
            features = np.stack([_features(each[:looks]) for each in known])
            gains = np.array([each[-1][0] - each[looks - 1][0] for each in known])
            self._models[looks] = KernelRidge(features, gains)
        model = self._models[looks]
        return Forecast(curve[-1][0] + float(model(_features(curve)[None])[0]), model.deviation)

    def hear(self, figures: Mapping[str, float]) -> LearningCurve:
        """The estimator that also knows this candidate, if it was trained to the end; by the figures of its event."""
        if any(f"{CURVE}/{look}" not in figures for look in self.looks):
            return self
        names = [name for name in (CURVE, LOSS) if f"{name}/{self.epochs}" in figures]
        curve = tuple(tuple(figures[f"{name}/{look}"] for name in names) for look in self.looks)
        return self._knowing((*self._known, curve))

    def memory(self) -> Any:
        """What is known, as JSON."""
        return self._known

    def remember(self, memory: Any) -> LearningCurve:
        """The estimator that knows what `memory` gave, and nothing else."""
        return self._knowing(tuple(tuple(map(tuple, curve)) for curve in memory))

    def _knowing(self, known: tuple[Curve, ...]) -> LearningCurve:
        other = copy.copy(self)
        other._known, other._models = known, {}
        return other

    # --- what the house asks ---------------------------------------------------------------------------

    def options(self) -> dict[str, Any]:
        return {"epochs": self.epochs, "every": self.every, "first": self.first, "confidence": self.confidence}


def _point(score: Score) -> tuple[float, ...]:
    """(fitness,), or (fitness, training loss) where it is known."""
    return (score.fitness, score.figures[LOSS]) if LOSS in score.figures else (score.fitness,)


def _features(curve: Sequence[Sequence[float]]) -> np.ndarray:
    """[D]: the curve so far, its first differences, and the curve of the loss."""
    points = np.array(curve, dtype=np.float64)
    return np.concatenate([points[:, 0], np.diff(points[:, 0]), points[:, 1:].ravel()])


def _seen(keep: Path) -> list[Score]:
    """What was seen of a training that was broken off. Without it the training cannot be used, and begins again."""
    with suppress(OSError, ValueError, TypeError, AttributeError, RecursionError):
        if files.is_file(keep):
            told = json.loads(files.read(keep.with_suffix(ENDING), LONGEST))
            return [_read(*row) for row in told]
    with snapshot.disk(f"removing {keep}, which cannot be gone on with,"):
        files.remove(keep)
    return []


def _read(fitness: Any, figures: Any, objectives: Any = ()) -> Score:
    """A score as `_write` keeps it."""
    score = Score(float(fitness), {str(name): float(value) for name, value in figures.items()})
    if not objectives:
        return score
    first, *_ = wanted = as_objectives(objectives)
    return Score(values={first.name: first.sign * score.fitness, **score.figures}, objectives=wanted)


def _write(keep: Path, seen: Sequence[Score]) -> None:
    told = [[score.fitness, dict(score.figures), *([score.objectives] if score.objectives else [])] for score in seen]
    with suppress(OSError):  # then the training begins again, should it be broken off
        snapshot.write_bytes(keep.with_suffix(ENDING), json.dumps(told).encode())
