"""The sheet of an edge: what each of its operations costs, sees and learns by, and what a hand does to it.

The page names a part, an edge and an operation by their numbers: names may be anything. What takes longer than a moment
is done between two steps, and looks at a copy.
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
"""Feature maps of an operation that are shown."""
SIDE = 32
"""Pixels of a map, at most: of a larger one every other, say."""
EXAMPLES = 256
"""Training examples that can be looked at: all before one go through the supernet with it."""
DONE = {"forbid", "allow", "lock", "unlock", "nudge", "drop", "undrop", "forbid_everywhere", "allow_everywhere"}
"""What the page may ask to be done; methods of a search."""


class EdgeSheet(Section):
    """What a search that mixes operations is told of its edges, and asked.

    Args:
        call: has something done between two steps, or now if the search rests.
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
        """What was looked at, as the page draws it."""

    @classmethod
    def of(cls, search: Any, call: Callable[[Callable[[], object]], None]) -> list[EdgeSheet]:
        """One, if the search has edges that can be told anything."""
        if not isinstance(search, Steering) or not hasattr(search.searcher.space, "edges"):
            return []
        settings, space = search.searcher.settings, cast(Any, search.searcher.space)
        there = [isinstance(settings.get(f"{MASK}/{part}"), Mask) for part in space.edges()]
        return [cls(search, call)] if there and all(there) else []

    def about(self) -> dict[str, Any]:
        """Part after part, edge after edge, the operations that there are; and what can be done."""
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

    # --- what it is like ---------------------------------------------------------------------------

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
        """What is forbidden: everywhere; part after part, by row; and which edges are left out."""
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

    # --- what is done ------------------------------------------------------------------------------

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
        """Look between two steps; what cannot be seen is said, and the search goes on."""

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
        except RuntimeError as error:  # the lab was stopped
            self._busy.discard(name)
            raise RunError(str(error)) from error


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _rounded(matrix: Any) -> list[list[float | None]] | None:
    """[E, O] with four digits, which is what is shown."""
    return None if matrix is None else [[_known(float(f"{value:.4g}")) for value in row] for row in matrix]
