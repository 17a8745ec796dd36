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
  one as the metric "train_loss" (Ru et al. 2021, https://arxiv.org/abs/2006.04492, rank by its sum). Parameters of the
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
"""Names of the metrics: "curve/3" is the fitness after 3 epochs, "train_loss/3" the training loss."""
ENDING = ".curve"
"""Ending of the file beside a checkpoint that holds the scores so far of an interrupted training."""
LONGEST = 2**24
"""Largest size of that file in bytes."""
MOST = 200
"""Number of trainings, the latest ones, that the regression learns from: its cost grows with the third power."""

Curve = tuple[tuple[float, ...], ...]
"""A tuple for each look: (fitness,), or (fitness, training loss)."""


class Forecast(NamedTuple):
    """Gaussian forecast of the fitness at the end of a training."""

    fitness: float
    """Mean."""
    deviation: float
    """Standard deviation: the error of the regression with one training left out."""

    def below(self, height: float) -> float:
        """Returns the probability that the fitness at the end is at most `height`, Phi((height - mean) / deviation)."""
        if not self.deviation:
            return float(self.fitness <= height)
        # Phi(z) = erfc(-z / sqrt 2) / 2
        return math.erfc((self.fitness - height) / (self.deviation * math.sqrt(2))) / 2


class LearningCurve(Wrapped):
    """Estimator of the fitness after a whole training, or a forecast of it where it will hardly become the best.

    Metrics, besides those of the estimator inside: "epochs" that were trained, "stopped" (1 or 0), "predicted" (the
    forecast of one that was stopped), and the curve: "curve/1", "curve/2", ... A forecast never exceeds the best so
    far, so that the best of a search was always trained to the end.

    It learns from the curves in the events: it is immutable, and `update` returns a new one. A candidate that continues
    another training, or has another length, is trained as requested: it is not stopped, and not learnt from.

    Args:
        inside: an estimator that can continue trainings: `Training`, or the `Table` of a benchmark of many lengths.
        epochs: length of the whole training.
        every: epochs between two looks at a curve.
        first: number of trainings that run to the end before any is stopped.
        confidence: probability of not becoming the best from which a training is stopped, above 0.5.
    """

    name = "learning_curve"
    decides = True

    def __init__(
        self, inside: Estimator, epochs: int, *, every: int = 1, first: int = 10, confidence: float = 0.95
    ) -> None:
        super().__init__(inside)
        if not hasattr(inside, "train"):
            raise UnknownFidelity(
                f"learning curves belong to trainings, and {getattr(inside, 'name', inside)!r} has none; give an "
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
        """Number of looks -> regression from the curve up to there; a cache."""

    # --- scoring -------------------------------------------------------------------------------------

    def judge(self, architecture: Architecture, score: Score) -> Score:
        """Returns the score itself: a training that begins from another is not forecast."""
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
            # Scores of an interrupted training are read, so that it is stopped where it would have been.
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
        """Returns the score of a candidate with its curve among the metrics."""
        epochs, stopped = self.looks[len(seen) - 1], forecast is not None
        metrics = {**seen[-1].metrics, "epochs": float(epochs), "stopped": float(stopped)}
        if "seconds" in metrics:
            metrics["seconds"] = sum(score.metrics["seconds"] for score in seen)
        if forecast is not None:
            metrics["predicted"] = forecast.fitness
        for look, score in zip(self.looks, seen, strict=False):
            metrics |= {f"{name}/{look}": value for name, value in zip((CURVE, LOSS), _point(score), strict=False)}
        return seen[-1].but(seen[-1].fitness if forecast is None else forecast.fitness, metrics)

    # --- forecasts ---------------------------------------------------------------------------------

    @property
    def best(self) -> float:
        """Best fitness after a whole training; minus infinity before the first."""
        return max((curve[-1][0] for curve in self._known), default=-math.inf)

    def forecast(self, curve: Sequence[Sequence[float]]) -> Forecast | None:
        """Returns the forecast of the fitness at the end, from the curve so far.

        None while fewer than `first` trainings are known, and at the end of the training.
        """
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

    def update(self, metrics: Mapping[str, float]) -> LearningCurve:
        """Returns an estimator that also knows the curve of a candidate, if it was trained to the end."""
        if any(f"{CURVE}/{look}" not in metrics for look in self.looks):
            return self
        names = [name for name in (CURVE, LOSS) if f"{name}/{self.epochs}" in metrics]
        curve = tuple(tuple(metrics[f"{name}/{look}"] for name in names) for look in self.looks)
        return self._with_curves((*self._known, curve))

    def state_dict(self) -> Any:
        """Returns the known curves, as JSON."""
        return self._known

    def with_state(self, state: Any) -> LearningCurve:
        """Returns an estimator that knows the curves in `state`, and nothing else."""
        return self._with_curves(tuple(tuple(map(tuple, curve)) for curve in state))

    def _with_curves(self, known: tuple[Curve, ...]) -> LearningCurve:
        other = copy.copy(self)
        other._known, other._models = known, {}
        return other

    # --- specs ---------------------------------------------------------------------------

    def options(self) -> dict[str, Any]:
        return {"epochs": self.epochs, "every": self.every, "first": self.first, "confidence": self.confidence}


def _point(score: Score) -> tuple[float, ...]:
    """Returns (fitness,), or (fitness, training loss) if it is known."""
    return (score.fitness, score.metrics[LOSS]) if LOSS in score.metrics else (score.fitness,)


def _features(curve: Sequence[Sequence[float]]) -> np.ndarray:
    """Returns features [D]: the curve so far, its first differences, and the curve of the training loss."""
    points = np.array(curve, dtype=np.float64)
    return np.concatenate([points[:, 0], np.diff(points[:, 0]), points[:, 1:].ravel()])


def _seen(keep: Path) -> list[Score]:
    """Returns the scores so far of an interrupted training. Without them its checkpoint is of no use and is removed."""
    with suppress(OSError, ValueError, TypeError, AttributeError, RecursionError):
        if files.is_file(keep):
            return [_read(*row) for row in json.loads(files.read(keep.with_suffix(ENDING), LONGEST))]
    with snapshot.disk(f"removing {keep}, which cannot be continued,"):
        files.remove(keep)
    return []


def _read(fitness: Any, metrics: Any, objectives: Any = ()) -> Score:
    """Returns the score of a row that `_write` wrote."""
    score = Score(float(fitness), {str(name): float(value) for name, value in metrics.items()})
    if not objectives:
        return score
    first, *_ = wanted = as_objectives(objectives)
    return Score(values={first.name: first.sign * score.fitness, **score.metrics}, objectives=wanted)


def _write(keep: Path, seen: Sequence[Score]) -> None:
    rows = [[score.fitness, dict(score.metrics), *([score.objectives] if score.objectives else [])] for score in seen]
    with suppress(OSError):  # without the file, an interrupted training begins again
        snapshot.write_bytes(keep.with_suffix(ENDING), json.dumps(rows).encode())
