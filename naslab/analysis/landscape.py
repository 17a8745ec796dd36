"""A map of a space whose architectures are all known, and how rugged the land is.

The code of an architecture has a column for each option of each choice. All principal components of such codes of a
whole space are equally strong, since every option is as frequent as every other, so that PCA shows nothing; the map is
therefore Fisher's linear discriminant (1936) for several classes (Rao 1948), the classes being levels of fitness: the
directions of the code that tell the levels apart best. The first one orders the architectures from bad to good, as far
as the sum of what each choice does can; the second, mostly, sets the middling apart from both ends.

Ruggedness: the correlation of fitness with the distance to the best (Jones & Forrest 1995), near -1 where the way to
the best leads upwards; and the correlation of fitness between architectures that differ in d choices (Weinberger
1990), near 1 for d = 1 where the land is smooth.

Shapes: N architectures, D columns of the code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from naslab.architecture import Architecture
from naslab.benchmarks import Benchmark
from naslab.errors import SpecError
from naslab.immutable import Record
from naslab.spaces.space import Space

LEVELS = 8
"""Classes of fitness that the map tells apart; they hold as many architectures each."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Landscape(Record):
    """A table's space as a plane."""

    benchmark: Benchmark
    metric: str
    epochs: int | None
    points: np.ndarray
    """[N, 2]: where each architecture of the table lies; each axis has mean 0 and deviation 1."""
    utility: np.ndarray
    """[N]: what it is worth, more is better."""
    fitness_distance: float
    """Correlation of the worth with the distance to the nearest best architecture; NaN where it cannot be told."""
    autocorrelation: np.ndarray
    """[K + 1]: of the worth between all pairs that differ in d choices, d from 0; empty where it is not known."""

    def path(self, architectures: Sequence[Architecture]) -> np.ndarray:
        """[n, 2]: where these lie, for instance the candidates of a search in order."""
        return self.points[[self.benchmark.index(architecture) for architecture in architectures]]


def landscape(benchmark: Benchmark, metric: str | None = None, *, epochs: int | None = None) -> Landscape:
    """The map of a table's space by one metric. The same table gives the same map; it is kept in memory."""
    return _landscape(benchmark, metric or benchmark.objective, epochs)


@lru_cache(maxsize=8)
def _landscape(benchmark: Benchmark, metric: str, epochs: int | None) -> Landscape:
    utility = benchmark.utility(metric, epochs=epochs)
    columns = codes(benchmark.space, benchmark.choices)
    points = discriminants(columns, utility)
    points.setflags(write=False)
    return Landscape(
        benchmark=benchmark,
        metric=metric,
        epochs=epochs,
        points=points,
        utility=utility,
        fitness_distance=fitness_distance(columns, utility),
        autocorrelation=autocorrelation(benchmark, utility),
    )


def codes(space: Space, choices: Sequence[tuple[object, ...]]) -> np.ndarray:
    """[N, D] float32: 1 where the choice of that name was answered with that option, or is not asked at all."""
    if not choices:
        raise SpecError("there is no architecture to be placed on a map")
    if space.fixed_choices is not None:
        table = np.array([[str(value) for value in row] for row in choices])
        offered = [(place, str(option)) for place, c in enumerate(space.fixed_choices) for option in c.options]
        return np.stack([table[:, place] == option for place, option in offered], axis=1).astype(np.float32)
    rows = [space.answers(Architecture(space.name, tuple(row))) for row in choices]  # type: ignore[arg-type]
    names = list(dict.fromkeys(pair for row in rows for pair in row.items()))
    return np.array([[row.get(name) == option for name, option in names] for row in rows], dtype=np.float32)


