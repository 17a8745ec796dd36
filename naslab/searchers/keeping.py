"""What a searcher may keep besides its events: states that are too large for them, each referred to by its checksum."""

from __future__ import annotations

import functools
from collections.abc import Mapping

from torch import Tensor

from naslab import snapshot
from naslab.blobs import Blobs
from naslab.snapshot import State


class KeepsStates:
    """Base of searchers."""

    @functools.cached_property
    def blobs(self) -> Blobs:
        """Where states are kept: in memory, and in the run folder once a `naslab.Search` drives the searcher."""
        return Blobs()

    def keep_states_in(self, blobs: Blobs) -> None:
        """Keep states there, from here on."""
        self.blobs = blobs

    def keep(self, state: Mapping[str, Tensor | int | float | str]) -> str:
        """Keep a state of tensors, numbers and strings. Its checksum, for an event, gives it back (`kept`).

        A step that is done again keeps the same, and nothing twice.
        """
        with snapshot.disk("keeping a state of the searcher"):
            return self.blobs.put(state)

    def kept(self, digest: str) -> State:
        """The state with that checksum; `RunError` if there is none."""
        return self.blobs.get(digest)
