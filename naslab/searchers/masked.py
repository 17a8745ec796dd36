"""Base class of search algorithms that sample architectures, in which options can be forbidden during the search."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from naslab.architecture import Architecture, Choice
from naslab.errors import SpecError
from naslab.searchers.settings import Mask, Setting, Steerable
from naslab.snapshot import State
from naslab.spaces.space import Space

MASK = "mask"
"""Name of the setting, whose value is {"name of a choice": [forbidden options]}."""


class Masked(Steerable):
    """Samples from `self.space`: the whole space or, under a mask, the same space with fewer options."""

    space: Any

    @functools.cached_property
    def whole(self) -> Space:
        """The space that the search was made with, without the mask."""
        return self.space

    @property
    def settings(self) -> Mapping[str, Setting]:
        return {**super().settings, MASK: self._mask}

    @functools.cached_property
    def _mask(self) -> Mask:
        described = "Options that are not taken any more, by the name of their choice; {} forbids none."
        return Mask(options=self.whole.offered, description=described)

    def check_setting(self, name: str, value: Any) -> Any:
        value = super().check_setting(name, value)
        if name == MASK:
            self.whole.without(value)  # `SpecError` where nothing would be left
        return value

    def apply_setting(self, name: str, value: Any) -> None:
        if name == MASK:
            self._forbid(value)
        else:
            super().apply_setting(name, value)

    def _forbid(self, value: Mapping[str, Any]) -> None:
        whole, mask = self.whole, self._mask
        self.space = whole.without(value)
        self._mask = Mask(value=value, options=mask.options, description=mask.description)
        self.remasked()

    def remasked(self) -> None:
        """Hook after a change of `self.space`: samples drawn ahead may hold forbidden options, and are drawn again."""

    @property
    def _in_force(self) -> dict[str, Any]:
        """Entry of the mask in the settings of an event; empty if nothing is forbidden."""
        return {MASK: self._mask.value} if self._mask.active else {}

    def _mask_state(self) -> State:
        return {MASK: json.dumps(self._mask.value)} if self._mask.active else {}

    def _load_mask(self, state: State) -> None:
        value = json.loads(str(state.get(MASK, "{}")))
        if value != self._mask.value:
            self._forbid(value)

    def obeying(self, architecture: Architecture, rng: Any) -> Architecture:
        """Returns the architecture; if it holds forbidden options, with other options drawn in their place."""
        return self.space.repaired(architecture, rng) if self._mask.active else architecture

    @property
    def forbidden(self) -> Callable[[Choice], Tensor | None] | None:
        """Choice of the whole space -> [O] bool, True for forbidden options, or None if none is; None without a mask.

        For policies (`naslab.searchers.policies.unroll`), which have weights for all options of the whole space.
        """
        if not self._mask.active:
            return None
        return functools.partial(_forbidden, self._mask.value)


def _forbidden(value: Mapping[str, Any], choice: Choice) -> Tensor | None:
    options = value.get(choice.name)
    if not options:
        return None
    found = torch.tensor([option in options for option in choice.options])
    if bool(found.all()):
        raise SpecError(
            f"nothing is left of the choice {choice.name!r}, all of whose options here are forbidden "
            f"({', '.join(map(str, choice.options))}); set('mask', ...) with fewer, or {{}}"
        )
    return found if bool(found.any()) else None
