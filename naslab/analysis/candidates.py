"""One candidate of a black-box search: its origin, its trainings, and why they ended."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from naslab.architecture import Architecture
from naslab.errors import SpecError
from naslab.estimators.learning_curve import CURVE
from naslab.events import Evaluated, Event
from naslab.immutable import Record


@dataclass(frozen=True, kw_only=True, eq=False)
class Relative(Record):
    """A parent or child of a candidate."""

    number: int
    """Number of its first evaluation, which identifies it."""
    origin: str
    fitness: float | None


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainedPart(Record):
    """One evaluation of a candidate, which trained it from the beginning or continued its training."""

    number: int
    """Number of the evaluation."""
    step: int
    epochs: float | None
    """Total epochs of training at its end; None if the estimator does not report them."""
    status: str
    fitness: float | None
    message: str
    seconds: float | None
    """Duration of the evaluation, if the estimator reports it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Candidate(Record):
    """All information that the events have about one candidate."""

    number: int
    """Number of its first evaluation, which identifies it."""
    architecture: Architecture
    origin: str
    parents: tuple[Relative, ...]
    children: tuple[Relative, ...]
    """In the order in which they were evaluated."""
    trainings: tuple[TrainedPart, ...]
    """Its evaluations from first to last; several if its training was continued."""
    curve: tuple[tuple[float, float], ...]
    """Learning curve: (total epochs, fitness) in the order of the epochs, where the fitness was measured."""
    fate: str
    """Why its training has this length, or why it has no fitness: a sentence without a full stop."""
    best: bool
    """True if it is the fittest of these events."""

    @property
    def fitness(self) -> float | None:
        """Fitness after its last training."""
        return self.trainings[-1].fitness


def candidate(events: Iterable[Event], number: int) -> Candidate:
    """Returns the candidate of an evaluation.

    Args:
        events: events of one search, in order; only evaluations are used.
        number: number of any of its evaluations (`Evaluated.number`).

    Raises:
        SpecError: no evaluation has that number.
    """
    trials = [event for event in events if isinstance(event, Evaluated)]
    by_number = {trial.number: trial for trial in trials}
    if isinstance(number, bool) or not isinstance(number, int) or number not in by_number:
        there = f"1 to {max(by_number)}" if by_number else "none"
        raise SpecError(f"number is that of an evaluation, of which there are {there}, not {number!r:.100}")
    first = _first(by_number[number])
    own = [trial for trial in trials if _first(trial) == first]
    numbers = {trial.number for trial in own}
    firsts = [trial for trial in trials if trial.number == _first(trial)]
    fittest = max((t for t in trials if t.fitness is not None), key=lambda t: t.fitness or 0.0, default=None)
    return Candidate(
        number=first,
        architecture=own[0].architecture,
        origin=own[0].origin,
        parents=tuple(_relative(by_number[one]) for one in own[0].parents if one in by_number),
        children=tuple(_relative(one) for one in firsts if one.number not in numbers and numbers & set(one.parents)),
        trainings=tuple(map(_part, own)),
        curve=_curve(own),
        fate=_fate(own[-1], trials),
        best=fittest is not None and fittest.number in numbers,
    )


def _first(trial: Evaluated) -> int:
    return trial.number if trial.candidate is None else trial.candidate


def _relative(trial: Evaluated) -> Relative:
    return Relative(number=trial.number, origin=trial.origin, fitness=trial.fitness)


def _part(trial: Evaluated) -> TrainedPart:
    return TrainedPart(
        number=trial.number,
        step=trial.step,
        epochs=_epochs(trial),
        status=trial.status,
        fitness=trial.fitness,
        message=trial.message,
        seconds=trial.figures.get("seconds"),
    )


def _epochs(trial: Evaluated) -> float | None:
    return trial.figures.get("epochs") if trial.fidelity is None else trial.fidelity


