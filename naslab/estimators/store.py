"""Stores for checkpoints of candidates, by key: a folder, or any other storage of named files.

A checkpoint is a local file on the machine that trains: `fetch` returns its path and downloads it if the store has it;
`publish` uploads it. A folder store needs no transfers, since the file is already in place. Another kind of store (an
object store in a cloud, for instance) has a local folder on each machine and copies files both ways. Files with the
same name and another suffix, which an estimator may write beside a checkpoint, belong to it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol

from naslab import files
from naslab.errors import SpecError
from naslab.paths import is_folder
from naslab.registry import described, named

KEPT = "[0-9]*.snapshot"
"""File name pattern of checkpoints. The name of a file that a worker is still writing starts with a dot."""


class Entry(NamedTuple):
    """Metadata of a stored checkpoint."""

    time: float
    """Time of the last write, in seconds since 1970."""
    size: int
    """Size in bytes."""
    key: str


class WeightStore(Protocol):
    """Stores checkpoints by key. A key is a file name, such as `000012-a1b2c3d4e5f6.snapshot`.

    Entries may be removed at any time: a missing checkpoint only means that the candidate is trained again.
    """

    name: ClassVar[str]
    """Key of the class in `STORES`, which a user-defined class may be added to."""

    def fetch(self, key: str) -> Path:
        """Returns the local path of a checkpoint, downloaded if the store has it; the file may not exist yet."""
        ...

    def publish(self, key: str) -> None:
        """Store the current contents of the local file."""
        ...

    def remove(self, key: str) -> None:
        """Remove the entry; does nothing if there is none."""
        ...

    def entries(self) -> list[Entry]:
        """Returns all entries."""
        ...

    def spec(self) -> dict[str, Any]:
        """Returns JSON from which `from_spec` rebuilds the store, also on another machine."""
        ...


@dataclass(frozen=True)
class FolderStore:
    """A folder on a disk that the training processes share. It need not exist yet."""

    path: Path
    name: ClassVar[str] = "folder"

    def fetch(self, key: str) -> Path:
        return self.path / key

    def publish(self, key: str) -> None:
        """Does nothing: the file is already in place."""

    def remove(self, key: str) -> None:
        with suppress(OSError):
            os.unlink(self.path / key)

    def entries(self) -> list[Entry]:
        found: list[Entry] = []
        if not is_folder(self.path):
            return found
        with suppress(OSError):
            for file in self.path.glob(KEPT):
                with suppress(OSError):  # a worker may have removed a damaged file meanwhile
                    said = files.check_file(file)
                    found.append(Entry(said.st_mtime, said.st_size, file.name))
        return found

    def spec(self) -> dict[str, Any]:
        return {"store": self.name, "path": str(self.path)}

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> FolderStore:
        return cls(Path(spec["path"]))


STORES: dict[str, Any] = {FolderStore.name: FolderStore}
"""Name in a spec -> class of the store."""


@described("a store of trainings")
def from_spec(spec: Mapping[str, Any]) -> WeightStore:
    """Returns the store that `store.spec()` describes."""
    if not isinstance(spec, Mapping) or "store" not in spec:
        raise SpecError(f"expected an object with the key 'store', got {spec!r:.200}")
    return named("store of trainings", spec["store"], STORES, object, suits=_is_store).from_spec(spec)


def _is_store(cls: type) -> bool:
    return all(callable(getattr(cls, method, None)) for method in ("fetch", "publish", "entries", "from_spec"))
