"""Where the trainings of candidates are left, by key: in a folder, or in whatever else keeps files by name.

A training is a file on the machine that trains: `fetch` says where it lies, or is to be left, and brings what the store
has of it; `publish` hands it over. In a folder the file itself is what is kept, and nothing has to be carried. A store
of another kind (of objects in a cloud, say) keeps a folder of its own on each machine, and carries files to and fro;
what an estimator leaves beside a file, under the same name with another ending, belongs to it.
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
"""What kept trainings are called. A file that a worker is still writing begins with a dot."""


class Entry(NamedTuple):
    """What a store says of a training that it has."""

    time: float
    """When it was last written, in seconds since 1970."""
    size: int
    """Bytes."""
    key: str


class WeightStore(Protocol):
    """Keeps trainings by key. A key is the name of a file, such as `000012-a1b2c3d4e5f6.snapshot`.

    What is not there any more is trained again, so that nothing is lost with an entry.
    """

    name: ClassVar[str]
    """By which `STORES`, or a class of the user's own, is found again."""

    def fetch(self, key: str) -> Path:
        """The file of a training on this machine, with what the store has of it; there may be nothing yet."""
        ...

    def publish(self, key: str) -> None:
        """Keep what lies in that file now."""
        ...

    def remove(self, key: str) -> None:
        """Keep it no longer; nothing if there is nothing."""
        ...

    def entries(self) -> list[Entry]:
        """What there is."""
        ...

    def spec(self) -> dict[str, Any]:
        """JSON from which `from_spec` makes the store again on another machine."""
        ...


@dataclass(frozen=True)
class FolderStore:
    """A folder on a disk that the training processes share. It need not exist yet."""

    path: Path
    name: ClassVar[str] = "folder"

    def fetch(self, key: str) -> Path:
        return self.path / key

    def publish(self, key: str) -> None:
        """It is there already."""

    def remove(self, key: str) -> None:
        with suppress(OSError):
            os.unlink(self.path / key)

    def entries(self) -> list[Entry]:
        found: list[Entry] = []
        if not is_folder(self.path):
            return found
        with suppress(OSError):
            for file in self.path.glob(KEPT):
                with suppress(OSError):  # a worker may remove one that is damaged
                    said = files.check_file(file)
                    found.append(Entry(said.st_mtime, said.st_size, file.name))
        return found

    def spec(self) -> dict[str, Any]:
        return {"store": self.name, "path": str(self.path)}

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> FolderStore:
        return cls(Path(spec["path"]))


STORES: dict[str, Any] = {FolderStore.name: FolderStore}
"""Name in a spec -> the class of stores."""


@described("a store of trainings")
def from_spec(spec: Mapping[str, Any]) -> WeightStore:
    """The store that `store.spec()` describes."""
    if not isinstance(spec, Mapping) or "store" not in spec:
        raise SpecError(f"expected an object with the key 'store', got {spec!r:.200}")
    return named("store of trainings", spec["store"], STORES, object, suits=_is_store).from_spec(spec)


def _is_store(cls: type) -> bool:
    return all(callable(getattr(cls, method, None)) for method in ("fetch", "publish", "entries", "from_spec"))
