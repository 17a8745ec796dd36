"""Early warning of collapse in gradient-based search: do the skip connections dominate?

DARTS and its variants train a mixture of all operations on each edge, and keep one of them in the end. Sometimes the
mixture comes to rely on its skip connections. The derived cell then has hardly any parameters and performs badly, while
the losses of the mixture, all that the search itself observes, keep improving (Zela et al. 2020,
https://arxiv.org/abs/1909.09656; Liang et al. 2019, https://arxiv.org/abs/1909.06035).

    share     of the skip connection on an edge, among its operations without "none"
    growth    the mean share over the edges, as a multiple of what it was at the first step
    rising    on how many edges the share is more than 1.05 times what it was at the first step
    gap       loss of the derived cell less that of the mixture, on one validation mini-batch: mean of the last 10 steps

    amber     growth >= 1.1, on three edges of four, and gap >= 7 % of the mixture's loss
    red       amber, and: a table says that the derived cell is in its worst fifth; or, without a table, skip
              connections are on half of the edges that are kept, and growth >= 1.5
    grey      ten steps without that

Growth, gap and the thresholds are ours. They were calibrated on 23 searches on NAS-Bench-201 with known true values,
which `tests/analysis/test_collapse.py` repeats. Of ten DARTS searches, three derived cells that were ten points worse
than the best before, for five steps or more: amber came 7, 122 and 127 steps earlier. At the very beginning, while the
alphas hardly differ, the derived cell may be bad for a step or two by chance; there is no warning of that. GDAS, DARTS
with frozen alphas and DARTS with a random walk of the alphas stayed grey. Neither criterion is enough alone: GDAS,
which samples operations, has growth without a gap, and a random walk of the alphas has a gap without growth on most
edges.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np

from naslab.analysis.ground_truth import GroundTruth, TrueRank
from naslab.architecture import Architecture
from naslab.events import Event, Measured, Ranked, SupernetStep
from naslab.immutable import FrozenDict, Record
from naslab.networks.mixture import SKIP
from naslab.spaces.space import Space
from naslab.spaces.weight_sharing import Mixable, candidates

Level = Literal["grey", "amber", "red"]

NONE = "none"
"""Name of the operation that removes an edge, in spaces that have one."""
GROWTH, GROWTH_ALONE, GAP = 1.1, 1.5, 0.07
"""Thresholds of amber: growth of the skip connections' share; growth if no gap is measured (also the threshold of red);
gap as a share of the mixture's loss."""
RISES, RISING = 1.05, 0.75
"""Growth from which on an edge counts as rising, and the share of edges that must be rising."""
WINDOW = 10
"""Number of steps over which the gap is averaged, and of steps without a sign after which amber ends."""
MASKS = ("mask/", "edges/", "forbidden")
"""Prefixes of the settings that forbid operations."""
WORST = 0.8
"""Quantile of a table's ranks from which on a cell is among the worst."""
EIGENVALUE = "alpha_hessian_eigenvalue"
"""Name of the Hessian eigenvalue among `Measured` events."""


class Reason(NamedTuple):
    """One sentence of explanation, and its source."""

    sentence: str
    source: str
    """The paper, or "ours"."""
    link: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Standing(Record):
    """The warning level after a step, with its reasons."""

    step: int
    level: Level
    sentence: str
    """One line for display; if the search cannot collapse in this way, it says so."""
    since: int | None = None
    """First step of amber or red; None while grey."""
    calm: int = 0
    """Last step before the skip connections began to grow: the step to fork from for a remedy."""
    why: tuple[Reason, ...] = ()
    figures: Mapping[str, float] = field(default_factory=FrozenDict)
    """The criteria, under the names of this module; and "skips" of "kept" edges, "rank" of "size", "truth"."""
    gains: Mapping[str, np.ndarray] = field(default_factory=FrozenDict)
    """Part -> [E] share of the skip connection on each edge, as a multiple of the first; NaN if the edge has none."""


