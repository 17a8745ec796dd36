"""Portraits of candidates: the cell as SVG, and the choices by name."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, NamedTuple

from naslab.architecture import Architecture
from naslab_widgets.figures import cell, svg
from naslab_widgets.figures.cell import CELL_WIDTH, frame_of

KEPT = 64
"""Size of the cache of pictures."""


class Portrait(NamedTuple):
    """What a page shows of an architecture."""

    picture: svg.Drawing | str
    """SVG; "" if the space cannot draw it."""
    choices: list[list[str]]
    """[name, value] of each choice."""
    why: str = ""
    """Reason for a missing picture."""


class Portraits:
    """Draws the architectures of a space.

    Args:
        space: the search space; if it fails to draw an architecture, the portrait has the reason.
    """

    def __init__(self, space: Any) -> None:
        self._space = space
        self._pictures: OrderedDict[Architecture, svg.Drawing] = OrderedDict()

    def of(self, architecture: Architecture) -> Portrait:
        """Returns the portrait of an architecture, from the cache if possible."""
        try:
            if architecture not in self._pictures:
                graph = self._space.graph(architecture)
                width = CELL_WIDTH if len(graph) > 6 else 400
                self._pictures[architecture] = cell(graph, width=width, frame=frame_of(self._space))
                if len(self._pictures) > KEPT:
                    self._pictures.popitem(last=False)
            choices = [[choice.name, str(value)] for choice, value in self._space.walk(architecture.choices)]
            return Portrait(self._pictures[architecture], choices)
        except Exception as error:  # a user's own space failed to draw it
            return Portrait("", [], f"no picture: {type(error).__name__}: {error}")
