"""Gradient checkpointing (Chen et al. 2016, https://arxiv.org/abs/1604.06174): memory for time.

Only what goes into a cell is kept for the backward pass, which computes the inside of the cell once more: the memory of
one cell instead of all, for about a third more time. Outputs, gradients and statistics stay the same.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from naslab.networks.batch_norm import KeptBuffers


def checkpointed(cell: nn.Module, *arguments: Any) -> Any:
    """`cell(*arguments)`; where gradients are wanted, what is inside is computed again when they are asked for."""
    if not torch.is_grad_enabled():
        return cell(*arguments)

    def contexts() -> tuple[AbstractContextManager[None], KeptBuffers]:
        return nullcontext(), KeptBuffers(cell)  # the second time the statistics have moved already

    return checkpoint(cell, *arguments, use_reentrant=False, preserve_rng_state=False, context_fn=contexts)
