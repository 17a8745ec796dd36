"""The honest-reporting card: the evidence that belongs to any claim that one method is better than another.

It has the number of seeds, means with 95 % confidence intervals, the budget of each method, the random-search baseline,
a test of each pair corrected for multiple testing, and the effect size; and warnings, in plain words, about whatever of
this is missing (Lindauer & Hutter 2020, https://arxiv.org/abs/1909.02453; Li & Talwalkar 2020,
https://arxiv.org/abs/1902.07638).
"""

from __future__ import annotations

import itertools
import math
import statistics as plain
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from naslab import markup, statistics
from naslab.directions import DIRECTIONS, Direction
from naslab.errors import SpecError, among, unknown
from naslab.immutable import Record

FEWEST = 3
"""Number of seeds below which a card warns."""
LEVEL = 0.05
"""Significance level of the verdicts, after the correction."""
TESTS = {"mann-whitney": statistics.mann_whitney, "welch": statistics.welch}


@dataclass(frozen=True, kw_only=True, eq=False)
class Entry(Record):
    """One group of the comparison."""

    name: str
    samples: int
    """Number of independent samples, most often seeds."""
    mean: float
    low: float
    """Lower end of the 95 % interval of the mean; NaN with fewer than two samples, or if all are equal."""
    high: float
    """Upper end of the same interval."""
    budget: str
    """Cost of a sample, with its unit; empty if not known."""
    alone: bool = False
    """True if the samples are trainings of one architecture: then they say nothing about others."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Pair(Record):
    """A comparison of two groups."""

    first: str
    second: str
    difference: float
    """Difference of the means, first minus second."""
    superiority: float
    """Probability that a sample of the first is better than one of the second, ties counting half: the effect size A of
    Vargha & Delaney 2000."""
    p: float
    """Two-sided p-value, Holm-corrected over all tested pairs; NaN if it is undefined, or the pair was not tested."""
    untested: str = ""
    """Why there is no test of this pair; empty where there is one."""

    @property
    def verdict(self) -> str:
        if self.untested:
            return self.untested
        if math.isnan(self.p):
            return "cannot be told"
        return "differ" if self.p < LEVEL else "no difference shown"


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Card(Record):
    """The evidence for a comparison, shown as text and, in a notebook, as a table."""

    what: str
    """The quantity that is compared, with its unit."""
    entries: tuple[Entry, ...]
    pairs: tuple[Pair, ...]
    baseline: str | None
    """Name of the group that is random search; None if there is none."""
    test: str
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    digits: int = 2
    direction: Direction = "max"
    """ "max" if more is better, "min" if less is."""

    def __str__(self) -> str:
        """A table of the groups, then `claims`."""
        width = max(len(label) for label in ("group", *map(self._label, self.entries)))
        head = f"{'group':<{width}}      n      mean  95 % interval     {'budget' if self._priced else ''}"
        lines = [f"{self.what}; {self._wish}", head.rstrip()]
        for entry in self.entries:
            interval = self._interval(entry)
            lines.append(
                f"{self._label(entry):<{width}}  {entry.samples:5d}  {self._number(entry.mean):>8}  "
                f"{interval:<16}  {entry.budget}".rstrip()
            )
        return markup.printable("\n".join([*lines, *self.claims]))

    __repr__ = __str__

    @property
    def claims(self) -> list[str]:
        """The pairs, the warnings and the notes, a line each."""
        lines = [
            f"{pair.first} - {pair.second}: {self._signed(pair.difference)}, {_better(pair)}{_p(pair)}: {pair.verdict}"
            for pair in self.pairs
        ]
        if self._tested:
            lines.append(f"(p: {self.test}, two-sided, Holm-corrected over {self._tested})")
        return [*lines, *(f"warning: {text}" for text in self.warnings), *(f"note: {text}" for text in self.notes)]

    def _repr_html_(self) -> str:
        root = markup.element("div", class_="naslab-card-of-honesty")
        markup.add(root, "b", self.what)
        markup.tail(root, f"; {self._wish}")
        groups = [
            (self._label(entry), str(entry.samples), self._number(entry.mean), self._interval(entry), entry.budget)
            for entry in self.entries
        ]
        columns = 5 if self._priced else 4
        _table(
            root, ("group", "samples", "mean", "95 % interval", "budget")[:columns], [row[:columns] for row in groups]
        )
        if self.pairs:
            rows = [
                (
                    f"{pair.first} − {pair.second}",
                    self._signed(pair.difference),
                    "" if pair.untested else f"{pair.superiority:.2f}",
                    _p(pair),
                    pair.verdict,
                )
                for pair in self.pairs
            ]
            _table(root, ("pair", "difference", "P(first better)", "p", "verdict"), rows)
            if self._tested:
                test = f"p: {self.test}, two-sided, Holm-corrected over {self._tested}"
                markup.add(root, "div", test, style="opacity: 0.75")
        for text in self.warnings:
            warned = markup.add(root, "div", style="border-left: 3px solid #d55e00; padding: 2px 8px; margin: 3px 0")
            markup.add(warned, "b", "warning")
            markup.tail(warned, f" {text}")
        for text in self.notes:
            markup.add(root, "div", text, style="opacity: 0.75; padding: 1px 0")
        return markup.html_of(root)

    @property
    def _wish(self) -> str:
        return "less is better" if self.direction == "min" else "more is better"

    @property
    def _tested(self) -> int:
        return sum(not pair.untested for pair in self.pairs)

    @property
    def _priced(self) -> bool:
        """True if the cost of a sample is known for any group."""
        return any(entry.budget for entry in self.entries)

    def _label(self, entry: Entry) -> str:
        marks = [*(["this one cell"] if entry.alone else []), *(["baseline"] if entry.name == self.baseline else [])]
        return f"{entry.name} ({', '.join(marks)})" if marks else entry.name

    def _number(self, value: float) -> str:
        return "-" if math.isnan(value) else format(value, self._form(value))

    def _signed(self, value: float) -> str:
        return format(value, f"+{self._form(value)}")

    def _interval(self, entry: Entry) -> str:
        return "-" if math.isnan(entry.low) else f"{self._number(entry.low)}..{self._number(entry.high)}"

    def _form(self, value: float) -> str:
        """Returns a format with `digits` decimals; for tiny or huge numbers, with `digits` + 1 significant digits."""
        plain = value == 0 or 0.5 * 10**-self.digits <= abs(value) < 1e7
        return f".{self.digits}f" if plain else f".{self.digits + 1}g"


def card(
    samples: Mapping[str, Sequence[float]],
    *,
    what: str,
    budgets: Mapping[str, float] | None = None,
    budget_unit: str = "evaluations",
    baseline: str | None = None,
    test: Literal["mann-whitney", "welch"] = "mann-whitney",
    alone: Collection[str] = (),
    chose_by_test_data: bool = False,
    warnings: Sequence[str] = (),
    notes: Sequence[str] = (),
    digits: int = 2,
    direction: Direction = "max",
) -> Card:
    """Returns the card of a comparison.

    Args:
        samples: group -> independent results, as they were measured; one that is not finite counts as a search that
            found nothing, and is left out with a warning.
        what: quantity and unit, for instance "test accuracy, %".
        budgets: group -> cost of a sample, in `budget_unit`; None if it is the same by construction.
        budget_unit: unit of the budgets.
        baseline: the group that is random search; if left out, one whose name contains "random".
        test: test of each pair: "mann-whitney" compares ranks, "welch" compares means.
        alone: groups whose samples are trainings of one architecture. They say nothing about other architectures that
            the same search would find, so that they are not tested against groups whose samples are architectures.
        chose_by_test_data: True if the searches selected by the same numbers that they are judged by.
        warnings: further warnings.
        notes: further remarks.
        digits: decimals of the numbers.
        direction: "max" if more is better, "min" if less is.
    """
    if not among(direction, DIRECTIONS):
        raise SpecError(unknown("direction", direction, DIRECTIONS))
    if not samples:
        raise SpecError("a card needs at least one group of samples")
    if not among(test, TESTS):
        raise SpecError(unknown("test", test, TESTS))
    if baseline is not None and baseline not in samples:
        raise SpecError(unknown("group", baseline, samples))
    baseline = baseline or next((name for name in samples if "random" in name.lower()), None)
    finite = {name: [float(v) for v in values if math.isfinite(v)] for name, values in samples.items()}
    entries = tuple(
        Entry(
            name=name,
            samples=len(values),
            mean=plain.fmean(values) if values else math.nan,
            **dict(zip(("low", "high"), statistics.interval(values), strict=True)),
            budget="" if budgets is None else f"{budgets[name]:,.10g} {budget_unit}",
            alone=name in alone,
        )
        for name, values in finite.items()
    )
    pairs = _pairs(finite, baseline, test, alone, -1 if direction == "min" else 1)
    tested = {name for pair in pairs if not pair.untested for name in (pair.first, pair.second)}
    found = [*_warnings(samples, finite, budgets, budget_unit, baseline, test, tested), *warnings]
    if chose_by_test_data:
        found.append(
            "the searches chose by the test data themselves (an oracle): right for comparing searchers, but none of "
            "these numbers is what a real search would reach"
        )
    return Card(
        what=what,
        entries=entries,
        pairs=pairs,
        baseline=baseline,
        test={"mann-whitney": "Mann-Whitney", "welch": "Welch's t"}[test],
        warnings=tuple(found),
        notes=tuple(notes),
        digits=digits,
        direction=direction,
    )


def _pairs(
    samples: Mapping[str, list[float]], baseline: str | None, test: str, alone: Collection[str], sign: int
) -> tuple[Pair, ...]:
    """Returns every pair of groups that have samples, with the baseline second."""
    names = sorted((name for name in samples if samples[name]), key=lambda name: name == baseline)
    both = list(itertools.combinations(names, 2))
    worth = {name: [sign * value for value in values] for name, values in samples.items()}
    found = [TESTS[test](worth[first], worth[second]) for first, second in both]
    why = [_why_untested(first, second, alone) for first, second in both]
    # Only the pairs that are tested count for the correction: Holm's factor is the number of tests.
    raised = iter(statistics.holm([result.p for result, untested in zip(found, why, strict=True) if not untested]))
    return tuple(
        Pair(
            first=first,
            second=second,
            difference=plain.fmean(samples[first]) - plain.fmean(samples[second]),
            superiority=result.superiority,
            p=math.nan if untested else next(raised),
            untested=untested,
        )
        for (first, second), result, untested in zip(both, found, why, strict=True)
    )


def _why_untested(first: str, second: str, alone: Collection[str]) -> str:
    """Returns why a pair is not tested; "" if it is. The variance over trainings of one architecture is another
    quantity than the variance over architectures, so that a test between them has no meaning.
    """
    if (first in alone) == (second in alone):
        return ""
    one, several = (first, second) if first in alone else (second, first)
    return f"{one!r} is this one cell, its samples are trainings of it, and those of {several!r} are cells"


def _warnings(
    samples: Mapping[str, Sequence[float]],
    finite: Mapping[str, list[float]],
    budgets: Mapping[str, float] | None,
    budget_unit: str,
    baseline: str | None,
    test: str,
    tested: Collection[str],
) -> list[str]:
    found = []
    if baseline is None:
        found.append("there is no random-search baseline: without one nobody can tell what the search itself is worth")
    for name, values in samples.items():
        lost = len(values) - len(finite[name])
        if lost:
            found.append(f"{lost} of {len(values)} samples of {name!r} found nothing and are left out of its mean")
    few = {name: len(values) for name, values in finite.items() if len(values) < FEWEST}
    if few:
        counts = ", ".join(f"{name!r} {count}" for name, count in few.items())
        found.append(f"fewer than {FEWEST} samples ({counts}): give more seeds")
    if budgets is not None and len({round(value, 9) for value in budgets.values()}) > 1:
        spent = ", ".join(f"{name!r} {value:,.10g}" for name, value in budgets.items())
        found.append(f"the budgets differ ({spent} {budget_unit}): who was given more may have won by that")
    # With 3 and 3 samples a rank test has only 20 orders, so that its p-value is never below 2 / 20.
    counts = sorted(len(values) for name, values in finite.items() if values and name in tested)
    if test == "mann-whitney" and len(counts) > 1 and (least := statistics.least_p(*counts[:2])) >= LEVEL:
        found.append(f"with {counts[0]} and {counts[1]} samples a test of ranks cannot go below p = {least:.2g}")
    return found


def _table(root: markup.Element, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table, style = markup.add(root, "table"), "text-align: left; padding: 1px 14px 1px 0"
    for tag, cells in (("th", head), *(("td", row) for row in rows)):
        line = markup.add(table, "tr")
        for text in cells:
            markup.add(line, tag, text, style=style)


def _better(pair: Pair) -> str:
    """Returns the effect size in words; "" for an untested pair, whose samples are of different kinds."""
    return "" if pair.untested else f"better with probability {pair.superiority:.2f}, "


def _p(pair: Pair) -> str:
    value = pair.p
    if pair.untested:
        return "no p"
    return "p unknown" if math.isnan(value) else "p < 0.001" if value < 0.001 else f"p = {value:.3f}"
