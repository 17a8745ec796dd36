"""Train networks on their own, and compare what they reach."""

from __future__ import annotations

from typing import TYPE_CHECKING

from naslab.lazy import attach

if TYPE_CHECKING:
    from naslab.trainers.compare import Comparison, Score, Welch, compare, comparing
    from naslab.trainers.fit import fit, train
    from naslab.trainers.recipe import Recipe
    from naslab.trainers.report import Epoch, Report

__getattr__, __dir__ = attach(__name__)


__all__ = ["Comparison", "Epoch", "Recipe", "Report", "Score", "Welch", "compare", "comparing", "fit", "train"]
