"""How the state after a step is brought back: the newest snapshot before it, and the steps from there done again."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from naslab.errors import RunError, SnapshotDamaged
from naslab.events import Acted, Changed, Event
from naslab.progress import SOON
from naslab.runs.branches import ASIDE
from naslab.runs.event_log import EventLog
from naslab.runs.store import Store
from naslab.searchers import Driven
from naslab.snapshot import State

LONG_REPLAY = 20
"""Steps done again from which on a progress bar shows them."""


class Differs(RunError):
    """A step that was done again came out differently."""

    def __init__(self, logged: Event, again: Event, start: int, run: Path | None) -> None:
        self.start = start
        before, now = _told(logged), _told(again)
        fields = [name for name in {**before, **now} if before.get(name) != now.get(name)]
        self.what = f"step {logged.step} was done again and came out differently ({', '.join(fields)})"
        way = f"Search.open({str(run)!r}, strict=False)" if run else f"rewind({start})"
        super().__init__(
            f"{self.what}. Results are equal bit for bit only with the same torch, processor, number of "
            f"threads and version of naslab's arithmetic. "
            f"{way} goes on from the snapshot of step {start} and keeps the steps after it as abandoned"
        )


def bring(
    searcher: Driven,
    step: int,
    *,
    store: Store,
    events: EventLog,
    begin: Callable[[], Driven],
    run: Path | None,
) -> tuple[int, list[str]]:
    """Put a searcher into the state after a step.

    Args:
        searcher: what to move.
        step: one that is done.
        store: has the snapshots.
        events: all up to the step, and perhaps later ones.
        begin: gives what is driven, as it was before its first step.
        run: the folder, for messages.

    Returns:
        The step of the snapshot that was taken, and what was damaged.
    """
    notes, start = [], 0
    for at in reversed([at for at in store.snapshots() if at <= step]):
        try:
            _load(searcher, store.load(at), at)
            start = at
            break
        except (SnapshotDamaged, FileNotFoundError) as error:
            store.set_aside(at)
            notes.append(f"{error}; it was set aside, and an earlier one used")
    else:
        searcher.load_state_dict(begin().state_dict())
    again = events.between(start, step)
    done: dict[int, list[Changed | Acted]] = {}
    for event in again:
        if isinstance(event, Changed | Acted):
            done.setdefault(event.step, []).append(event)
    steps = [event for event in again if not isinstance(event, ASIDE)]
    for logged in tqdm(steps, desc="steps done again", disable=len(steps) < LONG_REPLAY, leave=False, delay=SOON):
        for event in done.get(logged.step, []):
            _do(searcher, event, start, run)
        again = searcher.repeat(logged)
        if again != logged:
            raise Differs(logged, again, start, run)
    return start, notes


def _do(searcher: Driven, event: Changed | Acted, start: int, run: Path | None) -> None:
    """What a hand did, once more."""
    if isinstance(event, Changed):
        searcher.put(event.name, event.new)  # was checked then
        return
    before = searcher.act(event.name, event.arguments)
    if (again := dataclasses.replace(event, before=before)) != event:
        raise Differs(event, again, start, run)


def _load(searcher: Driven, state: State, step: int) -> None:
    """Take a snapshot's state. Its checksum is right; whether it is a state of this searcher is seen here."""
    try:
        searcher.load_state_dict(state)
        found = searcher.step
    except Exception as error:
        raise SnapshotDamaged(
            f"the snapshot of step {step} is no state of this searcher ({type(error).__name__}: {error!s:.200})"
        ) from error
    if found != step:
        raise SnapshotDamaged(f"the snapshot of step {step} is of step {found!r:.20}")


def _told(event: Event) -> dict[str, str]:
    """Every field, and every entry of those that are mappings, as a text that is another for another value."""
    found = {"kind": event.kind}
    for field in dataclasses.fields(event):
        value = getattr(event, field.name)
        entries = value.items() if isinstance(value, Mapping) else [(None, value)]
        for key, item in entries:
            name = field.name if key is None else f"{field.name}/{key}"
            found[name] = repr(item.tolist() if isinstance(item, np.ndarray) else item)
    return found
