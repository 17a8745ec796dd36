"""The loss around a network's weights, on a plane through them (Li et al. 2018, https://arxiv.org/abs/1712.09913).

    d, e       <- two random directions of the shape of the weights, Gaussian; each filter of d is scaled to the norm of
                  the same filter of the weights, d_i <- d_i |w_i| / |d_i|; biases and batch norm get 0
    loss(x, y) <- mean loss on fixed examples at the weights w + x d + y e

Without the scaling, surfaces of different networks cannot be compared: a network of large weights looks flat.

The surface depends on the statistics of batch norm, so that they are an argument
(`naslab.networks.batch_norm.BATCH_NORM`): "batch" gives the loss in training mode; "kept" that of the authors' code,
although the running statistics do not fit the displaced weights; "recalibrated" measures them anew at each point.

The network itself is never changed: it is called with the displaced weights by `torch.func.functional_call`.

Shapes: X and Y are the numbers of points along the two directions.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm

from naslab.device import usable_device
from naslab.errors import DataError, Diverged, SpecError, among, real, unknown, whole
from naslab.estimators.zero_cost.passes import batch_statistics
from naslab.immutable import Record
from naslab.modes import evaluation_mode
from naslab.networks.batch_norm import enough_to_normalise, known_batch_norm
from naslab.randomness import numpy_generator, torch_generator
from naslab.tasks.checks import check_task
from naslab.tasks.task import Task
from naslab.torch_state import default_torch_state, each_in_default_torch_state

LEFT_OVER = "take a batch_size that leaves no last mini-batch of one example, or batch_norm='kept'"
"""What to do about a mini-batch that cannot be normalised."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LossSurface(Record):
    """A loss surface; rows that are not computed yet are NaN."""

    x: np.ndarray
    """[X]: coordinates along the first direction, in units of the norm of the weights; 0 is among them."""
    y: np.ndarray
    """[Y]: coordinates along the second direction."""
    loss: np.ndarray
    """[Y, X]: mean loss over the data; not finite where the network's outputs are not."""
    centre: float
    """Loss of the unchanged network."""
    rows: int
    """Number of rows that are computed."""
    batch_norm: str
    images: int
    """Number of images, or tokens, that each loss is a mean of."""
    split: str
    seed: int
    """Seed of the directions and of the choice of images."""

    @property
    def finished(self) -> bool:
        return self.rows == len(self.y)

    @property
    def status(self) -> str:
        """Warnings about missing rows and losses that are not finite; empty if there are none."""
        said = [] if self.finished else [f"{self.rows} of {len(self.y)} rows are computed"]
        bad = int((~np.isfinite(self.loss[: self.rows])).sum())
        said += [f"{bad} of {self.rows * len(self.x)} losses are not finite"] if bad else []
        return "; ".join(said)

    def rise(self, radius: float = 0.5) -> float:
        """Returns the mean of loss - centre over the points within a radius of the centre; small for a flat minimum.

        Infinite if one of these losses is not finite. Raises `SpecError` while one of their rows is missing.
        """
        reach = float(max(abs(self.x).max(), abs(self.y).max()))
        if not 0 < (radius := real("radius", radius)) <= reach * (1 + 1e-9):
            raise SpecError(f"the surface reaches {reach:g} from its centre; give a radius in it, not {radius:g}")
        inside = np.hypot(*np.meshgrid(self.x, self.y)) <= radius * (1 + 1e-9)
        if inside[self.rows :].any():
            raise SpecError(f"{self.status}: the rise within {radius:g} is known once they are all there")
        values = self.loss[inside]
        if len(values) < 2:
            raise SpecError(f"no point but the centre is within {radius:g}; give a larger radius, or more points")
        return float((values - self.centre).mean()) if np.isfinite(values).all() else math.inf


def loss_surface(network: nn.Module, task: Task, **options: Any) -> LossSurface:
    """Returns the finished surface. The options are those of `surveying`, which yields it row by row."""
    *_, last = surveying(network, task, **options)
    return last


@default_torch_state()
def surveying(
    network: nn.Module,
    task: Task,
    *,
    points: int = 21,
    reach: float = 1.0,
    images: int = 256,
    split: str = "train",
    batch_norm: str = "batch",
    batch_size: int = 128,
    seed: int = 0,
    device: str | torch.device | None = None,
) -> Iterator[LossSurface]:
    """Yields the surface after each row, in increasing y; a row costs `points` passes over the data.

    Args:
        network: maps inputs of the task to outputs. At every yield it is unchanged, bit for bit.
        task: for instance `naslab.tasks.FashionMNIST()`; nothing is augmented, dropout and drop path are off. A network
            that carries a state begins each pass over the data without one.
        points: number of points along each direction; odd, so that the network itself is one of them.
        reach: distance of the outermost points along an axis, in units of the norm of the weights; 1 in the paper.
        images: number of images, drawn with the seed and the same at every point; for text, number of its first tokens.
        split: "train" or "test".
        batch_norm: "batch", "kept" or "recalibrated".
        batch_size: examples per mini-batch; it matters to the losses if batch norm uses the statistics of the batch.
        seed: seed of the directions and of the choice of images.
        device: device to compute on; by default that of the network.

    Raises:
        Diverged: the network's own loss is not finite.
    """
    points, batch_size, seed = whole("points", points, 3), whole("batch_size", batch_size, 1), whole("seed", seed)
    if points % 2 == 0:
        raise SpecError(f"points must be odd, so that the network itself is in the middle: {points + 1}, not {points}")
    if not 0 < (reach := real("reach", reach)) < math.inf:
        raise SpecError(f"reach must be a positive number, not {reach:g}")
    known_batch_norm(batch_norm)
    check_task(task, "a loss surface")
    weights = dict(network.named_parameters())
    if not weights:
        raise SpecError("the network has no weights to move")
    batches = list(
        _batches(
            task,
            split,
            images,
            batch_size,
            seed,
            next(iter(weights.values())).device if device is None else usable_device(device),
        )
    )
    along = [direction(network, seed, axis) for axis in (0, 1)]
    return _survey(network, task, batches, along, np.linspace(-reach, reach, points), batch_norm, split, seed)