class _Skips:
    """The share of the skip connection on each edge of a part."""

    def __init__(self, operations: tuple[str, ...], has: np.ndarray) -> None:
        """
        Args:
            operations: names of the O operations.
            has: [E, O] bool: the operations that each edge has.
        """
        self.column = operations.index(SKIP) if SKIP in operations else None
        self._real = np.array([name != NONE for name in operations], dtype=np.float64)
        self._rivals = np.zeros(len(has), dtype=bool)
        if self.column is not None:
            self._rivals = has[:, self.column] & (has @ self._real > 1)
        self.clear()

    def clear(self) -> None:
        self.first: np.ndarray | None = None
        self._now = np.full(len(self._rivals), np.nan)
        self.gains = self._now
        """[E]: share as a multiple of the first; NaN for an edge without a skip connection, or with nothing else."""
        self.growth, self.rising, self.edges = np.nan, 0, 0
        """Growth; number of rising edges; number of edges with a skip connection."""

    @property
    def there(self) -> bool:
        """True if any edge has a skip connection and another operation."""
        return bool(self._rivals.any())

    def take(self, probabilities: np.ndarray, masked: bool) -> None:
        """Add a step.

        Args:
            probabilities: [E, O], the distributions after the step.
            masked: True if other operations are forbidden than at the step before. The jump of the shares that this
                causes is no growth: the reference is scaled by the same factor.
        """
        real, skip = probabilities @ self._real, probabilities[:, self.column]
        there = self._rivals & (skip > 0)
        share = np.where(there, skip / np.where(there, real, 1.0), np.nan)
        if self.first is None:
            self.first = share
        elif masked:
            before = np.where(np.isnan(self._now), share, self._now)
            first = np.where(np.isnan(self.first), share, self.first)
            self.first = np.where(there, first * share / before, first)
        self._now, self.gains = share, share / self.first
        known = ~np.isnan(self.gains)
        self.edges, self.rising = int(known.sum()), int((self.gains > RISES).sum())
        self.growth = float(share[known].sum() / self.first[known].sum()) if self.edges else np.nan


