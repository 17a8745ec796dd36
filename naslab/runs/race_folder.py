"""A race on disk: a run folder (`naslab.runs.folder`) whose spec describes the runners and whose journal has every
evaluation.

A transaction takes milliseconds, for it waits for the disk, and a look-up in a table microseconds. So evaluations are
collected for `TOGETHER` seconds and written in one transaction; one that took longer is written at once. A kill loses
at most that much work, which is done again.
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
"""Seconds of evaluations that are written in one transaction, and may have to be done again after a crash."""


class RaceFolder:
    """The store of a race.

    Args:
        path: the folder of a race.

    Raises:
        RunError: there is no race, or another process drives it.
    """

    def __init__(self, path: Path) -> None:
        self._folder = Folder(path, "Race(searchers, estimator, run=...)")
        if "race" not in self._folder.spec:
            self._folder.close()
            raise RunError(f"the run at {path} is a search, and no race; go on with it by Search.open({str(path)!r})")
        self.spec: dict[str, Any] = self._folder.spec["race"]
        self.estimator: str = self._folder.task
        """Fingerprint of the estimator."""
        self.path, self.candidates = path, self._folder.candidates
        self._unwritten: list[Raced] = []
        self._written_at = time.monotonic()
        weakref.finalize(self, self._folder.close).atexit = False
        for note in self._folder.notes:
            warnings.warn(f"{path}: {note}", stacklevel=4)

    @classmethod
    def create(cls, path: Path, spec: Mapping[str, Any], *, total: int, estimator: str) -> RaceFolder:
        """Returns a new folder.

        Args:
            path: the new folder.
            spec: JSON of the race.
            total: expected number of evaluations.
            estimator: fingerprint of the estimator.
        """
        if os.path.lexists(path / "run.json"):
            raise RunError(f"there is a run at {path} already; if it is this race, go on with Race.open({str(path)!r})")
        metrics = {"fitness": Quantity("max")}
        above = create(path, {"race": dict(spec)}, total=total, task=estimator, every=1, states={}, metrics=metrics)
        try:
            return cls(path)
        except BaseException:  # a folder that cannot be driven is removed again
            unmake(path, above)
            raise

    def events(self) -> list[Raced]:
        """Returns every evaluation so far, in order."""
        events = [row.event for row in self._folder.rows()]
        return [event for event in events if isinstance(event, Raced)]

    def take(self, event: Raced) -> None:
        """Keep an evaluation, and write if it is time. If the disk refuses it, it stays in memory until `write`."""
        self._unwritten.append(event)
        if time.monotonic() - self._written_at > TOGETHER:
            try:
                self.write()
            except RunPaused:
                return

    def write(self) -> None:
        """Write everything that is in memory; `RunPaused` if the disk refuses it."""
        if not self._unwritten:
            return
        try:
            self._folder.append(self._unwritten)
        except OSError as error:
            raise RunPaused(
                f"{len(self._unwritten)} evaluations could not be written to {self.path}: {error}; "
                f"{free_space(self.path)}. Nothing is lost: make room (or repair the disk) and call next again"
            ) from error
        self._unwritten = []
        self._written_at = time.monotonic()

    @property
    def stuck(self) -> bool:
        """True if the last write that was due has failed."""
        return bool(self._unwritten) and time.monotonic() - self._written_at > TOGETHER

    def close(self) -> None:
        self.write()
        self._folder.close()


def as_described_now(recorded: list[dict[str, Any]] | None) -> Any:
    """Returns recorded specs of runners in the terms of this version: hyperparameters that were added since have their
    default values.
    """
    return recorded and json.loads(json.dumps([spec if "run" in spec else _described_now(spec) for spec in recorded]))


def _described_now(spec: dict[str, Any]) -> dict[str, Any]:
    """Returns the spec of a runner with that of its sampler renewed. An estimator in it may be a function, which only
    the user has, and is left as it is.
    """
    if "estimator" not in spec:
        return from_spec(spec).spec()
    sampler = {key: value for key, value in spec.items() if key not in ("estimator", "budget", "workers")}
    return {**spec, **from_spec(sampler).spec()}


def runner_factory(
    described: list[dict[str, Any]], seeds: tuple[int, ...], estimator: Any, logged: Sequence[Raced]
) -> Callable[[int], Any]:
    """Returns a function from a seed to the sampler, `BlackBoxSearch` or `Search` that a race was begun with.

    Args:
        described: specs of the runners, in the order of the seeds.
        seeds: seeds of the race.
        estimator: of the race, if it has one.
        logged: evaluations of these runners in the race.
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
    """Raises `RunError` unless a run that a race names was begun with it: a stranger's race could name any other run.

    The identity of the run decides; if an older naslab has not recorded it, the run must have made the same
    evaluations.
    """
    run = read(spec["run"])
    if "id" in spec:
        own = spec["id"] == run.identity
    else:
        found = [(e.number, e.architecture, e.fitness) for _, _, e in run.events() if isinstance(e, Evaluated)]
        logged_ones = [(event.number, event.architecture, event.fitness) for event in logged]
        own = bool(logged_ones) and found[: len(logged_ones)] == logged_ones
    if not own:
        raise RunError(
            f"the race names the run at {run.path}, which is not known to have been begun with it, and was not opened. "
            "If it was, pass the searchers as at the beginning: Race.open(path, searchers={...})"
        )
