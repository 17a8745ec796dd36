"""States that are kept beside the events of a run, found by name or by checksum."""

from __future__ import annotations

from collections.abc import Iterable

from naslab.blobs import Blobs, is_digest
from naslab.errors import RunError, among, unknown
from naslab.events import Event, Saved
from naslab.snapshot import State


def kept_state(name: str, events: Iterable[Event], blobs: Blobs) -> State:
    """The latest state that is kept under a name, or the one with that checksum.

    Raises:
        RunError: nothing is kept so.
        SnapshotDamaged: it is not what was kept.
    """
    if is_digest(name):
        return blobs.get(name)
    named = {event.name: event.digest for event in events if isinstance(event, Saved)}
    if not among(name, named):
        raise RunError(unknown("name of a kept state", name, named))
    return blobs.get(named[name])
