"""What a training gives back: numbers, equal when the training is repeated."""

from __future__ import annotations

from dataclasses import dataclass, field

from naslab.immutable import Record
from naslab.trainers.recipe import Recipe


@dataclass(frozen=True, kw_only=True, eq=False)
class Epoch(Record):
    """One pass over the training data, and what the network was worth after it."""

    epoch: int
    """From 1."""
    learning_rate: float
    """Of the last step."""
    train_loss: float
    """Mean over the steps of the loss of each mini-batch, as it was trained on (augmented, smoothed), in nats."""
    train_accuracy: float
    """Mean over the steps, in [0, 1]."""
    valid_loss: float | None = None
    """On the held-out training images; None if there are none."""
    valid_accuracy: float | None = None
    test_loss: float
    test_accuracy: float


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Report(Record):
    """A finished training. Reports of the same training are equal, whatever the time it took."""

    history: tuple[Epoch, ...]
    parameters: int
    """Trainable numbers in the network, the auxiliary head included."""
    recipe: Recipe
    seed: int
    seconds: float = field(default=0.0, compare=False)
    """Time that this call took; what a checkpoint had spared is not in it."""

    @property
    def epochs(self) -> int:
        """Epochs that were run: fewer than the recipe's if the training stopped early."""
        return len(self.history)

    @property
    def best(self) -> Epoch:
        """The epoch whose weights the network ends with: the best on the held-out images, or else the last one.

        The test images choose nothing.
        """
        return best(self.history)

    @property
    def best_epoch(self) -> int:
        """Its number, from 1."""
        return self.best.epoch

    @property
    def test_accuracy(self) -> float:
        """On the test images, of the network as it ended, in [0, 1]."""
        return self.best.test_accuracy

    @property
    def test_loss(self) -> float:
        return self.best.test_loss

    def __repr__(self) -> str:
        return (
            f"Report(test_accuracy={self.test_accuracy:.4f}, test_loss={self.test_loss:.4f}, epochs={self.epochs}, "
            f"best_epoch={self.best_epoch}, parameters={self.parameters:,}, seed={self.seed}, "
            f"seconds={self.seconds:.1f})"
        )

    def __str__(self) -> str:
        """A table, one line an epoch."""
        lines = ["epoch  learning rate  train loss  accuracy  valid accuracy  test loss  accuracy"]
        for row in self.history:
            valid = "-" if row.valid_accuracy is None else f"{row.valid_accuracy:.4f}"
            lines.append(
                f"{row.epoch:5d}  {row.learning_rate:13.3g}  {row.train_loss:10.4f}  {row.train_accuracy:8.4f}  "
                f"{valid:>14}  {row.test_loss:9.4f}  {row.test_accuracy:8.4f}"
            )
        return "\n".join([*lines, repr(self)])


def best(history: tuple[Epoch, ...] | list[Epoch]) -> Epoch:
    """The first epoch with the highest held-out accuracy; without held-out images the last epoch."""
    if history[-1].valid_accuracy is None:
        return history[-1]
    return max(history, key=lambda row: row.valid_accuracy or 0.0)  # max keeps the first of equals
