"""Portraits of candidates: the cell as SVG and its choices by name."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, NamedTuple

from naslab.architecture import Architecture
from naslab_widgets.figures import cell, svg
from naslab_widgets.figures.cell import CELL_WIDTH, frame_of

KEPT = 64
"""Pictures that are kept, so as not to draw them again."""


class Portrait(NamedTuple):
    """What a page shows of an architecture."""

    picture: svg.Drawing | str
    """SVG, or empty."""
    choices: list[list[str]]
    """[name, value] of each choice."""
    why: str = ""
    """Why there is no picture."""


class Portraits:
    """Draws the architectures of a space.

    Args:
        space: of the search; if it cannot draw, portraits are empty and say why.
    """

    def __init__(self, space: Any) -> None:
        self._space = space
        self._pictures: OrderedDict[Architecture, svg.Drawing] = OrderedDict()

    def of(self, architecture: Architecture) -> Portrait:
        """The portrait of an architecture."""
        try:
            if architecture not in self._pictures:
                graph = self._space.graph(architecture)
                width = CELL_WIDTH if len(graph) > 6 else 400
                self._pictures[architecture] = cell(graph, width=width, frame=frame_of(self._space))
                if len(self._pictures) > KEPT:
                    self._pictures.popitem(last=False)
            choices = [[choice.name, str(value)] for choice, value in self._space.walk(architecture.choices)]
            return Portrait(self._pictures[architecture], choices)
        except Exception as error:  # a space of the user's own that cannot draw
            return Portrait("", [], f"no picture: {type(error).__name__}: {error}")
