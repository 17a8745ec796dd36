"""Hyperparameters that all gradient-based searches have: the optimizers of the weights and of the architecture."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from naslab.errors import SpecError, real, whole
from naslab.fields import settle
from naslab.searchers.gradient.schedule import at_least_zero, positive, share

MOST_RATE = 1e6
"""Largest learning rate accepted; with a larger one nothing is learnt."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """Defaults are those of the DARTS search on CIFAR-10 (Liu et al. 2019, Sec. A.1.1)."""

    RENAMED: ClassVar[Mapping[str, str]] = {"w_clip": "gradient_clipping"}

    epochs: int = 50
    """Passes over the half of the training data that trains the weights."""
    batch_size: int = 64
    """Examples in a mini-batch of either half: images, or columns of a text that are read side by side."""
    train_portion: float = 0.5
    """Share of the training data that trains the weights; the rest trains the architecture. A task with validation data
    of its own, such as a text, trains the architecture on that, whatever the share."""
    w_lr: float = 0.025
    """Learning rate of the weights at the start; falls along a cosine, epoch by epoch."""
    w_lr_min: float = 0.001
    """Learning rate of the weights at the end of the cosine."""
    w_momentum: float = 0.9
    """Momentum of the weights."""
    w_weight_decay: float = 3e-4
    """Weight decay of the weights."""
    gradient_clipping: float = 5.0
    """Largest Euclidean norm of the gradient of the weights; a longer one is scaled down."""
    scale_rate: bool = False
    """Whether the learning rate of the weights is multiplied by the size of the mini-batch over its nominal size, which
    is less than 1 for a short chunk of a text."""
    alpha_lr: float = 3e-4
    """Learning rate of the architecture (Adam)."""
    alpha_beta1: float = 0.5
    """Adam's decay of the running mean of the architecture's gradient."""
    alpha_beta2: float = 0.999
    """Adam's decay of the running mean of its square."""
    alpha_weight_decay: float = 1e-3
    """Weight decay of the architecture."""
    alpha_scale: float = 1e-3
    """Standard deviation of the alphas at the start."""

    def __post_init__(self) -> None:
        settle(self)

        def check(names: tuple[str, ...], rule: object) -> None:
            for name in names:
                object.__setattr__(self, name, rule(name, getattr(self, name)))  # type: ignore[operator]

        for name in ("epochs", "batch_size"):
            object.__setattr__(self, name, whole(name, getattr(self, name), 1))
        for field in dataclasses.fields(self):
            if isinstance(field.default, float):
                object.__setattr__(self, field.name, real(field.name, getattr(self, field.name)))
        check(("w_lr", "alpha_lr", "gradient_clipping"), positive)
        for name in ("w_lr", "w_lr_min", "alpha_lr"):
            if getattr(self, name) > MOST_RATE:
                raise SpecError(f"{name} is a learning rate, up to {MOST_RATE:g}, not {getattr(self, name)!r}")
        check(("w_lr_min", "w_weight_decay", "alpha_weight_decay", "alpha_scale"), at_least_zero)
        check(("w_momentum", "alpha_beta1", "alpha_beta2"), share)
        if not isinstance(self.scale_rate, bool):
            raise SpecError(f"scale_rate is True or False, not {self.scale_rate!r}")
        if not 0 < self.train_portion < 1:
            raise SpecError(f"train_portion must be between 0 and 1, not {self.train_portion!r}: both halves need data")
