"""Pictures as pure functions: numbers and graphs in, an SVG `Drawing` or a Plotly figure out."""

from naslab_widgets.figures.alphas import alphas
from naslab_widgets.figures.cell import cell, mixture, to_dot
from naslab_widgets.figures.comparison import comparison
from naslab_widgets.figures.losses import losses
from naslab_widgets.figures.svg import Drawing

__all__ = ["Drawing", "alphas", "cell", "comparison", "losses", "mixture", "to_dot"]