def discriminants(columns: np.ndarray, utility: np.ndarray, levels: int = LEVELS) -> np.ndarray:
    """[N, 2]: the two directions of the codes [N, D] that tell levels of utility [N] apart best.

    The larger a coordinate on the first axis, the better. Architectures whose worth is not finite are placed, but do
    not shape the map; where fewer than three levels can be told apart, what is missing is filled with principal
    components.
    """
    known = np.isfinite(utility)
    centred = columns - columns.mean(axis=0)
    _, spread, axes = np.linalg.svd(centred, full_matrices=False)
    rank = int((spread > spread[0] * 1e-5).sum()) if len(spread) and spread[0] > 0 else 0
    white = centred @ (axes[:rank].T / spread[:rank]) * np.sqrt(len(centred))  # [N, rank], mean 0, covariance 1
    directions = np.zeros((rank, 0))
    if known.any():
        order = np.argsort(np.argsort(utility[known], kind="stable"), kind="stable")
        level = order * min(levels, int(known.sum())) // known.sum()
        if len(np.unique(utility[known])) == 1:
            level[:] = 0
        means = np.stack([white[known][level == one].mean(axis=0) for one in np.unique(level)])
        means = means - means.mean(axis=0)
        _, strength, found = np.linalg.svd(means, full_matrices=False)
        directions = found[strength > 1e-6][:2].T
    if directions.shape[1] < 2:  # then the principal components that are left
        rest, _ = np.linalg.qr(np.concatenate([directions, np.eye(rank)[:, :2]], axis=1))
        directions = np.concatenate([directions, rest[:, directions.shape[1] : 2]], axis=1)
    points = np.zeros((len(columns), 2))
    points[:, : directions.shape[1]] = white @ directions
    for axis in range(2):  # a direction has no sign of its own
        slope = np.nansum(points[known, axis] * (utility[known] - utility[known].mean())) if known.any() else 0
        points[:, axis] *= -1 if slope < 0 else 1
    return points


def fitness_distance(columns: np.ndarray, utility: np.ndarray) -> float:
    """Correlation of the utility [N] with the number of choices, in the codes [N, D], that differ from the nearest
    best architecture; NaN where either does not vary."""
    known = np.isfinite(utility)
    if not known.any():
        return float("nan")
    best = columns[known][utility[known] == utility[known].max()]
    common = columns[known] @ best.T  # [n, b]
    different = (columns[known].sum(axis=1)[:, None] + best.sum(axis=1) - 2 * common) / 2
    return _correlation(utility[known], different.min(axis=1))


def autocorrelation(benchmark: Benchmark, utility: np.ndarray) -> np.ndarray:
    """[K + 1]: the correlation of utility over all pairs that differ in exactly d of the K choices, exact.

    With J the sum over the options of a choice and I the option itself, the sum over all that differ in d choices is
    the coefficient of z^d in the product over the choices of I + z (J - I). Empty where the table does not hold every
    combination of the options, or a utility is not finite.
    """
    choices = benchmark.space.fixed_choices
    sizes = [] if choices is None else [len(choice.options) for choice in choices]
    if choices is None or np.prod(sizes) != len(benchmark) or not np.isfinite(utility).all():
        return np.zeros(0)
    place = [{option: i for i, option in enumerate(choice.options)} for choice in choices]
    grid = np.empty(sizes)
    grid[tuple(np.array([[place[k][v] for k, v in enumerate(row)] for row in benchmark.choices]).T)] = utility
    centred = grid - grid.mean()
    sums: list[np.ndarray] = [centred]  # for each d
    pairs = [1]
    for axis, size in enumerate(sizes):
        others = [term.sum(axis=axis, keepdims=True) - term for term in sums]
        nothing = np.zeros_like(centred)
        sums = [a + b for a, b in zip([*sums, nothing], [nothing, *others], strict=True)]
        pairs = [a + b * (size - 1) for a, b in zip([*pairs, 0], [0, *pairs], strict=True)]
    variance = float((centred**2).mean())
    if variance == 0:
        return np.zeros(0)
    return np.array(
        [float((centred * term).mean()) / count / variance for term, count in zip(sums, pairs, strict=True)]
    )


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    return float(np.corrcoef(first, second)[0, 1])
