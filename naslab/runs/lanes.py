"""What moves in a race: a proposer with an estimator, or a search that brings its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from naslab.architecture import Architecture
from naslab.errors import NaslabError, SpecError
from naslab.estimators import Score, Table
from naslab.events import Evaluated, Event
from naslab.searchers import Proposer, RandomSearch, Trials

Move = tuple[Architecture, float | None, Mapping[str, float]]
"""An architecture, its fitness or None if it failed, and what else was found."""
NOTHING: Mapping[str, float] = {}
ENDLESS = 2**62
"""Evaluations; the race itself says when a runner has had enough."""


class Lane(Protocol):
    """One runner."""

    random: bool
    """Whether it is a random search."""

    def move(self) -> Move | None:
        """One evaluation; None when there are no more."""
        ...


class OnTable:
    """A proposer on a table: asked, looked up, told, with nothing in between."""

    def __init__(self, proposer: Proposer, table: Table) -> None:
        self._proposer, self._table = proposer, table
        self.random = isinstance(proposer, RandomSearch)

    def move(self) -> Move:
        proposal = self._proposer.ask()
        try:
            found: Any = self._table(proposal.architecture)
        except NaslabError:
            found = None
        fitness, figures = found if isinstance(found, Score) else (found, NOTHING)
        self._proposer.tell(proposal, fitness, figures)
        return proposal.architecture, fitness, figures


class OnEvents:
    """Anything that gives an event a step: trials with any estimator, a whole `naslab.Search`."""

    def __init__(self, advance: Callable[[], Event | None], random: bool) -> None:
        self._advance, self.random = advance, random

    def move(self) -> Move | None:
        while (event := self._advance()) is not None:
            if isinstance(event, Evaluated):
                return event.architecture, event.fitness, event.figures
        return None


def lane(name: str, made: Any, estimator: Any, *, quick: bool) -> Lane:
    """The runner for what a function of the seed gave.

    Args:
        made: a proposer, trials, or a `naslab.Search`; new.
        quick: whether it asks for no particular fidelity, so that a table can be looked up without more ado.
    """
    if isinstance(made, Proposer):
        if estimator is None:
            raise SpecError(f"searcher {name!r} evaluates nothing: give the race an estimator, such as a benchmark")
        trials = Trials(made, estimator, ENDLESS)  # which refuses what does not fit together
        random = isinstance(made, RandomSearch)
        return OnTable(made, estimator) if quick else OnEvents(trials.advance, random)
    driven = getattr(made, "searcher", made)
    if not isinstance(driven, Trials):
        raise SpecError(
            f"searcher {name!r}: a race is among searches that evaluate candidates; the function of the seed gave "
            f"{made!r:.200}"
        )
    random = isinstance(driven.proposer, RandomSearch)
    if made is driven:
        return OnEvents(lambda: driven.advance() if driven.step < driven.total else None, random)
    return OnEvents(lambda: next(made, None), random)
