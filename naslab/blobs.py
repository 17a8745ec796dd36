"""States that are kept by their checksum: in a folder, a file each (`naslab.snapshot`), or in memory.

What is equal is kept once, and what is given back is what was put in, bit for bit, or an error.
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

_DIGEST = re.compile(r"[0-9a-f]{64}")


class Blobs:
    """States by checksum.

    Args:
        folder: where they are, which need not exist yet; None keeps them in memory.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._states: dict[str, State] = {}

    @default_torch_state()
    def put(self, state: Mapping[str, Tensor | int | float | str]) -> str:
        """Keep a state of tensors, numbers and strings; its checksum, 64 hexadecimal digits.

        Raises:
            SpecError: a value is nothing of that kind.
            OSError: the disk does not take it.
        """
        digest = snapshot.digest(state)
        if self._folder is None:
            self._states[digest] = {
                name: value.detach().to("cpu", copy=True) if isinstance(value, torch.Tensor) else value
                for name, value in state.items()
            }
            return digest
        with suppress(SnapshotDamaged, RunError):
            self.get(digest)
            return digest
        self._folder.mkdir(exist_ok=True)
        snapshot.write(self._file(digest), state)
        return digest

    @default_torch_state()
    def get(self, digest: str) -> State:
        """The state with that checksum.

        Raises:
            RunError: there is none.
            SnapshotDamaged: it is not what was put in.
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
        """The checksums of all that is there."""
        if self._folder is None:
            return list(self._states)
        with suppress(OSError):
            files.check_folder(self._folder)
            return sorted(path.stem for path in self._folder.glob("*.snapshot") if _DIGEST.fullmatch(path.stem))
        return []

    def take(self, other: Blobs) -> None:
        """Have all that another has, as far as it can still be read."""
        for digest in other.digests():
            try:
                state = other.get(digest)
            except (OSError, RunError):
                continue
            self.put(state)

    def _file(self, digest: str) -> Path:
        assert self._folder is not None
        if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):  # it may be a stranger's, and name any file
            raise _missing(digest)
        return self._folder / f"{digest}.snapshot"


def is_digest(text: object) -> bool:
    """Whether a text may be the checksum of a state."""
    return isinstance(text, str) and _DIGEST.fullmatch(text) is not None


def _missing(digest: object) -> RunError:
    return RunError(f"no state with the checksum {digest!r:.100} is kept here")
