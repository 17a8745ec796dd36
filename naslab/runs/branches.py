"""Separates the rows of a journal into the living branch, which is the run, and abandoned rows.

Rows are only ever appended, so the branches follow from replaying the rows in their order:

    the row of the next step  is appended to the living branch
    a row `REWOUND`           makes its step the last one again; the living rows of later steps become abandoned
    a step that is not next   shows that another process has gone on from an earlier step: now there are two branches
    a row `UNTANGLED`         keeps the longest of several branches; the others become abandoned

This module neither reads nor writes files. Several branches exist only if two processes have driven one run, in spite
of the lock; a row then belongs to the branch whose last step precedes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from naslab.errors import RunError, SpecError, unknown
from naslab.events import EVENTS, Acted, Changed, Event, Measured, Phase, Ranked, Recovered, Saved, from_record

ASIDE = (Changed, Acted, Phase, Measured, Ranked, Saved, Recovered)
"""Events beside the steps; each event of any other class *is* one step."""
ASIDE_KINDS = frozenset(event.kind for event in ASIDE)
AHEAD_KINDS = frozenset(event.kind for event in (Changed, Acted, Phase))
"""Kinds of events that precede the step whose number they have. The others follow it."""

REWOUND = "rewound"
"""Kind of the row that records a rewind to its step. It is no event."""
UNTANGLED = "untangled"
"""Kind of the row that records that the longest branch was kept. It is no event."""


class Row(NamedTuple):
    """An event with its number in the journal and the time at which it was written."""

    id: int
    time: float
    """Seconds since 1970."""
    event: Event

    @property
    def step(self) -> int:
        return self.event.step

    def written(self) -> tuple[float, str, int, str, bytes]:
        """What a journal keeps of it, but for number and checksum."""
        return (self.time, self.event.kind, self.event.step, *self.event.to_record())


class Record(NamedTuple):
    """A row of a journal, whose event is not decoded yet."""

    id: int
    time: float
    """Seconds since 1970."""
    kind: str
    step: int
    text: str
    blob: bytes
    digest: str
    earlier: str
    """Digest that the row had in an earlier format, before conversion; else empty."""

    @property
    def is_step(self) -> bool:
        """True for a step; False for an event beside the steps, and for rows about other rows."""
        return self.kind in EVENTS and self.kind not in ASIDE_KINDS

    @property
    def event(self) -> Event:
        """The event that the row holds, decoded anew at each call."""
        try:
            return from_record(self.kind, self.text, self.blob)
        except SpecError as error:
            raise strange(self, error) from error

    def written(self) -> tuple[float, str, int, str, bytes]:
        """What a journal keeps of it, but for number and checksum."""
        return self[1:6]


class DeadEnd(NamedTuple):
    """Steps that a rewind has abandoned: those after `parted`, up to `step`."""

    parted: int
    """The step that the run was rewound to."""
    step: int
    """The last abandoned step."""

    @classmethod
    def left(cls, rows: Iterable[Row | Record], step: int) -> list[DeadEnd]:
        """Returns the dead end that a rewind of the living rows to `step` leaves, in a list; [] if it abandons none."""
        end = max((row.step for row in rows), default=step)
        return [cls(step, end)] if end > step else []


class Branched(NamedTuple):
    """The rows of a journal, separated by branch, each part in the order of writing."""

    living: list[Record]
    abandoned: list[Record]
    last: tuple[int, str]
    """Number and checksum of the last row."""
    tangled: bool
    """True if two processes have written in turn, and no row `UNTANGLED` has settled that yet."""
    ends: Sequence[DeadEnd] = ()
    """The steps that each rewind has abandoned."""


def branched(rows: Sequence[Record], before: tuple[int, str], *, since: int = 0) -> Branched:
    """Separates rows, whose numbers have no gap, by branch.

    Args:
        rows: all rows of a journal, or those from number `since` on. If a part is rewound to a step before it, the
            abandoned rows outside the part are left to the reader, who sees that the step numbers decrease.
        before: number and checksum of the row before the first.
        since: number of the last row that the reader has seen already.

    Raises:
        ValueError: the steps have a gap.
        RunError: this version of naslab does not know the kind of a row, or cannot decode it.
    """
    _check(rows)
    last = (rows[-1].id, rows[-1].digest) if rows else before
    living: list[Record] = []
    abandoned: list[Record] = []
    ends: list[DeadEnd] = []
    count = _count(rows[0]) if since and rows else 0  # steps done on the living branch
    for row in rows:
        if row.id == since:
            continue
        if row.kind in ASIDE_KINDS:
            living.append(row)
        elif row.kind == REWOUND:
            ends += DeadEnd.left(living, row.step)
            abandoned += [old for old in living if old.step > row.step]
            living = [old for old in living if old.step <= row.step]
            count = min(count, row.step)
        elif row.kind == UNTANGLED or (row.step != count + 1 and 0 < row.step <= count):
            # A part of the rows does not show which branch each belongs to: the caller reads all of them then.
            if since:
                return Branched(living, abandoned, last, tangled=True)
            return _untangled(rows, last)
        elif row.step != count + 1:
            raise ValueError("its steps are not 1, 2, 3, ... without a gap")
        else:
            living.append(row)
            count = row.step
    return Branched(living, abandoned, last, tangled=False, ends=ends)


def _count(row: Record) -> int:
    """Returns the number of steps done once a row is written."""
    return row.step - 1 if row.kind in AHEAD_KINDS else row.step


def _check(rows: Iterable[Record]) -> None:
    """Raises `RunError` unless this version of naslab can decode the rows.

    Only the last row of each kind is decoded: a newer version would have changed them all, and decoding every row of a
    long run takes seconds.
    """
    kinds: dict[str, Record] = {}
    for row in rows:
        if type(row.step) is not int or type(row.kind) is not str:
            raise ValueError(f"row {row.id} has the step {row.step!r:.50} and the kind {row.kind!r:.50}")
        kinds[row.kind] = row
    for kind, row in kinds.items():
        if kind in EVENTS:
            _ = row.event
        elif kind not in (REWOUND, UNTANGLED):
            raise strange(row, unknown("event", kind, EVENTS))


def strange(row: Record, why: object) -> RunError:
    """Returns the error for a row that this version of naslab cannot decode."""
    return RunError(f"row {row.id} of the events cannot be understood ({why}); was it written by a newer naslab?")


# --- two processes that wrote in turn ---------------------------------------------------------------


class _Branch:
    """A sequence of rows with the steps 1, 2, 3, ..."""

    def __init__(self, rows: Iterable[Record] = ()) -> None:
        self.rows = list(rows)
        self.count = sum(row.kind not in ASIDE_KINDS for row in self.rows)

    def back(self, step: int) -> _Branch:
        return _Branch(row for row in self.rows if row.step <= step)

    def take(self, row: Record) -> None:
        self.rows.append(row)
        self.count += row.kind not in ASIDE_KINDS

    @property
    def knobs(self) -> object:
        """The settings that were in force at its last step."""
        return next((_knobs(row) for row in reversed(self.rows) if row.kind not in ASIDE_KINDS), None)


def _untangled(rows: Sequence[Record], last: tuple[int, str]) -> Branched:
    """Separates the rows of a journal that several processes have written to."""
    branches = [_Branch()]  # the one that was written to last stands last
    for group in _transactions(rows):
        for row in group:
            if row.kind == UNTANGLED:
                branches = [_longest(branches)]
            elif row.kind == REWOUND:
                of = next((each for each in reversed(branches) if each.count >= row.step), None)
                if of is None:
                    raise ValueError("it goes back to a step that there is not")
                branches = [*(each for each in branches if each is not of), of.back(row.step)]
            else:
                branch = _continued(branches, row, group)
                branch.take(row)
                branches = [*(each for each in branches if each is not branch), branch]
    longest = _longest(branches)
    alive = {row.id for row in longest.rows}
    left = [row for row in rows if row.id not in alive and row.kind not in (REWOUND, UNTANGLED)]
    return Branched(longest.rows, left, last, tangled=len(branches) > 1)


def _transactions(rows: Sequence[Record]) -> Iterator[list[Record]]:
    """Yields the rows of each transaction, which all have the same time."""
    for _, group in groupby(rows, key=lambda row: row.time):
        yield list(group)


def _continued(branches: Sequence[_Branch], row: Record, group: Sequence[Record]) -> _Branch:
    """Returns the branch that a row continues, perhaps a new one.

    An event beside the steps belongs to the branch of the step that its transaction ends with.
    """
    step = next((each for each in group if each.id >= row.id and each.kind not in ASIDE_KINDS), None)
    if step is None:  # a transaction without a step, for instance one measurement
        return next((each for each in reversed(branches) if each.count == row.step), branches[-1])
    if next_one := [each for each in branches if each.count == step.step - 1]:
        # If several branches are as far, the settings decide. If these agree too, the branches have been equal so far:
        # a searcher is a function of its seed and its settings, so that either choice is right.
        return next((each for each in next_one if each.knobs == _knobs(step)), next_one[0])
    further = [each for each in branches if each.count >= step.step]
    if not further or step.step < 1:
        raise ValueError("its steps are not 1, 2, 3, ... without a gap")
    # No branch ends just before the step: another process has begun again from an earlier snapshot.
    return further[-1].back(step.step - 1)


def _knobs(row: Record) -> object:
    found = getattr(row.event, "settings", None)
    return None if found is None else dict(found)


def _longest(branches: Sequence[_Branch]) -> _Branch:
    """Returns the branch with the most steps; of several, the one that was written to last."""
    return max(reversed(branches), key=lambda each: each.count)
