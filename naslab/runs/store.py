"""Where a search keeps its events and snapshots: in a run folder (`naslab.runs.folder`), or in memory."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import torch

from naslab.blobs import Blobs
from naslab.events import Event
from naslab.runs.branches import DeadEnd, Record, Row
from naslab.snapshot import State
from naslab.torch_state import default_torch_state
from naslab.transfer import state_on_host

OLDER_KEPT = 8
"""Largest number of snapshots that are kept in addition to the first and the last two."""


class Store(Protocol):
    """Storage of a `naslab.Search`. Errors of the disk are raised as `OSError`, and then nothing was changed."""

    blobs: Blobs
    """States that are kept by their checksum."""
    run: str
    """Unique identifier of the run."""
    parent: Mapping[str, Any] | None
    """Origin of a fork: "run" (identifier), "path" (None in memory) and "step"; None otherwise."""

    def append(self, events: Sequence[Event]) -> None:
        """Keep the events of one step, all or none; a step that is stored already is not stored twice."""
        ...

    def rows(self) -> Sequence[Row | Record]:
        """Returns every row of the living branch."""
        ...

    def abandon(self, step: int) -> None:
        """Rewind to a step: later events become a dead branch, later snapshots are deleted."""
        ...

    def dead_ends(self) -> Sequence[DeadEnd]:
        """Returns the steps that each rewind has abandoned."""
        ...

    def save(self, step: int, state: State) -> None:
        """Keep a snapshot of the state after a step, and delete those that `kept` no longer lists."""
        ...

    def load(self, step: int) -> State:
        """Returns the state of a snapshot; `SnapshotDamaged` if it is not what was written."""
        ...

    def snapshots(self) -> list[int]:
        """Returns the steps of the snapshots, in order."""
        ...

    def set_aside(self, step: int) -> None:
        """Take a damaged snapshot out of use."""
        ...

    def close(self) -> None: ...


def kept(steps: Iterable[int], every: int) -> set[int]:
    """Returns the steps of the snapshots to keep. Their number is bounded, and every step can still be restored.

    These are the first and the last two, and of the others those at multiples of a stride: `every`, doubled until at
    most `OLDER_KEPT` are left. From any step, the nearest snapshot before it is then at most about an eighth of the run
    away, and the steps from there are repeated.

    Args:
        steps: steps that have a snapshot.
        every: steps from one snapshot to the next.
    """
    ordered = sorted(steps)
    older = [step for step in ordered[:-2] if step]
    stride = every
    while len([step for step in older if step % stride == 0]) > OLDER_KEPT:
        stride *= 2
    return {*ordered[:1], *ordered[-2:], *(step for step in older if step % stride == 0)}


class Memory:
    """A store in memory, which ends with the process. A search in it can be rewound and forked like any other."""

    def __init__(self, every: int, rows: Iterable[Row | Record] = (), parent: Mapping[str, Any] | None = None) -> None:
        self._every = every
        self._rows: list[Row | Record] = list(rows)
        self._states: dict[int, State] = {}
        self._dead_ends: list[DeadEnd] = []
        self.blobs = Blobs()
        self.run, self.parent = uuid.uuid4().hex, parent

    def append(self, events: Sequence[Event]) -> None:
        last = self._rows[-1] if self._rows else None
        if isinstance(last, Row) and last.event is events[-1]:
            return
        now = time.time()
        self._rows.extend([Row(number, now, event) for number, event in enumerate(events, len(self._rows) + 1)])

    def rows(self) -> Sequence[Row | Record]:
        return list(self._rows)

    def abandon(self, step: int) -> None:
        """Rewind to a step. Of the abandoned events only the range of their steps is kept."""
        self._dead_ends += DeadEnd.left(self._rows, step)
        self._rows = [row for row in self._rows if row.step <= step]
        self._states = {at: state for at, state in self._states.items() if at <= step}

    def dead_ends(self) -> Sequence[DeadEnd]:
        return list(self._dead_ends)

    @default_torch_state()
    def save(self, step: int, state: State) -> None:
        self._states[step] = state_on_host(state)
        stay = kept(self._states, self._every)
        self._states = {at: kept_state for at, kept_state in self._states.items() if at in stay}

    @default_torch_state()
    def load(self, step: int) -> State:
        return {
            name: value.clone() if isinstance(value, torch.Tensor) else value
            for name, value in self._states[step].items()
        }

    def snapshots(self) -> list[int]:
        return sorted(self._states)

    def set_aside(self, step: int) -> None:
        del self._states[step]

    def close(self) -> None:
        self._states.clear()
