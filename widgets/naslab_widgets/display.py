"""What a notebook shows of a panel: the panel itself while its kernel lives, and a picture of it everywhere else.

A cell gets two outputs. The first is an empty place, into which a page puts the live panel (`static/display.js`). The
second is a picture with a line of words: that of now, whenever the panel comes to rest; the page hides it while the
panel is there. The file that is saved so holds no view of a widget, and what opens it without the kernel, or knows no
widgets (a viewer, `nbconvert`), shows the last picture and needs nothing from anywhere.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import threading
import time
import weakref
from abc import abstractmethod
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from IPython.core.getipython import get_ipython
from IPython.display import display

from naslab import markup
from naslab.markup import Markup
from naslab_widgets.about import short_path
from naslab_widgets.page import PageWidget
from naslab_widgets.pulse import PULSE
from naslab_widgets.scripts import bundle, styles

EVERY = 30.0
"""Seconds from picture to picture while it moves and somebody looks: they may save, and close, at any moment."""
LONGEST = 50_000
"""Characters of a result that is shown as text."""


class RestoreHint(NamedTuple):
    """What is left when the kernel is gone."""

    words: str
    line: str = ""
    """To be typed; empty where nothing can be brought back."""


class Displayed:
    """Has a panel, which a cell shows, and a picture of it."""

    panel: Any
    _display: Display | None = None
    _steps_at_last_look = -1
    """Steps that were done at the last look."""

    @abstractmethod
    def _still_key(self) -> Hashable:
        """Equal while nothing has changed that the still shows."""

    @abstractmethod
    def _still(self) -> tuple[Any, ...]:
        """What stands in the notebook without a kernel, one below the other: drawings, `Markup` and texts."""

    def _about(self) -> str:
        """What it shows, for the line above the panel."""
        return ""

    def _restore_hint(self) -> RestoreHint:
        """What is said when the kernel is gone."""
        return RestoreHint("What it showed was in the memory of the kernel only: run the cells again.")

    def _ipython_display_(self) -> None:
        if (display := self._display) is None:
            display = self._display = Display(self)
            _SHOWN.append(weakref.ref(self))
        display.show()

    def _update_still(self, rests: bool = True) -> None:
        """Have the notebook hold the picture of now, if it shows this at all. Any thread."""
        if self._display is not None:
            self._display.update_still(rests)

    def _update_still_at_rest(self, at: int, busy: bool) -> bool:
        """At each look of somebody: keep the picture, at rest only; whether it is to be looked at once more.

        What is stepped in a loop of one's own stands still between any two steps. So it rests only once nothing has
        moved since the last look.

        Args:
            at: steps done.
            busy: whether this view moves it.
        """
        moved, self._steps_at_last_look = at != self._steps_at_last_look, at
        self._update_still(not busy and not moved)
        return busy or moved


_SHOWN: list[weakref.ref[Displayed]] = []


def shown() -> list[Displayed]:
    """All that was shown in this kernel, oldest first."""
    return [each for reference in _SHOWN if (each := reference()) is not None]


class Gallery(tuple[Any, ...]):
    """Several panels; as the last line of a cell it shows them all."""

    def _ipython_display_(self) -> None:
        if not self:
            display({"text/plain": "nothing lives in this kernel: Lab(search) makes a laboratory"}, raw=True)
        for each in self:
            each._ipython_display_()


class Display(PageWidget):
    """The two outputs of a panel, and the talk with the page about whether the kernel lives."""

    _esm = bundle("display.js")
    _css = styles("display.css")

    def __init__(self, owner: Displayed) -> None:
        again = owner._restore_hint()
        self._name = secrets.token_hex(8)
        super().__init__(
            {
                "name": self._name,
                "panel": owner.panel.model_id,
                "about": owner._about(),
                "words": again.words,
                "line": again.line,
            }
        )
        self._owner = weakref.ref(owner)
        self._drawing = threading.Lock()
        self._still_key: Hashable = None
        self._bundle: dict[str, str] = {}
        self._number, self._at = 0, 0.0
        self._views = False

    # --- to the notebook -------------------------------------------------------------------------

    def show(self) -> None:
        """The outputs, in the cell that is running."""
        owner = self._owner()
        if owner is None:
            return
        shell = get_ipython()
        PULSE.follow_cells(shell)
        self._draw(owner)
        if self._views or needs_views(shell):
            self._views = True
            view = dict(owner.panel._repr_mimebundle_() or {})
            display({**self._bundle, **view, "text/plain": repr(owner)}, raw=True)
            return
        place = markup.element("div", class_=f"naslab-place naslab-place-{self._name}")
        display({"text/html": markup.html_of(place)}, raw=True)
        display(self._bundle, raw=True, display_id=f"naslab-{self._name}")

    def update_still(self, rests: bool = True) -> None:
        """Replace the picture by that of now: at rest always, on the way from time to time, for somebody who looks."""
        owner = self._owner()
        if owner is None or not self._number or self._views:
            return
        if not rests and (time.monotonic() - self._at < EVERY or not PULSE.reaches(self)):
            return
        if self._draw(owner):
            display(self._bundle, raw=True, display_id=f"naslab-{self._name}", update=True)
            self.tell({"type": "still", "number": self._number})

    def _draw(self, owner: Displayed) -> bool:
        """Whether it is another than before."""
        with self._drawing:
            moment = owner._still_key()
            if self._number and moment == self._still_key:
                return False
            self._number, self._still_key, self._at = self._number + 1, moment, time.monotonic()
            names = f"naslab-still-{self._name} naslab-still-{self._name}-{self._number}"
            self._bundle = still(owner._still(), repr(owner), names)
            return True

    # --- from the page ---------------------------------------------------------------------------

    def _on_message(self, kind: str, message: Mapping[str, Any]) -> None:
        if kind in ("here", "mounted"):
            PULSE.heard(self)
        if kind in ("mounted", "leaving"):  # a page that is new has heard of no picture; one that goes may be saved
            self.update_still()
            self.tell({"type": "still", "number": self._number})
        elif kind == "missing":
            bundle = {name: Markup(part) for name, part in self._bundle.items()}
            self.tell({"type": "bundle", "number": self._number, "bundle": bundle})


def still(parts: Sequence[Any], text: str, name: str = "") -> dict[str, str]:
    """The parts, one below the other, as the output of a cell that needs nothing else.

    A drawing is an image with its own data, since JupyterLab shows no other SVG in a notebook that it does not trust.
    """
    made = [_image(part) if _is_drawing(part) else html_of(part) for part in parts]
    bundle = {"text/html": markup.around(made, class_=f"naslab-still {name}".rstrip()), "text/plain": text}
    if drawings := [part for part in parts if _is_drawing(part)]:
        bundle["image/svg+xml"] = drawings[0]._repr_svg_()
    return bundle


def html_of(part: Any) -> str:
    """HTML that only the value itself can have made, its own SVG or HTML, or its text."""
    if _is_drawing(part):
        return str(part._repr_svg_())
    if isinstance(part, Markup):
        return str(part)
    look = "white-space: pre-wrap; word-break: normal; overflow-wrap: anywhere"  # JupyterLab breaks words
    return markup.html_of(markup.element("pre", text_of(part), most=LONGEST, style=look))


def text_of(part: Any) -> str:
    """A value as a terminal shows it."""
    return markup.printable(str(part) if isinstance(part, str) and not _is_drawing(part) else repr(part))


def _is_drawing(part: Any) -> bool:
    return hasattr(part, "_repr_svg_")


def _image(drawing: Any) -> str:
    svg = str(drawing._repr_svg_())
    label = markup.parsed(svg).get("aria-label") or "the picture at this moment"
    data = base64.b64encode(svg.encode()).decode()
    return markup.html_of(
        markup.element(
            "img", src=f"data:image/svg+xml;base64,{data}", alt=label, style="display: block; max-width: 100%"
        )
    )


def needs_views(shell: Any) -> bool:
    """Whether the front end makes widgets only where an output says so: Visual Studio Code and Colab."""
    space = getattr(shell, "user_ns", {})
    return "__vsc_ipynb_file__" in space or "google.colab" in str(getattr(shell, "__module__", ""))


def opens(call: str, path: str | os.PathLike[str]) -> str:
    """The line that opens a run folder again."""
    return f"{call}({json.dumps(short_path(path), ensure_ascii=False)})"


def restore_hint(searches: Iterable[Any], view: str) -> RestoreHint:
    """How these searches are shown again by another kernel.

    Args:
        view: of one search, called `search`, or with a place, {}, for several.
    """
    runs: list[Any] = [getattr(search, "run", None) for search in searches]
    if any(run is None for run in runs):
        return RestoreHint('It was in memory only, and is lost; Search(searcher, run="runs/name") keeps every step.')
    lines = [opens("nl.Search.open", run) for run in runs]
    told = view.format(", ".join(lines)) if "{}" in view else f"search = {lines[0]}; {view}"
    return RestoreHint("Nothing is lost but the step under way; go on with", told)
