"""`RaceView`: a race, live: its bands over the seeds grow, and it can be paused, stepped and stopped.

The runner's thread steps the race, the publisher's thread reads the bands for each message; `Race` guards its results.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from typing import Any

import ipywidgets
import numpy as np

from naslab.markup import Markup
from naslab.runs.race import Race
from naslab.runs.race_curves import EVALUATIONS
from naslab_widgets.about import notes_of
from naslab_widgets.deck import Deck
from naslab_widgets.deferred import to_the_end
from naslab_widgets.display import RestoreHint, opens
from naslab_widgets.figures import Drawing, race_picture
from naslab_widgets.figures.race import as_measured, title_of
from naslab_widgets.figures.svg import short
from naslab_widgets.figures.themes import line_colours
from naslab_widgets.lab import error_text
from naslab_widgets.publisher import Publisher
from naslab_widgets.runner import Runner, State
from naslab_widgets.scripts import bundle, styles
from naslab_widgets.steered import Steered
from naslab_widgets.stream import Message, StreamView
from naslab_widgets.strip import Choice, Strip

POINTS = 80
"""Points of a band, at most."""
MEANS = {
    "regret": "Distance between the best architecture found and the best of all",
    "best": "Measured value of the best architecture found",
    "rank": "True rank of the best architecture found, among all",
}


def kinds_of(race: Race) -> list[str]:
    """Returns the kinds of curves that a race has: without a table only the best so far."""
    return ["regret", "best", "rank"] if race.table is not None else ["best"]


class RaceCanvas(StreamView):
    """Draws the bands of a race. Every message has the whole picture, so that a lost one does not matter."""

    _esm = bundle("race.js")
    _css = styles("live.css")

    def __init__(self, race: Race, **options: Any) -> None:
        """
        Args:
            race: the race.
            options: as of `StreamView`.
        """
        self._race = race
        colours = line_colours(race.searchers)
        super().__init__(
            {
                "searchers": [{"name": name, "colour": colours[name]} for name in race.searchers],
                "cost": race.cost,
                "budget": race.budget,
                "whole": race.cost == EVALUATIONS,
                "notes": notes_of(race),
            },
            **options,
        )

    def _message(self, fresh: bool, status: dict[str, Any]) -> Message:
        """Returns the bands, those of `status["kind"]` first. The others are sent along, so that the page can switch to
        them while the kernel is busy.
        """
        kind, tables, kinds = status["kind"], [], []
        for each in [kind, *(other for other in kinds_of(self._race) if other != kind)]:
            bands = as_measured(self._race.bands(each, POINTS), each, self._race.objective)
            rows = [np.stack(band, axis=1) for band in bands.values()]  # each [P, 8]: budget, statistics, seeds
            tables.append(np.concatenate(rows))
            title = title_of(each, self._race.objective)
            kinds.append({"kind": each, "title": title, "points": [len(row) for row in rows]})
        return {"type": "bands", "kinds": kinds, "points": kinds[0]["points"]}, tables


class RaceView(Steered):
    """Runs a `naslab.runs.Race` in a worker thread, so that the kernel stays free, and shows it live.

    `RaceView(race)` as the last line of a cell shows the panel; `view.run()` needs no panel. Buttons and methods of the
    same name do the same.
    """

    def __init__(
        self,
        race: Race,
        *,
        kind: str | None = None,
        hz: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            race: a new race, or one that has begun.
            kind: "regret", "best" or "rank", the first curves shown; by default regret if the race has a table, else
                best.
            hz: frames a second, at most 10.
            clock: seconds; for tests.
        """
        if not isinstance(race, Race):
            raise TypeError(f"RaceView expects a naslab.runs.Race, got {race!r:.80}")
        if not 0 < hz <= 10:
            raise ValueError(f"hz, the frames a second, must be above 0 and at most 10, not {hz!r}")
        self.race, self._clock = race, clock
        self._in_a_round = len(race.searchers) * len(race.seeds)
        kinds = kinds_of(race)
        if kind is not None and kind not in kinds:
            raise ValueError(f"kind must be one of {', '.join(kinds)} for this race, not {kind!r}")
        self._publisher = Publisher(self._publish, period=1 / hz)
        self._runner = Runner(race, observe=self._publisher.poke, rested=self._publisher.poke, clock=clock)
        self.view = self.canvas = RaceCanvas(race, poke=self._publisher.poke, hz=hz, clock=clock)
        means = {name: MEANS[name] for name in kinds}
        self._kind = Choice("kind", means, kind or kinds[0], lambda _: self._publisher.poke())
        self.deck = Deck([Strip(self), self._kind], poke=self._publisher.poke, hz=hz, clock=clock)
        self._card = ipywidgets.HTML().add_class("naslab-race-card")
        self.panel = ipywidgets.VBox([self.deck, self.canvas, self._card]).add_class("naslab-lab")
        self._shown: tuple[State, int, bool] | None = None
        self._show(self.state)

    # --- driving ---------------------------------------------------------------------------------

    def step(self, n: int = 1) -> None:
        """Do n evaluations for each searcher and seed, then pause. Returns at once."""
        self._runner.step(n * self._in_a_round)
        self._publisher.poke()

    def _observe(self) -> None:
        """Do nothing: the canvas reads the race itself, at each message."""

    async def rest(self) -> None:
        """Wait (`await view.rest()`) until the race has ended or this view was stopped; the kernel stays free.

        While the race is paused the cell waits, so that no later cell works on half a race.

        Raises:
            RuntimeError: the race is paused and no page is open to resume it. If an error paused it, that error is
                raised.
        """
        try:
            await to_the_end(self.canvas, self._runner, self._clock)
        finally:
            self._update_still(not self._runner.busy)

    @property
    def state(self) -> State:
        return self._runner.state

    # --- showing ---------------------------------------------------------------------------------

    def _publish(self) -> bool:
        state, race = self.state, self.race
        self._show(state)
        error, rate = self._runner.error, self._runner.rate
        running = state == "running"
        status = {
            "state": state,
            "step": race.step,
            "total": race.total if race.cost == EVALUATIONS or race.finished else None,
            "rate": rate if running else 0.0,
            "left": (race.total - race.step) / rate if rate and running else None,
            "message": error_text(error) if error else self._runner.why,
            "unit": "evaluation",
            "kind": self._kind.value,
            "title": title_of(self._kind.value, race.objective),
            "sign": race.objective.sign,
        }
        more = [self.deck.publish(status), self.canvas.publish(status)]
        return self._update_still_at_rest(race.step, self._runner.busy) or any(more)

    def _show(self, state: State) -> None:
        """Update the card below the chart; only while the race is paused or over."""
        at = (state, self.race.step, self._runner.busy)
        if self._shown == at:
            return
        self._shown = at
        if state != "running" and self.race.step and not at[2]:
            self._card.value = self.race.card._repr_html_()

    def picture(self) -> Drawing:
        """Returns a static SVG of the current bands of the selected kind.

        `view.picture().save("race.svg")` writes it to a file.
        """
        kind: Any = self._kind.value
        race = self.race
        return race_picture(race.bands(kind, POINTS), kind=kind, x=race.cost, objective=race.objective)

    def _still_key(self) -> Hashable:
        return (super()._still_key(), self._kind.value)

    def _still(self) -> tuple[Any, ...]:
        card = (Markup(self.race.card._repr_html_()),) if self.race.step else ()
        return (self.picture(), *card, repr(self))

    def _about(self) -> str:
        return f"race of {', '.join(map(short, self.race.searchers))}"

    def _restore_hint(self) -> RestoreHint:
        if self.race.folder is not None:
            line = opens("race = nl.runs.Race.open", self.race.folder)
            return RestoreHint("All evaluations are kept; show them again with", f"{line}; RaceView(race)")
        return RestoreHint('This race was in memory only and is lost; Race(..., run="runs/race-1") keeps one.')

    def __repr__(self) -> str:
        return f"<RaceView: {self.state}, {100 * self.race.progress:.0f} % of the budget>"
