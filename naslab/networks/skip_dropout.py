"""Dropout behind the skip connections of a supernet: the masks of one forward pass.

Masks are drawn by counter, from what names the pass, in the order in which modules ask. A module that is computed once
more (`checkpointing.py`) gets the masks that it had the first time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from naslab.randomness import torch_generator


class SkipMasks:
    """The masks of one forward pass; a `Mixture` carries them to the operations.

    Args:
        rate: share of the numbers that are dropped, in [0, 1); the others are divided by 1 - rate.
        words: what the masks are drawn from.
        identity_only: whether what halves the image (a factorized reduction) is left alone.
        each_edge: whether edges that leave one state have masks of their own.
    """

    def __init__(
        self, rate: float, words: Sequence[int | str], *, identity_only: bool = False, each_edge: bool = False
    ) -> None:
        self.identity_only, self.each_edge = identity_only, each_edge
        self._rate = rate
        self._seed = torch_generator(*words).initial_seed()
        self._generator: torch.Generator | None = None
        self._begun: dict[int, Tensor] = {}
        """id of a module -> the state of the generator when the module asked first."""

    def of(self, module: nn.Module, device: torch.device) -> Callable[[Tensor], Tensor]:
        """The dropout of one run of a module: a function that draws a new mask at each call."""
        if self._generator is None:
            self._generator = torch.Generator(device).manual_seed(self._seed)
        generator = self._generator
        if (state := self._begun.get(id(module))) is not None:
            generator = torch.Generator(device)
            generator.set_state(state)
        else:
            self._begun[id(module)] = generator.get_state()

        def drop(x: Tensor) -> Tensor:
            if self._rate == 0:
                return x
            kept = 1 - self._rate
            return x * torch.empty_like(x).bernoulli_(kept, generator=generator).div_(kept)

        return drop
