"""Interfaces of estimators: functions from architectures to a fitness, more is better, that a run folder can record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, Protocol, runtime_checkable

from naslab import snapshot
from naslab.architecture import Architecture
from naslab.errors import SpecError
from naslab.estimators.score import Score
from naslab.lazy import keep_old_hooks
from naslab.spaces.space import Space

MOST_FITNESS = 1e100
"""Largest absolute value of a fitness, so that sums and squares of fitnesses stay finite. An estimator that wants to
reject a candidate returns NaN or raises an exception instead."""


@runtime_checkable
class Estimator(Protocol):
    """Scores architectures, one at a time.

    An optional attribute `objectives`, a sequence of `Objective`, declares names, directions and units of what is
    measured; the first belongs to the fitness. A table of losses, for instance, declares that its loss is minimised,
    and its fitness is the negated loss.
    """

    @property
    def space(self) -> Space | None:
        """Space of the architectures that it scores; None if it scores those of any space."""
        ...

    def __call__(self, architecture: Architecture) -> float | Score:
        """Returns the fitness. An exception, or a fitness that is not finite, means that the candidate failed."""
        ...

    def spec(self) -> dict[str, Any]:
        """Returns JSON from which `naslab.estimators.from_spec` makes an equal estimator, if possible."""
        ...

    def fingerprint(self) -> str:
        """Returns a checksum in hexadecimal digits, equal for estimators that compute the same fitness."""
        ...


class WrongSetup(SpecError):
    """The search is set up wrongly, so that all candidates would fail: it stops at once."""


class UnknownFidelity(WrongSetup):
    """The requested training length is not available."""


class CheckpointRef(NamedTuple):
    """A checkpoint of a training, with which another can begin."""

    architecture: Architecture
    fidelity: float | None
    """Epochs that it was trained for; None for the whole training."""
    path: Path | None
    """File that `Trainable.train` wrote; None if the estimator keeps no weights."""


@runtime_checkable
class Trainable(Estimator, Protocol):
    """An estimator with several fidelities: it can train for fewer epochs, and continue a training later.

    The result of a training depends only on the architecture, the epochs and the checkpoint it begins with. A
    checkpoint that was lost can therefore be computed again.
    """

    keeps_weights: bool
    """True if trainings leave checkpoints; a table has no weights."""

    def train(
        self,
        architecture: Architecture,
        *,
        fidelity: float | None = None,
        begin: CheckpointRef | None = None,
        keep: Path | None = None,
    ) -> Score:
        """Returns the score after `fidelity` epochs in total.

        Args:
            architecture: what to train.
            fidelity: epochs in total, including those of `begin`; None for the whole training.
            begin: checkpoint of the same architecture, to continue its training; or of another one, whose weights are
                inherited where shapes fit.
            keep: file for the checkpoint, which is written completely or not at all. If it exists, left by a training
                that was interrupted, the training continues from it.

        Raises:
            UnknownFidelity: the training length is not available.
        """
        ...

    def check_fidelity(self, fidelity: float) -> None:
        """Raises `UnknownFidelity` if `train` does not support this number of epochs."""
        ...


@runtime_checkable
class Learning(Estimator, Protocol):
    """An estimator that learns from the results of the search. It is immutable: `update` returns a new one.

    The score of a candidate depends only on the candidate and on the results, in their order, that the estimator was
    updated with, so that a search can be replayed.
    """

    def update(self, metrics: Mapping[str, float]) -> Estimator:
        """Returns an estimator that also knows the result of one candidate.

        Args:
            metrics: metrics of its score, which are the `figures` of its event.
        """
        ...

    def state_dict(self) -> Any:
        """Returns what it has learnt, as JSON."""
        ...

    def with_state(self, state: Any) -> Estimator:
        """Returns an estimator that knows what `state_dict` returned, and nothing else; () means nothing at all."""
        ...


HOOKS = {"hear": "update", "memory": "state_dict", "remember": "with_state"}
"""Earlier name of each method of `Learning` -> its name."""


def with_current_names(estimator: Any) -> Any:
    """Returns the estimator; if its class implements `Learning` by the earlier names, gives it the current ones too.

    The class of the user is changed, once, with a warning: an object around the estimator would hide its other
    attributes.
    """
    cls = type(estimator)
    if all(hasattr(cls, old) for old in HOOKS) and not all(hasattr(cls, new) for new in HOOKS.values()):
        keep_old_hooks(cls, HOOKS)
    return estimator


@contextmanager
def scratch() -> Iterator[Path]:
    """Yields a temporary folder for one training; raises `RunPaused` if the disk has no room for it."""
    with snapshot.disk("making a temporary folder"):
        folder = TemporaryDirectory(prefix="naslab-", ignore_cleanup_errors=True)
    with folder as path:
        yield Path(path)


def without_fidelities(estimator: Any) -> UnknownFidelity:
    """Returns the error for a searcher that chooses training lengths, with an estimator that has no `train`."""
    return UnknownFidelity(
        "the searcher chooses how long to train each candidate, and the estimator "
        f"{getattr(estimator, 'name', type(estimator).__name__)!r} has no choice of it; give one with train(), "
        "for instance nl.estimators.Training(space, task), or a function of (architecture, epochs)"
    )
