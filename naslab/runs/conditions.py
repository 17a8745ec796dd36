"""Stopping conditions of a search, tested after every step.

    search.until(conditions.entropy_below(1.2))         does steps until then, and returns the event of the last
    search.until(lambda event: event.step % 7 == 0)     or any function of an event
    lab.until("entropy", 1.2)                           the same in a `Lab`, by the name in its menu

A condition reads events and changes nothing: the search stops exactly after the step that met it. A condition on a
change or a decrease compares with the moment at which it was set.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from naslab.architecture import Architecture
from naslab.errors import SpecError, real, unknown, whole
from naslab.estimators import as_estimator
from naslab.events import Evaluated, Event

SKIP = "skip_connect"
Test = Callable[[Event], str | None]


@dataclass(frozen=True)
class Condition:
    """A stopping condition."""

    name: str
    """Identifier in menus and in `Lab.until`."""
    label: str
    """The condition in words."""
    begin: Callable[[Any], Test] = field(repr=False)
    """Takes the search as it is when the condition is set, and returns the test of an event: the reason in words if the
    condition is met, else None. Raises `SpecError` if the condition does not apply to this search."""


def as_condition(given: Any) -> Condition:
    """Returns a `Condition` as it is, and makes one of a predicate of events; `SpecError` for anything else."""
    if isinstance(given, Condition):
        return given
    if not callable(given):
        raise SpecError(
            "until takes a condition, such as nl.runs.conditions.entropy_below(1.2), or a function of an event; "
            f"not {given!r:.100}"
        )
    label = getattr(given, "__name__", "the condition")

    def test(event: Event) -> str | None:
        return f"{label} is met" if given(event) else None

    return Condition("own", label, lambda search: test)


# --- named conditions --------------------------------------------------------------------------------


def entropy_below(nats: float) -> Condition:
    """The mean entropy of the edges, or of a controller's policy, is below `nats`."""
    limit = real("nats", nats)

    def test(event: Event) -> str | None:
        value = _figure(event, "entropy")
        return f"the entropy is {value:.3g}, below {limit:g}" if value is not None and value < limit else None

    return Condition("entropy", f"the entropy is below {limit:g} nats", lambda search: test)


def skips_at_least(count: int) -> Condition:
    """The derived architecture has at least `count` skip connections, a sign of collapse in DARTS."""
    least = whole("count", count, 1)

    def test(event: Event) -> str | None:
        best = getattr(event, "best", None)
        found = 0 if best is None else best.choices.count(SKIP)
        return f"{found} skip connections" if found >= least else None

    return Condition("skips", f"at least {least} skip connections", lambda search: test)


def derived_changes() -> Condition:
    """The derived architecture, or the best candidate so far, changes."""

    def begin(search: Any) -> Test:
        before = _best(search)

        def test(event: Event) -> str | None:
            best = getattr(event, "best", None)
            return None if best is None or best == before else "the derived architecture has changed"

        return test

    return Condition("derived", "the derived architecture changes", begin)


def kept_edge_changes() -> Condition:
    """The derived cell keeps another set of edges, whatever their operations."""

    def begin(search: Any) -> Test:
        space = search.space
        if not hasattr(space, "one_hot"):
            raise SpecError(f"{space.name!r} has no edges of which some are kept")
        before = _kept(space, _best(search))

        def test(event: Event) -> str | None:
            now = _kept(space, getattr(event, "best", None))
            if now is None or before is None or now == before:
                return None
            gone, come = sorted(before - now), sorted(now - before)
            said = [f"{part} {row} is kept now" for part, row in come]
            return "edge " + "; ".join([*said, *(f"{part} {row} is not any more" for part, row in gone)])

        return test

    return Condition("kept", "another edge is kept", begin)


def truth_falls(table: Any = None, *, by: float = 0.0) -> Condition:
    """The true value of the derived architecture, according to a table, falls below the best one seen since the start.

    Args:
        table: a benchmark; if left out, that of the search's ranking, or its estimator.
        by: smallest decrease that counts, in the unit of the table.
    """
    least = real("by", by)

    def begin(search: Any) -> Test:
        known = _truth(search, table)
        start = _best(search)
        before = None if start is None else known(start)
        best: list[float | None] = [before]  # a list, so that the closure can replace its entry

        def test(event: Event) -> str | None:
            derived = getattr(event, "best", None)
            now = None if derived is None else known(derived)
            if now is None:
                return None
            if best[0] is not None and now < best[0] - least:
                return f"the derived architecture is truly worth {now:.4g}, after {best[0]:.4g}"
            best[0] = now if best[0] is None else max(best[0], now)
            return None

        return test

    return Condition("truth", "the true worth falls", begin)


def fitness_above(value: float) -> Condition:
    """The best fitness so far exceeds a value."""
    limit = real("value", value)

    def test(event: Event) -> str | None:
        found = event.best_fitness if isinstance(event, Evaluated) else None
        return f"the best fitness is {found:.4g}" if found is not None and found > limit else None

    return Condition("fitness", f"the best fitness is above {limit:g}", lambda search: test)


