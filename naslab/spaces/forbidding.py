"""Implements `Space.without`: checks the forbidden options and selects the class of the restricted space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any

from naslab.architecture import Choice, Option
from naslab.errors import SpecError, listed, unknown
from naslab.spaces.fixed_space import FixedSpace
from naslab.spaces.offered import nothing_left
from naslab.spaces.space import Space
from naslab.spaces.subset import Subset
from naslab.spaces.without import Forbidden, Without
from naslab.spaces.without_fast import WithoutFixed, WithoutSubset


def without(space: Space, forbidden: Mapping[str, Sequence[Option]]) -> Space:
    """Returns the restricted space; see `Space.without`."""
    if isinstance(space, Without):
        # Restricting twice gives one restriction of the whole space, so that specs do not nest.
        both: dict[str, tuple[Option, ...]] = dict(space.forbidden)
        for name, options in _checked(space.of, forbidden):
            both[name] = tuple(dict.fromkeys((*both.get(name, ()), *options)))
        return without(space.of, both)
    if not (checked := _checked(space, forbidden)):
        return space
    kind = WithoutSubset if isinstance(space, Subset) else WithoutFixed if isinstance(space, FixedSpace) else Without
    fewer = kind(space, checked)
    fewer.sample(0)  # raises `SpecError` if no architecture is left; the seed does not matter
    return fewer


def _checked(space: Space, forbidden: Any) -> Forbidden:
    """Returns what is forbidden, as the space's own options, sorted by choice; choices that keep all are left out.

    Sorted, because two restrictions that forbid the same are then equal and have equal specs.
    """
    if not isinstance(forbidden, Mapping):
        raise SpecError(
            f"what is forbidden is a dictionary from the name of a choice to options of it, not {forbidden!r:.200}"
        )
    offered = space.offered
    found: dict[str, tuple[Option, ...]] = {}
    for name, options in forbidden.items():
        if not isinstance(name, str) or (name not in offered):
            raise SpecError(f"{space.name}: {unknown('choice', name, offered)}")
        if not listed(options) or isinstance(options, Set | Mapping):
            raise SpecError(f"{space.name}: expected a list of options of {name!r}, not {options!r:.200}")
        choice = Choice(name, offered[name])
        mine = {choice.own(option) for option in options}
        if len(mine) == len(choice.options):
            raise nothing_left(name, space.name, choice.options)
        found[name] = tuple(option for option in choice.options if option in mine)
    return tuple(sorted((name, options) for name, options in found.items() if options))
