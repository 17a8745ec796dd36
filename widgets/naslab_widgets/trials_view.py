"""The view of a search of trials: one canvas widget, fed with tables of float64 (`naslab_widgets.wire`).

The browser holds a few thousand trials of a search of any length: every stride-th, the fittest and the last. What it
wants to know of one (its picture, its choices, all its ancestors) it asks for by `select`.

The children of shared weights that were judged are trials, too; the training of the weights between them is shown
by its figures, and the child of every step lit inside the supernet (`lit_child`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from naslab.benchmarks import Benchmark
from naslab.events import ChildTrained, Evaluated, Event
from naslab.immutable import FrozenDict
from naslab.quantities import FITNESS, Objective, Quantity
from naslab.searchers import BlackBoxSearch, Sampler
from naslab.searchers.failures import Failures
from naslab.searchers.shared_weights import WeightSharing
from naslab_widgets.about import objective_among
from naslab_widgets.figures import svg
from naslab_widgets.figures.charts import charts_of, objective_json, parted
from naslab_widgets.figures.families import SLOTS, leading, shares
from naslab_widgets.figures.palette import GREY, HUES, of_runs
from naslab_widgets.figures.themes import SCALE
from naslab_widgets.figures.trial_table import COLUMNS, TrialTable
from naslab_widgets.figures.trials import draw_family_tree, draw_trials, hurdles_of, why_empty
from naslab_widgets.figures.truth import Truth
from naslab_widgets.figures.wording import answers, question
from naslab_widgets.lit_child import LitChild
from naslab_widgets.moments import AROUND
from naslab_widgets.portraits import Portraits
from naslab_widgets.scripts import bundle, styles
from naslab_widgets.sections import Section
from naslab_widgets.stream import Message, StreamView
from naslab_widgets.trial_blocks import NamedValues, Packet, TrialRows
from naslab_widgets.wire import Log, in_force

LISTED = 100
"""Trials in the table: this many of the fittest, and as many of the latest."""
SELDOM = 0.5
"""Minimum seconds between two messages with the expensive parts: the table, the population."""


def shows_trials(searcher: type) -> bool:
    """True if a search is shown by its trials (or evaluated children); other searches have a mixture to show."""
    return issubclass(searcher, BlackBoxSearch | Sampler | WeightSharing)


class TrialsView(StreamView):
    """Shows the trials of a search."""

    _esm = bundle("trials.js")
    _css = styles("live.css", "sheet.css", "trials.css", "candidate.css")

    def __init__(
        self,
        space: Any,
        *,
        metrics: Mapping[str, Quantity] = FrozenDict({}),
        objective: Objective = FITNESS,
        notes: Sequence[str] = (),
        benchmark: Benchmark | None = None,
        population: int | None = None,
        sections: Sequence[Section] = (),
        **options: Any,
    ) -> None:
        """
        Args:
            metrics: of the search, from which the charts of shared weights follow.
            objective: what candidates are judged by, unless their scores name another.
            notes: caveats of the task, shown beside the results.
            benchmark: the table that the fitness is read from; shows the true rank and regret of each candidate.
            population: how many candidates are alive at once, if the searcher knows.
            sections: further parts of the page, such as the sheet of a candidate.
            options: as of `StreamView`.
        """
        self._objective, self._metrics = objective, dict(metrics)
        self._lit = LitChild(space, objective, self._metrics)
        self._space, self._truth = space, Truth(benchmark) if benchmark is not None else None
        self._population = population or 50
        self._portraits = Portraits(space)
        self._selected: int | None = None
        self._chosen = False
        """Whether the selected trial was clicked; otherwise the page asks for the best."""
        described = {
            "columns": list(COLUMNS),
            "truth": self._truth and {"metric": self._truth.metric, "candidates": self._truth.candidates},
            "families": [*map(list, HUES[:SLOTS]), list(GREY)],
            "hues": [list(pair) for pair in (*HUES, GREY)],
            "population": self._population,
            "listed": LISTED,
            "charts": [chart.to_json() for chart in charts_of(_of_weights(self._metrics))],
            "notes": list(notes),
            "scale": [list(stop) for stop in SCALE],
        }
        super().__init__(described, sections=sections, **options)

    @property
    def selected(self) -> int | None:
        """Number of the evaluation that the page shows the portrait of."""
        return self._selected

    # --- what happened ---------------------------------------------------------------------------

    def clear(self) -> None:
        """Forget all trials, also the one that is selected; the page gets a new snapshot."""
        super().clear()
        if self._selected is not None:
            self._show_selected()

    def _forget(self) -> None:
        self._table = TrialTable(self._truth)
        self._rows = TrialRows(self._table)
        self._details = NamedValues("details", limit=500, most=256)
        self._policy = NamedValues("policy", limit=250, most=1024)
        self._options: dict[str, list[str]] = {}
        self._slots: list[int | None] = [None] * SLOTS
        self._log, self._failures = Log(_of_weights(self._metrics)), Failures()
        self._own: Objective | None = None
        self._latest: Evaluated | ChildTrained | None = None
        self._unit = "evaluation"
        self._lit.clear()
        self._taken = False
        """Whether there are trials that have not been sent."""
        self._seldom_due, self._seldom_at = True, -SELDOM
        self._noted: set[int] = set()
        self._supernet_sent = False

    def _take(self, events: Sequence[Event]) -> None:
        steps = [event for event in events if isinstance(event, Evaluated | ChildTrained)]
        trials = [event for event in steps if isinstance(event, Evaluated)]
        if len(steps) < len(events):
            for event in events:
                self._log.take(event)
        if not steps:
            return
        if len(trials) < len(steps):
            self._unit = "step"
        self._table.take(trials)
        if self._own is None:
            named = objective_among(trials, FITNESS)
            self._own = None if named is FITNESS else named
        for event in trials:
            if (said := self._failures.note(event.status, event.message)) is not None:
                self._log.note(event.step, said, error=True)
        self._rows.grow()
        self._details.extend([(event.step, figures) for event in steps if (figures := _figures(event))])
        self._policy.extend([(event.step, event.probabilities) for event in trials if event.probabilities])
        self._latest = steps[-1]
        self._lit.take(*steps)
        self._taken = self._seldom_due = True

    def note(self, step: int, text: str, *, error: bool = False) -> None:
        """A line for the log below the pictures."""
        with self._lock:
            self._log.note(step, text, error=error)

    def standing(self) -> dict[str, Any]:
        """What the line above the pictures says beside how far the search is."""
        with self._lock:
            return self._standing()

    def _standing(self) -> dict[str, Any]:
        best = self._table.best
        return {
            "unit": self._unit,
            "derived": self._derived(),
            "objective": objective_json(self.objective),
            "rates": in_force(self._latest.settings) if self._latest else {},
            "failed": self._table.failed,
            "best": None if best is None else {name: float(v) for name, v in self._of(best).items() if v == v},
        }

    # --- to the browser --------------------------------------------------------------------------

    def _status(self, status: dict[str, Any]) -> dict[str, Any]:
        table = self._table
        return {
            **status,
            **self._standing(),
            **self._log.status,
            "since": table.since,
            "origins": [[name, *pair] for name, pair in of_runs(list(table.origins)).items()],
            "empty": why_empty(table),
            "child": self._lit.message(self._clock()),
        }

    @property
    def _news(self) -> bool:
        return self._taken or self._seldom

    @property
    def _more(self) -> bool:
        return self._seldom_due or self._lit.due or super()._more

    @property
    def _seldom(self) -> bool:
        """Whether it is time for what is expensive: the table, the population."""
        return self._seldom_due and self._clock() - self._seldom_at >= SELDOM

    def _message(self, fresh: bool, status: dict[str, Any]) -> Message:
        if fresh:
            self._noted, self._supernet_sent = set(), False
        packets = [self._rows.packet(fresh), self._details.packet(fresh), self._policy.packet(fresh)]
        content: dict[str, Any] = {"type": "trials", "fresh": fresh}
        if status["child"] is not None and not self._supernet_sent:
            content["supernet"], self._supernet_sent = self._lit.supernet(), True
        if fresh or self._seldom:
            packets += self._seldom_packets(content)
            self._seldom_due, self._seldom_at = False, self._clock()
        self._taken = False
        sent = [packet for packet in packets if packet is not None and (packet.reset or len(packet.rows))]
        content["tables"] = [packet.head() for packet in sent]
        return content, [packet.rows for packet in sent]

    def _derived(self) -> dict[str, float | None] | None:
        """The fitness of what would be derived now, where that need not be the child that was judged best: a search
        with shared weights judges a child once, on few examples, and what it derives again, on more.
        """
        if self._unit != "step" or (best := self._table.best) is None:
            return None
        derived, once = (float(self._of(place)[name]) for place, name in ((-1, "best"), (best, "fitness")))
        return None if derived == once else {"fitness": derived if derived == derived else None}

    @property
    def objective(self) -> Objective:
        """What the candidates are judged by: what their scores named, or what the search says."""
        return self._own or self._objective

    def _of(self, place: int) -> dict[str, float]:
        return dict(zip(COLUMNS, map(float, self._table.rows[place]), strict=True))

    def _seldom_packets(self, content: dict[str, Any]) -> list[Packet]:
        """The trials that the table lists, and who makes up the population; into the content, what is no number."""
        table, families = self._table, self._table.column("family")
        listed = [*table.fittest(LISTED), *range(max(0, len(table) - LISTED), len(table))]
        packets = [Packet("listed", table.rows[self._rows.missing(listed)], True)]
        content["notes"] = {}
        for place in listed:
            told, number = table.completed[place], int(table.rows[place, 1])
            if number not in self._noted and (told.figures or told.status != "done"):
                note = {"figures": dict(told.figures), "message": told.message, "status": told.status}
                content["notes"][number] = note
        self._noted = {int(table.rows[place, 1]) for place in listed}
        if len(table) and table.column("generation").any():
            self._slots = leading(families, self._population, self._slots)
            packets.append(Packet("population", shares(families, self._population, self._slots), True))
        content["families"] = self._slots
        content["options"] = self._named_options()
        content["questions"] = {name: question(name) for name in content["options"]}
        return packets

    def _named_options(self) -> dict[str, list[str]]:
        """What the options of each decision are called, as far as the latest and the best have been asked for them."""
        named = {name.removeprefix("q/") for name in (*self._policy.widths, *self._details.widths)}
        if self._latest is None or named <= self._options.keys():
            return self._options
        for architecture in filter(None, (self._latest.architecture, self._latest.best)):
            for choice, _ in self._space.walk(architecture.choices):
                if choice.name in named:
                    self._options[choice.name] = answers(choice.name, choice.options)
        return self._options

    # --- from the browser ------------------------------------------------------------------------

    def _look_back(self, step: int) -> Message:
        """The best until that step, the trials around it, and the child of that step."""
        events = [event for event in self._recall(step, step) if isinstance(event, Evaluated | ChildTrained)]
        with self._lock:
            best = self._table.best_until(step)
            rows = self._table.around(step, AROUND).copy()
            told = {
                "best": None if best is None else int(self._table.rows[best, 1]),
                "child": self._lit.at(events[-1]) if events else None,
            }
        return told, [rows]

    def _on_request(self, kind: str, message: Mapping[str, Any]) -> None:
        """A candidate was selected; a page that is new knows of none."""
        if kind == "select":
            number = message.get("number")
            with self._lock:
                self._selected = number if type(number) is int else None
                self._chosen = message.get("chosen") is True
        if kind == "select" or (kind == "hello" and self._selected is not None):
            self._show_selected()

    def _show_selected(self) -> None:
        """Send the selected candidate; nothing is selected if it is unknown."""
        with self._lock:
            number, chosen, table = self._selected, self._chosen, self._table
            place = None if number is None else table.place(number)
            if number is None or place is None:
                self._selected = None
                self.tell({"type": "candidate", "selected": None, "chosen": False})
                return
            told, rows = table.completed[place], table.rows[table.ancestry(number)]
        portrait = self._portraits.of(told.architecture)
        self.tell(
            {
                "type": "candidate",
                "selected": number,
                "chosen": chosen,
                "picture": portrait.picture,
                "choices": portrait.choices,
                "figures": dict(told.figures),
                "status": told.status,
                "parents": list(told.parents),
                "message": told.message or portrait.why,
            },
            [rows],
        )

    # --- without a browser -----------------------------------------------------------------------

    def picture(self) -> svg.Drawing:
        """The best cell, the trials and the family tree as they stand, as a static SVG."""
        with self._lock:
            table = self._table
            drawings = [draw_trials(table, hurdles_of(self._details.kept), self.objective)]
            if len(table) and table.column("generation").any():
                drawings.append(draw_family_tree(table))
            best = None if table.best is None else table.completed[table.best].architecture
            lit = self._lit.picture()
        if best is not None and (portrait := self._portraits.of(best).picture):
            drawings.insert(0, svg.Drawing(portrait))
        if lit is not None:
            drawings.insert(0, lit)
        return svg.stacked(*drawings)


def _figures(event: Evaluated | ChildTrained) -> Mapping[str, Any]:
    """The metrics of a child's training, or the searcher's diagnostics."""
    return event.metrics if isinstance(event, ChildTrained) else event.details


def _of_weights(metrics: Mapping[str, Quantity]) -> dict[str, Quantity]:
    """Those that are measured while shared weights are trained; of others, candidates have one each."""
    return {name: quantity for name, quantity in metrics.items() if parted(name)[0]}
