"""States that are kept beside the events of a run, found by name or by checksum."""

from __future__ import annotations

from collections.abc import Iterable

from naslab.blobs import Blobs, is_digest
from naslab.errors import RunError, among, unknown
from naslab.events import Event, Saved
from naslab.snapshot import State


def kept_state(name: str, events: Iterable[Event], blobs: Blobs) -> State:
    """Returns the latest state that is kept under a name, or the one with that checksum.

    Raises:
        RunError: there is no state of that name or checksum.
        SnapshotDamaged: the file does not hold what was kept.
    """
    if is_digest(name):
        return blobs.get(name)
    named = {event.name: event.digest for event in events if isinstance(event, Saved)}
    if not among(name, named):
        raise RunError(unknown("name of a kept state", name, named))
    return blobs.get(named[name])
