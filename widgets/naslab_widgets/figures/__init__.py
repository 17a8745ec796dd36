"""Pictures as pure functions: numbers and graphs in, an SVG `Drawing` or a Plotly figure out."""

from naslab_widgets.figures.alphas import alphas
from naslab_widgets.figures.cell import cell, mixture, to_dot
from naslab_widgets.figures.comparison import comparison
from naslab_widgets.figures.controller import controller, q_values
from naslab_widgets.figures.landscape import landscape
from naslab_widgets.figures.losses import losses
from naslab_widgets.figures.oracle import oracle
from naslab_widgets.figures.parallel import parallel
from naslab_widgets.figures.pareto import pareto
from naslab_widgets.figures.race import race
from naslab_widgets.figures.ranking import ranking
from naslab_widgets.figures.svg import Drawing
from naslab_widgets.figures.trials import family_tree, trials
from naslab_widgets.figures.tricks import tricks

__all__ = [
    "Drawing",
    "alphas",
    "cell",
    "comparison",
    "controller",
    "family_tree",
    "landscape",
    "losses",
    "mixture",
    "oracle",
    "parallel",
    "pareto",
    "q_values",
    "race",
    "ranking",
    "to_dot",
    "trials",
    "tricks",
]
