"""How a notebook shows a panel: live while its kernel runs, and as a static picture everywhere else.

A cell gets two outputs. The first is an empty `div`, into which the page puts the live panel (`static/display.js`). The
second is a picture with a line of text, replaced whenever the panel comes to rest; the page hides it while the live
panel is there. The saved notebook therefore holds no widget view: a program that opens it without the kernel, or
without widgets (a viewer, `nbconvert`), shows the last picture and needs no other file.

Threads: `update_still` is called by the publisher's threads and by the kernel's main thread; `_drawing` guards the
picture.
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
"""Seconds between two pictures while the search runs and a page shows it: the user may save and close at any time."""
LONGEST = 50_000
"""Characters of a result shown as text, at most."""


class RestoreHint(NamedTuple):
    """What the page shows when the kernel is gone."""

    words: str
    line: str = ""
    """Code that brings the panel back; empty if nothing can."""


class Displayed:
    """Base of everything that a cell shows as a live panel and as a static picture."""

    panel: Any
    _display: Display | None = None
    _steps_at_last_look = -1
    """Steps done at the previous call of `_update_still_at_rest`."""

    @abstractmethod
    def _still_key(self) -> Hashable:
        """Returns a value that changes whenever the static picture would."""

    @abstractmethod
    def _still(self) -> tuple[Any, ...]:
        """Returns the parts of the static output, top to bottom: drawings, `Markup` and text."""

    def _about(self) -> str:
        """Returns the text of the line above the panel."""
        return ""

    def _restore_hint(self) -> RestoreHint:
        """Returns what the page shows when the kernel is gone."""
        return RestoreHint("This result was only in the memory of the kernel: run the cells again.")

    def _ipython_display_(self) -> None:
        if (display := self._display) is None:
            display = self._display = Display(self)
            _SHOWN.append(weakref.ref(self))
        display.show()

    def _update_still(self, rests: bool = True) -> None:
        """Replace the static picture in the notebook, if a cell shows this object. Any thread."""
        if self._display is not None:
            self._display.update_still(rests)

    def _update_still_at_rest(self, at: int, busy: bool) -> bool:
        """Update the static picture if the search is at rest. Called at each publish.

        A search that the user steps in a loop of their own is idle between any two steps. So it counts as at rest only
        if no step was done since the previous call.

        Args:
            at: steps done so far.
            busy: whether this view is running the search.

        Returns:
            True if it must be called once more, because the search is not at rest yet.
        """
        moved, self._steps_at_last_look = at != self._steps_at_last_look, at
        self._update_still(not busy and not moved)
        return busy or moved


_SHOWN: list[weakref.ref[Displayed]] = []


def shown() -> list[Displayed]:
    """Returns the panels shown by this kernel that still exist, oldest first."""
    return [each for reference in _SHOWN if (each := reference()) is not None]


class Gallery(tuple[Any, ...]):
    """Several panels; as the last line of a cell it shows them all."""

    def _ipython_display_(self) -> None:
        if not self:
            display({"text/plain": "no panel is active in this kernel; Lab(search) creates one"}, raw=True)
        for each in self:
            each._ipython_display_()


class Display(PageWidget):
    """The two outputs of a panel, and the messages by which a page knows that the kernel is alive."""

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
        """Write both outputs to the running cell."""
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
        """Replace the static picture: at rest always; while running every `EVERY` seconds, if a page is open."""
        owner = self._owner()
        if owner is None or not self._number or self._views:
            return
        if not rests and (time.monotonic() - self._at < EVERY or not PULSE.reaches(self)):
            return
        if self._draw(owner):
            display(self._bundle, raw=True, display_id=f"naslab-{self._name}", update=True)
            self.tell({"type": "still", "number": self._number})

    def _draw(self, owner: Displayed) -> bool:
        """Draw the static picture; returns False if nothing has changed since the last one."""
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
        if kind in ("mounted", "leaving"):  # a new page knows no picture yet; one that closes may be saved
            self.update_still()
            self.tell({"type": "still", "number": self._number})
        elif kind == "missing":
            bundle = {name: Markup(part) for name, part in self._bundle.items()}
            self.tell({"type": "bundle", "number": self._number, "bundle": bundle})


def still(parts: Sequence[Any], text: str, name: str = "") -> dict[str, str]:
    """Returns the MIME bundle of a self-contained output with the parts, top to bottom.

    A drawing becomes an image with a data URL: JupyterLab does not render inline SVG in a notebook that is not trusted.
    """
    made = [_image(part) if _is_drawing(part) else html_of(part) for part in parts]
    bundle = {"text/html": markup.around(made, class_=f"naslab-still {name}".rstrip()), "text/plain": text}
    if drawings := [part for part in parts if _is_drawing(part)]:
        bundle["image/svg+xml"] = drawings[0]._repr_svg_()
    return bundle


def html_of(part: Any) -> str:
    """Returns the SVG of a drawing, `Markup` as it is, and any other value as escaped text."""
    if _is_drawing(part):
        return str(part._repr_svg_())
    if isinstance(part, Markup):
        return str(part)
    look = "white-space: pre-wrap; word-break: normal; overflow-wrap: anywhere"  # undoes JupyterLab's word-break
    return markup.html_of(markup.element("pre", text_of(part), most=LONGEST, style=look))


def text_of(part: Any) -> str:
    """Returns a value as a terminal shows it."""
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
    """True if the front end creates widgets only for outputs with a widget view: Visual Studio Code and Colab."""
    space = getattr(shell, "user_ns", {})
    return "__vsc_ipynb_file__" in space or "google.colab" in str(getattr(shell, "__module__", ""))


def opens(call: str, path: str | os.PathLike[str]) -> str:
    """Returns the code that opens a run folder."""
    return f"{call}({json.dumps(short_path(path), ensure_ascii=False)})"


def restore_hint(searches: Iterable[Any], view: str) -> RestoreHint:
    """Returns the hint how another kernel shows these searches again.

    Args:
        view: code that shows one search, called `search`; with a placeholder, {}, code that shows several.
    """
    runs: list[Any] = [getattr(search, "run", None) for search in searches]
    if any(run is None for run in runs):
        return RestoreHint('The search was in memory only, and is lost; Search(searcher, run="runs/name") keeps all.')
    lines = [opens("nl.Search.open", run) for run in runs]
    code = view.format(", ".join(lines)) if "{}" in view else f"search = {lines[0]}; {view}"
    return RestoreHint("Only the step in progress is lost; continue with", code)
