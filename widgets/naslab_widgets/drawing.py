"""`draw`: an architecture as a picture."""

from __future__ import annotations

from typing import Any

from naslab.architecture import Architecture
from naslab_widgets.figures import Drawing, cell
from naslab_widgets.figures.cell import frame_of


def draw(architecture: Architecture, space: Any) -> Drawing:
    """Returns the picture of the cells of an architecture, for example `draw(search.best, space)`.

    Raises:
        TypeError: not an architecture, or not a space that can draw it.
    """
    if not isinstance(architecture, Architecture) or not hasattr(space, "graph"):
        raise TypeError(
            "draw expects an architecture and its space, as draw(search.best, space), "
            f"got {architecture!r:.80} and {space!r:.80}"
        )
    return cell(space.graph(architecture), frame=frame_of(space))
