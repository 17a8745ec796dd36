"""Human versus machine: choose the operations of a cell by clicking, submit it, and see its true place.

The kernel holds the choices and the results; the page only shows them. Works without a page, too:
`compose.choose(0, "skip_connect")`, `compose.submit()`.
"""

from __future__ import annotations

import atexit
import threading
import weakref
from collections.abc import Callable, Hashable, Mapping
from typing import Any, NamedTuple

import numpy as np
import traitlets

from naslab.analysis.oracle import ranks
from naslab.architecture import Architecture
from naslab.benchmarks import Benchmark
from naslab.errors import SpecError, unknown, whole
from naslab.markup import Markup
from naslab.runs.race import Race
from naslab.searchers import RegularizedEvolution
from naslab.spaces.weight_sharing import SupernetSpace
from naslab_widgets.display import Displayed
from naslab_widgets.figures.cell import CELL_WIDTH, cell, cell_layout, edge_label, node_label, pretty
from naslab_widgets.figures.palette import colours
from naslab_widgets.figures.svg import Drawing, sentences, short, stacked
from naslab_widgets.page import PageWidget, synced
from naslab_widgets.scripts import bundle, styles

QUERIES, SEEDS = 50, 500
"""Default number of queries of each run of regularized evolution, and default number of runs."""
PART = "cell"


class Attempt(NamedTuple):
    """A submitted cell and its position in the benchmark."""

    number: int
    """Number of the attempt, from 1."""
    architecture: Architecture
    worth: float
    """Value of the benchmark's objective."""
    percentile: float
    """Percentage of all cells that are worse or equally good."""
    rank: int
    """Rank among all cells; 1 is the best."""
    regret: float
    """Distance to the best cell, in units of the objective."""


