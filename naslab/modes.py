"""Temporary changes of the training and evaluation mode of a network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.dropout import _DropoutNd

RANDOM = "random"
"""Attribute by which a user's module declares that it draws random numbers in training mode."""


def random_layers(network: nn.Module) -> list[nn.Module]:
    """Returns the modules that draw random numbers in training mode: dropout, torch's recurrent and attention modules
    with dropout, and modules whose attribute `random` is True.
    """

    def draws(module: nn.Module) -> bool:
        if isinstance(module, _DropoutNd):
            return True
        if isinstance(module, nn.RNNBase | nn.MultiheadAttention):
            return module.dropout > 0
        return getattr(module, RANDOM, False) is True

    return [module for module in network.modules() if draws(module)]


@contextmanager
def restored_modes(network: nn.Module) -> Iterator[None]:
    """Inside, modules may change their mode; afterwards each is in the mode that it was in."""
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
