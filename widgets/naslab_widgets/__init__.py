"""Live views of naslab's searches, for Jupyter."""

from naslab_widgets import figures
from naslab_widgets.drawing import draw
from naslab_widgets.lab import Lab

__all__ = ["Lab", "draw", "figures"]