@each_in_default_torch_state
def _survey(
    network: nn.Module,
    task: Task,
    batches: list[Any],
    along: list[dict[str, Tensor]],
    steps: np.ndarray,
    batch_norm: str,
    split: str,
    seed: int,
) -> Iterator[LossSurface]:
    def at(x: float, y: float) -> float:
        moved = {n: w.detach() + x * along[0][n] + y * along[1][n] for n, w in network.named_parameters()}
        return _loss(network, task, batches, moved, batch_norm)

    centre = at(0.0, 0.0)
    if not math.isfinite(centre):
        raise Diverged(f"the network's own loss is {centre}: there is nothing around it to be seen")
    found = LossSurface(
        x=steps,
        y=steps,
        loss=np.full((len(steps), len(steps)), np.nan),
        centre=centre,
        rows=0,
        batch_norm=batch_norm,
        images=sum(map(task.size, batches)),
        split=split,
        seed=seed,
    )
    for row, y in enumerate(steps):
        loss = found.loss.copy()
        loss[row] = [at(x, y) for x in steps.tolist()]
        found = dataclasses.replace(found, loss=loss, rows=row + 1)
        yield found


def direction(network: nn.Module, seed: int, *words: int | str) -> dict[str, Tensor]:
    """Returns parameter name -> random direction, each filter of which has the norm of the same filter of the weights.

    A filter is the part `weight[i]` that computes one output. Parameters with a single axis, such as a bias or the
    scale of a batch norm, get 0.
    """
    found = {}
    for name, weight in network.named_parameters():
        found[name] = torch.zeros_like(weight, requires_grad=False)
        if weight.ndim > 1:
            drawn = torch.randn(weight.shape, generator=torch_generator(seed, "direction", *words, name)).to(weight)
            own, theirs = (tensor.detach().flatten(1).norm(dim=1) for tensor in (weight, drawn))
            found[name] = drawn * (own / theirs).view(-1, *[1] * (weight.ndim - 1))
    return found


def _batches(
    task: Task, split: str, images: int, batch_size: int, seed: int, device: str | torch.device
) -> Iterator[Any]:
    if not among(split, task.splits):
        raise DataError(unknown("split", split, task.splits))
    stream, images = task.stream(split), whole("images", images, 1)
    if images > (there := len(stream)):
        raise DataError(f"there are {there} {split} {task.units}, and images={images} were asked for: take fewer")
    for where in stream.drawn(images, numpy_generator(seed, "surface", split)).sweep(batch_size):
        yield task.batch(where, split=stream.split, device=device)


@torch.no_grad()
def _loss(
    network: nn.Module,
    task: Task,
    batches: list[Any],
    weights: Mapping[str, Tensor],
    batch_norm: str,
) -> float:
    """Returns the mean loss of the network over the data, with the given weights in the place of its own."""
    # buffers are cloned because batch norm updates its running statistics in place
    tensors = {**weights, **{name: buffer.clone() for name, buffer in network.named_buffers()}}
    if batch_norm == "recalibrated":
        _recalibrate(network, task, tensors, batches)
    total = 0.0
    with batch_statistics(network) if batch_norm == "batch" else evaluation_mode(network):
        for batch, outputs in _through(network, task, tensors, batches):
            total += task.loss(outputs, batch).item() * task.size(batch)
    return total / sum(map(task.size, batches))


def _through(
    network: nn.Module, task: Task, tensors: dict[str, Tensor], batches: list[Any]
) -> Iterator[tuple[Any, Any]]:
    """Yields each mini-batch and its outputs; a recurrent state is carried over from the mini-batch before."""
    carry, carries = None, task.stream("train").carries
    for batch in batches:
        inputs = task.inputs(batch, carry)
        with enough_to_normalise(task.size(batch), LEFT_OVER, task.units):
            outputs = functional_call(network, tensors, (inputs,))
        carry = task.carry(outputs) if carries else None
        yield batch, outputs


def _recalibrate(network: nn.Module, task: Task, tensors: dict[str, Tensor], batches: list[Any]) -> None:
    """Replaces the running statistics in `tensors` by their means over the mini-batches."""
    norms = [(name, m) for name, m in network.named_modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    momenta = [norm.momentum for _, norm in norms]
    for name, _ in norms:
        tensors[f"{name}.num_batches_tracked" if name else "num_batches_tracked"].zero_()
    try:
        with evaluation_mode(network):
            for _, norm in norms:
                norm.training, norm.momentum = True, None  # PyTorch: momentum None is a cumulative mean
            for _ in _through(network, task, tensors, batches):
                pass
    finally:
        for (_, norm), momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