class Compose(Displayed, PageWidget):
    """Compares cells that a person composes with regularized evolution at the same number of queries.

    Args:
        table: a benchmark whose cells have an operation on each edge, for instance `nl.benchmarks.NASBench201()`.
        queries: queries of each run of regularized evolution; further attempts are not compared.
        seeds: number of runs of regularized evolution.
    """

    _esm = bundle("compose.js")
    _css = styles("live.css", "compose.css")
    chosen = synced(traitlets.List())
    """Index of the operation of each edge."""
    scores = synced(traitlets.List())
    """One JSON object per attempt."""
    machine = synced(traitlets.Dict())
    """Quartiles of evolution's regret after 1, 2, ... queries, over the seeds; empty until its runs have finished."""
    message = synced(traitlets.Unicode())

    def __init__(self, table: Benchmark, *, queries: int = QUERIES, seeds: int = SEEDS) -> None:
        if not isinstance(table, Benchmark) or not isinstance(table.space, SupernetSpace):
            raise SpecError(
                "Compose needs a benchmark of cells with an operation on each edge, for instance "
                f"nl.benchmarks.NASBench201(); got {table!r:.200}"
            )
        choices = table.space.fixed_choices
        if choices is None or len(choices) != table.space.edges().get(PART):
            raise SpecError(f"Compose needs one choice an edge of one cell; {table.name} has others")
        self.table, self._operations = table, table.space.operations
        self._queries, self._seeds = whole("queries", queries, 1), whole("seeds", seeds, 1)
        utility = table.utility()
        self._ranks, self._regrets = ranks(utility), float(utility.max()) - utility
        self.attempts: tuple[Attempt, ...] = ()
        self._regret_after: np.ndarray | None = None  # [seeds, queries]
        super().__init__(self._describe(), chosen=[0] * len(choices))
        self.observe(lambda _: self._update_still(), ["chosen", "scores", "message"])
        self._ended = False
        self._thread = threading.Thread(target=self._race, daemon=True, name="naslab-compose")
        self._thread.start()
        _COMPOSERS.add(self)

    # --- actions ---------------------------------------------------------------------------------

    @property
    def architecture(self) -> Architecture:
        """The cell that is chosen now."""
        return self.table.space.architecture([self._operations[number] for number in self.chosen])

    def choose(self, edge: int, operation: str) -> None:
        """Choose the operation of an edge; edges are numbered from 0 in the order of the space's choices."""
        if operation not in self._operations:
            raise SpecError(unknown("operation", operation, self._operations))
        if not 0 <= whole("edge", edge) < len(self.chosen):
            raise SpecError(f"the edges are numbered from 0 to {len(self.chosen) - 1}; there is no {edge}")
        numbers = list(self.chosen)
        numbers[edge] = self._operations.index(operation)
        self.chosen = numbers

    def submit(self, architecture: Architecture | None = None) -> Attempt:
        """Spend a query on the given cell, by default the chosen one. Resubmitting a cell costs no query."""
        architecture = self.architecture if architecture is None else self.table.space.check(architecture)
        for before in self.attempts:
            if before.architecture == architecture:
                self.message = f"this cell was submitted before: attempt {before.number}"
                return before
        index = self.table.index(architecture)
        attempt = Attempt(
            number=len(self.attempts) + 1,
            architecture=architecture,
            worth=float(self.table.column()[index]),
            percentile=100 * (1 - (int(self._ranks[index]) - 1) / len(self.table)),
            rank=int(self._ranks[index]),
            regret=float(self._regrets[index]),
        )
        self.attempts = (*self.attempts, attempt)
        self.scores = [{**each._asdict(), "architecture": self._numbers(each.architecture)} for each in self.attempts]
        self._compare()
        return attempt

    @property
    def best(self) -> Attempt:
        """The best attempt so far; the first one of equals."""
        if not self.attempts:
            raise SpecError("nothing has been submitted yet: choose the operations, then submit()")
        return min(self.attempts, key=lambda attempt: attempt.rank)

    @property
    def beaten(self) -> float | None:
        """Share of the runs of evolution whose best at the same number of queries is worse than yours; ties count half.

        None until the runs have finished, before the first attempt, and after more attempts than the runs had queries.
        """
        queries = len(self.attempts)
        if self._regret_after is None or not 0 < queries <= self._queries:
            return None
        theirs, yours = self._regret_after[:, queries - 1], self.best.regret
        # Regrets are differences of floats: equal cells may differ in the last bits.
        return float((theirs > yours + 1e-12).mean() + (np.abs(theirs - yours) <= 1e-12).mean() / 2)

    def wait(self, timeout: float | None = None) -> None:
        """Wait until the runs of evolution have finished, at most `timeout` seconds."""
        self._thread.join(timeout)

    # --- internals -------------------------------------------------------------------------------

    def _race(self) -> None:
        """Run regularized evolution for all seeds; called in a background thread."""
        evolution: Callable[[int], Any] = lambda seed: RegularizedEvolution(  # noqa: E731
            self.table.space, population=10, sample=3, seed=seed
        )
        race = Race({"REA": evolution}, self.table, seeds=range(self._seeds), budget=self._queries)
        for _ in race:
            if self._ended:
                return
        regret = race.curves("regret")[0]
        lower, median, upper = np.quantile(regret, [0.25, 0.5, 0.75], axis=0)
        self._regret_after = regret
        self.machine = {
            "lower": lower.tolist(),
            "median": median.tolist(),
            "upper": upper.tolist(),
            "seeds": self._seeds,
        }
        self._compare()

    def _compare(self) -> None:
        """Update the sentence below the scores."""
        if self.attempts:
            self.message = self._comparison()

    def _comparison(self) -> str:
        """Returns a sentence that compares the best attempt with evolution, as far as its results are known."""
        best, n, beaten = self.best, len(self.attempts), self.beaten
        own = f"Your best after {n} {'query' if n == 1 else 'queries'}: rank {best.rank:,} of {len(self.table):,}. "
        if beaten is not None and self._regret_after is not None:
            theirs = float(np.median(self._regret_after[:, n - 1]))
            own += (
                f"Regret {best.regret:.2f}; of regularized evolution with as many queries, {theirs:.2f} at the median: "
                f"you are ahead of {100 * beaten:.0f} % of {self._seeds} runs."
            )
        elif n > self._queries:
            own += f"The machine had {self._queries} queries; you have used more."
        return own.rstrip()

    def _numbers(self, architecture: Architecture) -> list[int]:
        return [self._operations.index(str(value)) for value in architecture.choices]

    def _on_message(self, kind: str, message: Mapping[str, Any]) -> None:
        """Handle a click on the page. Messages are untrusted input, so that every field is checked."""
        try:
            if kind == "choose":
                self.choose(message["edge"], self._operations[whole("operation", message["operation"])])
            elif kind == "submit":
                self.submit()
            elif kind == "take":
                self.chosen = self._numbers(self.attempts[whole("attempt", message["number"], 1) - 1].architecture)
            elif not kind:
                raise SpecError('a message has a type, "choose", "submit" or "take"')
        except (KeyError, TypeError, IndexError, SpecError) as error:
            self.message = f"that could not be done: {error}"

    def _describe(self) -> dict[str, Any]:
        space: Any = self.table.space
        graph = space.supergraph()
        layout = cell_layout(graph, longest=max(map(len, self._operations)))
        hues = colours(self._operations)
        rows = {data["row"]: (u, v) for u, v, data in graph.edges(data=True) if "row" in data}
        return {
            "operations": [{"name": short(name), "colours": list(hues[name])} for name in self._operations],
            "size": [layout.width, layout.height],
            "nodes": [{"label": pretty(node_label(graph, n)), "at": list(at)} for n, at in layout.nodes.items()],
            "edges": [
                {
                    "path": Markup(layout.routes[rows[row]].path),
                    "label": list(layout.routes[rows[row]].label),
                    "name": edge_label(graph, *rows[row]),
                }
                for row in sorted(rows)
            ],
            "metric": self.table.objective,
            "cells": len(self.table),
            "queries": self._queries,
        }

    def picture(self) -> Drawing:
        """Returns a static SVG: the chosen cell, its result if it was submitted, and the comparison with evolution."""
        architecture, metric = self.architecture, self.table.objective.replace("_", " ")
        said = ["This cell has not been submitted."]
        for attempt in self.attempts:
            if attempt.architecture == architecture:
                said = [
                    f"Attempt {attempt.number}: {metric} {attempt.worth:.2f}, better than or as good as "
                    f"{attempt.percentile:.1f} % of all cells (rank {attempt.rank:,} of {len(self.table):,}), "
                    f"regret {attempt.regret:.2f}."
                ]
        if self.attempts:
            said.append(self._comparison())
        space: Any = self.table.space
        graph = space.supergraph().copy()
        for *_, data in graph.edges(data=True):
            if "row" in data:
                data["op"] = str(architecture.choices[data["row"]])
                data["strength"] = 0.0 if data["op"] == "none" else 0.4  # thin line: "none" passes nothing on
        return stacked(cell(graph), sentences(*said, width=CELL_WIDTH), gap=0)

    @property
    def panel(self) -> Compose:
        return self

    def _still_key(self) -> Hashable:
        return (tuple(self.chosen), len(self.attempts), self.message)

    def _still(self) -> tuple[Any, ...]:
        return (self.picture(), repr(self))

    def _about(self) -> str:
        return f"you against regularized evolution on {self.table.name}"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None, **kwargs: Any) -> Any:
        """Returns the widget, and the static picture for front ends that cannot render widgets."""
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is None:
            return None
        data, metadata = bundle
        return {**data, "text/plain": repr(self), "image/svg+xml": str(self.picture())}, metadata

    def __repr__(self) -> str:
        lines = [f"<Compose: {len(self.attempts)} attempts>"]
        for attempt in self.attempts:
            lines.append(
                f"{attempt.number:3d}  {attempt.worth:7.3f}  better than {attempt.percentile:5.1f} %  "
                f"rank {attempt.rank:,}  regret {attempt.regret:.3f}"
            )
        return "\n".join([*lines, self.message] if self.message else lines)


_COMPOSERS: weakref.WeakSet[Compose] = weakref.WeakSet()


@atexit.register
def _stop_all() -> None:
    """Let each thread finish its evaluation: a thread inside torch while Python shuts down can crash the process."""
    for composer in list(_COMPOSERS):
        composer._ended = True
    for composer in list(_COMPOSERS):
        composer.wait(timeout=5)
