"""Records of the epochs of a search, and the decisions of its stopping criteria."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from naslab.architecture import Architecture
from naslab.searchers.gradient.regularizers import FITNESS, StoppingCriterion
from naslab.tasks.metrics import Ratio, settled
from naslab.tasks.task import LOSS, Task


class Sized(NamedTuple):
    """The best cell of one size."""

    parameters: int
    """Parameters of the network that the space builds from the cell."""
    value: float
    """Metric of the mixture that the cell was derived from, over an epoch of validation mini-batches: the task's
    objective, or the loss if the objective needs all of the data."""
    epoch: int
    """Epoch at whose end the cell was derived, counted from 0."""
    architecture: Architecture
    fitness: float
    """The value, or its negative if lower is better."""

    @property
    def valid_accuracy(self) -> float:
        """Earlier name of `value`."""
        return self.value


def pareto(sizes: Sequence[Sized]) -> list[Sized]:
    """Returns the Pareto front, small to large: cells that none of the same or a smaller size equals or exceeds."""
    front: list[Sized] = []
    for sized in sorted(sizes, key=lambda one: (one.parameters, -one.fitness)):
        if not front or sized.fitness > front[-1].fitness:
            front.append(sized)
    return front


class EpochHistory:
    """One record for each epoch, and whether a stopping criterion has ended the search.

    The monitored metric is the task's objective on validation mini-batches, or the loss if the objective needs all of
    the data. Its value for an epoch is the mean over the mini-batches; for a function of a mean, such as perplexity, it
    is the function of that mean.
    """

    def __init__(self, criteria: Sequence[StoppingCriterion], task: Task) -> None:
        self.criteria = list(criteria)
        metrics = task.metrics()
        self.watched = task.objective if metrics[task.objective].every == "batch" else LOSS
        self._metric = metrics[self.watched]
        self._adds_up = isinstance(self._metric, Ratio) and not self._metric.is_mean
        """True if the epoch's value is computed from numerators and denominators of the mini-batches."""
        self.records: list[dict[str, Any]] = []
        self.seen: list[Any] = []
        """Values of the steps of this epoch, or their numerators and denominators."""
        self._unread: list[Any] = []
        """States of the metric for later steps, whose numbers are still to be read from a device."""
        self.stopped: int | None = None
        """Step after which a criterion ended the search; None while none has."""
        self.kept: list[str] | None = None
        """Choices of the architecture that is then the result."""

    def update(self, outputs: Any, batch: Any, search: Any, end_of_epoch: bool) -> None:
        """Take in a finished step; at the end of an epoch, make its record and ask the criteria.

        Args:
            outputs: outputs of the mixture for the validation mini-batch, before the step.
            batch: that mini-batch.
            search: the searcher.
            end_of_epoch: True if the step was the last of its epoch.
        """
        if not self.criteria:
            return
        self._unread.append(self._metric.update(None, outputs, batch))
        if not end_of_epoch:
            return
        self._settle()
        value = (
            self._metric.compute(self._metric.merge(self.seen)) if self._adds_up else sum(self.seen) / len(self.seen)
        )
        record: dict[str, Any] = {
            f"valid_{self.watched}": value,
            FITNESS: value if self._metric.direction == "max" else -value,
            "choices": list(search.best.choices),
        }
        for criterion in self.criteria:
            record.update(criterion.metrics(search))
        self.records.append(record)
        self.seen = []
        # The first criterion that ends the search decides its result; all of them were asked, as each may have state.
        for criterion in self.criteria:
            epoch = criterion.stop(self.records)
            if epoch is not None and self.stopped is None:
                self.stopped, self.kept = search.step, self.records[epoch]["choices"]

    def _settle(self) -> None:
        """Read what is still to be read, in one copy."""
        states, self._unread = settled(self._unread), []
        self.seen += [list(state) if self._adds_up else self._metric.compute(state) for state in states]

    def by_size(self, space: str) -> list[Sized]:
        """Returns the best cell of every size so far, small to large; `space` is the name of the space."""
        best: dict[int, Sized] = {}
        for epoch, record in enumerate(self.records):
            size, value, fitness = int(record["parameters"]), record[f"valid_{self.watched}"], record[FITNESS]
            if size not in best or fitness > best[size].fitness:
                best[size] = Sized(size, value, epoch, Architecture(space, tuple(record["choices"])), fitness)
        return [best[size] for size in sorted(best)]

    def state_dict(self) -> str:
        """All of it, as JSON."""
        self._settle()
        return json.dumps([self.records, self.seen, self.stopped, self.kept])

    def load_state_dict(self, state: str) -> None:
        """Take back what `state_dict` returned, also in an earlier version, which knew of accuracies only."""
        self._unread = []
        records, self.seen, self.stopped, self.kept = json.loads(state)
        self.records = [
            record if FITNESS in record else {**record, FITNESS: record.get("valid_accuracy")} for record in records
        ]
