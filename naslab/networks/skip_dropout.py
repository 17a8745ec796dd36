"""Dropout behind the skip connections of a supernet (P-DARTS, Chen et al. 2019): the masks of one forward pass.

Masks come from a generator that is seeded by the words that name the pass (seed, step, ...), so that a resumed search
draws the same ones. A module that is computed twice (`checkpointing.py`) gets the same masks both times.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from naslab.randomness import torch_generator


class SkipMasks:
    """The masks of one forward pass; a `Mixture` carries them to the operations.

    Args:
        rate: probability that a value is dropped, in [0, 1); the others are divided by 1 - rate.
        words: seed of the masks.
        identity_only: do not drop behind skips that halve the image (factorized reductions).
        each_edge: draw a mask for each edge; otherwise the edges that leave one state share a mask.
    """

    def __init__(
        self, rate: float, words: Sequence[int | str], *, identity_only: bool = False, each_edge: bool = False
    ) -> None:
        self.identity_only, self.each_edge = identity_only, each_edge
        self._rate = rate
        self._seed = torch_generator(*words).initial_seed()
        self._generator: torch.Generator | None = None
        self._begun: dict[int, Tensor] = {}
        """id of a module -> state of the generator when its dropout was first requested."""

    def of(self, module: nn.Module, device: torch.device) -> Callable[[Tensor], Tensor]:
        """Returns the dropout for one run of a module: a function that draws a new mask at each call."""
        if self._generator is None:
            self._generator = torch.Generator(device).manual_seed(self._seed)
        generator = self._generator
        if (state := self._begun.get(id(module))) is not None:  # computed again by checkpointing: replay its draws
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
