"""The trainings of a search's candidates that are left in a store, to go on with and to inherit from.

Each is left before its fitness is told, named after all that it depends on: the architecture, how long it was trained,
and the training that it began with. What is not there any more is trained again.
"""

from __future__ import annotations

import json
import shutil
import weakref
from collections.abc import Iterable, Mapping
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, NamedTuple

from naslab import files, snapshot
from naslab.architecture import Architecture
from naslab.errors import RunError, RunPaused
from naslab.estimators.job import Link
from naslab.estimators.store import FolderStore, WeightStore
from naslab.searchers.sampler import Trial

ROOM = 2 * 2**30
"""Bytes of kept trainings from which on the oldest are removed. What is missed later is trained again."""


class Trained(NamedTuple):
    """What has to be known of a trial to train it again."""

    architecture: Architecture
    fidelity: float | None
    begins_from: int | None
    key: str
    """Checksum of all that its weights depend on, but for the estimator."""


class KeptTrainings:
    """Knows of each trial how it is trained, and where its training is left.

    Args:
        keeps: whether the estimator leaves any weights. If not, a lineage says only how long to train.
    """

    def __init__(self, keeps: bool) -> None:
        self.keeps = keeps
        self.store: WeightStore | None = None
        """Where they are; a temporary folder from the first training on, if nothing else was said."""
        self._trained: dict[int, Trained] = {}

    def note(self, trial: Trial) -> None:
        """Know of a trial, before any that begins from it."""
        if self.keeps or trial.fidelity is not None:
            before = None if trial.begins_from is None else self._trained[trial.begins_from].key
            told = json.dumps([trial.architecture.choices, trial.fidelity, before])
            key = blake2b(told.encode(), digest_size=6).hexdigest()
            self._trained[trial.number] = Trained(trial.architecture, trial.fidelity, trial.begins_from, key)

    def lineage(self, trial: Trial) -> tuple[Link, ...]:
        """The trainings that lead to a trial, its own last; none where the estimator is to do as it sees fit."""
        if trial.number not in self._trained:
            return ()
        links: list[Link] = []
        number: int | None = trial.number
        if self.keeps and self.store is None:
            self.store = self._temporary()
        while number is not None:
            architecture, fidelity, before, key = self._trained[number]
            links.append(Link(architecture, fidelity, f"{number:06d}-{key}.snapshot" if self.keeps else None))
            number = before
        return tuple(reversed(links))

    def make_room(self, wanted: Iterable[Trial]) -> None:
        """Remove the oldest trainings that none of the trials begins with, if there are too many."""
        if not self.keeps or self.store is None:
            return
        there = self.store.entries()
        used = sum(entry.size for entry in there)
        needed = {link.key for trial in wanted for link in self.lineage(trial)[-2:]}
        for entry in sorted(there):
            if used <= ROOM:
                return
            if entry.key not in needed:
                self.store.remove(entry.key)
                used -= entry.size

    def keep_in(self, store: WeightStore | Path) -> None:
        """Leave trainings in a store, or in a folder, which need not exist yet."""
        if isinstance(store, Path):
            try:
                files.check_folder(store)
            except OSError as error:
                raise RunError(f"no trainings are kept in {error.filename}: {error.strerror}") from None
            store = FolderStore(store)
        self.store = store

    def take(self, other: KeptTrainings) -> None:
        """Have what others have trained, as far as it can still be had."""
        if other.store is None or not (there := other.store.entries()):
            return
        with suppress(OSError, RunPaused):  # what cannot be had is trained again
            if self.store is None:
                self.store = self._temporary()
            for entry in there:
                source, target = other.store.fetch(entry.key), self.store.fetch(entry.key)
                target.parent.mkdir(parents=True, exist_ok=True)
                snapshot.write_bytes(target, files.read(source))
                self.store.publish(entry.key)

    def _temporary(self) -> FolderStore:
        with snapshot.disk("making a temporary folder for trainings"):
            folder = mkdtemp(prefix="naslab-candidates-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return FolderStore(Path(folder))

    def state_dict(self) -> list[Any]:
        """What is known of the trials, as JSON but for their space."""
        return [[number, list(one.architecture.choices), *one[1:]] for number, one in self._trained.items()]

    def load_state_dict(self, space: str, state: Iterable[Any]) -> None:
        """Take back what `state_dict` returned, of architectures of that space."""
        known: Mapping[int, Trained] = {
            number: Trained(Architecture(space, tuple(choices)), *rest) for number, choices, *rest in state
        }
        self._trained = dict(known)
