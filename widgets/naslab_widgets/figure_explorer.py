"""A Plotly figure whose points open their architectures: click one, and its cell is drawn beside the figure."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import ipywidgets

from naslab import markup
from naslab.architecture import Architecture
from naslab.benchmarks import Benchmark
from naslab.errors import NaslabError, SpecError
from naslab.markup import Markup
from naslab_widgets.display import Displayed
from naslab_widgets.drawing import draw
from naslab_widgets.figures.oracle import architecture_lines
from naslab_widgets.figures.sketch import sketch
from naslab_widgets.figures.svg import Drawing


class FigureExplorer(Displayed):
    """Shows a figure and, beside it, the architecture of the point that was clicked last.

    Sends Plotly's whole library to the page (5 MB): use one or two a notebook, and the figure alone elsewhere.
    """

    def __init__(self, figure: Any, architectures: Benchmark | Sequence[Architecture], space: Any = None) -> None:
        """
        Args:
            figure: a figure of `naslab_widgets.figures`. `customdata[0]` of a point is the number of its architecture,
                None for a point without one. In a figure without customdata it is the point's index in its trace.
            architectures: a list, or a benchmark, indexed by those numbers. For `figures.oracle(found)`,
                `found.architectures`.
            space: search space that draws the architectures; by default that of the benchmark.
        """
        from plotly.graph_objects import Figure, FigureWidget

        if not isinstance(figure, Figure):
            raise TypeError(
                f"FigureExplorer shows a Plotly figure, such as figures.pareto(...) gives, not {figure!r:.80}"
            )
        self._at: Callable[[int], Architecture]
        if isinstance(architectures, Benchmark):
            self._at, space = architectures.at, space or architectures.space
        else:
            listed = tuple(architectures)
            self._at = lambda number: listed[number]
        if space is None:
            raise SpecError("say which space draws the architectures: FigureExplorer(figure, architectures, space)")
        self._space, self.number = space, None
        self.figure = FigureWidget(figure)
        self.picture = ipywidgets.HTML(layout={"flex": "1 1 320px", "min_width": "280px"})
        self.picture.add_class("naslab-study-cell")
        self._tell("Click a point: its architecture opens here.")
        for trace in self.figure.data:
            trace.on_click(self._clicked)
        self.panel = ipywidgets.HBox(
            [ipywidgets.Box([self.figure], layout={"flex": "3 1 520px", "min_width": "320px"}), self.picture],
            layout={"flex_flow": "row wrap", "align_items": "center"},
        ).add_class("naslab-study")

    def open(self, number: int) -> Drawing | None:
        """Draw the architecture of a number. Returns None, and shows the reason, if it cannot be drawn."""
        try:
            if number != int(number) or number < 0:
                raise ValueError("numbers of architectures are whole and begin at 0")
            architecture = self._at(int(number))
            text, drawing = architecture_lines(architecture, self._space), draw(architecture, self._space)
        except (NaslabError, LookupError, TypeError, ValueError, AttributeError) as error:
            self._tell(f"number {number} cannot be drawn: {error}")
            return None
        self.number = int(number)
        told = markup.element("div", f"number {self.number}", style="font: 11px monospace; overflow-wrap: anywhere")
        for line in text:
            markup.add(told, "br")
            markup.tail(told, line)
        self._say(markup.html_of(told), drawing)
        return drawing

    def _tell(self, text: str) -> None:
        self._say(markup.html_of(markup.element("p", text)))

    def _say(self, told: str, drawing: Drawing | None = None) -> None:
        self._words, self._drawing = told, drawing
        self.picture.value = told + (drawing or "")
        self._update_still()

    def _clicked(self, trace: Any, points: Any, state: Any) -> None:
        if not points.point_inds:
            return
        place = points.point_inds[0]
        if all(each.customdata is None for each in self.figure.data):
            self.open(place)
            return
        data = trace.customdata
        at = None if data is None else data[tuple(place)] if isinstance(place, list | tuple) else data[place]
        if at is None or at[0] is None:
            self._tell("This point stands for no architecture.")
        else:
            self.open(at[0])

    def _still_key(self) -> Hashable:
        return self.picture.value

    def _still(self) -> tuple[Any, ...]:
        cell = [] if self._drawing is None else [self._drawing]
        return (sketch(self.figure), *cell, Markup(self._words), repr(self))

    def _about(self) -> str:
        return "a figure whose points open their architectures"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None, **kwargs: Any) -> dict[str, Any]:
        return {**(self.panel._repr_mimebundle_(**kwargs) or {}), "text/plain": repr(self)}

    def __repr__(self) -> str:
        return f"<FigureExplorer: {len(self.figure.data)} traces, number {self.number} is open>"
