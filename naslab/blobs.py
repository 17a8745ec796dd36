"""Content-addressed storage of states: each is found by its checksum, in a folder (`naslab.snapshot`) or in memory.

Equal states are stored once. A state that is read back equals the stored one bit for bit, or an error is raised.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor

from naslab import files, snapshot
from naslab.errors import RunError, SnapshotDamaged
from naslab.snapshot import State
from naslab.torch_state import default_torch_state
from naslab.transfer import state_on_host

_DIGEST = re.compile(r"[0-9a-f]{64}")


class Blobs:
    """States by checksum.

    Args:
        folder: folder of the files, which need not exist yet; None keeps the states in memory.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._states: dict[str, State] = {}

    @default_torch_state()
    def put(self, state: Mapping[str, Tensor | int | float | str]) -> str:
        """Store a state of tensors, numbers and strings; returns its checksum, 64 hexadecimal digits.

        Raises:
            SpecError: a value is of another kind.
            OSError: it could not be written.
        """
        digest = snapshot.digest(state)
        if self._folder is None:
            self._states[digest] = {
                name: value.detach().clone() if isinstance(value, torch.Tensor) else value
                for name, value in state_on_host(state).items()
            }
            return digest
        with suppress(SnapshotDamaged, RunError):  # a damaged file of this name is replaced below
            self.get(digest)
            return digest
        self._folder.mkdir(exist_ok=True)
        snapshot.write(self._file(digest), state)
        return digest

    @default_torch_state()
    def get(self, digest: str) -> State:
        """Returns the state with that checksum.

        Raises:
            RunError: there is none.
            SnapshotDamaged: the file does not hold what was stored.
        """
        if self._folder is None:
            if digest not in self._states:
                raise _missing(digest)
            return {
                name: value.clone() if isinstance(value, torch.Tensor) else value
                for name, value in self._states[digest].items()
            }
        try:
            state = snapshot.read(self._file(digest), links=False)
        except FileNotFoundError:
            raise _missing(digest) from None
        if snapshot.digest(state) != digest:
            raise SnapshotDamaged(f"{self._file(digest)} holds another state than its name says")
        return state

    def digests(self) -> list[str]:
        """Returns the checksums of all stored states."""
        if self._folder is None:
            return list(self._states)
        with suppress(OSError):
            files.check_folder(self._folder)
            return sorted(path.stem for path in self._folder.glob("*.snapshot") if _DIGEST.fullmatch(path.stem))
        return []

    def take(self, other: Blobs) -> None:
        """Copy all states of another store, as far as they can be read."""
        for digest in other.digests():
            try:
                state = other.get(digest)
            except (OSError, RunError):
                continue
            self.put(state)

    def _file(self, digest: str) -> Path:
        assert self._folder is not None
        if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):  # it could be the path of any file
            raise _missing(digest)
        return self._folder / f"{digest}.snapshot"


def is_digest(text: object) -> bool:
    """True if the text has the form of a checksum."""
    return isinstance(text, str) and _DIGEST.fullmatch(text) is not None


def _missing(digest: object) -> RunError:
    return RunError(f"no state with the checksum {digest!r:.100} is kept here")
