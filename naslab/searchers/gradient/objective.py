"""The search objective: the loss whose gradient updates the architecture.

`Bilevel`      grad_alpha L_val at the current weights (order 1), or through one step of them (order 2): DARTS
`MixedLevel`   grad_alpha L_train + lambda grad_alpha L_val, of either order: MiLeNAS (He et al. 2020, Eq. 4 and 5)
`SingleLevel`  grad_alpha L_train, from the same backward pass as the gradient of the weights: SNAS
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from torch import Tensor

from naslab.errors import SpecError, among
from naslab.fields import settle
from naslab.networks.frozen import frozen
from naslab.networks.step_memory import Beyond
from naslab.searchers.gradient.bilevel import (
    MEMORY,
    PRODUCTS,
    InnerStep,
    Loss,
    Product,
    Unrolled,
    gradients,
    unrolled_gradients,
)
from naslab.searchers.gradient.schedule import Schedule, positive


@dataclass(frozen=True, kw_only=True)
class Problem:
    """The losses and tensors that an objective differentiates. The losses read weights and alphas when called."""

    train_loss: Loss
    valid_loss: Loss
    weights: Sequence[Tensor]
    alphas: Sequence[Tensor]
    step: InnerStep
    """The SGD step that the weights would make now; second order differentiates through it."""
    in_float32: Callable[[], AbstractContextManager[None]] = nullcontext
    """Returns a block in which the losses are computed in float32, whatever the precision of the search."""
    reuses_memory: bool = False
    """Whether a pass overwrites the gradients of the weights of the pass before it, as a CUDA graph does."""


class SearchObjective(ABC):
    """The objective by which the architecture is updated; a hyperparameter `level` of the searchers."""

    order: int = 1
    hessian_product: str = "finite_difference"
    inner_clip: bool = False

    @abstractmethod
    def gradients(self, problem: Problem, values: Mapping[str, float]) -> Unrolled:
        """Returns the gradient of each alpha.

        Of the losses of `problem`, the validation loss must be called last at the weights that the gradient is taken
        at: the searcher reports, and carries on, the outputs of that call.

        Args:
            problem: losses and tensors.
            values: the values of the scheduled settings in this epoch, by name.
        """

    @property
    def beyond(self) -> Beyond:
        """What its step needs beyond the memory of one of first order."""
        return Beyond()

    def schedules(self) -> dict[str, Schedule]:
        """Returns its settings that can change during the search, by name."""
        return {}


@dataclass(frozen=True, kw_only=True)
class FirstOrSecondOrder(SearchObjective):
    """An objective whose gradient is of first or of second order."""

    order: int = 1
    """1: the weights are constants (xi = 0 in DARTS, Eq. 6); 2: the gradient goes through one SGD step of them."""
    hessian_product: str = "finite_difference"
    """Second order only: "finite_difference" (Liu et al. 2019, Eq. 8) or "exact", double backward."""
    radius: float = 0.01
    """Length of the finite-difference step in weight space: epsilon of Eq. 8 is radius / |v|."""
    inner_clip: bool = False
    """Second order only: whether the gradients of the weights inside it are clipped to the norm at which the weights'
    own gradient is clipped, as in the authors' code for recurrent cells."""

    def __post_init__(self) -> None:
        settle(self)
        if self.order not in (1, 2):
            raise SpecError(f"order must be 1 or 2, not {self.order!r}")
        if not among(self.hessian_product, PRODUCTS):
            raise SpecError(f"hessian_product must be one of {', '.join(PRODUCTS)}, not {self.hessian_product!r}")
        object.__setattr__(self, "radius", positive("radius", self.radius))
        if not isinstance(self.inner_clip, bool):
            raise SpecError(f"inner_clip is True or False, not {self.inner_clip!r}")

    @property
    def beyond(self) -> Beyond:
        return Beyond() if self.order == 1 else MEMORY[self.hessian_product]

    def _gradients(self, problem: Problem, outer: Loss) -> Unrolled:
        """Returns d outer(w', alpha) / d alpha, with w' = w for order 1."""
        if self.order == 1:
            # the weights need no gradient here, so autograd is spared their half of the backward pass
            with frozen(problem.weights):
                return Unrolled(gradients(outer(), problem.alphas), [])
        product = PRODUCTS[self.hessian_product](self.radius)
        if self.hessian_product == "finite_difference":  # the difference of two gradients keeps few of their digits
            product = _inside(problem.in_float32, product)
        return unrolled_gradients(
            train_loss=problem.train_loss,
            valid_loss=outer,
            weights=problem.weights,
            alphas=problem.alphas,
            step=problem.step,
            product=product,
            reuses_memory=problem.reuses_memory,
        )


def _inside(block: Callable[[], AbstractContextManager[None]], product: Product) -> Product:
    """Returns the product, computed inside a `with` block."""

    def inside(loss: Loss, *given: Sequence[Tensor]) -> list[Tensor]:
        with block():
            return product(loss, *given)

    return inside


@dataclass(frozen=True, kw_only=True)
class Bilevel(FirstOrSecondOrder):
    """The architecture is updated on validation data, the weights on training data (Liu et al. 2019, Eq. 3 and 4)."""

    def gradients(self, problem: Problem, values: Mapping[str, float]) -> Unrolled:
        return self._gradients(problem, problem.valid_loss)


@dataclass(frozen=True, kw_only=True)
class MixedLevel(FirstOrSecondOrder):
    """The architecture is updated on both losses. Second order takes both at the weights w' after one step."""

    valid_weight: float = 1.0
    """The paper's lambda: weight of the validation loss, where the training loss weighs 1."""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "valid_weight", positive("valid_weight", self.valid_weight))

    def gradients(self, problem: Problem, values: Mapping[str, float]) -> Unrolled:
        # Python evaluates a sum from left to right, so the validation loss is the last one called, as it has to be
        return self._gradients(problem, lambda: problem.train_loss() + values["valid_weight"] * problem.valid_loss())

    def schedules(self) -> dict[str, Schedule]:
        described = "Weight of the validation loss, where the training loss weighs 1 (lambda)."
        return {"valid_weight": Schedule(start=self.valid_weight, low=1e-3, high=1e3, description=described)}


@dataclass(frozen=True)
class SingleLevel(SearchObjective):
    """Architecture and weights are updated by the same loss of the same mini-batch; all training data is for both."""

    def gradients(self, problem: Problem, values: Mapping[str, float]) -> Unrolled:
        return Unrolled(gradients(problem.train_loss(), problem.alphas), [])


LEVELS: dict[str, type[SearchObjective]] = {"bilevel": Bilevel, "mixed": MixedLevel, "single": SingleLevel}
"""Name in a run folder -> the class."""
