"""The sheet of one decision of a learning sampler: the probability of each option over the search."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from naslab.analysis import decision
from naslab.analysis.decisions import Decision
from naslab.errors import NaslabError
from naslab.events import Evaluated, Event
from naslab_widgets.sections import Section

POINTS = 200
"""Points of a curve, at most; the sheet is fewer pixels wide."""


class DecisionSheet(Section):
    """Curves of the decision that the page opened last.

    Args:
        events: returns all events of the search so far.
    """

    name = "decision"

    def __init__(self, events: Callable[[], Iterable[Event]]) -> None:
        self._events = events
        self._shown: dict[str, Any] | None = None

    def state(self) -> dict[str, Any] | None:
        """Returns the curves of the opened decision; None before the first is opened."""
        return self._shown

    def on_message(self, message: Mapping[str, Any]) -> None:
        """{do: "open", name}. The page sends it again while the search goes on, to refresh the curves."""
        name = message.get("name")
        if message.get("do") != "open" or not isinstance(name, str):
            return
        try:
            self._shown = _described(_decision(self._events(), name))
        except NaslabError as error:
            self._shown = {"name": name, "refused": str(error)}


def _decision(events: Iterable[Event], name: str) -> Decision:
    """Returns the decision from at most `POINTS` events: a search may have any number of them."""
    trials = [event for event in events if isinstance(event, Evaluated)]
    met = [trial for trial in trials if name in trial.probabilities]
    places = np.unique(np.linspace(0, len(met) - 1, min(POINTS, len(met))).round().astype(int)).tolist()
    return decision([met[place] for place in places] or trials, name, points=POINTS)


def _described(found: Decision) -> dict[str, Any]:
    return {
        "name": found.name,
        "refused": "",
        "steps": found.steps.tolist(),
        "probabilities": _rounded(found.probabilities),
        "uniform": found.uniform,
        "entropy": _rounded(found.entropy),
        "most": found.most,
        "values": _rounded(found.values) if found.values.size else None,
    }


def _rounded(values: np.ndarray) -> Any:
    """Returns nested lists with five significant digits, enough for a curve; None for NaN, which JSON lacks."""
    if values.ndim > 1:
        return [_rounded(row) for row in values]
    return [float(f"{value:.5g}") if np.isfinite(value) else None for value in values.tolist()]
