"""Analysis of searches, search spaces, supernets and networks: functions from data to numbers, without pictures."""

from typing import TYPE_CHECKING

from naslab.lazy import attach

if TYPE_CHECKING:
    from naslab.analysis.candidates import Candidate, candidate
    from naslab.analysis.cell_shape import CellShape, cell_shape, cell_shapes, genotype_shapes
    from naslab.analysis.change_point import ChangePoint, change_point
    from naslab.analysis.collapse import CollapseWatch, Standing, collapse
    from naslab.analysis.decisions import Decision, decision
    from naslab.analysis.feature_maps import FeatureMaps, feature_maps
    from naslab.analysis.generalisation import GeneralisationGap, generalisation_gap
    from naslab.analysis.gradient_variance import GradientVariance, Watched, gradient_variance, watching
    from naslab.analysis.ground_truth import GroundTruth, RankCorrelation, rank_correlation
    from naslab.analysis.inside import Anatomy, Edge, Gradients, Shares, anatomy, gradients, shares
    from naslab.analysis.landscape import Landscape, landscape
    from naslab.analysis.loss_surface import LossSurface, loss_surface, surveying
    from naslab.analysis.memory import StepMemory, step_memory
    from naslab.analysis.motifs import Motif, Motifs, motifs
    from naslab.analysis.oracle import Oracle, oracle
    from naslab.analysis.pareto import Pareto, hypervolume, pareto
    from naslab.analysis.ranking import Ranking
    from naslab.analysis.remedies import Remedy, remedies
    from naslab.analysis.rewiring import Wirings, deepest, rewirings, widest
    from naslab.analysis.steps import Speedup, Steps, ablate_optimizations


__getattr__, __dir__ = attach(
    __name__,
    deprecated={
        "Bought": "Speedup",
        "HeldAgainst": "RankCorrelation",
        "Known": "GroundTruth",
        "Turn": "ChangePoint",
        "held_against": "rank_correlation",
        "turn": "change_point",
        "what_each_trick_buys": "ablate_optimizations",
    },
)

__all__ = [
    "Anatomy",
    "Candidate",
    "CellShape",
    "ChangePoint",
    "CollapseWatch",
    "Decision",
    "Edge",
    "FeatureMaps",
    "GeneralisationGap",
    "GradientVariance",
    "Gradients",
    "GroundTruth",
    "Landscape",
    "LossSurface",
    "Motif",
    "Motifs",
    "Oracle",
    "Pareto",
    "RankCorrelation",
    "Ranking",
    "Remedy",
    "Shares",
    "Speedup",
    "Standing",
    "StepMemory",
    "Steps",
    "Watched",
    "Wirings",
    "ablate_optimizations",
    "anatomy",
    "candidate",
    "cell_shape",
    "cell_shapes",
    "change_point",
    "collapse",
    "decision",
    "deepest",
    "feature_maps",
    "generalisation_gap",
    "genotype_shapes",
    "gradient_variance",
    "gradients",
    "hypervolume",
    "landscape",
    "loss_surface",
    "motifs",
    "oracle",
    "pareto",
    "rank_correlation",
    "remedies",
    "rewirings",
    "shares",
    "step_memory",
    "surveying",
    "watching",
    "widest",
]
