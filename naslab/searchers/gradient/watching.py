"""What a search remembers of its epochs for those who watch it, and what they decide."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from naslab.architecture import Architecture
from naslab.searchers.gradient.regularizers import FITNESS, Watch
from naslab.tasks.metrics import Ratio
from naslab.tasks.task import LOSS, Task


class Sized(NamedTuple):
    """The best cell of a size."""

    parameters: int
    value: float
    """What the mixture that the cell was derived from came to, over an epoch of validation mini-batches: the task's
    objective, or the loss, where the objective makes no sense of a mini-batch."""
    epoch: int
    architecture: Architecture
    fitness: float
    """The value, or its negative where less is better."""

    @property
    def valid_accuracy(self) -> float:
        """The value, by an earlier name."""
        return self.value


def pareto(sizes: Sequence[Sized]) -> list[Sized]:
    """Those that no smaller or equally large cell equals, small to large."""
    front: list[Sized] = []
    for sized in sorted(sizes, key=lambda one: (one.parameters, -one.fitness)):
        if not front or sized.fitness > front[-1].fitness:
            front.append(sized)
    return front


class Watching:
    """Records, one an epoch, and whether the search is over.

    What is watched is the task's objective on validation mini-batches, or the loss, where the objective needs all of
    the data. Of an epoch it is the mean of its mini-batches; of what is a function of a mean, such as a perplexity,
    the function of the mean.
    """

    def __init__(self, watches: Sequence[Watch], task: Task) -> None:
        self.watches = list(watches)
        metrics = task.metrics()
        self.watched = task.objective if metrics[task.objective].every == "batch" else LOSS
        self._metric = metrics[self.watched]
        self._adds_up = isinstance(self._metric, Ratio) and not self._metric.is_mean
        """Whether numerators and denominators of the mini-batches are kept, from which the epoch's value follows."""
        self.records: list[dict[str, Any]] = []
        self.seen: list[Any] = []
        """Of the steps of this epoch: values, or numerators and denominators."""
        self.stopped: int | None = None
        """The step after which it was time to stop."""
        self.kept: list[str] | None = None
        """Choices of the cell that is then the result."""

    def see(self, outputs: Any, batch: Any, search: Any, end_of_epoch: bool) -> None:
        """A step is over.

        Args:
            outputs: of the mixture, for the validation mini-batch, before the step.
            batch: that mini-batch.
            search: whose step it was.
            end_of_epoch: whether the epoch is over, too.
        """
        if not self.watches:
            return
        state = self._metric.update(None, outputs, batch)
        self.seen.append(list(state) if self._adds_up else self._metric.compute(state))
        if not end_of_epoch:
            return
        value = (
            self._metric.compute(self._metric.merge(self.seen)) if self._adds_up else sum(self.seen) / len(self.seen)
        )
        record: dict[str, Any] = {
            f"valid_{self.watched}": value,
            FITNESS: value if self._metric.direction == "max" else -value,
            "choices": list(search.best.choices),
        }
        for watch in self.watches:
            record.update(watch.figures(search))
        self.records.append(record)
        self.seen = []
        for watch in self.watches:
            epoch = watch.verdict(self.records)
            if epoch is not None and self.stopped is None:
                self.stopped, self.kept = search.step, self.records[epoch]["choices"]

    def by_size(self, space: str) -> list[Sized]:
        """The best of every size, small to large."""
        best: dict[int, Sized] = {}
        for epoch, record in enumerate(self.records):
            size, value, fitness = int(record["parameters"]), record[f"valid_{self.watched}"], record[FITNESS]
            if size not in best or fitness > best[size].fitness:
                best[size] = Sized(size, value, epoch, Architecture(space, tuple(record["choices"])), fitness)
        return [best[size] for size in sorted(best)]

    def memory(self) -> str:
        """All of it, as JSON."""
        return json.dumps([self.records, self.seen, self.stopped, self.kept])

    def remember(self, memory: str) -> None:
        """Take back what `memory` gave, also in an earlier version, which knew of accuracies only."""
        records, self.seen, self.stopped, self.kept = json.loads(memory)
        self.records = [
            record if FITNESS in record else {**record, FITNESS: record.get("valid_accuracy")} for record in records
        ]
