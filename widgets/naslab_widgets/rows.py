"""The rows that the page gets, one of float64 per step, and the description by which it reads them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from naslab.analysis.cell_shape import parts
from naslab.architecture import Architecture
from naslab.events import SupernetStep
from naslab.markup import Markup
from naslab.quantities import Quantity
from naslab_widgets.figures import svg
from naslab_widgets.figures.alphas import edge_labels
from naslab_widgets.figures.cell import cell_layout, node_label, pretty
from naslab_widgets.figures.charts import charts_of
from naslab_widgets.figures.palette import colours
from naslab_widgets.figures.sampled import Sampled


class RowFormat:
    """Encodes a step as a row: step, metrics, then for each part softmax(alpha) [E, O] and the kept operation [E].

    E is the number of edges of the part, O that of operations. The kept operation is an index into the operations, or
    -1 for an edge that would be dropped.

    Args:
        space: the search space.
        metrics: metrics of the search (`search.metrics`): name -> direction and unit. A missing value is NaN.
    """

    def __init__(self, space: Any, metrics: Mapping[str, Quantity]) -> None:
        self.space, self.metrics = space, dict(metrics)
        self.operations = tuple(str(name) for name in space.operations)
        self.edges: dict[str, int] = dict(space.edges())
        self._alphas = 1 + len(self.metrics)
        """First column of the first part."""
        self.width = self._alphas + sum(edges * (len(self.operations) + 1) for edges in self.edges.values())

    def row(self, event: SupernetStep) -> np.ndarray:
        """Returns the row of a step, [width] float64."""
        figures = [event.metrics.get(name, math.nan) for name in self.metrics]
        return self._written(event.step, figures, event.best, event.probabilities)

    def plain(self, step: int, figures: Sequence[float], best: Architecture | None) -> np.ndarray:
        """Returns the row of a step without alphas, [width] float64: one-hot for the best cell, zeros without one."""
        return self._written(step, figures, best, None)

    def _written(
        self,
        step: int,
        figures: Sequence[float],
        best: Architecture | None,
        probabilities: Mapping[str, np.ndarray] | None,
    ) -> np.ndarray:
        empty = {part: np.zeros((edges, len(self.operations))) for part, edges in self.edges.items()}
        kept = empty if best is None else self.space.one_hot(best)
        pieces = [np.array([step, *figures], dtype=np.float64)]
        for part in self.edges:
            chosen = np.where(kept[part].any(axis=1), kept[part].argmax(axis=1), -1)
            pieces += [(kept if probabilities is None else probabilities)[part].ravel(), chosen]
        return np.concatenate(pieces, dtype=np.float64)

    def curves(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Returns part -> softmax(alpha) [T, E, O] from rows [T, width]."""
        found, start = {}, self._alphas
        for part, edges in self.edges.items():
            size = edges * len(self.operations)
            found[part] = rows[:, start : start + size].reshape(-1, edges, len(self.operations))
            start += size + edges
        return found

    def description(self) -> dict[str, Any]:
        """Returns the constant description as JSON: names, colours, columns, and the layout of the cells."""
        hues = colours(self.operations)
        start, described = self._alphas, []
        labels = edge_labels(self.space)
        longest = max(map(len, self.operations)) + len("≠ ")
        graphs = parts(self.space.supergraph())
        for part, edges in self.edges.items():
            layout = cell_layout(graphs[part], longest)
            described.append(
                {
                    "name": part,
                    "labels": labels[part],
                    "probabilities": start,
                    "kept": start + edges * len(self.operations),
                    "size": [layout.width, layout.height],
                    "nodes": [
                        {"label": pretty(node_label(graphs[part], node)), "at": point, "role": data.get("role", "node")}
                        for node, point in layout.nodes.items()
                        for data in [graphs[part].nodes[node]]
                    ],
                    "edges": [
                        {
                            "path": Markup(route.path),
                            "label": route.label,
                            "row": graphs[part].edges[edge].get("row", -1),
                        }
                        for edge, route in layout.routes.items()
                    ],
                }
            )
            start += edges * (len(self.operations) + 1)
        return {
            "width": self.width,
            "operations": [{"name": svg.short(name), "colours": list(hues[name])} for name in self.operations],
            "metrics": columns_of(self.metrics),
            "charts": [chart.to_json(hues) for chart in charts_of(self.metrics)],
            "parts": described,
        }


def columns_of(metrics: Iterable[str]) -> dict[str, int]:
    """Returns metric -> column; column 0 is the step."""
    return {name: 1 + column for column, name in enumerate(metrics)}


class History:
    """The rows of a search of any length in bounded memory: every stride-th row, and always the last one.

    Args:
        width: columns.
        limit: rows, at most.
    """

    def __init__(self, width: int, limit: int = 2000) -> None:
        self._width, self._sampled = width, Sampled(limit)
        self._last: np.ndarray | None = None

    def append(self, row: np.ndarray) -> None:
        self._sampled.extend([row])
        self._last = row

    def rows(self) -> np.ndarray:
        """Returns the kept rows, [T, width] float64, T <= limit."""
        if self._last is None:
            return np.zeros((0, self._width))
        kept = self._sampled.kept
        return np.stack(kept if kept[-1] is self._last else [*kept, self._last])

    @property
    def last(self) -> np.ndarray | None:
        return self._last
