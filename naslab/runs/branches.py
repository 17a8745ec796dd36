"""Which rows of a journal are the run, and which were left behind.

    a step's row            the living branch grows
    a row `REWOUND`         its step is the last again; what came after it is abandoned
    a step that is not next another process has gone on from an earlier step: there are two branches now
    a row `UNTANGLED`       of several branches the longest goes on, the others are abandoned

Nothing here reads or writes. Two branches come about when two processes drive one run; a row then belongs to the branch
whose last step is the one before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from naslab.errors import RunError, SpecError, unknown
from naslab.events import EVENTS, Acted, Changed, Event, Measured, Phase, Ranked, Recovered, Saved, from_record

ASIDE = (Changed, Acted, Phase, Measured, Ranked, Saved, Recovered)
"""Events that are said beside the steps; every other event *is* a step, one each."""
ASIDE_KINDS = frozenset(event.kind for event in ASIDE)
AHEAD_KINDS = frozenset(event.kind for event in (Changed, Acted, Phase))
"""Those that are said before the step whose number they have."""

REWOUND = "rewound"
"""Kind of the row that says that the run has gone back to its step."""
UNTANGLED = "untangled"
"""Kind of the row that says that the longest branch goes on."""


class Row(NamedTuple):
    """An event with its number in the journal and the moment it was written."""

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
    """A row as it stands in a journal."""

    id: int
    time: float
    """Seconds since 1970."""
    kind: str
    step: int
    text: str
    blob: bytes
    digest: str
    earlier: str
    """The digest that it had in an earlier format, if it was written in one; else empty."""

    @property
    def is_step(self) -> bool:
        """Whether it is a step, and not something beside the steps, or about the rows themselves."""
        return self.kind in EVENTS and self.kind not in ASIDE_KINDS

    @property
    def event(self) -> Event:
        """What the row tells, made anew each time."""
        try:
            return from_record(self.kind, self.text, self.blob)
        except SpecError as error:
            raise strange(self, error) from error

    def written(self) -> tuple[float, str, int, str, bytes]:
        """What a journal keeps of it, but for number and checksum."""
        return self[1:6]


class DeadEnd(NamedTuple):
    """Steps that were left behind when a run went back."""

    parted: int
    """The step that it went back to."""
    step: int
    """The last of them."""

    @classmethod
    def left(cls, rows: Iterable[Row | Record], step: int) -> list[DeadEnd]:
        """What going back to a step leaves behind of the living rows: one dead end, or none."""
        end = max((row.step for row in rows), default=step)
        return [cls(step, end)] if end > step else []


class Branched(NamedTuple):
    """Rows in their order, told apart."""

    living: list[Record]
    abandoned: list[Record]
    last: tuple[int, str]
    """Number and checksum of the last row."""
    tangled: bool
    """Whether two processes have written in turn, and none has cleared that up since."""
    ends: Sequence[DeadEnd] = ()
    """What was left behind each time that the run has gone back."""


def branched(rows: Sequence[Record], before: tuple[int, str], *, since: int = 0) -> Branched:
    """Tell rows apart that follow each other without a gap.

    Args:
        rows: all of a journal, or those from number `since` on. Of a part, what it goes back on is not known: it is
            left to the reader, who sees that the steps go back.
        before: number and checksum of the row before the first.
        since: number of a row that has been seen.

    Raises:
        ValueError: the steps have a gap.
        RunError: a row was not written by this naslab.
    """
    _check(rows)
    last = (rows[-1].id, rows[-1].digest) if rows else before
    living: list[Record] = []
    abandoned: list[Record] = []
    ends: list[DeadEnd] = []
    count = _count(rows[0]) if since and rows else 0
    """Steps that are done."""
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
    """Steps done once a row is written."""
    return row.step - 1 if row.kind in AHEAD_KINDS else row.step


def _check(rows: Iterable[Record]) -> None:
    """Raise `RunError` unless this naslab can tell what each row says: the last of each kind for all of its kind."""
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
    """The error for a row that says nothing to this naslab."""
    return RunError(f"row {row.id} of the events cannot be understood ({why}); was it written by a newer naslab?")


# --- two that wrote in turn -------------------------------------------------------------------------


class _Branch:
    """Rows that follow from each other, from the first step on."""

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
        """Those in force at its last step."""
        return next((_knobs(row) for row in reversed(self.rows) if row.kind not in ASIDE_KINDS), None)


def _untangled(rows: Sequence[Record], last: tuple[int, str]) -> Branched:
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
    """Rows that were written together: they have the same time."""
    for _, group in groupby(rows, key=lambda row: row.time):
        yield list(group)


def _continued(branches: Sequence[_Branch], row: Record, group: Sequence[Record]) -> _Branch:
    """The branch that a row goes on with, perhaps a new one."""
    step = next((each for each in group if each.id >= row.id and each.kind not in ASIDE_KINDS), None)
    if step is None:  # said beside the steps, and alone
        return next((each for each in reversed(branches) if each.count == row.step), branches[-1])
    if next_one := [each for each in branches if each.count == step.step - 1]:
        # Where both are as far, it is the one with the same knobs; if both have them, they are the same so far.
        return next((each for each in next_one if each.knobs == _knobs(step)), next_one[0])
    further = [each for each in branches if each.count >= step.step]
    if not further or step.step < 1:
        raise ValueError("its steps are not 1, 2, 3, ... without a gap")
    return further[-1].back(step.step - 1)


def _knobs(row: Record) -> object:
    found = getattr(row.event, "settings", None)
    return None if found is None else dict(found)


def _longest(branches: Sequence[_Branch]) -> _Branch:
    """Among branches of equal length, the one that was written to last."""
    return max(reversed(branches), key=lambda each: each.count)
