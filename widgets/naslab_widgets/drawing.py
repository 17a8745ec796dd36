"""An architecture as a picture."""

from __future__ import annotations

from typing import Any

from naslab.architecture import Architecture
from naslab_widgets.figures import Drawing, cell
from naslab_widgets.figures.cell import frame_of


def draw(architecture: Architecture, space: Any) -> Drawing:
    """The cell or cells of an architecture, for instance `draw(search.best, space)`."""
    if not isinstance(architecture, Architecture) or not hasattr(space, "graph"):
        raise TypeError(
            "draw shows an architecture of a space, as draw(search.best, space), "
            f"not {architecture!r:.80} and {space!r:.80}"
        )
    return cell(space.graph(architecture), frame=frame_of(space))
