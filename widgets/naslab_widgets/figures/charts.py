"""Which charts there are of the numbers of a search: they follow from the name, the direction and the unit of each.

    train/loss, valid/loss              one chart, with a line for each
    entropy                             a chart of its own
    count/tanh, count/relu, ...         how many of each operation would be kept: one chart

Nothing else is known of a metric here, so that a new one of a task or a searcher is drawn as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from naslab.analysis.cell_shape import NO_CONNECTION
from naslab.quantities import Objective, Quantity

SPLITS = {"train": "training", "valid": "validation", "test": "test", "child": "derived"}
"""What stands before the name of a metric -> what of it is measured, in words."""
COUNT = "count"
WORDS = {"count/skip_connect": "skip connections"}
"""Metrics that have a better name than the one that follows from their key."""
UNKNOWN = Quantity()


class Line(NamedTuple):
    """A metric as a line of a chart."""

    metric: str
    label: str


@dataclass(frozen=True)
class Chart:
    """One chart, and the metrics in it, all of one unit and direction."""

    name: str
    """In words."""
    quantity: Quantity
    lines: tuple[Line, ...]

    @property
    def title(self) -> str:
        """Name and unit."""
        return with_unit(self.name, self.quantity.unit)

    def to_json(self, hues: Mapping[str, Sequence[str]] | None = None) -> dict[str, Any]:
        """What the browser must know.

        Args:
            hues: colours of operations, for light and for dark ground; lines that count them have these.
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
    """One chart for each metric, in the order in which they come; what the splits have in common is one."""
    found: dict[tuple[str, Quantity], list[str]] = {}
    for metric, quantity in _drawn(metrics):
        split, name = parted(metric)
        found.setdefault((COUNT if split == COUNT else name, quantity), []).append(metric)
    return [_chart(name, quantity, names) for (name, quantity), names in found.items()]


def charts_apart(metrics: Mapping[str, Quantity]) -> list[Chart]:
    """A chart for each metric and split, for searches that are compared: a line is then a search.

    Of what the network is trained by (`loss`) both splits are shown, of other metrics the validation alone where there
    is one, and before the loss. Of operations one that is counted alone is shown: where all are, their maps say more.
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
    """Where searches are compared: metrics of the task come first, then its losses, then what searchers know."""
    split, name = parted(metric)
    return 3 if split not in SPLITS else 0 if name != "loss" else 2 if split == "train" else 1


def _chart(name: str, quantity: Quantity, metrics: Sequence[str]) -> Chart:
    if len(metrics) == 1:
        return Chart(metric_words(metrics[0], split=True), quantity, (Line(metrics[0], metric_words(metrics[0])),))
    title = "operations kept" if name == COUNT else metric_words(name)
    return Chart(title, quantity, tuple(Line(metric, _label(metric)) for metric in metrics))


def _label(metric: str) -> str:
    """Of a line beside others of its chart."""
    split, name = parted(metric)
    return name if split == COUNT else "derived" if split == "child" else split or name


def parted(metric: str) -> tuple[str, str]:
    """("valid", "loss") of "valid/loss", ("", "entropy") of "entropy"; other names are left as they are."""
    split, slash, name = metric.partition("/")
    return (split, name) if slash and name and split in (*SPLITS, COUNT) else ("", metric)


def operation_of(metric: str) -> str:
    """The operation that a metric counts; "" if it counts none."""
    split, name = parted(metric)
    return name if split == COUNT else ""


def metric_words(metric: str, *, split: bool = False) -> str:
    """A metric in words: "bits per character" of "valid/bits_per_character".

    Args:
        split: say of what it is measured, too: "validation bits per character".
    """
    of, name = parted(metric)
    if metric in WORDS:
        return WORDS[metric]
    if of == COUNT:
        return f"{words(name)} kept"
    return f"{SPLITS[of]} {words(name)}" if split and of else words(name)


def words(name: str) -> str:
    """A key of a program as people read it."""
    return name.replace("_", " ").strip() or name


def with_unit(name: str, unit: str) -> str:
    """ "accuracy (%)"; "bits per character", which says its unit, stays as it is."""
    return name if not unit or unit in name.split() else f"{name} ({unit})"


def format_value(value: float, unit: str = "") -> str:
    """A value with its unit: "93.4 %" of a share, "2.500 nats"."""
    number = value * scale_of(unit)
    digits = ".4g" if abs(number) >= 1e5 else ".1f" if unit == "%" else ".3f"
    return f"{number:{digits}} {unit}".rstrip()


def scale_of(unit: str) -> float:
    """What a value is multiplied by to be read with its unit: 100 for a share."""
    return 100.0 if unit == "%" else 1.0


def objective_json(objective: Objective) -> dict[str, Any]:
    """What the browser must know of the objective: its name in words, direction, unit, and its sign in a fitness."""
    return {
        "name": words(objective.name),
        "title": with_unit(words(objective.name), objective.unit),
        "direction": objective.direction,
        "unit": objective.unit,
        "sign": objective.sign,
    }
