"""Converts a Plotly figure to a static SVG: points, lines, heat maps and axes, without hover texts and without other
types of traces.
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

from naslab.markup import unplotted
from naslab_widgets.figures.axis import powers, ticks
from naslab_widgets.figures.svg import FAINT, INK, Drawing, add, document, drawing, short
from naslab_widgets.figures.themes import LINES, SCALE

WIDTH, HEIGHT = 720, 380
LEFT, RIGHT, TOP, BOTTOM = 62, 14, 34, 44
MOST = 2000
"""Maximum number of points of a trace; more are thinned evenly."""
FEW = 10
"""Traces of fewer points have larger markers."""
KINDS = ("scatter", "scattergl", "heatmap")
SHADES = 24
"""Number of colours of a heat map; all squares of a colour are one path, which keeps the file small."""
_COLOUR = re.compile(r"#[0-9a-fA-F]{3,8}|rgba?\([\d., ]+\)|[a-z]+")


def sketch(figure: Any) -> Drawing:
    """Draws a Plotly figure 720 pixels wide; the types of traces left out are named below it."""
    root = document(WIDTH, HEIGHT, "a sketch of the figure")
    left_out: list[str] = []
    panels: dict[tuple[str, str], list[tuple[Any, str]]] = {}
    for number, trace in enumerate(figure.data):
        if trace.type in KINDS and trace.x is not None and trace.y is not None:
            place = (trace.xaxis or "x", trace.yaxis or "y")
            panels.setdefault(place, []).append((trace, LINES[number % len(LINES)]))
        else:
            left_out.append(trace.type)
    for (x, y), traces in panels.items():
        _panel(root, figure.layout["xaxis" + x[1:]], figure.layout["yaxis" + y[1:]], traces)
    _legend(root, [each for traces in panels.values() for each in traces])
    if left_out:
        text = f"not drawn without Plotly: {', '.join(sorted(set(left_out)))}"
        add(root, "text", text, x=LEFT, y=HEIGHT - 6, font_size=11, fill=FAINT)
    return drawing(root)


class _Scale:
    """Maps the values of an axis to pixels."""

    def __init__(self, axis: Any, values: np.ndarray, begin: float, end: float) -> None:
        self.log = axis.type == "log"
        if axis.range is not None:  # Plotly gives the range of a log axis as exponents of ten
            low, high = sorted(float(10**limit if self.log else limit) for limit in axis.range)
        else:
            finite = values[np.isfinite(values) & ((values > 0) | (not self.log))]
            low, high = (float(finite.min()), float(finite.max())) if finite.size else (1.0, 2.0)
        if self.log:
            low, high = (low, high) if high > low else (low / 2, low * 2)
            self.marks = powers(low, high) or [low, high]
        else:
            low, high, self.marks = ticks(low, high)
        self._ends = self._flat(np.array([low, high]))
        turned = axis.autorange == "reversed" or (axis.range is not None and axis.range[0] > axis.range[1])
        self._begin, self._end = (end, begin) if turned else (begin, end)

    def _flat(self, values: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            return np.log10(values) if self.log else values

    def __call__(self, values: Any) -> np.ndarray:
        low, high = self._ends
        return self._begin + (self._flat(_numbers(values)) - low) / (high - low) * (self._end - self._begin)


def _panel(root: Any, across: Any, up: Any, traces: list[tuple[Any, str]]) -> None:
    width, height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    x0, x1 = (LEFT + width * share for share in across.domain or (0, 1))
    y0, y1 = (HEIGHT - BOTTOM - height * share for share in up.domain or (0, 1))
    x = _Scale(across, np.concatenate([_numbers(trace.x) for trace, _ in traces]), x0, x1)
    y = _Scale(up, np.concatenate([_numbers(trace.y) for trace, _ in traces]), y0, y1)
    for value, at in zip(y.marks, y(y.marks), strict=True):
        add(root, "line", x1=x0, x2=x1, y1=float(at), y2=float(at), stroke=FAINT, stroke_opacity=0.3)
        add(root, "text", f"{value:.4g}", x=x0 - 5, y=float(at) + 3, font_size=10, fill=INK, text_anchor="end")
    for value, at in zip(x.marks, x(x.marks), strict=True) if across.showticklabels is not False else ():
        add(root, "text", f"{value:.4g}", x=float(at), y=y0 + 13, font_size=10, fill=INK, text_anchor="middle")
    add(
        root, "text", _text(across.title.text), x=(x0 + x1) / 2, y=y0 + 27, font_size=11, fill=INK, text_anchor="middle"
    )
    add(root, "text", _text(up.title.text), x=x0 - 50, y=y1 - 9 if y1 < TOP + 20 else y1 - 14, font_size=11, fill=INK)
    for trace, own in traces:
        if trace.type == "heatmap":
            _squares(root, x(trace.x), y(trace.y), np.array(trace.z, dtype=float))
            continue
        points = np.stack([x(trace.x), y(trace.y)], axis=1)
        points[~((points >= (x0 - 1, y1 - 1)) & (points <= (x1 + 1, y0 + 1))).all(axis=1)] = math.nan
        mode = trace.mode or "lines"
        if "lines" in mode:
            _line(root, points, _colour(trace.line.color, own))
        if "markers" in mode:
            _dots(root, points, trace.marker.color, own)


def _squares(root: Any, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> None:
    """Draw a heat map z [rows, columns], dark for the lowest values."""
    if len(x) < 2 or len(y) < 2 or np.isnan(z).all():
        return
    wide, high = abs(float(x[1] - x[0])), abs(float(y[1] - y[0]))
    low, size = np.nanmin(z), np.nanmax(z) - np.nanmin(z) or 1.0
    shade = np.nan_to_num((z - low) / size * (SHADES - 1), nan=-1).round().astype(int)
    for number, colour in enumerate(_shades(range(SHADES))):
        found = np.argwhere((shade == number) & ~np.isnan(z))
        path = "".join(
            f"M{x[j] - wide / 2:.1f} {y[i] - high / 2:.1f}h{wide:.1f}v{high:.1f}h-{wide:.1f}z" for i, j in found
        )
        if path:
            add(root, "path", d=path, fill=colour)


def _line(root: Any, points: np.ndarray, colour: str) -> None:
    # A line is interrupted at missing points, as in Plotly.
    gaps = np.flatnonzero(np.isnan(points).any(axis=1))
    for part in np.split(points, gaps):
        part = part[~np.isnan(part).any(axis=1)]
        if len(part) > 1:
            path = " ".join(f"{a:.1f},{b:.1f}" for a, b in part[:: 1 + len(part) // MOST])
            add(root, "polyline", points=path, fill="none", stroke=colour, stroke_width=1.5)


def _dots(root: Any, points: np.ndarray, given: Any, own: str) -> None:
    many = given is not None and not isinstance(given, str) and len(given) == len(points)
    shade = _shades(given) if many else None
    for place in range(0, len(points), 1 + len(points) // MOST):
        a, b = points[place]
        if not (math.isnan(a) or math.isnan(b)):
            fill = _colour(given, own) if shade is None else shade[place]
            few = {"stroke": INK, "stroke_width": 1} if len(points) < FEW else {}
            add(root, "circle", cx=f"{a:.1f}", cy=f"{b:.1f}", r=4 if few else 2.2, fill=fill, fill_opacity=0.8, **few)


def _shades(values: Any) -> list[str]:
    """Returns the colours of numbers on the scale, dark for the lowest."""
    if any(isinstance(value, str) for value in values):
        return [_colour(value, LINES[0]) for value in values]
    numbers = _numbers(values)
    low, high = np.nanmin(numbers), np.nanmax(numbers)
    share = np.nan_to_num((numbers - low) / (high - low if high > low else 1.0))
    channels = np.array([[int(code[i : i + 2], 16) for i in (1, 3, 5)] for _, code in SCALE])
    stops = [stop for stop, _ in SCALE]
    mixed = np.stack([np.interp(share, stops, channels[:, i]) for i in range(3)], axis=1).astype(int)
    return [f"#{r:02x}{g:02x}{b:02x}" for r, g, b in mixed]


def _legend(root: Any, traces: list[tuple[Any, str]]) -> None:
    at = float(LEFT)
    for trace, own in traces:
        if trace.type == "heatmap" or trace.showlegend is False or not trace.name:
            continue
        name = _text(trace.name)
        if at + 7 * len(name) + 24 > WIDTH:
            break
        colour = trace.line.color if "lines" in (trace.mode or "lines") else trace.marker.color
        stroke = {"stroke": INK, "stroke_width": 0.5}
        add(root, "rect", x=at, y=6, width=9, height=9, rx=2, fill=_colour(colour, own), **stroke)
        add(root, "text", name, x=at + 13, y=14, font_size=11, fill=INK)
        at += 7 * len(name) + 26


def _numbers(values: Any) -> np.ndarray:
    return np.array([math.nan if value is None else value for value in values], dtype=float)


def _colour(given: Any, own: str) -> str:
    return given if isinstance(given, str) and _COLOUR.fullmatch(given) else own


def _text(text: Any) -> str:
    return short(unplotted(text or ""))
