"""Trained weights of a search's candidates, kept in a store, to continue trainings and to inherit weights.

The weights of a training are stored before its fitness is reported. Their key is a checksum of what they depend on: the
architecture, the training length, and the training that they started from. Weights that were removed are trained again.
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

STORE_BYTES = 2 * 2**30
"""Total size of the kept weights above which the oldest are removed; they are trained again if needed later."""


class Trained(NamedTuple):
    """What is needed to train a trial again."""

    architecture: Architecture
    fidelity: float | None
    begins_from: int | None
    key: str
    """Checksum of everything that the weights depend on, except the estimator."""


class KeptTrainings:
    """Records how each trial is trained, and in which store its weights are kept.

    Args:
        keeps: whether the estimator keeps weights. If not, a lineage only says how long to train.
    """

    def __init__(self, keeps: bool) -> None:
        self.keeps = keeps
        self.store: WeightStore | None = None
        """Store of the weights; by default a temporary folder, which is made before the first training."""
        self._trained: dict[int, Trained] = {}

    def note(self, trial: Trial) -> None:
        """Records a trial; must be called before any trial that starts from it."""
        if self.keeps or trial.fidelity is not None:
            before = None if trial.begins_from is None else self._trained[trial.begins_from].key
            # `before` is the key of the earlier training, so that the key covers the whole lineage
            record = json.dumps([trial.architecture.choices, trial.fidelity, before])
            key = blake2b(record.encode(), digest_size=6).hexdigest()
            self._trained[trial.number] = Trained(trial.architecture, trial.fidelity, trial.begins_from, key)

    def lineage(self, trial: Trial) -> tuple[Link, ...]:
        """Returns the trainings that lead to a trial, its own last; () if the estimator decides how to train."""
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

    def evict(self, wanted: Iterable[Trial]) -> None:
        """Removes the oldest weights that none of the trials starts from, down to `STORE_BYTES`."""
        if not self.keeps or self.store is None:
            return
        there = self.store.entries()
        used = sum(entry.size for entry in there)
        # what a trial starts from, and its own weights, which its evaluation may just have written
        needed = {link.key for trial in wanted for link in self.lineage(trial)[-2:]}
        for entry in sorted(there):  # the oldest first
            if used <= STORE_BYTES:
                return
            if entry.key not in needed:
                self.store.remove(entry.key)
                used -= entry.size

    def keep_in(self, store: WeightStore | Path) -> None:
        """Keeps weights in a store, or in a folder, which need not exist yet; `RunError` if it cannot be used."""
        if isinstance(store, Path):
            try:
                files.check_folder(store)
            except OSError as error:
                raise RunError(f"no trainings are kept in {error.filename}: {error.strerror}") from None
            store = FolderStore(store)
        self.store = store

    def take(self, other: KeptTrainings) -> None:
        """Copies the weights that another search still has."""
        if other.store is None or not (there := other.store.entries()):
            return
        with suppress(OSError, RunPaused):  # what cannot be copied is trained again
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
        # removed with this object, or at the end of the process
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return FolderStore(Path(folder))

    def state_dict(self) -> list[Any]:
        """Returns the records of the trials as JSON, without their space."""
        return [[number, list(one.architecture.choices), *one[1:]] for number, one in self._trained.items()]

    def load_state_dict(self, space: str, state: Iterable[Any]) -> None:
        """Restores what `state_dict` returned.

        Args:
            space: name of the space of the architectures.
            state: records of the trials.
        """
        known: Mapping[int, Trained] = {
            number: Trained(Architecture(space, tuple(choices)), *rest) for number, choices, *rest in state
        }
        self._trained = dict(known)
