"""One-shot search with single paths, in parts: a sampler of the paths that are trained, then evolution on their
weights. Each paper is a sampler with its constants.
"""

from typing import TYPE_CHECKING

from naslab.lazy import attach

if TYPE_CHECKING:
    from naslab.searchers.one_shot.base import OneShot
    from naslab.searchers.one_shot.evolution import Evolution
    from naslab.searchers.one_shot.fair import Fair
    from naslab.searchers.one_shot.novelty import Archive, Novel
    from naslab.searchers.one_shot.paths import Paths, Uniform
    from naslab.searchers.one_shot.training import SMALL, OneShotHyperparameters

__getattr__, __dir__ = attach(__name__)


__all__ = ["SMALL", "Archive", "Evolution", "Fair", "Novel", "OneShot", "OneShotHyperparameters", "Paths", "Uniform"]
