"""The child of the latest step, highlighted inside the supernet: the SVG and caption that the page shows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from naslab.events import ChildTrained, Evaluated, Event
from naslab.immutable import FrozenDict
from naslab.quantities import FITNESS, Objective, Quantity
from naslab.spaces import DrawnSupernet
from naslab_widgets.about import objective_among
from naslab_widgets.figures import svg
from naslab_widgets.figures.charts import UNKNOWN, format_value, parted, words
from naslab_widgets.figures.supernet import SupernetPicture

EVERY = 0.2
"""Seconds between two children: nobody could follow more of them."""


class LitChild:
    """The picture of a supernet, drawn once, and the latest child on it. Nothing is drawn before the first child.

    Args:
        space: the search space; without a drawable supernet there is no picture.
        objective: objective of the children, unless their scores name another.
        metrics: metrics of the search: name -> direction and unit.
    """

    def __init__(
        self, space: Any, objective: Objective = FITNESS, metrics: Mapping[str, Quantity] = FrozenDict({})
    ) -> None:
        self._space, self._objective, self._metrics = space, objective, metrics
        self._picture: SupernetPicture | None = None
        self._failed = not isinstance(space, DrawnSupernet)
        self.clear()

    def clear(self) -> None:
        """Forget the child."""
        self._latest: ChildTrained | Evaluated | None = None
        self._shown: dict[str, Any] | None = None
        self._shown_at = -math.inf
        self._shared = False

    def take(self, *events: ChildTrained | Evaluated) -> None:
        """Add events in their order; only the last one is shown."""
        self._latest = events[-1]
        self._shared = self._shared or any(isinstance(event, ChildTrained) for event in events)

    @property
    def due(self) -> bool:
        """True if the latest child is not shown yet."""
        shown = None if self._shown is None else self._shown["step"]
        return self._drawable and self._latest is not None and self._latest.step != shown

    @property
    def _drawable(self) -> bool:
        return self._shared and not self._failed

    def supernet(self) -> str:
        """Returns the SVG of the whole supernet; "" if there is none."""
        try:
            return svg.drawing(self._drawn().document()) if self._drawable else ""
        except Exception:  # a user's own space failed to draw it
            self._failed = True
            return ""

    def message(self, now: float) -> dict[str, Any] | None:
        """Returns `step`, `said` (the caption) and `lit` (SVG to lay over the supernet) of the latest child.

        If another was shown less than `EVERY` seconds ago, that one is returned again.

        Args:
            now: seconds, of the view's clock.
        """
        latest = self._latest
        if latest is not None and self.due and now - self._shown_at >= EVERY:
            try:
                lit = svg.drawing(self._drawn().lit(latest.architecture))
            except Exception:
                self._failed = True
                return None
            self._shown, self._shown_at = {"step": latest.step, "said": self._caption(latest), "lit": lit}, now
        return self._shown if self._drawable else None

    def at(self, event: Event) -> dict[str, Any] | None:
        """Returns the same for the child of an earlier step."""
        if not self._drawable or not isinstance(event, ChildTrained | Evaluated):
            return None
        try:
            lit = svg.drawing(self._drawn().lit(event.architecture))
            return {"step": event.step, "said": self._caption(event), "lit": lit}
        except Exception:  # a user's own space failed to draw it
            return None

    def picture(self) -> svg.Drawing | None:
        """Returns the latest child in the supernet; None if there is none or the space cannot draw it."""
        if not self._drawable or self._latest is None:
            return None
        try:
            return self._drawn().drawing(self._latest.architecture)
        except Exception:
            return None

    def _drawn(self) -> SupernetPicture:
        if self._picture is None:
            self._picture = SupernetPicture(self._space)
        return self._picture

    def _caption(self, event: ChildTrained | Evaluated) -> str:
        if isinstance(event, ChildTrained):
            metric = "train/loss" if "train/loss" in event.metrics else next(iter(event.metrics), None)
            if metric is None:
                return "its weights are trained"
            unit = self._metrics.get(metric, UNKNOWN).unit
            return f"its weights are trained, {words(parted(metric)[1])} {format_value(event.metrics[metric], unit)}"
        if event.fitness is None:
            return "judged with shared weights, without a result"
        own = objective_among([event], self._objective)
        value = format_value(own.sign * event.fitness, own.unit)
        return f"judged with shared weights, {words(own.name)} {value}"
