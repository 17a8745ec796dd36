"""Level: whose loss moves the architecture.

`Bilevel`  grad_alpha L_val at the weights as they are (order 1), or through one step of them (order 2): DARTS
`MixedLevel`    grad_alpha L_train + lambda grad_alpha L_val, of either order: MiLeNAS (He et al. 2020, Eq. 4 and 5)
`SingleLevel`   grad_alpha L_train, from the same backward pass as the gradient of the weights: SNAS
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from naslab.errors import SpecError, among
from naslab.fields import settle
from naslab.networks.frozen import frozen
from naslab.searchers.gradient.bilevel import PRODUCTS, InnerStep, Loss, Unrolled, gradients, unrolled_gradients
from naslab.searchers.gradient.schedule import Schedule, positive


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What a level works on. The losses read weights and alphas when they are called."""

    train_loss: Loss
    valid_loss: Loss
    weights: Sequence[Tensor]
    alphas: Sequence[Tensor]
    step: InnerStep
    """The step that the weights would make now."""


class SearchObjective(ABC):
    """A level."""

    order: int = 1
    hessian_product: str = "finite_difference"
    inner_clip: bool = False

    @abstractmethod
    def gradients(self, problem: Problem, rates: Mapping[str, float]) -> Unrolled:
        """Of the architecture. The validation loss is the last of the losses that it calls at the weights it uses."""

    def schedules(self) -> dict[str, Schedule]:
        """What of it may be turned."""
        return {}


@dataclass(frozen=True, kw_only=True)
class FirstOrSecondOrder(SearchObjective):
    """A level that has an order."""

    order: int = 1
    """1 takes the weights as they are (xi = 0); 2 looks through one step of them."""
    hessian_product: str = "finite_difference"
    """Second order only: "finite_difference" (Liu et al. 2019, Eq. 8) or "exact", double backward."""
    radius: float = 0.01
    """Length of the finite-difference step in weight space (epsilon is radius / |v|)."""
    inner_clip: bool = False
    """Second order only: whether the gradients of the weights in it are scaled down as those that move the weights
    are (`w_clip`), as in the authors' code for recurrent cells."""

    def __post_init__(self) -> None:
        settle(self)
        if self.order not in (1, 2):
            raise SpecError(f"order must be 1 or 2, not {self.order!r}")
        if not among(self.hessian_product, PRODUCTS):
            raise SpecError(f"hessian_product must be one of {', '.join(PRODUCTS)}, not {self.hessian_product!r}")
        object.__setattr__(self, "radius", positive("radius", self.radius))
        if not isinstance(self.inner_clip, bool):
            raise SpecError(f"inner_clip is True or False, not {self.inner_clip!r}")

    def _gradients(self, problem: Problem, outer: Loss) -> Unrolled:
        """d outer(w', alpha) / d alpha, with w' = w for order 1."""
        if self.order == 1:
            with frozen(problem.weights):
                return Unrolled(gradients(outer(), problem.alphas), [])
        return unrolled_gradients(
            train_loss=problem.train_loss,
            valid_loss=outer,
            weights=problem.weights,
            alphas=problem.alphas,
            step=problem.step,
            product=PRODUCTS[self.hessian_product](self.radius),
        )


@dataclass(frozen=True, kw_only=True)
class Bilevel(FirstOrSecondOrder):
    """The architecture on validation data, the weights on training data."""

    def gradients(self, problem: Problem, rates: Mapping[str, float]) -> Unrolled:
        return self._gradients(problem, problem.valid_loss)


@dataclass(frozen=True, kw_only=True)
class MixedLevel(FirstOrSecondOrder):
    """The architecture on both. Second order takes both losses at the weights w' after one step."""

    valid_weight: float = 1.0
    """The paper's lambda: the weight of the validation loss beside the training loss."""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "valid_weight", positive("valid_weight", self.valid_weight))

    def gradients(self, problem: Problem, rates: Mapping[str, float]) -> Unrolled:
        return self._gradients(problem, lambda: problem.train_loss() + rates["valid_weight"] * problem.valid_loss())

    def schedules(self) -> dict[str, Schedule]:
        described = "Weight of the validation loss beside the training loss (lambda)."
        return {"valid_weight": Schedule(start=self.valid_weight, low=1e-3, high=1e3, description=described)}


@dataclass(frozen=True)
class SingleLevel(SearchObjective):
    """Architecture and weights on the same loss of the same batch; all training data is for both."""

    def gradients(self, problem: Problem, rates: Mapping[str, float]) -> Unrolled:
        return Unrolled(gradients(problem.train_loss(), problem.alphas), [])


LEVELS: dict[str, type[SearchObjective]] = {"bilevel": Bilevel, "mixed": MixedLevel, "single": SingleLevel}
"""Name in a run folder -> the level."""
