"""Shares of families in the population over time."""

from __future__ import annotations

import numpy as np

SLOTS = 7
"""Number of families with their own colour."""


def leading(families: np.ndarray, window: int, slots: list[int | None]) -> list[int | None]:
    """Returns the largest families by slot; evaluations of the last `window` count five times.

    A family that stays among the largest keeps its slot, and with it its colour.

    Args:
        families: [n], the family of each evaluation, in order.
        slots: family in each slot now, None for an empty one.
    """
    members = np.bincount(families.astype(int))
    members += 4 * np.bincount(families[-window:].astype(int), minlength=len(members))
    order = np.argsort(-members, kind="stable")[:SLOTS]
    largest = [int(family) for family in order if members[family]]
    stay = [family if family in largest else None for family in slots]
    newcomers = iter([family for family in largest if family not in stay])
    return [next(newcomers, None) if family is None else family for family in stay]


def shares(families: np.ndarray, window: int, slots: list[int | None], points: int = 160) -> np.ndarray:
    """Returns [points, 1 + SLOTS] float32: number of evaluations, and each slot's share of the `window` before it.

    The last evaluation is always among the points; the remainder to 1 belongs to families without a slot.
    """
    # Differences of the running counts give the members within each window without a loop over the windows.
    ends = np.unique(np.linspace(1, len(families), min(points, len(families))).round().astype(int))
    starts = np.maximum(ends - window, 0)
    found = np.zeros((len(ends), 1 + SLOTS), dtype=np.float32)
    found[:, 0] = ends
    for slot, family in enumerate(slots):
        if family is not None:
            running = np.concatenate([[0], np.cumsum(families == family)])
            found[:, 1 + slot] = (running[ends] - running[starts]) / (ends - starts)
    return found
