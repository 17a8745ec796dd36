"""Forward passes that only look: running statistics stay as they are.

A child of shared weights can be normalised by three kinds of statistics (`BATCH_NORM`, `normalised`), which may order
children quite differently: the kept ones are of whatever was trained, not of this child.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from naslab.errors import SpecError, among, unknown
from naslab.modes import random_layers, restored_modes

BATCH_NORM = {
    "batch": "the statistics of each mini-batch",
    "kept": "the running statistics, as training left them",
    "recalibrated": "running statistics measured anew for this child, and then put back",
}
"""How a child of shared weights can be normalised."""


TAKE_MORE = "take batch_size=2 or more, or a network that shrinks the image less"
TAKE_MORE_OF = "take batch_size=2 or more"
"""What to do about a mini-batch that cannot be normalised: one of images, and one of anything else."""


@contextmanager
def enough_to_normalise(count: int, advice: str | None = None, units: str = "images") -> Iterator[None]:
    """Inside, `SpecError` in place of torch's bare ValueError where normalisation has a single value for a channel.

    That is a mini-batch of one image, where the image has shrunk to 1 x 1 pixel.

    Args:
        count: examples in the mini-batch.
        advice: what to do, if that is not to take larger mini-batches.
        units: what the task calls its examples.
    """
    of_images = units == "images"
    try:
        yield
    except ValueError as error:
        if "Expected more than 1 value per channel" not in str(error):
            raise
        where = " where the image has shrunk to 1 x 1 pixel" if of_images else ""
        raise SpecError(
            f"batch norm needs more than one value a channel, and a mini-batch of {count} {units.removesuffix('s')} "
            f"leaves it one{where}; {advice or (TAKE_MORE if of_images else TAKE_MORE_OF)}"
        ) from error


@contextmanager
def frozen_statistics(network: nn.Module) -> Iterator[None]:
    """Inside, batch normalisation in training mode does not update its running mean and variance."""
    tracking = [m for m in network.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    for module in tracking:
        module.track_running_stats = False
    try:
        yield
    finally:
        for module in tracking:
            module.track_running_stats = True


class KeptBuffers:
    """Afterwards all buffers, running statistics among them, are what they were before, whatever moved them inside.

    A context that may be entered again and again.
    """

    def __init__(self, network: nn.Module) -> None:
        self._network = network
        self._before: list[list[Tensor]] = []

    def __enter__(self) -> None:
        self._before.append([buffer.clone() for buffer in self._network.buffers()])

    def __exit__(self, *error: object) -> None:
        with torch.no_grad():
            for buffer, value in zip(self._network.buffers(), self._before.pop(), strict=True):
                buffer.copy_(value)


@contextmanager
def normalised(
    network: nn.Module, batch_norm: str, forward: Callable[[Any], object], images: Iterable[Any]
) -> Iterator[None]:
    """Inside, without gradients, the network normalises in one of the ways of `BATCH_NORM`; outside it is as it was.

    What is random in training, such as dropout, is off.

    Args:
        network: with the shared weights.
        batch_norm: "batch", "kept" or "recalibrated".
        forward: of the child, for a mini-batch.
        images: mini-batches of training data, looked at only to recalibrate: the running statistics are the mean over
            mini-batches of the mean and of the unbiased variance.
    """
    known_batch_norm(batch_norm)
    with restored_modes(network), torch.no_grad(), KeptBuffers(network):
        network.train(batch_norm != "kept")
        for module in random_layers(network):
            module.training = False
        if batch_norm == "recalibrated":
            _measure_anew(network, forward, images)
            network.eval()
        yield


def known_batch_norm(batch_norm: str) -> str:
    """The same, if it is one; else `SpecError`."""
    if not among(batch_norm, BATCH_NORM):
        raise SpecError(unknown("batch_norm", batch_norm, BATCH_NORM))
    return batch_norm


def _measure_anew(network: nn.Module, forward: Callable[[Any], object], images: Iterable[Any]) -> None:
    """The k-th mini-batch moves the statistics by 1 / k, which is their mean, whatever they were before."""
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    try:
        for norm in norms:
            norm.reset_running_stats()
        for number, batch in enumerate(images, start=1):
            for norm in norms:
                norm.momentum = 1 / number
            forward(batch)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
