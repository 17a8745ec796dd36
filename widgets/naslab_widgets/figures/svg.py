"""SVG as a tree of elements, so that a label is always text and never markup (`naslab.markup`)."""

from __future__ import annotations

import os
import textwrap
from base64 import b64encode
from pathlib import Path

from naslab import markup
from naslab.errors import RunError
from naslab.markup import Element, add, clean, element
from naslab.paths import path_of, with_suffix

__all__ = ["Drawing", "Element", "add", "clean", "document", "drawing", "element", "sentences", "short", "stacked"]

INK, FAINT, PAPER = "#24292f", "#8b949e", "#ffffff"
FONT = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"
LABEL = 40
"""Maximum number of characters of a label inside a picture."""


class Drawing(markup.Markup):
    """An SVG document: a string that Jupyter displays as a picture."""

    def _repr_svg_(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        """Returns an `img` element that is never wider than the page: notebooks cut off a bare SVG that is wider."""
        root = markup.parsed(str(self))
        width, label = root.get("width", "100%"), root.get("aria-label", "a picture by naslab")
        source = f"data:image/svg+xml;base64,{b64encode(str(self).encode()).decode()}"
        look = f"width: 100%; max-width: {width}{'px' * width[-1:].isdigit()}; height: auto"
        return markup.html_of(element("img", src=source, alt=clean(label), style=look))

    def __repr__(self) -> str:
        return f"<Drawing: SVG, {len(self):,} characters>"

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the drawing to a file, for instance `cell.svg`; missing folders are created.

        Raises:
            SpecError: the suffix names a format other than SVG.
            RunError: the file cannot be written.
        """
        advice = "give it the suffix .svg, and make a PNG or PDF of that file with a program for SVG, such as Inkscape"
        file = with_suffix("a drawing", path_of("the drawing", path), (".svg",), advice)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(str(self), encoding="utf-8")
        except OSError as error:
            raise RunError(
                f"the drawing cannot be written to {file} ({error.strerror or error}); give a path where this process "
                "may write"
            ) from error
        return file


def document(width: float, height: float, label: str = "") -> Element:
    """Returns an empty picture on white; `label` is the alternative text for screen readers."""
    root = element(
        "svg",
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width:g} {height:g}",
        width=f"{width:g}",
        height=f"{height:g}",
        font_family=FONT,
        role="img",
        style="max-width: 100%; height: auto",
    )
    if label:
        root.set("aria-label", clean(label))
    add(root, "rect", width=width, height=height, fill=PAPER)
    return root


def short(label: object) -> str:
    """Returns a label cleaned and shortened to `LABEL` characters, with an ellipsis."""
    return clean(label, LABEL)


def sentences(*texts: str, width: float, size: float = 12) -> Drawing:
    """Draws text in place of a picture, or below one: each text begins a new line and is wrapped to the width."""
    room = max(1, int((width - 16) / (0.56 * size)))
    lines = [line for text in texts for line in textwrap.wrap(clean(text), room)]
    root = document(width, 1.5 * size * len(lines) + 12, " ".join(texts))
    for number, line in enumerate(lines):
        add(root, "text", line, x=8, y=6 + size * (1.5 * number + 1.1), font_size=size, fill=INK)
    return drawing(root)


def drawing(root: Element) -> Drawing:
    return Drawing(markup.svg_of(root))


def stacked(*drawings: Drawing, gap: float = 12) -> Drawing:
    """Returns one picture of the drawings, stacked from top to bottom."""
    if len(drawings) == 1:
        return drawings[0]
    roots = [markup.parsed(str(picture)) for picture in drawings]
    sizes = [(float(root.get("width", 0)), float(root.get("height", 0))) for root in roots]
    label = " ".join(filter(None, (root.get("aria-label") for root in roots)))
    height = sum(height for _, height in sizes) + gap * (len(sizes) - 1)
    whole = document(max(width for width, _ in sizes), height, label)
    y = 0.0
    for root, (_, height) in zip(roots, sizes, strict=True):
        group = add(whole, "g", transform=f"translate(0 {y:g})")
        group.extend(root)
        y += height + gap
    return drawing(whole)
