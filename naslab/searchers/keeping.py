"""States that are too large for events; an event refers to each by its checksum."""

from __future__ import annotations

import functools
from collections.abc import Mapping

from torch import Tensor

from naslab import snapshot
from naslab.blobs import Blobs
from naslab.snapshot import State


class KeepsStates:
    """Base class of searchers that keep such states."""

    @functools.cached_property
    def blobs(self) -> Blobs:
        """Store of the states: in memory, or in the run folder once a `naslab.Search` drives the searcher."""
        return Blobs()

    def keep_states_in(self, blobs: Blobs) -> None:
        """From now on, keeps states in `blobs`."""
        self.blobs = blobs

    def keep(self, state: Mapping[str, Tensor | int | float | str]) -> str:
        """Keeps a state of tensors, numbers and strings; returns its checksum for an event. `kept` loads it.

        Equal states are stored once, so that a replayed step adds nothing.
        """
        with snapshot.disk("keeping a state of the searcher"):
            return self.blobs.put(state)

    def kept(self, digest: str) -> State:
        """Returns the state with that checksum; `RunError` if there is none."""
        return self.blobs.get(digest)
