"""A job: the evaluation of a candidate as a few kilobytes of JSON, for executors on other machines.

    job = spec and fingerprint of the estimator, architecture, lineage with the keys of checkpoints, their store
    worker:  make the estimator once and cache it; fetch the checkpoints of the lineage; evaluate; publish the new ones

A job contains no data: a worker makes estimator and task from their specs, and the fingerprint confirms that they are
equal. An estimator without such a spec (a function, a task of the user's arrays, classes defined in a notebook) cannot
be sent as a job; `describe` then returns None, and the object itself is sent.
"""

from __future__ import annotations

import json
import weakref
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from naslab import estimators, spaces, tasks
from naslab.architecture import Architecture
from naslab.errors import RunError, among
from naslab.estimators import store
from naslab.estimators.estimator import Learning
from naslab.estimators.evaluation import Outcome, TrainingStage, evaluate
from naslab.estimators.store import WeightStore
from naslab.estimators.wrapped import layers
from naslab.registry import own

CACHED_ESTIMATORS = 4
"""Number of estimators that a worker caches, with their data."""

_local_estimators: weakref.WeakValueDictionary[tuple[str, str], Any] = weakref.WeakValueDictionary()
"""(spec, fingerprint) -> estimator of this process, which jobs in this process, or one forked from it, use directly."""


class NotMade(RunError):
    """A worker could not make the estimator that a job describes, which is not the fault of the candidate."""


class Link(NamedTuple):
    """One training in the lineage of a candidate."""

    architecture: Architecture
    fidelity: float | None
    """Epochs in total at its end."""
    key: str | None
    """Key of its checkpoint in the store; None if the estimator keeps no weights."""


class Described(NamedTuple):
    """Description of an estimator from which another process can make it."""

    spec: str
    """JSON."""
    fingerprint: str


class Job(NamedTuple):
    """Evaluation of one candidate. `Job.from_json(job.to_json())` is equal to `job`."""

    estimator: Described
    architecture: Architecture
    lineage: tuple[Link, ...] = ()
    """Lineage as of `naslab.estimators.evaluation.evaluate`, with keys in place of files."""
    store: Mapping[str, Any] | None = None
    """Spec of the store of checkpoints; None if there are none."""
    memory: Any = ()
    """State of an estimator that learns (`Learning.state_dict`), as JSON."""

    def to_json(self) -> str:
        return json.dumps(
            {
                "estimator": list(self.estimator),
                "architecture": _record(self.architecture),
                "lineage": [[_record(architecture), *rest] for architecture, *rest in self.lineage],
                "store": self.store,
                "memory": self.memory,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Job:
        read = json.loads(text)
        lineage = tuple(Link(Architecture.from_record(one), *rest) for one, *rest in read["lineage"])
        architecture = Architecture.from_record(read["architecture"])
        return cls(Described(*read["estimator"]), architecture, lineage, read["store"], read["memory"])

    def run(self) -> Outcome:
        """Evaluates the candidate in this process.

        Raises:
            NotMade: the estimator cannot be made here, or has another fingerprint.
        """
        estimator = _local_estimators.get(self.estimator)
        if estimator is None:
            estimator = _made(*self.estimator)
        if isinstance(estimator, Learning):
            estimator = estimator.with_state(self.memory)
        if self.store is None:
            return evaluate(estimator, self.architecture, [TrainingStage(*link[:2], None) for link in self.lineage])
        return evaluate_kept(estimator, self.architecture, self.lineage, store.from_spec(self.store))


def run(job: str) -> Outcome:
    """Evaluates what `Job.to_json` returned; this is the function that an executor calls."""
    return Job.from_json(job).run()


def evaluate_kept(
    estimator: Any, architecture: Architecture, lineage: Sequence[Link], kept: WeightStore | None
) -> Outcome:
    """Evaluates a candidate with the checkpoints of its lineage from a store, and publishes the new ones there."""
    outcome = evaluate(estimator, architecture, stages(lineage, kept))
    if kept is not None:
        for link in lineage:
            if link.key is not None:
                kept.publish(link.key)
    return outcome


def stages(lineage: Sequence[Link], kept: WeightStore | None) -> tuple[TrainingStage, ...]:
    """Returns the lineage with files of this machine in place of keys."""
    if not lineage:
        return ()
    return tuple(
        TrainingStage(architecture, fidelity, None if key is None or kept is None else kept.fetch(key))
        for architecture, fidelity, key in lineage
    )


def describe(estimator: Any) -> Described | None:
    """Returns the description of an estimator; None if another process could not make it from that."""
    if isinstance(estimator, Learning):
        estimator = estimator.with_state(())  # what it has learnt travels in each job instead
    if not all(map(_known, _parts(estimator))):
        return None
    try:
        found = Described(json.dumps(estimator.spec(), sort_keys=True), estimator.fingerprint())
    except (TypeError, ValueError):  # an option of a user's class that is not JSON
        return None
    _local_estimators[found] = estimator
    return found


def _parts(estimator: Any) -> Iterator[Any]:
    """Yields the estimator, those inside it, and their spaces, tasks and benchmarks."""
    inside = [estimator, *(layer.inside for layer in layers(estimator))]
    for one in inside:
        yield one
        for name in ("space", "task", "benchmark", "resources"):
            if (part := getattr(one, name, None)) is not None:
                yield from _parts(part) if name == "resources" else (part,)
        if isinstance(space := getattr(one, "space", None), spaces.Subset):
            yield space.of


def _known(part: Any) -> bool:
    """True if it can be made from its spec alone: its class is naslab's, and its data is not only in this process."""
    if own(type(part)) or type(part) in (estimators.Function, estimators.FunctionOfEpochs):
        return False
    if not isinstance(part, tasks.Task):
        return True
    if own(type(getattr(part, "augmentation", None))) and part.augmentation is not None:
        return False
    return among(part.spec().get("task"), {**tasks.TASKS, **tasks.CLASSES})


@lru_cache(CACHED_ESTIMATORS)
def _made(spec: str, fingerprint: str) -> Any:
    try:
        estimator = estimators.from_spec(json.loads(spec))
        found = estimator.fingerprint()
    except Exception as error:
        raise NotMade(f"the estimator cannot be made in a worker: {type(error).__name__}: {error!s:.300}") from None
    if found != fingerprint:
        raise NotMade(f"the estimator that a worker makes has the fingerprint {found:.12}, expected {fingerprint:.12}")
    return estimator


def _record(architecture: Architecture) -> dict[str, Any]:
    return {"space": architecture.space, "choices": list(architecture.choices)}
