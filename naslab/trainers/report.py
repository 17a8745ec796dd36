"""Results of a training. They are equal if the training is repeated."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from naslab.directions import Direction
from naslab.errors import SpecError
from naslab.immutable import FrozenDict, Record
from naslab.quantities import Quantity
from naslab.trainers.recipe import Recipe

SPLITS = ("train", "valid", "test")
EARLIER = tuple(f"{split}_{name}" for split in SPLITS for name in ("loss", "accuracy"))
"""Names of the fields that epochs had in earlier versions: "train_loss" for the metric "train/loss"."""
OF_IMAGES = FrozenDict({"loss": Quantity("min", "nats"), "accuracy": Quantity("max", "%")})
"""Metrics of image classification."""


@dataclass(frozen=True, kw_only=True, eq=False, init=False)
class Epoch(Record):
    """One pass over the training data, and the metrics of the network after it.

    Args:
        epoch: number, from 1.
        learning_rate: learning rate of the last step.
        metrics: value by name.
        earlier: metrics of image classification as keywords, such as `train_loss=...`; None for what was not measured.
            Earlier versions wrote epochs in this form.
    """

    epoch: int
    """Number of the epoch, from 1."""
    learning_rate: float
    """Learning rate of the last step of the epoch."""
    metrics: Mapping[str, float]
    """Value by split and metric: "train/loss", "valid/perplexity", "test/accuracy", ... Those of "train" are measured
    on the mini-batches during training, while the weights change."""

    def __init__(
        self,
        *,
        epoch: int,
        learning_rate: float,
        metrics: Mapping[str, float] = FrozenDict({}),
        **earlier: float | None,
    ) -> None:
        if strange := set(earlier) - set(EARLIER):
            raise TypeError(f"an epoch has no {min(strange)!r}; it has an epoch, a learning_rate and metrics by name")
        named = {name.replace("_", "/"): value for name, value in earlier.items() if value is not None}
        object.__setattr__(self, "epoch", epoch)
        object.__setattr__(self, "learning_rate", learning_rate)
        object.__setattr__(self, "metrics", FrozenDict({**named, **metrics}))

    @property
    def train_loss(self) -> float:
        """Mean training loss of the mini-batches of the epoch, with augmentation and label smoothing."""
        return self.metrics["train/loss"]

    @property
    def train_accuracy(self) -> float | None:
        """Accuracy on the mini-batches of the epoch, in [0, 1]; None for tasks without it."""
        return self.metrics.get("train/accuracy")

    @property
    def valid_loss(self) -> float | None:
        """Loss on the held-out data; None if there are none."""
        return self.metrics.get("valid/loss")

    @property
    def valid_accuracy(self) -> float | None:
        """Accuracy on the held-out data, in [0, 1]; None for tasks without it, and if no data was held out."""
        return self.metrics.get("valid/accuracy")

    @property
    def test_loss(self) -> float | None:
        """Loss on the test data; None if there are none."""
        return self.metrics.get("test/loss")

    @property
    def test_accuracy(self) -> float | None:
        """Accuracy on the test data, in [0, 1]; None for tasks without it."""
        return self.metrics.get("test/accuracy")

    def to_json(self) -> dict[str, Any]:
        """Returns JSON that `Epoch(**...)` takes."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Report(Record):
    """Result of a finished training. Reports of the same training are equal; the time it took is not compared."""

    history: tuple[Epoch, ...]
    parameters: int
    """Number of trainable parameters of the network, an auxiliary head included."""
    recipe: Recipe
    seed: int
    objective: str = "accuracy"
    """Name of the task's metric that selects the best epoch."""
    quantities: Mapping[str, Quantity] = field(default_factory=lambda: OF_IMAGES)
    """Name of each of the task's metrics -> its direction and unit."""
    notes: tuple[str, ...] = ()
    """Remarks of the task to show beside its results, for instance that perplexities on a text are not comparable."""
    seconds: float = field(default=0.0, compare=False)
    """Wall-clock time of this call; epochs loaded from a checkpoint are not counted."""

    @property
    def epochs(self) -> int:
        """Epochs that were run: fewer than the recipe's if the training stopped early."""
        return len(self.history)

    @property
    def best(self) -> Epoch:
        """The epoch whose weights the network ends with: the best on the held-out data, or without such data the last.

        The test data is never used for selection.
        """
        return best(self.history, self.objective, self.quantities[self.objective].direction)

    @property
    def best_epoch(self) -> int:
        """Number of the best epoch, from 1."""
        return self.best.epoch

    @property
    def metrics(self) -> Mapping[str, float]:
        """Metrics of the best epoch: "train/loss", "valid/accuracy", "test/perplexity", ..."""
        return self.best.metrics

    @property
    def test(self) -> float:
        """Objective of the final network on the test data."""
        return self._of("test", self.objective)

    @property
    def valid(self) -> float:
        """Objective of the final network on the held-out data."""
        return self._of("valid", self.objective)

    @property
    def test_accuracy(self) -> float:
        """Accuracy of the final network on the test data, in [0, 1], for tasks that measure an accuracy."""
        return self._of("test", "accuracy")

    @property
    def test_loss(self) -> float:
        """Loss of the final network on the test data."""
        return self._of("test", "loss")

    def _of(self, split: str, metric: str) -> float:
        name = f"{split}/{metric}"
        if name not in self.metrics:
            raise SpecError(f"this training has no {name!r}; it has measured {', '.join(self.metrics)}")
        return self.metrics[name]

    def __repr__(self) -> str:
        """Short text, the objective first. It has its unit, except for shares, which are numbers in [0, 1]."""
        shown = [
            f"{split}_{metric}={self.metrics[f'{split}/{metric}']:.4f}{self._unit(metric)}"
            for split in (("test",) if f"test/{self.objective}" in self.metrics else ("valid", "train"))
            for metric in dict.fromkeys((self.objective, "loss"))
            if f"{split}/{metric}" in self.metrics
        ]
        return (
            f"Report({', '.join(shown)}, epochs={self.epochs}, best_epoch={self.best_epoch}, "
            f"parameters={self.parameters:,}, seed={self.seed}, seconds={self.seconds:.1f})"
        )

    def _unit(self, metric: str) -> str:
        unit = self.quantities[metric].unit
        return f" {unit}" if metric == self.objective and unit not in ("", "%") else ""

    def __str__(self) -> str:
        """Table with one line per epoch: loss and objective on each part of the data."""
        parts = [split for split in SPLITS if any(f"{split}/{self.objective}" in row.metrics for row in self.history)]
        columns = [
            (f"{split} {metric}{self._in(metric)}", f"{split}/{metric}", metric)
            for split in parts
            for metric in dict.fromkeys(("loss", self.objective))
            if split != "valid" or metric == self.objective
        ]
        lines = ["  ".join(["epoch", "learning rate", *(title for title, _, _ in columns)])]
        for row in self.history:
            cells = [
                f"{self._number(row.metrics.get(name, math.nan), metric):>{len(title)}}"
                for title, name, metric in columns
            ]
            lines.append("  ".join([f"{row.epoch:5d}", f"{row.learning_rate:13.3g}", *cells]))
        return "\n".join([*lines, repr(self), *(f"note: {note}" for note in self.notes)])

    def _in(self, metric: str) -> str:
        unit = self.quantities[metric].unit
        return f", {unit}" if unit else ""

    def _number(self, value: float, metric: str) -> str:
        if math.isnan(value):
            return "-"
        return f"{100 * value:.2f}" if self.quantities[metric].unit == "%" else f"{value:.4f}"


def best(history: Sequence[Epoch], objective: str = "accuracy", direction: Direction | None = "max") -> Epoch:
    """Returns the first epoch with the best objective on the held-out data, or the last epoch without such data.

    NaN counts as worse than every number.
    """
    name = f"valid/{objective}"
    if name not in history[-1].metrics:
        return history[-1]

    def worth(row: Epoch) -> float:
        value = row.metrics.get(name, math.nan)
        return -math.inf if math.isnan(value) else value if direction == "max" else -value

    return max(history, key=worth)  # max returns the first of equal epochs
