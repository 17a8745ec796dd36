"""The history of `benchmarks/results/supernets-*.json` as docs/speed.svg: python -m benchmarks.plot"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from naslab_widgets.figures.axis import ticks
from naslab_widgets.figures.palette import HUES
from naslab_widgets.figures.svg import FAINT, INK, Drawing, add, document, drawing

HERE = Path(__file__).parent
WIDTH, ROW, LEFT, RIGHT, TOP, BOTTOM = 860.0, 22.0, 410.0, 40.0, 40.0, 44.0
Key = tuple[str, int, int, str]


def speed(runs: list[dict[str, Any]]) -> Drawing:
    """One row a step; every run a dot with its quartiles, the newest dark; the ratio that must be reached a tick."""
    rows: dict[Key, list[tuple[int, dict[str, Any]]]] = {}
    for number, run in enumerate(runs):
        for row in run["rows"]:
            if "milliseconds" in row:
                rows.setdefault((row["job"], row["batch"], row["threads"], row["step"]), []).append((number, row))
    shown = [row for found in rows.values() for _, row in found]
    high = max(max(row["quartiles"][1], row["ratio"], row["must"] or 0) for row in shown)
    low, high, marks = ticks(0, high, 6)
    root = document(WIDTH, TOP + ROW * len(rows) + BOTTOM)

    def x(value: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (value - low) / (high - low)

    bottom = TOP + ROW * len(rows)
    for mark in marks:
        add(root, "line", x1=x(mark), x2=x(mark), y1=TOP, y2=bottom, stroke=FAINT, stroke_width=0.5, opacity=0.6)
        add(root, "text", f"{mark:g}", x=x(mark), y=bottom + 16, font_size=11, fill=INK, text_anchor="middle")
    told, middle = "times as fast as the published supernet", (LEFT + WIDTH - RIGHT) / 2
    add(root, "text", told, x=middle, y=bottom + 34, font_size=12, fill=INK, text_anchor="middle")
    add(root, "line", x1=LEFT, x2=LEFT, y1=TOP - 26, y2=TOP - 12, stroke=HUES[1][0], stroke_width=3)
    add(root, "text", "to be reached at least", x=LEFT + 8, y=TOP - 14, font_size=12, fill=INK)
    add(root, "circle", cx=LEFT + 172, cy=TOP - 18, r=4, fill=HUES[0][0])
    newest = f"{runs[-1]['date']}, torch {runs[-1]['torch'].split('+')[0]}"
    add(root, "text", newest, x=LEFT + 182, y=TOP - 14, font_size=12, fill=INK)
    for index, ((job, batch, threads, step), found) in enumerate(rows.items()):
        y = TOP + ROW * (index + 0.5)
        name = f"{job}, {batch} images, {threads} thread{'s' if threads > 1 else ''}: {step}"
        add(root, "text", name, x=LEFT - 12, y=y + 4, font_size=11, fill=INK, text_anchor="end")
        for number, row in found:
            faint = 1.0 if number == len(runs) - 1 else 0.3
            (start, end), colour = row["quartiles"], HUES[0][0]
            add(root, "line", x1=x(start), x2=x(end), y1=y, y2=y, stroke=colour, stroke_width=3, opacity=0.4 * faint)
            add(root, "circle", cx=x(row["ratio"]), cy=y, r=4, fill=colour, opacity=faint)
            if row["must"]:
                at = x(row["must"])
                add(root, "line", x1=at, x2=at, y1=y - 8, y2=y + 8, stroke=HUES[1][0], stroke_width=3)
    return drawing(root)


def main() -> None:
    runs = [json.loads(path.read_text()) for path in HERE.glob("results/supernets-*.json")]
    speed(sorted(runs, key=lambda run: run["date"])).save(HERE.parent / "docs" / "speed.svg")


if __name__ == "__main__":
    main()
