"""What a recurrent network gives: the outputs that tasks of sequences read."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


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
