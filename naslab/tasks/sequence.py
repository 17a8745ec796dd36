"""What a network of sequences gives, and what tasks read of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import Tensor

from naslab.errors import SpecError


class RecurrentOutputs(NamedTuple):
    """Outputs of a recurrent network for a batch of B sequences of T tokens, H hidden units and V words."""

    logits: Tensor
    """[B, T, V] scores of the next token."""
    raw: Tensor
    """[B, T, H] outputs of the last layer before its dropout: temporal activation regularisation reads them."""
    dropped: Tensor
    """[B, T, H] the same after dropout: activation regularisation reads them."""
    state: Tensor | tuple[Tensor, ...]
    """[B, H], or several of them: the state after the last token, not detached."""


def part_of(outputs: Any, name: str) -> Any:
    """A part of a network's outputs by its name, as an attribute or a key; None if they do not have it."""
    if isinstance(outputs, Mapping):
        return outputs.get(name)
    return None if isinstance(outputs, Tensor) else getattr(outputs, name, None)


def logits_of(outputs: Any) -> Tensor:
    """[B, T, V] from a network's outputs: a tensor of them, or whatever has `logits`. `SpecError` for others."""
    logits = outputs if isinstance(outputs, Tensor) else part_of(outputs, "logits")
    if not isinstance(logits, Tensor):
        raise SpecError(f"the network must give logits [B, T, V], or something that has 'logits', not {outputs!r:.100}")
    return logits
