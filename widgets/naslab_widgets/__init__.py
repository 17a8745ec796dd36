"""Live views of naslab's searches, for Jupyter."""

from typing import TYPE_CHECKING

from naslab.lazy import attach

if TYPE_CHECKING:
    from naslab_widgets import figures
    from naslab_widgets.compare import Compare
    from naslab_widgets.composer import Compose
    from naslab_widgets.drawing import draw
    from naslab_widgets.figure_explorer import FigureExplorer
    from naslab_widgets.lab import Lab
    from naslab_widgets.race import RaceView


__getattr__, __dir__ = attach(
    __name__,
    deprecated={
        "Study": "FigureExplorer",
    },
)

__all__ = ["Compare", "Compose", "FigureExplorer", "Lab", "RaceView", "draw", "figures"]
