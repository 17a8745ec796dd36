"""Reads the initial population of an evolutionary searcher, its hyperparameter `first`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from naslab.architecture import Architecture, Option
from naslab.errors import SpecError


def choices_of(first: Any, population: int) -> tuple[tuple[Option, ...], ...]:
    """Returns the choices of each architecture of an initial population.

    Args:
        first: architectures, or their choices.
        population: size of the population.

    Raises:
        SpecError: an entry is neither, or there are more than the population holds.
    """
    if not isinstance(first, Sequence) or isinstance(first, str):
        raise SpecError(f"first are architectures, as a list, not {first!r:.200}")
    if len(first) > population:
        raise SpecError(f"first are at most as many as the population, {population}, not {len(first)}")
    choices = [one.choices if isinstance(one, Architecture) else one for one in first]
    if wrong := [one for one in choices if not isinstance(one, list | tuple)]:
        raise SpecError(f"each of the first is an architecture or the list of its choices, not {wrong[0]!r:.200}")
    return tuple(map(tuple, choices))