class CollapseWatch:
    """Computes the warning level from the events of a search, incrementally. After a rewind, `clear` it and add the
    remaining events again.

    Args:
        space: search space.
        known: true values from a table; without them, those in `Ranked` events are used, if there are any.
    """

    def __init__(self, space: Space, known: GroundTruth | None = None) -> None:
        self._space, self._known = space, known
        self._parts: dict[str, _Skips] = {}
        if isinstance(space, Mixable):
            operations = tuple(space.operations)
            made = {part: _Skips(operations, has) for part, has in candidates(space).items()}
            self._parts = {part: skips for part, skips in made.items() if skips.there}
        self._places: dict[Architecture, TrueRank | None] = {}
        self._kept: dict[Architecture, Mapping[str, np.ndarray]] = {}
        self.clear()

    def clear(self) -> None:
        """Reset to the state before the first event."""
        for skips in self._parts.values():
            skips.clear()
        self._gaps: deque[float] = deque(maxlen=WINDOW)
        self._losses: deque[float] = deque(maxlen=WINDOW)
        self._masks: Any = None
        self._level: Level = "grey"
        self._since: int | None = None
        self._calm = self._quiet = 0
        self._ranked: Ranked | None = None
        self._eigenvalues: list[tuple[int, float]] = []
        self._event: SupernetStep | None = None
        self._step = 0
        self._weighs: bool | None = None
        """True if the steps are of a mixture of operations, False if of single architectures; None before the first."""
        self.turns: list[Standing] = []
        """The standing after each change of the level."""

    def take(self, *events: Event) -> Standing:
        """Add events in their order; returns the standing after them."""
        for event in events:
            if isinstance(event, SupernetStep):
                self._weighs = True
                self._see(event)
            elif isinstance(event, Ranked):
                self._ranked = event
            elif isinstance(event, Measured) and event.name == EIGENVALUE:
                self._eigenvalues.append((event.step, event.value))
            elif event.kind in ("child_trained", "evaluated"):
                self._weighs, self._step = bool(self._weighs), event.step
        return self.standing

    def _see(self, event: SupernetStep) -> None:
        masks = {name: value for name, value in event.settings.items() if name.startswith(MASKS)}
        for part, skips in self._parts.items():
            if part in event.probabilities:
                skips.take(event.probabilities[part], self._masks is not None and masks != self._masks)
        self._masks, self._event, self._step = masks, event, event.step
        for name, seen in (("discretisation_gap", self._gaps), ("valid/loss", self._losses)):
            if name in event.metrics and math.isfinite(event.metrics[name]):
                seen.append(event.metrics[name])
        if self._level == "grey" and all(not skips.growth > RISES for skips in self._parts.values()):
            self._calm = event.step
        level = self._judged()
        if level == "grey" and self._level != "grey" and self._quiet < WINDOW - 1:
            self._quiet += 1
            return
        self._quiet = 0
        self._since = None if level == "grey" else self._since or event.step
        if level != self._level:
            self._level = level
            self.turns.append(self.standing)

    # --- criteria ----------------------------------------------------------------------------------

    @property
    def _worst(self) -> tuple[str, _Skips] | None:
        """The part whose skip connections have grown most."""
        grown = [(skips.growth, part) for part, skips in self._parts.items() if skips.edges]
        return (part := max(grown)[1], self._parts[part]) if grown else None

    @property
    def _gap(self) -> float:
        return sum(self._gaps) / len(self._gaps) if self._gaps else np.nan

    @property
    def _relative_gap(self) -> float:
        """The gap as a share of the mixture's loss; NaN if it is not measured."""
        loss = abs(sum(self._losses)) / len(self._losses) if self._losses else 0.0
        return self._gap / loss if loss > 0 else np.nan

    def _judged(self) -> Level:
        if (worst := self._worst) is None:
            return "grey"
        part, skips = worst
        if skips.growth < GROWTH or skips.rising < RISING * skips.edges:
            return "grey"
        gap = self._relative_gap
        if gap < GAP or (gap != gap and skips.growth < GROWTH_ALONE):  # NaN if it is not measured
            return "grey"
        if (place := self._place()) is not None:
            return "red" if place[1] > WORST * place[2] else "amber"
        taken, kept = self._counts(part)
        return "red" if taken >= kept / 2 and skips.growth >= GROWTH_ALONE else "amber"

    def _place(self) -> tuple[float, int, int] | None:
        """Returns (true value, rank, size of the table) of the derived architecture; None without a table."""
        assert self._event is not None
        best = self._event.best
        if self._known is not None:
            if best not in self._places:
                self._places[best] = self._known.place(best)
            place = self._places[best]
            return None if place is None else (place.truth, place.rank, self._known.size)
        ranked = self._ranked
        if ranked is None or ranked.best != best or ranked.best_truth is None or ranked.best_rank is None:
            return None
        return ranked.best_truth, ranked.best_rank, ranked.size

    def _counts(self, part: str) -> tuple[int, int]:
        """Returns the number of skip connections among the kept edges of a part, and the number of kept edges."""
        assert self._event is not None
        best = self._event.best
        if best not in self._kept:
            if len(self._kept) > 1000:  # a cache, for the derived architecture changes seldom
                self._kept.clear()
            self._kept[best] = self._space.one_hot(best)  # type: ignore[attr-defined]
        kept = self._kept[best][part] > 0
        return int(kept[:, self._parts[part].column].sum()), int(kept.sum())

    # --- display -------------------------------------------------------------------------------------

    @property
    def standing(self) -> Standing:
        """The standing after the last event."""
        if (worst := self._worst) is None or self._event is None:
            return Standing(step=self._step, level="grey", sentence=self._nothing_to_watch())
        part, skips = worst
        taken, kept = self._counts(part)
        figures: dict[str, float] = {
            "growth": skips.growth,
            "rising": skips.rising,
            "edges": skips.edges,
            "skips": taken,
            "kept": kept,
        }
        if self._gaps:
            figures["gap"] = self._gap
        if (place := self._place()) is not None:
            figures.update(zip(("truth", "rank", "size"), place, strict=True))
        if self._eigenvalues:
            figures["eigenvalue"] = self._eigenvalues[-1][1]
        where = f" of the {part} cell" if len(self._space.edges()) > 1 else ""  # type: ignore[attr-defined]
        return Standing(
            step=self._step,
            level=self._level,
            sentence=_sentence(self._level, figures, where, self._since),
            since=self._since,
            calm=min(self._calm, self._step),
            why=_reasons(figures, self._eigenvalues),
            figures=FrozenDict(figures),
            gains=FrozenDict({name: one.gains for name, one in self._parts.items()}),
        )

    def _nothing_to_watch(self) -> str:
        if not isinstance(self._space, Mixable):
            return "nothing to watch: these architectures are no mixture of operations, in which one could take over"
        if not self._parts:
            return "nothing to watch: no operation of this space is a skip connection, which could take over"
        if self._weighs is False:
            return (
                "nothing to watch: this search trains one architecture at a time, and weighs no mixture of operations"
            )
        return "nothing unusual: no step is done yet"


