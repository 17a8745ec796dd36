"""A two-dimensional map of a fully tabulated search space, and the ruggedness of its fitness landscape.

An architecture is encoded one-hot: a column for each option of each choice. In a complete space every option is as
frequent as every other, so that all principal components of the codes are equally strong and PCA shows nothing. The
map is therefore Fisher's linear discriminant (1936) for several classes (Rao 1948), with levels of fitness as classes:
the directions of the code that separate the levels best. The first axis orders the architectures from bad to good, as
far as a sum of effects of single choices can; the second mostly separates mediocre ones from both extremes.

Ruggedness: the correlation of fitness with the distance to the best (Jones & Forrest 1995), near -1 if fitness rises
steadily towards the best; and the correlation of fitness between architectures that differ in d choices (Weinberger
1990), near 1 for d = 1 in a smooth landscape.

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
"""Number of classes of fitness that the map separates; all hold equally many architectures, up to rounding."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Landscape(Record):
    """The search space of a benchmark table as a plane, with measures of ruggedness."""

    benchmark: Benchmark
    metric: str
    epochs: int | None
    points: np.ndarray
    """[N, 2]: coordinates of each architecture of the table; each axis has mean 0 and standard deviation 1."""
    utility: np.ndarray
    """[N]: utility of each architecture; more is better."""
    fitness_distance: float
    """Correlation of utility with the distance to the nearest best architecture; NaN if it is undefined."""
    autocorrelation: np.ndarray
    """[K + 1]: correlation of utility between all pairs that differ in d choices, d = 0 ... K; empty if not known."""

    def path(self, architectures: Sequence[Architecture]) -> np.ndarray:
        """Returns the coordinates [n, 2] of architectures, for instance of the candidates of a search in order."""
        return self.points[[self.benchmark.index(architecture) for architecture in architectures]]


def landscape(benchmark: Benchmark, metric: str | None = None, *, epochs: int | None = None) -> Landscape:
    """Returns the map of a table's space by one metric. It is deterministic, and cached in memory."""
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
    """Returns the one-hot codes [N, D] float32 of architectures.

    If the space has no fixed choices, there is a column for each (choice, option) that occurs in `choices`.
    """
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
    """Returns coordinates [N, 2] on the two directions of the codes [N, D] that best separate levels of utility [N].

    Utility correlates positively with both axes. Architectures whose utility is not finite get coordinates,
    but do not influence the directions. If fewer than three levels can be separated, principal components replace the
    missing directions.
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
    if directions.shape[1] < 2:  # remaining principal components, orthogonal to what was found
        rest, _ = np.linalg.qr(np.concatenate([directions, np.eye(rank)[:, :2]], axis=1))
        directions = np.concatenate([directions, rest[:, directions.shape[1] : 2]], axis=1)
    points = np.zeros((len(columns), 2))
    points[:, : directions.shape[1]] = white @ directions
    for axis in range(2):  # the sign of a singular vector is arbitrary: utility is to increase along the axis
        slope = np.nansum(points[known, axis] * (utility[known] - utility[known].mean())) if known.any() else 0
        points[:, axis] *= -1 if slope < 0 else 1
    return points


def fitness_distance(columns: np.ndarray, utility: np.ndarray) -> float:
    """Returns the correlation of utility [N] with the number of choices that differ from the nearest best architecture.

    NaN if one of them does not vary. The choices are compared in the codes [N, D].
    """
    known = np.isfinite(utility)
    if not known.any():
        return float("nan")
    best = columns[known][utility[known] == utility[known].max()]
    common = columns[known] @ best.T  # [n, b]
    different = (columns[known].sum(axis=1)[:, None] + best.sum(axis=1) - 2 * common) / 2
    return _correlation(utility[known], different.min(axis=1))


def autocorrelation(benchmark: Benchmark, utility: np.ndarray) -> np.ndarray:
    """Returns the exact correlation [K + 1] of utility over all pairs that differ in exactly d of the K choices.

    With J the sum over the options of a choice and I the identity, the sum over all architectures that differ in d
    choices is the coefficient of z^d in the product of I + z (J - I) over the choices. Empty if the table does not
    hold every combination of the options, or if a utility is not finite.
    """
    choices = benchmark.space.fixed_choices
    sizes = [] if choices is None else [len(choice.options) for choice in choices]
    if choices is None or np.prod(sizes) != len(benchmark) or not np.isfinite(utility).all():
        return np.zeros(0)
    place = [{option: i for i, option in enumerate(choice.options)} for choice in choices]
    grid = np.empty(sizes)
    grid[tuple(np.array([[place[k][v] for k, v in enumerate(row)] for row in benchmark.choices]).T)] = utility
    centred = grid - grid.mean()
    sums: list[np.ndarray] = [centred]  # coefficient of z^d, for d = 0, 1, ...; one choice is multiplied in at a time
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
