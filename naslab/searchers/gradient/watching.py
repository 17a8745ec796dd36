"""What a search remembers of its epochs for those who watch it, and what they decide."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from naslab.architecture import Architecture
from naslab.searchers.gradient.cures import Watch


class Sized(NamedTuple):
    """The best cell of a size."""

    parameters: int
    valid_accuracy: float
    """Mean of an epoch, of the mixture that the cell was derived from."""
    epoch: int
    architecture: Architecture


def pareto(sizes: Sequence[Sized]) -> list[Sized]:
    """Those that no smaller or equally large cell equals, small to large."""
    front: list[Sized] = []
    for sized in sorted(sizes, key=lambda one: (one.parameters, -one.valid_accuracy)):
        if not front or sized.valid_accuracy > front[-1].valid_accuracy:
            front.append(sized)
    return front


class Watching:
    """Records, one an epoch, and whether the search is over."""

    def __init__(self, watches: Sequence[Watch]) -> None:
        self.watches = list(watches)
        self.records: list[dict[str, Any]] = []
        self.accuracies: list[float] = []
        """Of the steps of this epoch."""
        self.stopped: int | None = None
        """The step after which it was time to stop."""
        self.kept: list[str] | None = None
        """Choices of the cell that is then the result."""

    def see(self, accuracy: float, search: Any, end_of_epoch: bool) -> None:
        """A step is over."""
        if not self.watches:
            return
        self.accuracies.append(accuracy)
        if not end_of_epoch:
            return
        record: dict[str, Any] = {
            "valid_accuracy": sum(self.accuracies) / len(self.accuracies),
            "choices": list(search.best.choices),
        }
        for watch in self.watches:
            record.update(watch.figures(search))
        self.records.append(record)
        self.accuracies = []
        for watch in self.watches:
            epoch = watch.verdict(self.records)
            if epoch is not None and self.stopped is None:
                self.stopped, self.kept = search.step, self.records[epoch]["choices"]

    def by_size(self, space: str) -> list[Sized]:
        """The best of every size, small to large."""
        best: dict[int, Sized] = {}
        for epoch, record in enumerate(self.records):
            size, accuracy = int(record["parameters"]), record["valid_accuracy"]
            if size not in best or accuracy > best[size].valid_accuracy:
                best[size] = Sized(size, accuracy, epoch, Architecture(space, tuple(record["choices"])))
        return [best[size] for size in sorted(best)]

    def memory(self) -> str:
        """All of it, as JSON."""
        return json.dumps([self.records, self.accuracies, self.stopped, self.kept])

    def remember(self, memory: str) -> None:
        self.records, self.accuracies, self.stopped, self.kept = json.loads(memory)
