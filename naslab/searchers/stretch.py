"""The steps ahead of a search, by kinds."""

from __future__ import annotations

from typing import NamedTuple


class Stretch(NamedTuple):
    """The steps ahead that take about as long as each other: those that train weights, those that judge children."""

    name: str
    count: int  # pyright: ignore[reportIncompatibleMethodOverride]
    """How many of them are ahead."""
    at: int
    """The first of some that come one after the other: a step, counted from 0."""
    run: int
    """So many come one after the other there."""
    together: int = 1
    """So many of them are one round of an algorithm, with one update at its end."""
    moves: tuple[str, ...] = ()
    """Learning rates by which these steps move something, by the names of their settings."""
    of_epochs: bool = True
    """Whether they belong to the passes over the data that moves the weights."""
