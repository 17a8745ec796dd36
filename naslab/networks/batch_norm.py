"""Forward passes that only look: running statistics stay as they are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


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