def _curve(own: Sequence[Evaluated]) -> tuple[tuple[float, float], ...]:
    found: dict[float, float] = {}
    for trial in own:
        looks = {name: value for name, value in trial.figures.items() if name.startswith(f"{CURVE}/")}
        found |= {float(name.removeprefix(f"{CURVE}/")): value for name, value in looks.items()}
        if not looks and trial.fitness is not None and (epochs := _epochs(trial)) is not None:
            found[float(epochs)] = trial.fitness
    return tuple(sorted(found.items()))


# --- why a training ended -------------------------------------------------------------------------


def _fate(last: Evaluated, trials: Sequence[Evaluated]) -> str:
    if last.status != "done" or last.fitness is None:
        return f"{last.status}: {last.message}" if last.message else last.status
    after = _after(_epochs(last))
    if last.figures.get("stopped") == 1:
        foreseen = last.figures.get("predicted", last.fitness)
        return f"stopped{after}: it was foreseen to come to {foreseen:.4g} and not to become the best"
    if {"hurdles", "epochs"} <= last.details.keys():
        return _at_a_hurdle(last, trials, after)
    if {"bracket", "rung", "sizes"} <= last.details.keys():
        return _on_a_rung(last, trials, after)
    return f"evaluated{after}, as every candidate is"


def _after(epochs: float | None) -> str:
    return "" if epochs is None else f" after {epochs:g} epoch{'' if epochs == 1 else 's'}"


def _at_a_hurdle(last: Evaluated, trials: Sequence[Evaluated], after: str) -> str:
    """Explains the end of a training in a search with hurdles (`naslab.searchers.hurdles`).

    The hurdles in force were those in the event before: the event of the candidate itself may already have raised one.
    """
    before = max((t for t in trials if t.step < last.step), key=lambda t: t.step, default=None)
    hurdles = [] if before is None else list(before.details.get("hurdles", ()))  # type: ignore[arg-type]
    lengths = list(last.details["epochs"])  # type: ignore[arg-type]
    cleared = lengths.index(last.fidelity) if last.fidelity in lengths else len(hurdles)
    fitness: float = last.fitness  # type: ignore[assignment]
    if cleared >= len(hurdles):
        behind = "it has had the longest training" if cleared + 1 == len(lengths) else "no hurdle stood there yet"
        return f"ended{after}: {behind}"
    if fitness > hurdles[cleared]:
        return f"goes on{after}: {fitness:.4g} cleared the hurdle of {hurdles[cleared]:.4g}"
    return f"stopped{after}: {fitness:.4g} did not clear the hurdle of {hurdles[cleared]:.4g}"


def _on_a_rung(last: Evaluated, trials: Sequence[Evaluated], after: str) -> str:
    """Explains the end of a training on a rung of successive halving.

    A rung is decided once all its candidates are evaluated, so that the threshold that passed it is in a later event of
    the same bracket.
    """
    bracket, sizes = last.details["bracket"], list(last.details["sizes"])  # type: ignore[arg-type]
    rung = int(last.details["rung"])  # type: ignore[arg-type]
    fitness: float = last.fitness  # type: ignore[assignment]
    if rung + 1 >= len(sizes):
        return f"ended{after}: it has reached the top rung"
    of_bracket = [t for t in trials if t.details.get("bracket") == bracket]
    passed = max((list(t.details.get("passed", ())) for t in of_bracket), key=len)  # type: ignore[arg-type]
    went = f"{int(sizes[rung + 1])} of {int(sizes[rung])} go on"
    if rung >= len(passed):
        return f"waits{after}: the rung is not complete; {went}"
    if fitness < passed[rung]:
        return f"stopped{after}: {fitness:.4g} is below {passed[rung]:.4g}, the least that went on; {went}"
    if fitness > passed[rung]:
        return f"goes on{after}: {went}, and the least of them has {passed[rung]:.4g}"
    return f"at the edge{after}: {passed[rung]:.4g} is the least that went on; {went}, of equals the earlier ones"