def epoch_ends() -> Condition:
    """The epoch of the next step ends; in an evolution on shared weights, the generation."""

    def begin(search: Any) -> Test:
        search.searcher.end_of_epoch  # noqa: B018  # raises `SpecError` if the searcher has no epochs

        def test(event: Event) -> str | None:
            ended = event.step >= end[0]
            if not ended:  # read again, for a change of the batch size moves the end of the epoch
                end[0] = search.searcher.end_of_epoch
            return "the epoch has ended" if ended else None

        end = [search.searcher.end_of_epoch]
        return test

    return Condition("epoch", "the end of the epoch", begin)


NAMED: Mapping[str, Callable[..., Condition]] = {
    "epoch": epoch_ends,
    "entropy": entropy_below,
    "skips": skips_at_least,
    "derived": derived_changes,
    "kept": kept_edge_changes,
    "truth": truth_falls,
    "fitness": fitness_above,
}
"""Name -> function that returns the condition."""
WITH_NUMBER = ("entropy", "skips", "fitness")
"""Names of the conditions that need a number."""


def named(name: Any, *given: Any) -> Condition:
    """Returns the condition of that name; `SpecError` if there is none, or if a number is missing or superfluous."""
    if not isinstance(name, str) or name not in NAMED:
        raise SpecError(unknown("condition", name, NAMED))
    if len(given) != (name in WITH_NUMBER):
        takes = "a number" if name in WITH_NUMBER else "no number"
        raise SpecError(f"the condition {name!r} takes {takes}, not {given!r:.100}")
    return NAMED[name](*given)


def offered(search: Any) -> list[dict[str, Any]]:
    """Returns the conditions that apply to a search, for a menu: `name`, `label`, and `number`, the initial value of
    the number that the condition takes, or None.
    """
    found: list[dict[str, Any]] = []
    guesses = {"entropy": 1.0, "skips": 4, "fitness": 0.9}
    last = next((event for event in reversed(search.events) if hasattr(event, "best")), None)
    for name in NAMED:
        guess = guesses.get(name)
        if not _makes_sense(search, name, last):
            continue
        condition = named(name, *([] if guess is None else [guess]))
        try:
            condition.begin(search)
        except SpecError:
            continue
        label = condition.label if guess is None else condition.label.replace(f"{guess:g}", "…")
        found.append({"name": name, "label": label, "number": guess})
    return found


def _makes_sense(search: Any, name: str, last: Event | None) -> bool:
    """True if events of such a search could meet the condition."""
    if name == "fitness":
        return "fitness" in search.metrics or isinstance(last, Evaluated)
    if name == "entropy":
        return "entropy" in search.metrics or (last is not None and _figure(last, "entropy") is not None)
    if name == "skips":
        operations = [*getattr(search.space, "operations", ())]
        offers = getattr(search.space, "offered", {})
        return SKIP in operations or any(SKIP in options for options in offers.values())
    return True


# --- values that the conditions read ---------------------------------------------------------------


def _figure(event: Event, name: str) -> float | None:
    """Returns a metric of an event, or one of the searcher's diagnostics; None if the event has neither."""
    for found in (getattr(event, "metrics", {}), getattr(event, "details", {})):
        if isinstance(value := found.get(name), int | float):
            return float(value)
    return None


def _best(search: Any) -> Architecture | None:
    """Returns the architecture that would be derived now; None before the first step."""
    last = next((event for event in reversed(search.events) if hasattr(event, "best")), None)
    return None if last is None else last.best


def _kept(space: Any, best: Architecture | None) -> set[tuple[str, int]] | None:
    """Returns (part, row) of the edges that an architecture keeps: those with an operation other than "none"."""
    if best is None:
        return None
    operations = list(space.operations)
    none = operations.index("none") if "none" in operations else None
    found = set()
    for part, matrix in space.one_hot(best).items():
        kept = np.array(matrix, copy=True)
        if none is not None:
            kept[:, none] = 0
        found |= {(part, int(row)) for row in np.flatnonzero(kept.any(axis=1))}
    return found


def _truth(search: Any, table: Any) -> Callable[[Architecture], float | None]:
    """Returns a function from an architecture to its true value, more being better; None for an unknown one."""
    if table is None and getattr(search, "ranking", None) is not None:
        ranked = search.ranking.known

        def place(architecture: Architecture) -> float | None:
            found = ranked.place(architecture)
            return None if found is None else found.truth

        return place
    given: Any = getattr(search.searcher, "estimator", None) if table is None else table
    if table is None and getattr(given, "benchmark", None) is None:
        raise SpecError("no table is known that says what an architecture is truly worth: truth_falls(table)")
    estimator = as_estimator(given)

    def score(architecture: Architecture) -> float | None:
        try:
            found: Any = estimator(architecture)
        except SpecError:
            return None
        return float(getattr(found, "fitness", found))

    return score
