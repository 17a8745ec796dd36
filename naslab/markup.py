"""The one place in which text becomes HTML or SVG: a document is a tree of elements, and a name in it is always text.

What is shown may come from a stranger: the name of an operation, a column of a table, an error message, a path. It is
cleaned here of what cannot be seen but changes what is read (control characters, and the marks that turn the direction
of text), and shortened if it is longer than anybody reads.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from typing import Any
from xml.etree import ElementTree

Element = ElementTree.Element

LONGEST = 1000
"""Characters of a text that is shown; what goes beyond ends in an ellipsis."""
BREAK = "<br>"
"""A new line in the few tags that Plotly knows."""
_TAG = re.compile(r"<[^>]*>")
_UNSEEN = re.compile(
    # What XML cannot hold: control characters, halves of surrogate pairs and non-characters. Then delete and the C1
    # control characters, and what turns the direction of writing, so that "gnp.exe" would be read as "exe.png".
    "[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|[\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)


def clean(text: object, most: int = LONGEST) -> str:
    """The text, with U+FFFD for every character that must not be shown, and at most `most` characters long."""
    written = str(text)
    if len(written) > most:
        written = written[: most - 1] + "…"
    return _UNSEEN.sub("\ufffd", written)


def printable(text: str) -> str:
    """A text of any length as a terminal and a notebook can show it: half a surrogate pair, say, could not be sent."""
    return _UNSEEN.sub("\ufffd", text)


def esc(text: object, most: int = LONGEST) -> str:
    """The text in HTML, where nothing in it is a tag, an attribute or an entity."""
    return html.escape(clean(text, most))


def plotly(text: object, most: int = LONGEST) -> str:
    """The same for Plotly, which reads tags (`<b>`, `<a href=...>`), templates (`%{x}`) and formulas (`$x$`)."""
    return html.escape(clean(text, most), quote=False).replace("%{", "&#37;{").replace("$", "&#36;")


def unplotted(text: str) -> str:
    """The text that a label of Plotly's shows: without its tags, and with what was escaped as it was."""
    return html.unescape(_TAG.sub(" ", text))


def hover(*lines: str) -> str:
    """Plotly's template of a hover text: a line each, in which foreign names went through `plotly`; no second box."""
    return BREAK.join(lines) + "<extra></extra>"


def element(tag: str, text: object = None, *, most: int = LONGEST, **attributes: object) -> Element:
    """An element with a text. `class_="x"` becomes `class="x"`, `stroke_width=2` `stroke-width="2"`; numbers lose
    their noise.
    """
    made = ElementTree.Element(tag, {name.rstrip("_").replace("_", "-"): _value(v) for name, v in attributes.items()})
    made.text = None if text is None else clean(text, most)
    return made


def add(parent: Element, tag: str, text: object = None, **attributes: Any) -> Element:
    """The same, as the last child of another."""
    child = element(tag, text, **attributes)
    parent.append(child)
    return child


def tail(parent: Element, text: object) -> None:
    """Text behind the last child of an element."""
    parent[-1].tail = clean(text)


def html_of(*roots: Element) -> str:
    """The elements as HTML, one after the other; a notebook reads no formula in them, which could hold links."""
    for root in roots:
        root.set("class", " ".join(filter(None, [root.get("class"), "mathjax_ignore"])))
    return "".join(ElementTree.tostring(root, encoding="unicode", method="html") for root in roots)


def around(parts: Iterable[str], class_: str) -> str:
    """HTML that is made already, one after the other in a block of its own."""
    return "".join([f'<div class="{esc(class_)} mathjax_ignore">', *parts, "</div>"])


def svg_of(root: Element) -> str:
    """The element as XML."""
    return ElementTree.tostring(root, encoding="unicode")


def parsed(drawing: str) -> Element:
    """The tree of an SVG drawing of the house's own, its names without their namespace."""
    root = ElementTree.fromstring(drawing)
    for each in root.iter():
        each.tag = each.tag.rpartition("}")[2]
    return root


def page(value: Any) -> Any:
    """What a widget may tell the page: JSON with finite numbers and clean texts, keys included.

    A number that is not finite becomes None, one of NumPy's one of Python's. A `Markup` passes as it is.
    """
    if isinstance(value, Markup) or value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return clean(value)
    if hasattr(value, "tolist"):
        return page(value.tolist())
    if isinstance(value, int | float):
        return value if abs(value) <= MOST else None  # NaN is not, either
    if isinstance(value, dict):
        return {key if isinstance(key, int) else clean(key): page(part) for key, part in value.items()}
    parts = [page(part) for part in value]
    return tuple(parts) if isinstance(value, tuple) else parts


MOST = 1e300
"""Numbers beyond are told to no page: their sums and differences would be infinite there."""


class Markup(str):
    """A document that was made here, and is no text of anybody's."""


def _value(value: object) -> str:
    return f"{value:.5g}" if isinstance(value, float) else _UNSEEN.sub("\ufffd", str(value))
