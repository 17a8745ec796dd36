"""The card of a race: what may be claimed from it (`naslab.card`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from naslab.card import Card, card
from naslab.estimators import Table
from naslab.quantities import Objective
from naslab.runs.race_curves import EVALUATIONS

if TYPE_CHECKING:
    from naslab.runs.race import Race


def card_of(race: Race) -> Card:
    """Returns the card of a race: results of each searcher over the seeds, tests, and warnings."""
    table, seeds = race.table, len(race.seeds)
    objective = race.objective
    what = f"{objective.name} of the architecture found{objective.unit and f', {objective.unit}'}"
    means = [float(ends.mean()) if len(ends) else 0.0 for ends in map(race._results.ends, range(len(race.searchers)))]
    estimator = race.estimator
    waiting = [] if race.finished else [f"the race has not ended: {100 * race.progress:.0f} % of the budget is spent"]
    if not race.step:
        waiting = ["the race has not begun"]
    begun = race._results.count > 0
    samples = {
        name: [_shown(end, objective) for end, there in zip(ends, begun[s], strict=True) if there]
        for s, (name, ends) in enumerate(race.final().items())
    }
    notes = [f"{seeds_of(seeds)} a searcher; 95 % intervals are of the mean over seeds"]
    if seeds == 1:
        notes = ["one seed a searcher: there is no interval, and nobody can tell luck from merit"]
    if table is not None and isinstance(estimator, Table) and estimator.metric != table.metric:
        epochs = f" after {estimator.epochs} epochs" if estimator.epochs else ""
        notes.append(f"selected by {estimator.metric}{epochs}, judged by {table.metric}")
    baseline = next((name for name, row in zip(race.searchers, race._runners, strict=True) if row[0].random), None)
    return card(
        samples,
        what=what,
        budgets=dict(zip(race.searchers, means, strict=True)) if race.cost == EVALUATIONS else None,
        budget_unit=race.cost,
        baseline=baseline,
        chose_by_test_data=any(
            row[0].table is not None and row[0].table.metric.startswith("test") for row in race._runners
        ),
        warnings=waiting,
        notes=[
            *notes,
            *([] if race.cost == EVALUATIONS else [f"budget: {race.budget:,.10g} {race.cost} for each"]),
        ],
        digits=3,
        direction=objective.direction,
    )


def _shown(worth: float, objective: Objective) -> float:
    """Returns a value, more being better, as the objective is displayed: in its own direction and unit."""
    return objective.sign * objective.scale * worth


def seeds_of(count: int) -> str:
    return "1 seed" if count == 1 else f"{count} seeds"
