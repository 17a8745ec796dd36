"""Hyperparameters that all one-shot searches have: training of the shared weights, and evolution on them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

from naslab.errors import SpecError, among, real, whole
from naslab.fields import settle
from naslab.networks.batch_norm import known_batch_norm
from naslab.searchers.rewards import between

SCHEDULES = ("cosine", "linear")
SMALL: Mapping[str, Any] = MappingProxyType(
    {
        "batch_size": 64,
        "train_portion": 0.8,
        "population": 20,
        "generations": 4,
        "parents": 5,
        "crossovers": 8,
        "mutations": 8,
        "valid_images": 512,
        "recalibration_images": 192,
    }
)
"""Sizes for a few thousand images, common to the `LAPTOP` settings of the one-shot searchers."""


@dataclass(frozen=True, kw_only=True)
class OneShotHyperparameters:
    """Defaults are those of the authors of SPOS on ImageNet (https://github.com/megvii-model/SinglePathOneShot,
    src/Supernet/train.py and src/Search/search.py); the numbers of images are ours."""

    RENAMED: ClassVar[Mapping[str, str]] = {"w_clip": "gradient_clipping"}

    epochs: int = 120
    """Passes over the training part (150,000 mini-batches of ImageNet)."""
    batch_size: int = 1024
    """Images in a mini-batch of either part."""
    train_portion: float = 0.96
    """Share of the training data that trains the weights; the rest evaluates children (50,000 images of ImageNet)."""
    w_lr: float = 0.5
    """Learning rate of the shared weights at the start."""
    w_lr_min: float = 0.0
    """Learning rate of the shared weights at the end."""
    schedule: str = "linear"
    """Schedule of the learning rate, update by update: "linear" or "cosine"."""
    w_momentum: float = 0.9
    """Momentum of the shared weights."""
    w_weight_decay: float = 4e-5
    """Weight decay of the shared weights."""
    gradient_clipping: float = 0.0
    """Largest Euclidean norm of the gradient; 0: no clipping."""
    label_smoothing: float = 0.1
    """Share of each label that is spread over all classes."""
    population: int = 50
    """Children in a generation, at most."""
    generations: int = 20
    """Generations of the evolution."""
    parents: int = 10
    """Number of the best children so far that are mutated and crossed."""
    crossovers: int = 25
    """Children of two parents in a generation, each choice from either."""
    mutations: int = 25
    """Mutated children in a generation. The rest of the generation, if any, is drawn at random."""
    mutation_rate: float = 0.1
    """Probability that a mutation redraws a choice; a change acts from the next generation on."""
    valid_images: int = 50_000
    """Validation images on which a child is evaluated, or as many as there are (theirs: 8,000)."""
    recalibration_images: int = 20_000
    """Training images that recalibrate a child's batch normalisation; at most as many as evaluate it (theirs:
    25,600)."""
    batch_norm: str = "recalibrated"
    """Batch normalisation of a child in its evaluation: "recalibrated", "batch" or "kept"."""
    max_flops: float | None = None
    """Largest number of multiply-adds of a child, for one image; None: no limit."""
    max_parameters: float | None = None
    """Largest number of parameters of a child; None: no limit."""

    def __post_init__(self) -> None:
        settle(self)
        for field in dataclasses.fields(self):
            if isinstance(field.default, int):
                least = 0 if field.name in ("crossovers", "mutations") else 1
                self._put(field.name, whole(field.name, getattr(self, field.name), least))
        below_one = math.nextafter(1, 0)
        for name, low, high, low_too in (
            ("train_portion", 0, below_one, False),
            ("w_lr", 0, 100, False),
            ("w_lr_min", 0, 10, True),
            ("w_momentum", 0, below_one, True),
            ("w_weight_decay", 0, 1, True),
            ("gradient_clipping", 0, 1e9, True),
            ("label_smoothing", 0, below_one, True),
            ("mutation_rate", 1e-3, 1, True),
        ):
            self._put(name, between(name, getattr(self, name), low, high, low_too=low_too))
        if not among(self.schedule, SCHEDULES):
            raise SpecError(f"schedule is one of {', '.join(SCHEDULES)}, not {self.schedule!r}")
        known_batch_norm(self.batch_norm)
        if self.parents > self.population:
            raise SpecError(f"parents must be at most the population, {self.population}, not {self.parents}")
        if self.crossovers + self.mutations > self.population:
            raise SpecError(
                f"{self.crossovers} crossovers and {self.mutations} mutations are more than the population, "
                f"{self.population}"
            )
        for name in ("max_flops", "max_parameters"):
            if getattr(self, name) is not None and not 0 < real(name, getattr(self, name)) < math.inf:
                raise SpecError(f"{name} must be a number above 0, or None, not {getattr(self, name)!r}")

    def _put(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def rate(self, share: float) -> float:
        """Returns the learning rate after a share of the updates, in [0, 1]."""
        left = 1 - share if self.schedule == "linear" else 0.5 * (1 + math.cos(math.pi * share))
        return self.w_lr_min + (self.w_lr - self.w_lr_min) * left
