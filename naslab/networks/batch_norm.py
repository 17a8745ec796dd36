"""Batch normalisation outside of training: forward passes that leave the running statistics unchanged.

A child of shared weights can be normalised by three kinds of statistics (`BATCH_NORM`, `normalised`). They can rank
children very differently, since the running statistics are an average over all children that were trained, and do not
fit any single one.
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
"""Statistics by which a child of shared weights can be normalised -> description."""


TAKE_MORE = "take batch_size=2 or more, or a network that shrinks the image less"
TAKE_MORE_OF = "take batch_size=2 or more"
"""Advice for a mini-batch that cannot be normalised: of images, and of anything else."""


@contextmanager
def enough_to_normalise(count: int, advice: str | None = None, units: str = "images") -> Iterator[None]:
    """Context in which a mini-batch with a single value for each channel raises `SpecError` instead of a ValueError.

    For images this is a mini-batch of one image, in a layer where the image has shrunk to 1 x 1 pixel.

    Args:
        count: number of examples in the mini-batch.
        advice: replaces the advice to take larger mini-batches.
        units: the task's word for its examples.
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
    """Context in which batch normalisation in training mode does not update its running mean and variance."""
    tracking = [m for m in network.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    for module in tracking:
        module.track_running_stats = False
    try:
        yield
    finally:
        for module in tracking:
            module.track_running_stats = True


class KeptBuffers:
    """Context that restores all buffers, running statistics among them, at its end. It may be entered repeatedly."""

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
    """Context for evaluating a child: no gradients, no dropout, and normalisation by one of `BATCH_NORM`.

    At its end the network has its previous modes and statistics.

    Args:
        network: the shared weights.
        batch_norm: "batch", "kept" or "recalibrated".
        forward: computes the child on a mini-batch.
        images: mini-batches of training data, used only to recalibrate: the running statistics become the mean over
            mini-batches of the mean and of the unbiased variance.
    """
    known_batch_norm(batch_norm)
    with restored_modes(network), torch.no_grad(), KeptBuffers(network):
        network.train(batch_norm != "kept")  # training mode normalises by the mini-batch
        for module in random_layers(network):
            module.training = False
        if batch_norm == "recalibrated":
            _measure_anew(network, forward, images)
            network.eval()
        yield


def known_batch_norm(batch_norm: str) -> str:
    """Returns the argument if it is one of `BATCH_NORM`. Raises `SpecError` otherwise."""
    if not among(batch_norm, BATCH_NORM):
        raise SpecError(unknown("batch_norm", batch_norm, BATCH_NORM))
    return batch_norm


def _measure_anew(network: nn.Module, forward: Callable[[Any], object], images: Iterable[Any]) -> None:
    """Set the running statistics to their mean over the mini-batches.

    Momentum 1 / k for mini-batch k makes the running average an exact mean; k = 1 erases the old value.
    """
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
