"""Published remedies for a collapse to skip connections, each as a fork: a step to return to and settings to change.

    stop early          freezes the alphas (DARTS+, RobustDARTS)
    fewer skips         allows skip connections on at most two edges (P-DARTS)
    weight decay x 3    triples the weight decay of the network weights (RobustDARTS)
    dropout on skips    adds dropout after skip connections (P-DARTS)
    perturbation        perturbs the weights of the operations in the weight step (SDARTS)

A search is offered the remedies that it has settings for. Values are our own where a method follows a schedule over
the whole search, which a fork in the middle cannot.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from naslab.analysis.collapse import RISES, Standing
from naslab.errors import SpecError
from naslab.immutable import Record
from naslab.networks.mixture import SKIP

ALLOWED = 2
"""Number of edges of a cell that may keep a skip connection: the M of P-DARTS."""
DECAY, LEAST_DECAY = 3.0, 3e-4
"""Factor of the weight decay, and the weight decay that replaces 0."""
DROPOUT, RADIUS = 0.3, 0.1
"""Dropout rate after skip connections at the start of P-DARTS' search; radius of the perturbation."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Remedy(Record):
    """One remedy, applied by `search.fork(step=remedy.step, change=remedy.change)`."""

    name: str
    sentence: str
    source: str
    """Authors, year and method of the paper."""
    link: str
    step: int
    """Step to fork after: the last one before the weights of the skip connections began to rise."""
    change: Mapping[str, Any]
    """Setting -> value, from the first step of the fork on."""


def remedies(standing: Standing, settings: Mapping[str, Any]) -> list[Remedy]:
    """Returns the remedies that apply to a search; none while the collapse watch is at level "grey".

    Args:
        standing: state of the search according to `naslab.analysis.CollapseWatch`.
        settings: settings of the search (`search.settings`).
    """
    if standing.level == "grey":
        return []
    step = standing.calm
    made = [
        *_stop(step, settings),
        *_fewer(standing, settings),
        *_decay(step, settings),
        *_dropout(step, settings),
        *_perturbation(step, settings),
    ]
    found = []
    for remedy in made:
        with suppress(SpecError):  # a mask that would forbid every operation of an edge, for instance, is not offered
            change = {name: settings[name].check(name, value) for name, value in remedy.change.items()}
            if any(value != settings[name].value for name, value in change.items()):
                found.append(remedy)
    return found


def _stop(step: int, settings: Mapping[str, Any]) -> Iterator[Remedy]:
    if "freeze/alphas" in settings:
        yield Remedy(
            name="stop early",
            sentence=f"The alphas stay as they are after step {step}; the weights go on.",
            source="Liang et al. 2019, DARTS+",
            link="https://arxiv.org/abs/1909.06035",
            step=step,
            change={"freeze/alphas": True},
        )


def _fewer(standing: Standing, settings: Mapping[str, Any]) -> Iterator[Remedy]:
    change: dict[str, Any] = {}
    edges = 0
    for part, gains in standing.gains.items():
        setting = settings.get(f"mask/{part}")
        rows = _all_but_the_most(gains)
        if setting is None or not rows or not np.nanmean(gains) > RISES:
            continue
        edges += len(rows)
        value = {row: list(forbidden) for row, forbidden in setting.value.items()}
        for row in rows:
            if SKIP not in value.setdefault(str(row), []):
                value[str(row)].append(SKIP)
        change[f"mask/{part}"] = value
    if change:
        yield Remedy(
            name="fewer skips",
            sentence=f"Skip connections are forbidden on {edges} edges, all but the {ALLOWED} of a cell where they "
            "gained most.",
            source="Chen et al. 2019, P-DARTS",
            link="https://arxiv.org/abs/1904.12760",
            step=standing.calm,
            change=change,
        )


def _all_but_the_most(gains: Sequence[float] | np.ndarray) -> list[int]:
    """Returns the rows with a skip connection, in order, without the `ALLOWED` rows where its weight rose most."""
    rows = np.flatnonzero(np.isfinite(gains))
    most = rows[np.argsort(-np.asarray(gains)[rows], kind="stable")][:ALLOWED]
    return [int(row) for row in rows if row not in most]


def _decay(step: int, settings: Mapping[str, Any]) -> Iterator[Remedy]:
    if (setting := settings.get("w_weight_decay")) is not None:
        value = min(DECAY * setting.value or LEAST_DECAY, setting.high)
        yield Remedy(
            name="weight decay × 3",
            sentence=f"The weights are drawn to 0 by {value:.3g} instead of {setting.value:.3g}, so that they fit less "
            "and the loss stays flatter in the alphas.",
            source="Zela et al. 2020, RobustDARTS",
            link="https://arxiv.org/abs/1909.09656",
            step=step,
            change={"w_weight_decay": value},
        )


def _dropout(step: int, settings: Mapping[str, Any]) -> Iterator[Remedy]:
    if (setting := settings.get("skip_dropout")) is not None and setting.value < DROPOUT:
        yield Remedy(
            name="dropout on skips",
            sentence=f"{DROPOUT:.0%} of what comes through a skip connection is dropped, so that it is no easy way.",
            source="Chen et al. 2019, P-DARTS",
            link="https://arxiv.org/abs/1904.12760",
            step=step,
            change={"skip_dropout": DROPOUT},
        )


def _perturbation(step: int, settings: Mapping[str, Any]) -> Iterator[Remedy]:
    if (setting := settings.get("perturbation")) is not None and setting.value < RADIUS:
        yield Remedy(
            name="perturbation",
            sentence=f"The weights learn at shares of the operations that are off by up to {RADIUS}, so that they "
            "bear it when one operation is kept.",
            source="Chen & Hsieh 2020, SDARTS",
            link="https://arxiv.org/abs/2002.05283",
            step=step,
            change={"perturbation": RADIUS},
        )
