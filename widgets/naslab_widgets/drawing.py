"""An architecture as a picture."""

from __future__ import annotations

from typing import Any

from naslab.architecture import Architecture
from naslab_widgets.figures import Drawing, cell


def draw(architecture: Architecture, space: Any) -> Drawing:
    """The cell or cells of an architecture, for instance `draw(search.best, space)`."""
    return cell(space.graph(architecture))
