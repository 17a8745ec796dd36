"""The evaluation of a candidate as a few kilobytes of JSON, for executors that carry it to another machine.

    job = estimator by its spec and fingerprint, architecture, lineage with the keys of kept trainings, their store
    worker:  make the estimator once, keep it; fetch what the lineage begins with; evaluate; publish what was trained

Data is not in it: a worker makes the task from its spec, as it makes the estimator, and the fingerprint says whether
the two are the same. An estimator that has no such spec (a function, a task of the user's own arrays, classes that are
defined in a notebook) cannot travel so, and `describe` says that it cannot; the object itself is sent then.
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
from naslab.estimators.evaluation import Outcome, Stage, evaluate
from naslab.estimators.store import WeightStore
from naslab.estimators.wrapped import layers
from naslab.registry import own

MOST_MADE = 4
"""Estimators that a worker keeps, with their data."""

_here: weakref.WeakValueDictionary[tuple[str, str], Any] = weakref.WeakValueDictionary()
"""(spec, fingerprint) -> an estimator of this process: a job that stays here, or goes to a process that is forked from
this one, uses it as it is."""


class NotMade(RunError):
    """A worker could not make the estimator that a job describes; no candidate is to blame."""


class Link(NamedTuple):
    """A training of the lineage that leads to a candidate."""

    architecture: Architecture
    fidelity: float | None
    """Epochs in all when it ends."""
    key: str | None
    """Under which it is kept in the store; None if the estimator keeps no weights."""


class Described(NamedTuple):
    """An estimator in words: another process makes it from them."""

    spec: str
    """JSON."""
    fingerprint: str


class Job(NamedTuple):
    """The evaluation of one candidate. Equal to what comes out of `from_json(job.to_json())`."""

    estimator: Described
    architecture: Architecture
    lineage: tuple[Link, ...] = ()
    """As of `naslab.estimators.evaluation.evaluate`, with keys in the place of files."""
    store: Mapping[str, Any] | None = None
    """Spec of the store of the kept trainings; None if there are none."""
    memory: Any = ()
    """What an estimator that learns has heard, as JSON."""

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
        told = json.loads(text)
        lineage = tuple(Link(Architecture.from_record(one), *rest) for one, *rest in told["lineage"])
        architecture = Architecture.from_record(told["architecture"])
        return cls(Described(*told["estimator"]), architecture, lineage, told["store"], told["memory"])

    def run(self) -> Outcome:
        """Evaluate the candidate in this process.

        Raises:
            NotMade: the estimator cannot be made here, or comes out as another one.
        """
        estimator = _here.get(self.estimator)
        if estimator is None:
            estimator = _made(*self.estimator)
        if isinstance(estimator, Learning):
            estimator = estimator.remember(self.memory)
        if self.store is None:
            return evaluate(estimator, self.architecture, [Stage(*link[:2], None) for link in self.lineage])
        return evaluate_kept(estimator, self.architecture, self.lineage, store.from_spec(self.store))


def run(job: str) -> Outcome:
    """Evaluate what `Job.to_json` describes: the function that an executor is given."""
    return Job.from_json(job).run()


def evaluate_kept(
    estimator: Any, architecture: Architecture, lineage: Sequence[Link], kept: WeightStore | None
) -> Outcome:
    """`evaluate`, with the trainings of the lineage fetched from a store, and what is left of them kept there."""
    outcome = evaluate(estimator, architecture, stages(lineage, kept))
    if kept is not None:
        for link in lineage:
            if link.key is not None:
                kept.publish(link.key)
    return outcome


def stages(lineage: Sequence[Link], kept: WeightStore | None) -> tuple[Stage, ...]:
    """The lineage with files of this machine."""
    if not lineage:
        return ()
    return tuple(
        Stage(architecture, fidelity, None if key is None or kept is None else kept.fetch(key))
        for architecture, fidelity, key in lineage
    )


def describe(estimator: Any) -> Described | None:
    """The estimator in words; None if another process cannot be expected to make it from them."""
    if isinstance(estimator, Learning):
        estimator = estimator.remember(())
    if not all(map(_known, _parts(estimator))):
        return None
    try:
        found = Described(json.dumps(estimator.spec(), sort_keys=True), estimator.fingerprint())
    except (TypeError, ValueError):  # a setting of the user's own that is no JSON
        return None
    _here[found] = estimator
    return found


def _parts(estimator: Any) -> Iterator[Any]:
    """The estimator, those inside, and what they are made of."""
    inside = [estimator, *(layer.inside for layer in layers(estimator))]
    for one in inside:
        yield one
        for name in ("space", "task", "benchmark", "resources"):
            if (part := getattr(one, name, None)) is not None:
                yield from _parts(part) if name == "resources" else (part,)
        if isinstance(space := getattr(one, "space", None), spaces.Subset):
            yield space.of


def _known(part: Any) -> bool:
    """Whether naslab alone can make it: its class is not the user's, and its data is not in this process alone."""
    if own(type(part)) or type(part) in (estimators.Function, estimators.FunctionOfEpochs):
        return False
    if not isinstance(part, tasks.Task):
        return True
    if own(type(getattr(part, "augmentation", None))) and part.augmentation is not None:
        return False
    return among(part.spec().get("task"), {**tasks.TASKS, **tasks.CLASSES})


@lru_cache(MOST_MADE)
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
