"""Multi-objective analysis: the Pareto front, and its hypervolume (Zitzler & Thiele 1999).

A point dominates another if it is at least as good in every objective and better in one. The front has the points that
no other one dominates. Shapes: N points, M objectives. Inside this module, more is better in every objective.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from naslab.directions import Direction, direction_of
from naslab.errors import SpecError, listed, real, unknown
from naslab.events import Evaluated, Event
from naslab.immutable import Record
from naslab.quantities import Objective

Wanted = Literal["most", "least"]
WANTED = ("most", "least")
WISHES = {"max": "most", "min": "least"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Pareto(Record):
    """Points with several objectives, and their Pareto front."""

    objectives: Mapping[str, Wanted]
    figures: Mapping[str, np.ndarray]
    """Name -> [N] values, as given."""
    allowed: np.ndarray
    """[N] bool: True for points that are known in every objective and within every limit."""
    front: np.ndarray
    """Indices of the points on the front, the best by the first objective first. Equal points are all on it."""
    hypervolume: float | None
    """Hypervolume of the front above the reference, in the product of the units; None without a reference."""
    status: str
    """Warnings for the reader: how many points are left out and why; whether none is left."""


def pareto(
    figures: Mapping[str, Sequence[float] | np.ndarray],
    *,
    objectives: Mapping[str, Wanted | Direction] | Sequence[str] | None = None,
    limits: Mapping[str, tuple[float | None, float | None]] | None = None,
    reference: Mapping[str, float] | None = None,
) -> Pareto:
    """Returns the Pareto front of N points.

    Args:
        figures: name -> [N] values; NaN or infinite for failed candidates.
        objectives: name -> "max" (or "most") or "min" (or "least"); or a list of names, by default all, with standard
            directions (`naslab.directions`): accuracy is maximised; losses, time, parameters, FLOPs and other costs are
            minimised.
        limits: name of a figure, objective or not -> (lower, upper) limit, None for no limit.
        reference: name of each objective -> worst value that counts, the reference point of the hypervolume.

    Raises:
        SpecError: an argument is of the wrong form, or the direction of a name is not known.
    """
    columns = _columns(figures)
    if len({column.shape for column in columns.values()}) > 1 or next(iter(columns.values())).ndim != 1:
        shapes = ", ".join(f"{name!r} {column.shape}" for name, column in columns.items())
        raise SpecError(f"the figures must be lists of one length; they are {shapes}")
    wanted = _wanted(objectives, columns)
    known = np.all([np.isfinite(columns[name]) for name in wanted], axis=0)
    measured, within = np.ones_like(known), np.ones_like(known)
    for name, (low, high) in _limits(limits, columns).items():
        measured &= ~np.isnan(columns[name])
        with np.errstate(invalid="ignore"):
            within &= (columns[name] >= low) & (columns[name] <= high)
    allowed = known & within
    turned = np.stack([columns[name] * (1 if want == "most" else -1) for name, want in wanted.items()], axis=1)
    numbers = np.flatnonzero(allowed)
    best = numbers[on_front(turned[numbers])]
    best = best[np.lexsort((best, -turned[best, 0]))]
    volume = None
    if reference is not None:
        if not isinstance(reference, Mapping):
            raise SpecError(f"the reference is numbers by the name of each objective, not {reference!r:.200}")
        if set(reference) != set(wanted):
            names = ", ".join(map(str, reference))
            raise SpecError(f"the reference must name each objective: {', '.join(wanted)}; not {names}")
        worst = {name: real(f"the reference of {name!r}", reference[name]) for name in wanted}
        corner = [worst[name] * (1 if want == "most" else -1) for name, want in wanted.items()]
        volume = hypervolume(turned[best], corner)
    said = [f"{(~known).sum()} of {len(known)} points are unknown in some objective"] if not known.all() else []
    beyond, unmeasured = known & measured & ~within, known & ~measured
    said += [f"{beyond.sum()} are beyond the limits"] if beyond.any() else []
    said += [f"{unmeasured.sum()} are unknown in what is limited"] if unmeasured.any() else []
    if not len(known):
        said += ["there is no point"]
    elif not allowed.any():
        advice = "widen" if beyond.any() else "leave out"
        said += [f"no point is left: {f'{advice} the limits' if known.any() else 'choose other objectives'}"]
    return Pareto(
        objectives=wanted, figures=columns, allowed=allowed, front=best, hypervolume=volume, status="; ".join(said)
    )


def front(events: Iterable[Event], objectives: Sequence[Objective]) -> list[Evaluated]:
    """Returns the Pareto front of the evaluations.

    With one objective this is the best one alone, the first of equals; with several, the best by the first objective
    comes first, and equal points are all included.

    Args:
        events: events of a search; only successful evaluations are used.
        objectives: objectives of the comparison, unless an event names its own.
    """
    done = [event for event in events if isinstance(event, Evaluated) and event.fitness is not None]
    wanted = next((event.objectives for event in done if event.objectives), tuple(objectives))
    if not done or len(wanted) == 1:
        return [max(done, key=lambda event: event.fitness)] if done else []  # type: ignore[arg-type,return-value]
    known = [event for event in done if all(objective.name in event.values for objective in wanted)]
    points = np.array([[each.sign * event.values[each.name] for each in wanted] for event in known])
    best = np.flatnonzero(on_front(points)) if known else []
    return [known[number] for number in sorted(best, key=lambda number: -points[number, 0])]


def on_front(points: np.ndarray) -> np.ndarray:
    """Returns [N] bool: True for points that no other point dominates.

    Args:
        points: [N, M], finite, more is better.
    """
    kept = np.zeros(len(points), dtype=bool)
    front = np.zeros((0, points.shape[1]))
    for number in np.lexsort(-points.T[::-1]):  # lexicographic order: only an earlier point can dominate
        point = points[number]
        if not ((front >= point).all(axis=1) & (front > point).any(axis=1)).any():
            kept[number] = True
            front = np.vstack([front, point])
    return kept


def hypervolume(points: np.ndarray, reference: Sequence[float]) -> float:
    """Returns the volume of the region that is dominated by the points and better than the reference, exactly.

    Args:
        points: [N, M] with M from 1 to 3, more is better; points that are not better than the reference add nothing.
        reference: [M].
    """
    corner = np.asarray(reference, dtype=np.float64)
    points = np.asarray(points, dtype=np.float64).reshape(-1, len(corner))
    if not (np.isfinite(corner).all() and np.isfinite(points).all()):
        raise SpecError("the hypervolume of points or a reference that are not finite is not defined")
    if len(corner) not in (1, 2, 3):
        raise SpecError(f"the hypervolume is computed for one to three objectives, not {len(corner)}")
    above = np.maximum(points - corner, 0)
    above = above[(above > 0).all(axis=1)]
    return _volume(above[on_front(above)]) if len(above) else 0.0


def _volume(points: np.ndarray) -> float:
    """Returns the volume of the union of the boxes from the origin to each point [N, M].

    By slices along the last axis (HSO, While et al. 2006): between two neighbouring heights, the cross-section is the
    union, in M - 1 dimensions, of the boxes that are at least as high.
    """
    if points.shape[1] == 1:
        return float(points.max())
    order = np.argsort(-points[:, -1], kind="stable")
    heights = np.append(points[order, -1], 0)
    thick = heights[:-1] - heights[1:]
    return math.fsum(float(thick[i]) * _volume(points[order[: i + 1], :-1]) for i in range(len(points)) if thick[i] > 0)


def _columns(figures: Mapping[str, Sequence[float] | np.ndarray]) -> dict[str, np.ndarray]:
    if not isinstance(figures, Mapping):
        raise SpecError(
            f"pareto takes figures by name, as {{'test_accuracy': [...], 'parameters': [...]}}, not {figures!r:.200}"
        )
    columns = {}
    for name, values in figures.items():
        try:
            columns[name] = np.asarray(values, dtype=np.float64)
        except (TypeError, ValueError, RuntimeError) as error:
            raise SpecError(
                f"the figure {name!r} must be numbers, one for each point, NaN where it is unknown; not "
                f"{values!r:.200} ({error})"
            ) from None
    if not columns:
        raise SpecError("pareto needs at least one figure, as {'test_accuracy': [...], 'parameters': [...]}")
    return columns


def _limits(given: Any, columns: Mapping[str, np.ndarray]) -> dict[str, tuple[float, float]]:
    """Returns name of a figure -> lower and upper limit, infinite for no limit."""
    if given is not None and not isinstance(given, Mapping):
        raise SpecError(
            f"limits are pairs by the name of a figure, for instance {{'parameters': (None, 1e5)}}; not {given!r:.200}"
        )
    limits = {}
    for name, pair in (given or {}).items():
        if name not in columns:
            raise SpecError(unknown("figure", name, columns))
        pair = pair.tolist() if isinstance(pair, np.ndarray) else pair
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise SpecError(
                f"the limits of {name!r} are a pair, (least, most), with None for no limit, for instance (None, 1e5); "
                f"not {pair!r:.200}"
            )
        low, high = (
            end if limit is None else real(f"a limit of {name!r}", limit)
            for end, limit in zip((-math.inf, math.inf), pair, strict=True)
        )
        if low > high:
            raise SpecError(f"the limits of {name!r} leave nothing: at least {low:g} and at most {high:g}")
        limits[name] = low, high
    return limits


def _wanted(
    given: Mapping[str, Wanted | Direction] | Sequence[str] | None, columns: Mapping[str, np.ndarray]
) -> dict[str, Wanted]:
    if given is not None and not listed(given):
        example = [given] if isinstance(given, str) else list(columns)
        raise SpecError(f"objectives are a list of figures, for instance {example}; not {given!r:.200}")
    names = list(columns if given is None else given)
    if not names:
        raise SpecError("name at least one objective")
    wanted: dict[str, Wanted] = {}
    for name in names:
        if name not in columns:
            raise SpecError(unknown("figure", name, columns))
        if isinstance(given, Mapping):
            wish = given[name]
            if not isinstance(wish, str) or wish not in (*WISHES, *WANTED):
                raise SpecError(f"of {name!r}: {unknown('wish', wish, (*WISHES, *WANTED))}")
        else:
            wish = direction_of(name, example="objectives")
        wanted[name] = WISHES.get(wish, wish)  # type: ignore[assignment]
    return wanted
