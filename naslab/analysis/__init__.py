"""Numbers about searches and what they search."""

from naslab.analysis.candidates import Candidate, candidate
from naslab.analysis.cell_shape import CellShape, cell_shape, cell_shapes, genotype_shapes
from naslab.analysis.collapse import CollapseWatch, Standing, collapse
from naslab.analysis.decisions import Decision, decision
from naslab.analysis.feature_maps import FeatureMaps, feature_maps
from naslab.analysis.generalisation import GeneralisationGap, generalisation_gap
from naslab.analysis.gradient_variance import GradientVariance, Watched, gradient_variance, watching
from naslab.analysis.inside import Anatomy, Edge, Gradients, Shares, anatomy, gradients, shares
from naslab.analysis.known import HeldAgainst, Known, held_against
from naslab.analysis.landscape import Landscape, landscape
from naslab.analysis.loss_surface import LossSurface, loss_surface, surveying
from naslab.analysis.memory import StepMemory, step_memory
from naslab.analysis.motifs import Motif, Motifs, motifs
from naslab.analysis.oracle import Oracle, oracle
from naslab.analysis.pareto import Pareto, hypervolume, pareto
from naslab.analysis.ranking import Ranking
from naslab.analysis.remedies import Remedy, remedies
from naslab.analysis.rewiring import Wirings, deepest, rewirings, widest
from naslab.analysis.steps import Bought, Steps, what_each_trick_buys
from naslab.analysis.turning import Turn, turn

__all__ = [
    "Anatomy",
    "Bought",
    "Candidate",
    "CellShape",
    "CollapseWatch",
    "Decision",
    "Edge",
    "FeatureMaps",
    "GeneralisationGap",
    "GradientVariance",
    "Gradients",
    "HeldAgainst",
    "Known",
    "Landscape",
    "LossSurface",
    "Motif",
    "Motifs",
    "Oracle",
    "Pareto",
    "Ranking",
    "Remedy",
    "Shares",
    "Standing",
    "StepMemory",
    "Steps",
    "Turn",
    "Watched",
    "Wirings",
    "anatomy",
    "candidate",
    "cell_shape",
    "cell_shapes",
    "collapse",
    "decision",
    "deepest",
    "feature_maps",
    "generalisation_gap",
    "genotype_shapes",
    "gradient_variance",
    "gradients",
    "held_against",
    "hypervolume",
    "landscape",
    "loss_surface",
    "motifs",
    "oracle",
    "pareto",
    "remedies",
    "rewirings",
    "shares",
    "step_memory",
    "surveying",
    "turn",
    "watching",
    "what_each_trick_buys",
    "widest",
]
