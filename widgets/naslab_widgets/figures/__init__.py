"""Pictures as pure functions: numbers and graphs in, an SVG `Drawing` or a Plotly figure out."""

from typing import TYPE_CHECKING

from naslab.lazy import attach

if TYPE_CHECKING:
    from naslab_widgets.figures.alphas import alphas
    from naslab_widgets.figures.cell import cell, mixture, to_dot
    from naslab_widgets.figures.cell_shapes import cell_shapes
    from naslab_widgets.figures.comparison import comparison
    from naslab_widgets.figures.contact_sheet import contact_sheet
    from naslab_widgets.figures.controller import controller, q_values
    from naslab_widgets.figures.convergence import convergence
    from naslab_widgets.figures.landscape import landscape
    from naslab_widgets.figures.loss_surface import loss_surface
    from naslab_widgets.figures.losses import losses
    from naslab_widgets.figures.motifs import motifs
    from naslab_widgets.figures.optimizations import optimizations
    from naslab_widgets.figures.oracle import oracle
    from naslab_widgets.figures.parallel import parallel
    from naslab_widgets.figures.pareto import pareto
    from naslab_widgets.figures.race import race
    from naslab_widgets.figures.race_picture import race_picture
    from naslab_widgets.figures.ranked import ranked
    from naslab_widgets.figures.ranking import ranking
    from naslab_widgets.figures.rates import rates
    from naslab_widgets.figures.supernet import supernet
    from naslab_widgets.figures.svg import Drawing
    from naslab_widgets.figures.trials import family_tree, trials


__getattr__, __dir__ = attach(
    __name__,
    deprecated={
        "tricks": "optimizations",
    },
)

__all__ = [
    "Drawing",
    "alphas",
    "cell",
    "cell_shapes",
    "comparison",
    "contact_sheet",
    "controller",
    "convergence",
    "family_tree",
    "landscape",
    "loss_surface",
    "losses",
    "mixture",
    "motifs",
    "optimizations",
    "oracle",
    "parallel",
    "pareto",
    "q_values",
    "race",
    "race_picture",
    "ranked",
    "ranking",
    "rates",
    "supernet",
    "to_dot",
    "trials",
]
