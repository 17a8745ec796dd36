"""Outputs of networks for sequences, and functions that read their parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import Tensor

from naslab.errors import SpecError


class RecurrentOutputs(NamedTuple):
    """Outputs of a recurrent network for B sequences of T tokens, with H hidden units and V words."""

    logits: Tensor
    """Logits of the next token, [B, T, V]."""
    raw: Tensor
    """Outputs of the last layer before dropout, [B, T, H]; temporal activation regularisation needs them."""
    dropped: Tensor
    """Outputs of the last layer after dropout, [B, T, H]; activation regularisation needs them."""
    state: Tensor | tuple[Tensor, ...]
    """State after the last token, [B, H], or several such tensors; not detached."""


def part_of(outputs: Any, name: str) -> Any:
    """Returns a part of the outputs by the name of its attribute or key; None if there is none."""
    if isinstance(outputs, Mapping):
        return outputs.get(name)
    return None if isinstance(outputs, Tensor) else getattr(outputs, name, None)


def logits_of(outputs: Any) -> Tensor:
    """Returns the logits [B, T, V] of outputs that are this tensor, or have it under "logits"; else `SpecError`."""
    logits = outputs if isinstance(outputs, Tensor) else part_of(outputs, "logits")
    if not isinstance(logits, Tensor):
        raise SpecError(f"the network must return logits [B, T, V], or an object with 'logits', not {outputs!r:.100}")
    return logits
