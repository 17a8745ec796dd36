"""Training and evaluation mode of a network that somebody else goes on to use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def restored_modes(network: nn.Module) -> Iterator[None]:
    """Inside, modules may change between training and evaluation; afterwards each is in the mode that it was in."""
    before = [(module, module.training) for module in network.modules()]
    try:
        yield
    finally:
        for module, training in before:
            module.training = training


@contextmanager
def evaluation_mode(network: nn.Module) -> Iterator[None]:
    """Inside, every module is in evaluation mode; afterwards each is in the mode that it was in."""
    with restored_modes(network):
        network.eval()
        yield
