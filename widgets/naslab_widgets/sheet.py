"""The sheet of one edge of a supernet: costs, receptive fields, gradients and feature maps of its operations, and the
interventions on it (forbid, lock, nudge, drop).

The page refers to a part, an edge and an operation by index, because names may be any text. Slow computations run in
the runner's thread between two steps, on copies (`naslab.analysis`); their results are written there and read by
`state`.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

import numpy as np

from naslab.analysis import Edge, FeatureMaps, Gradients, anatomy, feature_maps, gradients
from naslab.errors import NaslabError, RunError, real, whole
from naslab.markup import Markup
from naslab.runs.steering import FORBIDDEN, MASK, Steering
from naslab.searchers import Mask
from naslab_widgets.sections import Section

CHANNELS = 8
"""Feature maps shown for each operation."""
SIDE = 32
"""Pixels of a side of a map, at most: larger maps are subsampled."""
EXAMPLES = 256
"""Training examples to choose from; a low limit, because an example goes through the supernet with all before it."""
DONE = {"forbid", "allow", "lock", "unlock", "nudge", "drop", "undrop", "forbid_everywhere", "allow_everywhere"}
"""Interventions that the page may request; each is a method of the search."""


class EdgeSheet(Section):
    """Details of the edges of a mixed-operation search, and interventions on them.

    Args:
        search: the search.
        call: runs a function in the runner's thread: between two steps, or now if the search is idle.
    """

    name = "sheet"

    def __init__(self, search: Steering, call: Callable[[Callable[[], object]], None]) -> None:
        self._search, self._call = search, call
        space: Any = search.searcher.space
        self._operations = list(space.operations)
        self._rows: dict[str, int] = dict(space.edges())
        self._parts = list(self._rows)
        self._refused = ""
        self._busy: set[str] = set()
        self._seen: dict[str, Any] = {"anatomy": None, "gradients": None, "maps": None}
        """Result of each computation, as JSON."""

    @classmethod
    def of(cls, search: Any, call: Callable[[Callable[[], object]], None]) -> list[EdgeSheet]:
        """Returns one sheet if the search has masks on its edges, else none."""
        if not isinstance(search, Steering) or not hasattr(search.searcher.space, "edges"):
            return []
        settings, space = search.searcher.settings, cast(Any, search.searcher.space)
        there = [isinstance(settings.get(f"{MASK}/{part}"), Mask) for part in space.edges()]
        return [cls(search, call)] if there and all(there) else []

    def about(self) -> dict[str, Any]:
        """Returns for each part and edge the indices of its operations, and which interventions there are."""
        settings: Mapping[str, Any] = self._search.searcher.settings
        column = self._operations.index
        offered = {part: settings[f"{MASK}/{part}"].options for part in self._rows}
        return {
            "has": [
                [sorted(map(column, offered[part][str(row)])) for row in range(rows)]
                for part, rows in self._rows.items()
            ],
            "nudge": "nudge" in self._search.acts,
            "everywhere": FORBIDDEN in settings,
        }

    # --- to the page -------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        settings = self._search.searcher.settings
        now = {name: settings[name].value for name in settings if name.startswith((f"{MASK}/", "edges/", FORBIDDEN))}
        wished = self._search.wished
        coming = {**now, **{wish.name: wish.given for wish in wished if not wish.act and wish.name in now}}
        return {
            "now": self._ruled(now),
            "next": self._ruled(coming),
            "nudges": [self._nudge(wish.given) for wish in wished if wish.act and wish.name == "nudge"],
            **self._seen,
            "busy": sorted(self._busy),
            "refused": self._refused,
        }

    def _ruled(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Returns what is forbidden everywhere, the masks of each part by row, and the dropped edges of each part."""
        column = self._operations.index
        masks = [values.get(f"{MASK}/{part}", {}) for part in self._parts]
        return {
            "everywhere": [column(name) for name in values.get(FORBIDDEN, [])],
            "masks": [{row: [column(name) for name in names] for row, names in mask.items()} for mask in masks],
            "dropped": [[int(row) for row in values.get(f"edges/{part}", [])] for part in self._parts],
        }

    def _nudge(self, given: Mapping[str, Any]) -> list[Any]:
        part, operation = self._parts.index(given["part"]), self._operations.index(given["operation"])
        return [part, int(given["row"]), operation, given["by"]]

    def _drawn(self, edge: Edge) -> dict[str, Any]:
        first = edge.places[0] if edge.places else None
        return {
            "part": self._parts.index(edge.part),
            "edge": edge.row,
            "parameters": [_known(value) for value in edge.parameters],
            "multiply_adds": [_known(value) for value in edge.multiply_adds],
            "fields": [list(field) for field in edge.receptive_fields],
            "cells": len(edge.places),
            "reads": list(first.reads) if first else [],
            "gives": list(first.gives) if first else [],
        }

    def _drawn_gradients(self, found: Gradients) -> dict[str, Any]:
        return {
            "step": found.step,
            "examples": found.examples,
            "parameters": [_rounded(found.of_parameters.get(part)) for part in self._parts],
            "shares": [_rounded(found.of_shares.get(part)) for part in self._parts],
        }

    def _drawn_maps(self, found: FeatureMaps, example: int) -> dict[str, Any]:
        stride = -(-max(found.reads.shape[1:] + found.maps.shape[2:]) // SIDE)
        small = {"reads": found.reads[:, ::stride, ::stride], "maps": found.maps[:, :, ::stride, ::stride]}
        sheet: np.ndarray = replace(found, **small).sheet(CHANNELS)
        return {
            "part": self._parts.index(found.part),
            "edge": found.row,
            "example": example,
            "operations": [self._operations.index(name) for name in found.operations],
            "size": [sheet.shape[1], sheet.shape[0]],
            "grey": Markup(base64.b64encode(sheet.tobytes()).decode()),
        }

    # --- from the page -----------------------------------------------------------------------------

    def on_message(self, message: Mapping[str, Any]) -> None:
        self._refused = ""
        try:
            self._do(message)
        except NaslabError as error:
            self._refused = str(error)

    def _do(self, message: Mapping[str, Any]) -> None:
        do, search = message.get("do"), self._search
        if do == "anatomy":
            return self._later(do, lambda: [self._drawn(edge) for edge in anatomy(search).edges])
        if do == "gradients":
            return self._later(do, lambda: self._drawn_gradients(gradients(search)))
        if not isinstance(do, str) or do not in {*DONE, "maps"}:
            return None
        if do.endswith("everywhere"):
            return getattr(search, do)(self._operation(message))
        part, edge = self._edge(message)
        if do == "maps":
            example = whole("the number of the example", message.get("example"), 0, EXAMPLES - 1)
            look = lambda: self._drawn_maps(feature_maps(search, part, edge, example=example), example)  # noqa: E731
            return self._later(do, look)
        if do in ("drop", "undrop", "unlock"):
            return getattr(search, do)(part, edge)
        if do == "nudge":
            by = real("what is added to the alpha", message.get("by"))
            return search.nudge(part, edge, self._operation(message), by)
        return getattr(search, do)(part, edge, self._operation(message))

    def _edge(self, message: Mapping[str, Any]) -> tuple[str, int]:
        part = self._parts[whole("the number of the part", message.get("part"), 0, len(self._parts) - 1)]
        return part, whole("the number of the edge", message.get("edge"), 0, self._rows[part] - 1)

    def _operation(self, message: Mapping[str, Any]) -> str:
        most = len(self._operations) - 1
        return self._operations[whole("the number of the operation", message.get("operation"), 0, most)]

    def _later(self, name: str, look: Callable[[], Any]) -> None:
        """Compute something in the runner's thread; an error is shown, and the search goes on."""

        def command() -> None:
            try:
                self._seen[name] = look()
            except Exception as error:
                self._refused = str(error) if isinstance(error, NaslabError) else f"{type(error).__name__}: {error}"
            finally:
                self._busy.discard(name)

        if name in self._busy:
            return
        self._busy.add(name)
        try:
            self._call(command)
        except RuntimeError as error:  # the lab was stopped: nothing will run the command
            self._busy.discard(name)
            raise RunError(str(error)) from error


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _rounded(matrix: Any) -> list[list[float | None]] | None:
    """Returns [E, O] as lists with the four digits that are shown; None for NaN."""
    return None if matrix is None else [[_known(float(f"{value:.4g}")) for value in row] for row in matrix]
