"""Shares of families in the population over time."""

from __future__ import annotations

import numpy as np

SLOTS = 7
"""Families that have a colour of their own."""


def leading(families: np.ndarray, window: int, slots: list[int | None]) -> list[int | None]:
    """The families with the most members, those of the last `window` counted five times; each keeps the slot it had.

    Args:
        families: [n], the family of each evaluation, in order.
        slots: the families that have a slot now.
    """
    members = np.bincount(families.astype(int))
    members += 4 * np.bincount(families[-window:].astype(int), minlength=len(members))
    order = np.argsort(-members, kind="stable")[:SLOTS]
    largest = [int(family) for family in order if members[family]]
    stay = [family if family in largest else None for family in slots]
    newcomers = iter([family for family in largest if family not in stay])
    return [next(newcomers, None) if family is None else family for family in stay]


def shares(families: np.ndarray, window: int, slots: list[int | None], points: int = 160) -> np.ndarray:
    """[points, 1 + SLOTS] float32: a number of evaluations, and each slot's part of the `window` before it.

    The last evaluation is always among the points; what the slots leave over belongs to other families.
    """
    ends = np.unique(np.linspace(1, len(families), min(points, len(families))).round().astype(int))
    starts = np.maximum(ends - window, 0)
    found = np.zeros((len(ends), 1 + SLOTS), dtype=np.float32)
    found[:, 0] = ends
    for slot, family in enumerate(slots):
        if family is not None:
            running = np.concatenate([[0], np.cumsum(families == family)])
            found[:, 1 + slot] = (running[ends] - running[starts]) / (ends - starts)
    return found
