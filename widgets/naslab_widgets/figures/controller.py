"""Learning curves of a controller: reward and baseline, entropy, and the probability of every decision over time; for
Q-learning, the Q-values along a chain of decisions."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from naslab.analysis.decisions import Q, option_names, probabilities_over_time
from naslab.architecture import Option
from naslab.errors import SpecError
from naslab.events import Evaluated, Event
from naslab_widgets.figures import svg
from naslab_widgets.figures.alphas import thinned
from naslab_widgets.figures.themes import LINES, SCALE
from naslab_widgets.figures.wording import answers, question

WIDTH, RIGHT, TOP, PANEL, GAP, ROW, LETTER = 900.0, 54.0, 26.0, 96.0, 22.0, 12.0, 5.2
COLUMNS, POINTS, MOST_ROWS = 150, 600, 160
DOTS, LINE, SECOND = "#56b4e9", LINES[1], LINES[0]
BOX, BOX_HEIGHT, BOXES = 82.0, 34.0, 10


def controller(events: Iterable[Event], space: Any = None) -> svg.Drawing:
    """Draws reward with baseline, entropy (or epsilon), and the probability of each option, one row per option.

    Probabilities are those along the policy's most likely path: dark is 0, bright is 1, the middle of the scale is the
    uniform distribution (`strength`), blank where the path does not reach the decision.

    Args:
        events: events of one search, in order; only evaluations are used.
        space: search space that names the options; without it they are numbered.
    """
    trials = _trials(events)
    history, options = probabilities_over_time(trials), option_names(trials, space)
    rows = [(name, option) for name, array in history.items() for option in range(array.shape[1])][:MOST_ROWS]
    labels = [f"{question(name)} = {_option(options, name, option)}" for name, option in rows]
    left = 24 + LETTER * min(max(map(len, labels), default=0), 46)
    top = TOP + 2 * (PANEL + GAP)
    root = svg.document(WIDTH, top + ROW * len(rows) + 40)
    second = "epsilon" if any("epsilon" in trial.details for trial in trials) else "entropy"
    _panel(root, left, TOP, trials, {"reward": DOTS, "baseline": LINE})
    _panel(root, left, TOP + PANEL + GAP, trials, {second: SECOND})
    _mark_collapse(root, left, TOP + PANEL + GAP, trials)
    kept = thinned(list(range(len(trials))), COLUMNS)
    edges = np.linspace(left, WIDTH - RIGHT, len(kept) + 1)
    for number, ((name, option), label) in enumerate(zip(rows, labels, strict=True)):
        y = top + ROW * number
        first = option == 0 and number > 0
        if first:
            svg.add(root, "line", x1=8, x2=WIDTH - RIGHT, y1=y, y2=y, stroke=svg.PAPER, stroke_width=2)
        svg.add(root, "text", label[:46], x=left - 6, y=y + 9, font_size=9, text_anchor="end", fill=svg.INK)
        for shade, start, end in _runs(strength(history[name][kept, option], history[name].shape[1])):
            at, wide = float(edges[start]), float(edges[end] - edges[start])
            svg.add(
                root,
                "rect",
                x=at,
                y=y + first,
                width=wide,
                height=ROW - first,
                fill=shade,
                class_="p",
                shape_rendering="crispEdges",
            )
    _foot(root, left, top + ROW * len(rows), trials)
    return svg.drawing(root)


def q_values(events: Iterable[Event], space: Any = None) -> svg.Drawing:
    """Draws the Q-value of each option along the greedy path after the last event: a column per decision, the option
    with the highest value framed.

    Args:
        events: events of one search, in order; only evaluations are used.
        space: search space that names the options; without it they are numbered.
    """
    trials = _trials(events)
    values = {name.removeprefix(Q): _row(row) for name, row in trials[-1].details.items() if name.startswith(Q)}
    if not values:
        raise SpecError("these events hold no values of decisions; a search by nl.searchers.QLearning has them")
    options = option_names(trials, space)
    everything = np.concatenate(list(values.values()))
    low, span = everything.min(), max(float(np.ptp(everything)), 1e-12)
    lines = [list(values)[start : start + BOXES] for start in range(0, len(values), BOXES)]
    heights = [30 + BOX_HEIGHT * max(len(values[name]) for name in line) + 12 for line in lines]
    root = svg.document(BOX * min(BOXES, len(values)) + 16, sum(heights))
    for top, line in zip(itertools.accumulate([0.0, *heights]), lines, strict=False):
        for column, name in enumerate(line):
            x = 8 + BOX * column
            svg.add(
                root, "text", name[-15:], x=x + BOX / 2, y=top + 20, font_size=10, text_anchor="middle", fill=svg.INK
            )
            for option, value in enumerate(values[name]):
                y, share = top + 28 + BOX_HEIGHT * option, float((value - low) / span)
                ink = svg.PAPER if share < 0.55 else svg.INK
                box = {"x": x + 2, "y": y + 2, "width": BOX - 4, "height": BOX_HEIGHT - 4, "rx": 4}
                taken = {"stroke": LINE, "stroke_width": 3.5} if option == int(values[name].argmax()) else {}
                svg.add(root, "rect", **box, fill=_colour(share), class_="q", **taken)
                middle = {"x": x + BOX / 2, "text_anchor": "middle", "fill": ink}
                svg.add(root, "text", _option(options, name, option)[:13], y=y + 15, font_size=10.5, **middle)
                svg.add(root, "text", f"{value:.3g}", y=y + 27, font_size=9.5, **middle)
    return svg.drawing(root)


def _trials(events: Iterable[Event]) -> list[Evaluated]:
    trials = [event for event in events if isinstance(event, Evaluated)]
    if not trials:
        raise SpecError("no candidate has been evaluated yet: there is nothing to draw")
    return trials


def _row(values: Any) -> np.ndarray:
    return np.atleast_1d(np.asarray(values, dtype=float))


def _option(options: Mapping[str, tuple[Option, ...]], name: str, number: int) -> str:
    known = options.get(name, ())
    return answers(name, known)[number] if number < len(known) else f"option {number}"


def _across(left: float, trials: Sequence[Evaluated]) -> np.ndarray:
    """Returns the x coordinate of each trial in pixels, [T]."""
    return left + (WIDTH - RIGHT - left) * (np.arange(len(trials)) + 0.5) / len(trials)


def _panel(root: svg.Element, left: float, top: float, trials: Sequence[Evaluated], colours: Mapping[str, str]) -> None:
    """Draw the named diagnostics of the searcher as lines; the first of several as dots."""
    x = _across(left, trials)
    found = {name: np.array([trial.details.get(name, np.nan) for trial in trials], dtype=float) for name in colours}
    finite = np.concatenate([row[np.isfinite(row)] for row in found.values()])
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    span = max(high - low, 1e-12)
    svg.add(root, "rect", x=left, y=top, width=WIDTH - RIGHT - left, height=PANEL, fill="none", stroke="#d8dee4")
    for value, y in ((high, top + 9), (low, top + PANEL)):
        svg.add(root, "text", f"{value:.4g}", x=WIDTH - RIGHT + 6, y=y, font_size=10, fill=svg.FAINT)
    for number, (name, row) in enumerate(found.items()):
        if not np.isfinite(row).any():
            continue
        y = top + 4 + (PANEL - 8) * (1 - (row - low) / span)
        known = [place for place in range(len(trials)) if np.isfinite(row[place])]
        points = [(x[place], y[place]) for place in thinned(known, POINTS)]
        if number == 0 and len(found) > 1:
            for a, b in points:
                svg.add(root, "circle", cx=float(a), cy=float(b), r=1.8, fill=colours[name], fill_opacity=0.65)
        else:
            path = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
            svg.add(root, "polyline", points=path, fill="none", stroke=colours[name], stroke_width=1.8, class_=name)
        svg.add(
            root,
            "text",
            name,
            x=left - 8,
            y=top + 16 + 15 * number,
            font_size=11.5,
            text_anchor="end",
            fill=colours[name],
        )


def _mark_collapse(root: svg.Element, left: float, top: float, trials: Sequence[Evaluated]) -> None:
    """Draw a dashed line at the first trial at which the policy had collapsed to one architecture, if any."""
    place = next((place for place, trial in enumerate(trials) if trial.details.get("collapsed")), None)
    if place is not None:
        x = float(_across(left, trials)[place])
        line = {"stroke": svg.INK, "stroke_dasharray": "4 3", "class_": "collapsed"}
        svg.add(root, "line", x1=x, x2=x, y1=top, y2=top + PANEL, **line)
        note = {"font_size": 10, "fill": svg.INK, "y": top + 12}
        near = x > WIDTH - 220
        place_text = {"x": x - 5, "text_anchor": "end"} if near else {"x": x + 5}
        svg.add(root, "text", f"always the same, from {trials[place].step}", **note, **place_text)


def _foot(root: svg.Element, left: float, y: float, trials: Sequence[Evaluated]) -> None:
    """Draw the axis of evaluations and the legend of the colour scale."""
    ends = {"font_size": 10, "fill": svg.INK, "y": y + 14}
    svg.add(root, "text", str(trials[0].step), x=left, **ends)
    svg.add(root, "text", str(trials[-1].step), x=WIDTH - RIGHT, text_anchor="end", **ends)
    svg.add(root, "text", "evaluation", x=(left + WIDTH - RIGHT) / 2, text_anchor="middle", **ends)
    for step in range(20):
        svg.add(root, "rect", x=left + 24 + 7 * step, y=y + 22, width=7, height=9, fill=_colour(step / 19))
    svg.add(root, "text", "p = 0", x=left + 20, text_anchor="end", y=y + 30, font_size=9, fill=svg.INK)
    end = "1; the middle: as likely as any other option"
    svg.add(root, "text", end, x=left + 168, y=y + 30, font_size=9, fill=svg.INK)


def strength(probabilities: np.ndarray, options: int) -> np.ndarray:
    """Maps probabilities (any shape) to the colour scale: 0 -> 0, 1 -> 1, and the uniform 1 / options -> 0.5.

    Decisions of six options then have the same contrast as decisions of two: p ** (1 / log2(options)).
    """
    return probabilities ** (1 / np.log2(max(options, 2)))


def _runs(row: np.ndarray) -> Iterable[tuple[str, int, int]]:
    """Yields (colour, start, end) of each run of equal colours; none for NaN.

    Shares are rounded to 1/40, so that one rectangle covers a whole run.
    """
    shades = ["" if np.isnan(value) else _colour(round(float(value) * 40) / 40) for value in row]
    for shade, group in itertools.groupby(range(len(shades)), key=shades.__getitem__):
        places = list(group)
        if shade:
            yield shade, places[0], places[-1] + 1


def _colour(share: float) -> str:
    """Returns the colour of the scale at a number in [0, 1], as hex."""
    stops = np.array([stop for stop, _ in SCALE])
    parts = np.array([[int(hue[place : place + 2], 16) for place in (1, 3, 5)] for _, hue in SCALE])
    red, green, blue = (round(float(np.interp(share, stops, parts[:, part]))) for part in range(3))
    return f"#{red:02x}{green:02x}{blue:02x}"
