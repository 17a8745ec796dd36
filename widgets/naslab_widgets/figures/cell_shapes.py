"""Cells by width and depth: the share of each shape in a group."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from naslab.analysis.cell_shape import CellShape
from naslab.errors import SpecError
from naslab.markup import hover
from naslab_widgets.figures.themes import line_colours, plain, styled, translucent

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

LARGEST = 44.0
"""Diameter in pixels of the circle of the most frequent shape of a group."""


def cell_shapes(groups: Mapping[str, Sequence[CellShape]]) -> Figure:
    """Returns a figure with a circle per shape, its area the share of the group; a group of one cell is a diamond."""
    from plotly.graph_objects import Figure

    if not groups or not all(groups.values()):
        raise SpecError("there is nothing to draw: give at least one group, and one shape in each")
    figure = Figure()
    colours = line_colours(list(groups))
    for name, shapes in sorted(groups.items(), key=lambda item: -len(item[1])):
        counts = Counter((shape.width, shape.depth) for shape in shapes)
        most, alone = max(counts.values()), len(shapes) == 1
        figure.add_scatter(
            x=[width for width, _ in counts],
            y=[depth for _, depth in counts],
            mode="markers+text" if alone else "markers",
            text=[plain(name)] if alone else None,
            textposition="top center",
            name=plain(name),
            showlegend=not alone,
            marker={
                "size": 12 if alone else [max(5.0, LARGEST * (many / most) ** 0.5) for many in counts.values()],
                "symbol": "diamond" if alone else "circle",
                "color": colours[name] if alone else translucent(colours[name], 0.35),
                "line": {"color": colours[name], "width": 1.2},
            },
            customdata=[(None, 100 * many / len(shapes)) for many in counts.values()],  # no architecture
            hovertemplate=hover(f"{plain(name)}: %{{x:g}}c wide, %{{y}} deep", "%{customdata[1]:.1f} % of them"),
        )
    styled(figure, height=380)
    figure.update_layout(legend={"itemsizing": "constant"})
    figure.update_xaxes(title_text="width, in widths of a node")
    return figure.update_yaxes(title_text="depth, in connections", dtick=1)
