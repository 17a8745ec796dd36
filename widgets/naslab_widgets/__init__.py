"""Live views of naslab's searches, for Jupyter."""

from naslab_widgets import figures
from naslab_widgets.compare import Compare
from naslab_widgets.composer import Compose
from naslab_widgets.drawing import draw
from naslab_widgets.lab import Lab
from naslab_widgets.race import RaceView
from naslab_widgets.study import Study

__all__ = ["Compare", "Compose", "Lab", "RaceView", "Study", "draw", "figures"]
