"""What scores an architecture: a function from architectures to numbers, more is better, that can be written down."""

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
from naslab.spaces.space import Space

MOST_FITNESS = 1e100
"""A fitness is no larger, up or down: sums of a few, and their squares, must be numbers still. Who wants to say that a
candidate is of no use says nan, or raises an exception."""


@runtime_checkable
class Estimator(Protocol):
    """Scores architectures, one at a time.

    One whose fitness is no bare "more is better" says so in an attribute `objectives`, a sequence of `Objective`s, the
    first that of the fitness: a table of losses minimises them, and its fitness is their negative.
    """

    @property
    def space(self) -> Space | None:
        """Whose architectures it scores; None if it does not matter."""
        ...

    def __call__(self, architecture: Architecture) -> float | Score:
        """The fitness. Any exception, and a fitness that is not finite, says that this candidate has failed."""
        ...

    def spec(self) -> dict[str, Any]:
        """JSON from which `naslab.estimators.from_spec` makes this estimator again, if it can."""
        ...

    def fingerprint(self) -> str:
        """Hex checksum: the same for estimators that give the same fitness."""
        ...


class WrongSetup(SpecError):
    """The search is set up wrongly, and no candidate is to blame: it stops, instead of failing them all."""


class UnknownFidelity(WrongSetup):
    """So much training is not to be had here."""


class CheckpointRef(NamedTuple):
    """Where a training was left: what another begins with."""

    architecture: Architecture
    fidelity: float | None
    """Epochs it has had."""
    path: Path | None
    """The file that `Trainable.train` was told to keep it in; None if the estimator keeps no weights."""


@runtime_checkable
class Trainable(Estimator, Protocol):
    """An estimator that can be asked for less than the whole training, and goes on from where one was left.

    What comes of a training depends on nothing but the architecture, the epochs and what it begins with. So whatever
    is kept can be computed again.
    """

    keeps_weights: bool
    """Whether there is anything to be kept: a table has no weights."""

    def train(
        self,
        architecture: Architecture,
        *,
        fidelity: float | None = None,
        begin: CheckpointRef | None = None,
        keep: Path | None = None,
    ) -> Score:
        """The fitness after `fidelity` epochs in all.

        Args:
            architecture: what to train.
            fidelity: epochs in all, those it begins with included; None: the whole training.
            begin: the same architecture, to train on; or another, whose weights are inherited where they fit.
            keep: the file to leave the training in, there whole or not at all. When it is there already, from a
                training that was broken off, the training goes on from it.

        Raises:
            UnknownFidelity: there is no such training.
        """
        ...

    def check_fidelity(self, fidelity: float) -> None:
        """`UnknownFidelity` if `train` could not be asked for so many epochs."""
        ...


@runtime_checkable
class Learning(Estimator, Protocol):
    """An estimator that learns from the search. It is immutable: `hear` gives the one that knows more.

    What comes of a candidate depends on what has been told before it, and on that in no other way.
    """

    def hear(self, figures: Mapping[str, float]) -> Estimator:
        """The estimator that has heard what came of a candidate, by the figures of its event."""
        ...

    def memory(self) -> Any:
        """What it has heard, as JSON."""
        ...

    def remember(self, memory: Any) -> Estimator:
        """The estimator that has heard what `memory` gave, and nothing else; () for nothing at all."""
        ...


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder for the time of a training. The search pauses where there is no room for one."""
    with snapshot.disk("making a temporary folder"):
        folder = TemporaryDirectory(prefix="naslab-", ignore_cleanup_errors=True)
    with folder as path:
        yield Path(path)


def cannot_be_told(estimator: Any) -> UnknownFidelity:
    """The error of a searcher that says how long to train, with an estimator that has no `train`."""
    return UnknownFidelity(
        "the searcher says for how long to train each candidate, and "
        f"{getattr(estimator, 'name', type(estimator).__name__)!r} cannot be told so; give an estimator with train(), "
        "for instance nl.estimators.Training(space, task), or a function of (architecture, epochs)"
    )
