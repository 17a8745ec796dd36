"""A race on disk: a run folder (`naslab.runs.folder`) whose spec tells the runners, whose journal every evaluation.

What is quick to do again is written together, a few times a second; what took longer at once.
"""

from __future__ import annotations

import json
import os
import time
import warnings
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from naslab.errors import RunError, RunPaused
from naslab.events import Evaluated, Raced
from naslab.quantities import Quantity
from naslab.runs.creation import create, unmake
from naslab.runs.folder import Folder
from naslab.runs.places import free_space
from naslab.runs.reader import read
from naslab.runs.search import Search
from naslab.searchers import from_spec

TOGETHER = 0.2
"""Seconds of evaluations that are written together, and may have to be done again after a crash."""


class RaceFolder:
    """What a race writes to.

    Args:
        path: of a race's folder.
    """

    def __init__(self, path: Path) -> None:
        self._folder = Folder(path, "Race(searchers, estimator, run=...)")
        if "race" not in self._folder.spec:
            self._folder.close()
            raise RunError(f"the run at {path} is a search, and no race; go on with it by Search.open({str(path)!r})")
        self.spec: dict[str, Any] = self._folder.spec["race"]
        self.estimator: str = self._folder.task
        """Fingerprint."""
        self.path, self.candidates = path, self._folder.candidates
        self._unwritten: list[Raced] = []
        self._written_at = time.monotonic()
        weakref.finalize(self, self._folder.close).atexit = False
        for note in self._folder.notes:
            warnings.warn(f"{path}: {note}", stacklevel=4)

    @classmethod
    def create(cls, path: Path, spec: Mapping[str, Any], *, total: int, estimator: str) -> RaceFolder:
        """A new one.

        Args:
            path: the folder to be.
            spec: JSON of the race.
            total: evaluations that it will have, more or less.
            estimator: fingerprint.
        """
        if os.path.lexists(path / "run.json"):
            raise RunError(f"there is a run at {path} already; if it is this race, go on with Race.open({str(path)!r})")
        metrics = {"fitness": Quantity("max")}
        above = create(path, {"race": dict(spec)}, total=total, task=estimator, every=1, states={}, metrics=metrics)
        try:
            return cls(path)
        except BaseException:  # where it cannot be driven, nothing of it is left
            unmake(path, above)
            raise

    def events(self) -> list[Raced]:
        """Every evaluation so far, in order."""
        events = [row.event for row in self._folder.rows()]
        return [event for event in events if isinstance(event, Raced)]

    def take(self, event: Raced) -> None:
        """Keep an evaluation, on disk if it is time. What the disk does not take is kept until `write`."""
        self._unwritten.append(event)
        if time.monotonic() - self._written_at > TOGETHER:
            try:
                self.write()
            except RunPaused:
                return

    def write(self) -> None:
        """Have everything on disk, or raise `RunPaused`."""
        if not self._unwritten:
            return
        try:
            self._folder.append(self._unwritten)
        except OSError as error:
            raise RunPaused(
                f"{len(self._unwritten)} evaluations could not be written to {self.path}: {error}; "
                f"{free_space(self.path)}. Nothing is lost: make room (or mend the disk) and call next again"
            ) from error
        self._unwritten = []
        self._written_at = time.monotonic()

    @property
    def stuck(self) -> bool:
        """Whether the disk did not take what it should have."""
        return bool(self._unwritten) and time.monotonic() - self._written_at > TOGETHER

    def close(self) -> None:
        self.write()
        self._folder.close()


def as_described_now(told: list[dict[str, Any]] | None) -> Any:
    """The runners that a folder tells, as this version describes them: with the hyperparameters that have come since,
    which are then at their defaults."""
    return told and json.loads(json.dumps([spec if "run" in spec else _described_now(spec) for spec in told]))


def _described_now(spec: dict[str, Any]) -> dict[str, Any]:
    """The spec of the sampler alone, for trials: an estimator may be a function, which only the user can supply."""
    if "estimator" not in spec:
        return from_spec(spec).spec()
    sampler = {key: value for key, value in spec.items() if key not in ("estimator", "budget", "workers")}
    return {**spec, **from_spec(sampler).spec()}


def runners(
    described: list[dict[str, Any]], seeds: tuple[int, ...], estimator: Any, logged: Sequence[Raced]
) -> Callable[[int], Any]:
    """From a seed to the sampler, trials or search that a race was begun with.

    Args:
        described: each runner, in the order of the seeds.
        estimator: of the race, if it has one.
        logged: what the runners have evaluated in the race.
    """
    by_seed = dict(zip(seeds, described, strict=True))

    def make(seed: int) -> Any:
        spec = by_seed[seed]
        if "run" in spec:
            _check_its_own(spec, [event for event in logged if event.seed == seed])
            return Search.open(spec["run"], estimator=estimator)
        return from_spec(spec)

    return make


def _check_its_own(spec: Mapping[str, Any], logged: Sequence[Raced]) -> None:
    """`RunError` unless a run that a race names was begun with it: a stranger's race could name any other.

    Its identity says so; where an older naslab has not written that down, what it has evaluated.
    """
    run = read(spec["run"])
    if "id" in spec:
        own = spec["id"] == run.identity
    else:
        found = [(e.number, e.architecture, e.fitness) for _, _, e in run.events() if isinstance(e, Evaluated)]
        told = [(event.number, event.architecture, event.fitness) for event in logged]
        own = bool(told) and found[: len(told)] == told
    if not own:
        raise RunError(
            f"the race names the run at {run.path}, which is not known to have been begun with it, and was not opened. "
            "If it was, pass the searchers as at the beginning: Race.open(path, searchers={...})"
        )
