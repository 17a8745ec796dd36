"""Assigns the metrics of a search to charts, by the name, the direction and the unit of each metric.

    train/loss, valid/loss              one chart, with a line for each
    entropy                             a chart of its own
    count/tanh, count/relu, ...         number of edges that would keep each operation: one chart

This module knows nothing else of a metric, so that new ones of a task or a searcher are drawn without a change here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from naslab.analysis.cell_shape import NO_CONNECTION
from naslab.quantities import Objective, Quantity

SPLITS = {"train": "training", "valid": "validation", "test": "test", "child": "derived"}
"""Prefix of a metric -> its name in words."""
COUNT = "count"
WORDS = {"count/skip_connect": "skip connections"}
"""Metrics with a better name than the one derived from their key."""
UNKNOWN = Quantity()


class Line(NamedTuple):
    """A metric as a line of a chart."""

    metric: str
    label: str


@dataclass(frozen=True)
class Chart:
    """A chart and its metrics, which have the same unit and direction."""

    name: str
    """Name in words."""
    quantity: Quantity
    lines: tuple[Line, ...]

    @property
    def title(self) -> str:
        """Name and unit."""
        return with_unit(self.name, self.quantity.unit)

    def to_json(self, hues: Mapping[str, Sequence[str]] | None = None) -> dict[str, Any]:
        """Returns the description for the page.

        Args:
            hues: operation -> (colour on light, colour on dark), used for the lines that count operations.
        """
        own = [(hues or {}).get(operation_of(line.metric)) for line in self.lines] if len(self.lines) > 1 else [None]
        return {
            "title": self.title,
            "name": self.name,
            **self.quantity.to_json(),
            "series": [list(line) for line in self.lines],
            "colours": [hue and list(hue) for hue in own] if all(own) else None,
        }


def charts_of(metrics: Mapping[str, Quantity]) -> list[Chart]:
    """Returns one chart per metric, in the given order; the splits of a metric share a chart."""
    found: dict[tuple[str, Quantity], list[str]] = {}
    for metric, quantity in _drawn(metrics):
        split, name = parted(metric)
        found.setdefault((COUNT if split == COUNT else name, quantity), []).append(metric)
    return [_chart(name, quantity, names) for (name, quantity), names in found.items()]


def charts_apart(metrics: Mapping[str, Quantity]) -> list[Chart]:
    """Returns a chart per metric and split, for comparisons, in which each line is a search.

    Both splits of the loss are shown; other metrics come first, without their training value if there is a validation
    value. The count of an operation is shown if it is the only one: for several, the maps of the operations say more.
    """
    counted = [metric for metric, _ in _drawn(metrics) if operation_of(metric)]

    def belongs(metric: str) -> bool:
        split, name = parted(metric)
        if split == COUNT:
            return len(counted) == 1
        return split != "train" or name == "loss" or f"valid/{name}" not in metrics

    charts = [
        Chart(metric_words(metric, split=True), quantity, (Line(metric, metric_words(metric)),))
        for metric, quantity in _drawn(metrics)
        if belongs(metric)
    ]
    return sorted(charts, key=lambda chart: rank(chart.lines[0].metric))


def _drawn(metrics: Mapping[str, Quantity]) -> Iterable[tuple[str, Quantity]]:
    return ((name, quantity) for name, quantity in metrics.items() if name != f"{COUNT}/{NO_CONNECTION}")


def rank(metric: str) -> int:
    """Returns the sort key of a comparison: metrics of the task, validation loss, training loss, other metrics."""
    split, name = parted(metric)
    return 3 if split not in SPLITS else 0 if name != "loss" else 2 if split == "train" else 1


def _chart(name: str, quantity: Quantity, metrics: Sequence[str]) -> Chart:
    if len(metrics) == 1:
        return Chart(metric_words(metrics[0], split=True), quantity, (Line(metrics[0], metric_words(metrics[0])),))
    title = "operations kept" if name == COUNT else metric_words(name)
    return Chart(title, quantity, tuple(Line(metric, _label(metric)) for metric in metrics))


def _label(metric: str) -> str:
    """Returns the label of a line in a chart of several lines."""
    split, name = parted(metric)
    return name if split == COUNT else "derived" if split == "child" else split or name


def parted(metric: str) -> tuple[str, str]:
    """Splits a metric: "valid/loss" -> ("valid", "loss"), "entropy" -> ("", "entropy")."""
    split, slash, name = metric.partition("/")
    return (split, name) if slash and name and split in (*SPLITS, COUNT) else ("", metric)


def operation_of(metric: str) -> str:
    """Returns the operation that a metric counts; "" if it counts none."""
    split, name = parted(metric)
    return name if split == COUNT else ""


def metric_words(metric: str, *, split: bool = False) -> str:
    """Returns a metric in words: "valid/bits_per_character" -> "bits per character".

    Args:
        split: include the split: "validation bits per character".
    """
    of, name = parted(metric)
    if metric in WORDS:
        return WORDS[metric]
    if of == COUNT:
        return f"{words(name)} kept"
    return f"{SPLITS[of]} {words(name)}" if split and of else words(name)


def words(name: str) -> str:
    """Returns an identifier as words: "bits_per_character" -> "bits per character"."""
    return name.replace("_", " ").strip() or name


def with_unit(name: str, unit: str) -> str:
    """Returns name and unit: "accuracy (%)". A name that contains its unit is not changed."""
    return name if not unit or unit in name.split() else f"{name} ({unit})"


def format_value(value: float, unit: str = "") -> str:
    """Returns a value with its unit: "93.4 %" for the share 0.934, "2.500 nats"."""
    number = value * scale_of(unit)
    digits = ".4g" if abs(number) >= 1e5 else ".1f" if unit == "%" else ".3f"
    return f"{number:{digits}} {unit}".rstrip()


def scale_of(unit: str) -> float:
    """Returns the factor from a value to its unit: 100 for "%", because shares are stored in [0, 1]."""
    return 100.0 if unit == "%" else 1.0


def objective_json(objective: Objective) -> dict[str, Any]:
    """Returns the objective for the page: name in words, title, direction, unit, and its sign in the fitness."""
    return {
        "name": words(objective.name),
        "title": with_unit(words(objective.name), objective.unit),
        "direction": objective.direction,
        "unit": objective.unit,
        "sign": objective.sign,
    }
