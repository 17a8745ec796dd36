"""Variance of the gradient between mini-batches (Shu, Wang & Cai 2020, https://arxiv.org/abs/1909.09569, Sec. 3.3).

At given weights, with g_b the gradient of the loss of mini-batch b of M, as one vector over all weights,

    mean        g  =  1/M sum_b g_b
    variance       =  1/(M - 1) sum_b |g_b - g|^2          estimates  E |g_b - E g_b|^2

The paper bounds the gradient variance of wide and of narrow cells by different constants, the smaller being that of
wide cells; this estimator is ours. `relative` is the variance divided by |g|^2, which does not change if the loss is
multiplied by a constant (Faghri et al. 2020, https://arxiv.org/abs/2007.04532).

    watching    the same after each epoch of a training, which is not disturbed
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from naslab.errors import Diverged, SpecError, whole
from naslab.estimators.zero_cost.passes import batch_statistics
from naslab.immutable import Record
from naslab.networks.batch_norm import enough_to_normalise
from naslab.tasks.checks import check_task
from naslab.tasks.streams import Timetable
from naslab.tasks.task import Task
from naslab.torch_state import default_torch_state, each_in_default_torch_state
from naslab.trainers.fit import check_kinds, train
from naslab.trainers.recipe import Recipe
from naslab.trainers.report import Epoch
from naslab.transfer import to_host


@dataclass(frozen=True, kw_only=True, eq=False)
class GradientVariance(Record):
    """The gradient variance of a network at its current weights."""

    variance: float
    """Mean squared distance of a mini-batch's gradient from the mean, in (nats per unit of the weights)^2."""
    norm: float
    """Euclidean norm of the mean gradient."""
    loss: float
    """Mean loss over the mini-batches."""
    batches: int
    batch_size: int
    weights: int
    """Number of weights."""

    @property
    def relative(self) -> float:
        """Variance divided by the squared norm of the mean gradient; infinite if only the latter is zero."""
        if self.norm == 0:
            return math.inf if self.variance else 0.0
        return self.variance / self.norm**2

    @property
    def deviation(self) -> float:
        """Square root of the variance."""
        return math.sqrt(self.variance)


@default_torch_state()
def gradient_variance(
    network: nn.Module, task: Task, *, batch_size: int = 96, batches: int = 16, seed: int = 0
) -> GradientVariance:
    """Returns the variance of the gradients of some mini-batches of training data, without augmentation.

    Batch norm uses the statistics of each mini-batch, as in training; dropout and drop path are off. A recurrent
    network begins each mini-batch without a state. The network is not changed.

    Args:
        network: from inputs of the task to outputs.
        task: gives the data and the loss.
        batch_size: examples in a mini-batch; 96 is the default of a training.
        batches: number M of mini-batches; they share no example if there are enough examples.
        seed: seed of the division into mini-batches.

    Raises:
        Diverged: a gradient is not finite.
    """
    batches, seed = whole("batches", batches, 2), whole("seed", seed)
    stream = check_task(task, "a variance of gradients").stream("train")
    timetable = Timetable(stream, batch_size, seed, "variance")
    weights = [parameter for parameter in network.parameters() if parameter.requires_grad]
    if not weights:
        raise SpecError("the network has no parameter that a gradient could be taken by")
    count = sum(weight.numel() for weight in weights)
    mean, apart, loss = np.zeros(count), 0.0, 0.0
    with batch_statistics(network), enough_to_normalise(batch_size, units=task.units):
        for number in range(batches):
            batch = task.batch(timetable.where(number), split=stream.split, device=weights[0].device)
            value = task.loss(network(task.inputs(batch)), batch)
            found = torch.autograd.grad(value, weights, allow_unused=True)
            here = to_host([torch.zeros_like(w) if g is None else g for w, g in zip(weights, found, strict=True)])
            gradient = np.concatenate([one.double().flatten().numpy() for one in here])
            if not np.isfinite(gradient).all():
                raise Diverged(f"the gradient of mini-batch {number + 1} is not finite (its loss is {value.item():g})")
            # Welford 1962: mean and sum of squared deviations in one pass, without storing the M gradients.
            step = gradient - mean
            mean += step / (number + 1)
            apart += float(step @ (gradient - mean))
            loss += (value.item() - loss) / (number + 1)
    return GradientVariance(
        variance=apart / (batches - 1),
        norm=float(np.linalg.norm(mean)),
        loss=loss,
        batches=batches,
        batch_size=batch_size,
        weights=count,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Watched(Record):
    """A training so far, with its gradient variances."""

    history: tuple[Epoch, ...]
    variances: tuple[GradientVariance, ...]
    """Variances before the first epoch and after each: one more than there are epochs."""

    @property
    def epochs(self) -> int:
        return len(self.history)


def watching(
    network: nn.Module,
    task: Any,
    *,
    recipe: Recipe | None = None,
    seed: int = 0,
    batches: int = 16,
    device: str | torch.device | None = None,
    **hyperparameters: Any,
) -> Iterator[Watched]:
    """Trains the network as `naslab.trainers.fit` does; yields the gradient variances before the first epoch and after
    each. The training is the same, bit for bit, as without the measurements.

    Args:
        network: as of `fit`.
        task: as of `fit`.
        recipe: as of `fit`.
        seed: of the training and of the mini-batches that are measured.
        batches: number of mini-batches of the recipe's size, the same ones each time.
        device: as of `fit`.
        hyperparameters: changes to the recipe, by name.
    """
    check_kinds(task, recipe)
    recipe = (recipe if recipe is not None else Recipe()).but(**hyperparameters)
    return _watch(network, task, recipe, whole("seed", seed), batches, device)


@each_in_default_torch_state
def _watch(
    network: nn.Module, task: Any, recipe: Recipe, seed: int, batches: int, device: str | torch.device | None
) -> Iterator[Watched]:
    def look() -> GradientVariance:
        return gradient_variance(network, task, batch_size=recipe.batch_size, batches=batches, seed=seed)

    found = Watched(history=(), variances=(look(),))
    yield found
    try:
        for epoch in train(network, task=task, recipe=recipe, seed=seed, device=device):
            found = Watched(history=(*found.history, epoch), variances=(*found.variances, look()))
            yield found
    finally:  # also after an interrupt, or if the training diverges
        network.eval()
