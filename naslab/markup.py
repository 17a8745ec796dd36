"""The only module that turns text into HTML or SVG: a document is a tree of elements, in which a name is always text.

Displayed text may come from a stranger: the name of an operation, a column of a table, an error message, a path. So it
is escaped; invisible characters that change how it is read (control characters, marks that change the direction of
writing) are replaced; and long texts are shortened.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from typing import Any
from xml.etree import ElementTree

Element = ElementTree.Element

LONGEST = 1000
"""Largest number of characters of a displayed text; a longer one is cut and ends in an ellipsis."""
BREAK = "<br>"
"""Line break in the subset of HTML that Plotly knows."""
_TAG = re.compile(r"<[^>]*>")
_UNSEEN = re.compile(
    # What XML cannot hold: control characters, halves of surrogate pairs and non-characters. Then delete and the C1
    # control characters, and what turns the direction of writing, so that "gnp.exe" would be read as "exe.png".
    "[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|[\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)


def clean(text: object, most: int = LONGEST) -> str:
    """Returns the text with U+FFFD for every character that must not be shown, cut to `most` characters."""
    written = str(text)
    if len(written) > most:
        written = written[: most - 1] + "…"
    return _UNSEEN.sub("\ufffd", written)


def printable(text: str) -> str:
    """Returns the text as a terminal and a notebook can display it; half a surrogate pair could not even be sent."""
    return _UNSEEN.sub("\ufffd", text)


def esc(text: object, most: int = LONGEST) -> str:
    """Returns the text escaped for HTML, so that nothing in it is a tag, an attribute or an entity."""
    return html.escape(clean(text, most))


def plotly(text: object, most: int = LONGEST) -> str:
    """Returns the text escaped for Plotly, which interprets tags (`<b>`), templates (`%{x}`) and formulas (`$x$`)."""
    return html.escape(clean(text, most), quote=False).replace("%{", "&#37;{").replace("$", "&#36;")


def unplotted(text: str) -> str:
    """Returns the text that a label of Plotly displays: without tags, and unescaped."""
    return html.unescape(_TAG.sub(" ", text))


def hover(*lines: str) -> str:
    """Returns Plotly's template of a hover text, without a second box. Pass foreign names through `plotly` before."""
    return BREAK.join(lines) + "<extra></extra>"


def element(tag: str, text: object = None, *, most: int = LONGEST, **attributes: object) -> Element:
    """Returns an element with a text. `class_="x"` becomes `class="x"`, `stroke_width=2` becomes `stroke-width="2"`;
    floats are written with five significant digits.
    """
    made = ElementTree.Element(tag, {name.rstrip("_").replace("_", "-"): _value(v) for name, v in attributes.items()})
    made.text = None if text is None else clean(text, most)
    return made


def add(parent: Element, tag: str, text: object = None, **attributes: Any) -> Element:
    """Returns the same, appended to the children of another element."""
    child = element(tag, text, **attributes)
    parent.append(child)
    return child


def tail(parent: Element, text: object) -> None:
    """Set the text after the last child of an element."""
    parent[-1].tail = clean(text)


def html_of(*roots: Element) -> str:
    """Returns the elements as HTML. A class keeps a notebook from reading formulas in them, which could hold links."""
    for root in roots:
        root.set("class", " ".join(filter(None, [root.get("class"), "mathjax_ignore"])))
    return "".join(ElementTree.tostring(root, encoding="unicode", method="html") for root in roots)


def around(parts: Iterable[str], class_: str) -> str:
    """Returns pieces of finished HTML in one block."""
    return "".join([f'<div class="{esc(class_)} mathjax_ignore">', *parts, "</div>"])


def svg_of(root: Element) -> str:
    """Returns the element as XML."""
    return ElementTree.tostring(root, encoding="unicode")


def parsed(drawing: str) -> Element:
    """Returns the tree of an SVG drawing that naslab made, with the namespace removed from the names."""
    root = ElementTree.fromstring(drawing)
    for each in root.iter():
        each.tag = each.tag.rpartition("}")[2]
    return root


def page(value: Any) -> Any:
    """Returns a value as a widget may send it to the page: JSON with finite numbers and cleaned texts, keys included.

    A number that is not finite becomes None, a NumPy number a Python one. A `Markup` is not changed.
    """
    if isinstance(value, Markup) or value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return clean(value)
    if hasattr(value, "tolist"):
        return page(value.tolist())
    if isinstance(value, int | float):
        return value if abs(value) <= MOST else None  # None for NaN, too
    if isinstance(value, dict):
        return {key if isinstance(key, int) else clean(key): page(part) for key, part in value.items()}
    parts = [page(part) for part in value]
    return tuple(parts) if isinstance(value, tuple) else parts


MOST = 1e300
"""Largest number that is sent to a page: sums and differences of larger ones would be infinite there."""


class Markup(str):
    """A document that this module made, which needs no escaping."""


def _value(value: object) -> str:
    return f"{value:.5g}" if isinstance(value, float) else _UNSEEN.sub("\ufffd", str(value))