def collapse(events: Iterable[Event], space: Space, known: GroundTruth | None = None) -> Standing:
    """Returns the standing of a search after these events (`CollapseWatch`)."""
    return CollapseWatch(space, known).take(*events)


def _counted(figures: Mapping[str, float], where: str) -> str:
    taken, kept = int(figures["skips"]), int(figures["kept"])
    return f"{taken} of {kept} edges{where} would be {'a skip connection' if taken == 1 else 'skip connections'}"


def _placed(figures: Mapping[str, float]) -> str:
    return f"is worth {figures['truth']:.4g}, rank {int(figures['rank']):,} of {int(figures['size']):,}"


def _sentence(level: Level, figures: Mapping[str, float], where: str, since: int | None) -> str:
    """Returns the standing in one line."""
    if level == "grey":
        if figures.get("rank", 0) > WORST * figures.get("size", 1):
            return f"no sign of a collapse, but what would be derived {_placed(figures)}"
        return f"nothing unusual: {_counted(figures, where)}"
    growth = f"{figures['growth']:.1f} × their first share"
    gap = "" if "gap" not in figures else f"; the cell's loss is {figures['gap']:.2f} above the mixture's"
    if level == "amber":
        on = f"{int(figures['rising'])} of {int(figures['edges'])} edges{where}"
        return f"since step {since}: skip connections gain on {on}, to {growth}{gap}"
    if "rank" in figures:
        return f"since step {since}: what would be derived {_placed(figures)}; {_counted(figures, where)}"
    return f"since step {since}: {_counted(figures, where)}, at {growth}{gap}"


def _reasons(figures: Mapping[str, float], eigenvalues: list[tuple[int, float]]) -> tuple[Reason, ...]:
    """Returns three explanations, and a fourth if an eigenvalue was measured."""
    taken, kept = int(figures["skips"]), int(figures["kept"])
    found = [
        Reason(
            f"Operations compete for the share of an edge, and what passes on its input has an advantage from the "
            f"start: here skip connections have {figures['growth']:.1f} times the share that they began with.",
            "Chu et al. 2020, Fair DARTS",
            "https://arxiv.org/abs/1911.12126",
        ),
        Reason(
            "The loss of the mixture says little about the derived cell, which keeps one operation of each edge: the "
            "sharper the loss is in the alphas, the more is lost by that.",
            "Zela et al. 2020, RobustDARTS",
            "https://arxiv.org/abs/1909.09656",
        ),
        Reason(
            f"Too many skip connections in a cell make it learn badly: DARTS+ stops as soon as a normal cell has two "
            f"(here {taken} of {kept}). That growth and gap together warn, and from when on, is ours.",
            "Liang et al. 2019, DARTS+",
            "https://arxiv.org/abs/1909.06035",
        ),
    ]
    if eigenvalues:
        measured = ", ".join(f"{value:.3g} at step {step}" for step, value in eigenvalues[-3:])
        found.append(
            Reason(
                f"The dominant eigenvalue of the Hessian of the alphas is {measured}, each on one mini-batch; "
                "RobustDARTS stops when its average over some epochs has grown by a third.",
                "Zela et al. 2020, RobustDARTS",
                "https://arxiv.org/abs/1909.09656",
            )
        )
    return tuple(found)
