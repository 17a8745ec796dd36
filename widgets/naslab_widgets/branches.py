"""The section that forks a search, rewinds it, and shows the tree of its forks.

Each fork or rewind runs in a thread of its own (`naslab-branches`), because it may repeat many steps. `_working` is
held meanwhile, so that there is one at a time.
"""

from __future__ import annotations

import atexit
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from naslab.errors import Cancelled, RunError, SpecError
from naslab.events import Changed
from naslab.markup import printable
from naslab.searchers import Mask, Select, Setting, Several, Slider, Switch
from naslab.searchers.settings import Count
from naslab_widgets.sections import Section
from naslab_widgets.stage import MOST, Stage

FRESH = 1.0
"""Seconds for which a tree is reused: reading the lineage may touch many run folders."""


class Branches(Section):
    """Forks and rewinds a search, and shows the tree of its forks.

    Args:
        search: the search to fork; None in a comparison, where only the tree is shown.
        stage: shows the branches that are selected.
        of: any search of the tree.
        rest: pauses the search, and returns when its step is done.
        poke: called when the state has changed.
        made: called with each new fork.
    """

    name = "branches"

    def __init__(
        self,
        search: Any,
        stage: Stage,
        *,
        of: Any,
        rest: Callable[[], None] = lambda: None,
        poke: Callable[[], None],
        made: Callable[[Any], object] = lambda fork: None,
    ) -> None:
        self._on_fork = made
        self._search, self._stage, self._of, self._rest, self._poke = search, stage, of, rest, poke
        self._cancel: threading.Event | None = None
        self._working = threading.Lock()
        self._busy: dict[str, Any] | None = None
        self._cost: dict[str, Any] | None = None
        self._error = ""
        self._made = 0
        self._rows: list[dict[str, Any]] = []
        self._read = float("-inf")
        self._shown: tuple[Any, ...] = ()
        """The searches that were shown when the tree was built."""

    # --- forking and rewinding --------------------------------------------------------------------

    def fork(
        self,
        step: int | None = None,
        *,
        change: Mapping[str, Any] | None = None,
        name: str | None = None,
        run: Any = None,
    ) -> Any:
        """Fork the search and show both side by side. Takes the arguments of `naslab.Search.fork`."""
        at = self._search.step if step is None else step
        with _Work(self, "fork", at) as work:
            self._rest()
            fork = self._search.fork(run, step, change=change, name=name or self._fresh_name(), **work.follow)
        return self._show_with(fork)

    def begin_fork(self, step: int, *, change: Mapping[str, Any], name: str) -> None:
        """The same in a thread of its own; what goes wrong is shown."""
        self._in_background(lambda: self.fork(step, change=change, name=name))

    def without(self, number: int) -> Any:
        """Fork the search as if one intervention had not happened, and show both; see `Search.without`."""
        one = self._search.ledger[number - 1] if 0 < number <= len(self._search.ledger) else None
        with _Work(self, "fork", self._search.step if one is None else one.step - 1) as work:
            self._rest()
            fork = self._search.without(number, name=self._fresh_name(), **work.follow)
        return self._show_with(fork)

    def begin_without(self, number: int) -> None:
        """The same in a thread of its own; what goes wrong is shown."""
        self._in_background(lambda: self.without(number))

    def _show_with(self, fork: Any) -> Any:
        """Show a fork beside the searches that are on the stage already."""
        self._on_fork(fork)
        shown = [search for search in self._stage.shown if search is not self._search][: MOST - 2]
        self._stage.show([self._search, *shown, fork])
        return fork

    def go_back(self, step: int) -> None:
        """Rewind the search to the state after a step, and leave it paused there."""
        with _Work(self, "back", step) as work:
            self._rest()
            self._search.rewind(step, **work.follow)

    def show(self, names: list[str]) -> None:
        """Show the branches with these run identifiers."""
        living = {branch.run: branch.search for branch in self._of.lineage if branch.search is not None}
        self._stage.show([living[name] for name in names if name in living])

    def _fresh_name(self) -> str:
        taken = {branch.name for branch in self._of.lineage}
        while (name := f"fork-{self._made + 1}") in taken:
            self._made += 1
        return name

    # --- to and from the page ------------------------------------------------------------------------

    def about(self) -> dict[str, Any]:
        if self._search is None:
            return {"changes": [], "forks": False, "folders": False}
        settings = self._search.settings
        changes = [_change(name, setting) for name, setting in settings.items()]
        return {
            "changes": [change for change in changes if change],
            "forks": True,
            "folders": self._search.run is not None,
        }

    def state(self) -> dict[str, Any]:
        if (now := time.monotonic()) >= self._read + FRESH or self._shown is not self._stage.shown:
            self._read, self._shown = now, self._stage.shown
            self._rows = self._tree()
        return {
            "rows": self._rows,
            "busy": self._busy,
            "told": self._cost,
            "error": self._error,
            "name": "" if self._search is None else self._fresh_name(),
        }

    def on_message(self, message: Mapping[str, Any]) -> None:
        what, step = message.get("do"), message.get("step")
        if what == "show" and isinstance(runs := message.get("runs"), list):
            self._in_background(lambda: self.show([str(run) for run in runs[:MOST]]))
        elif what == "cancel" and self._cancel is not None:
            self._cancel.set()
        elif self._search is None or not isinstance(step, int):
            return
        elif what == "ask":
            cost = self._search.cost_of_going_back(min(step, self._search.step))
            self._cost = {"step": cost.step, "again": cost.sentence, "left": cost.left}
        elif what == "back":
            self._in_background(lambda: self.go_back(step))
        elif what == "fork":
            self._in_background(lambda: self._fork_by_message(step, message))

    def _fork_by_message(self, step: int, message: Mapping[str, Any]) -> None:
        name = str(message.get("name") or "")[:80]
        run = self._folder(name) if message.get("keep") else None
        self.fork(step, change=self._changed(message.get("change"), step), name=name, run=run)

    def _in_background(self, work: Callable[[], Any]) -> None:
        """Run a function in a thread of its own; an error is shown in the panel."""

        def attempt() -> None:
            self._error = ""
            try:
                work()
            except Cancelled:
                pass
            except Exception as error:
                self._error = printable(f"{error!s:.400}")
            self._poke()

        threading.Thread(target=attempt, daemon=True, name="naslab-branches").start()

    def _folder(self, name: str) -> Path:
        """Returns the folder for a fork, next to the run that is forked.

        Raises:
            SpecError: the name is not one path component.
        """
        name = name or self._fresh_name()
        if Path(name).name != name or name.startswith("."):
            raise SpecError(f"expected a folder name of letters, digits, - and _, got {name!r:.100}")
        return (Path("runs") if self._search.run is None else self._search.run.parent) / name

    def _changed(self, told: Any, step: int) -> dict[str, Any]:
        """Returns the `change` argument of `fork` for a change that the page asks for.

        For a mask or a list the page sends one option to add, while `fork` takes the whole new value.
        """
        if not isinstance(told, Mapping):
            return {}
        name, value = str(told.get("name")), told.get("value")
        setting = self._search.settings.get(name)
        if not isinstance(setting, Mask | Several):
            return {name: value}
        before = self._in_force(name, step)
        if isinstance(setting, Several):
            return {name: [*(one for one in before if one != value), value]}
        row = str(told.get("where"))
        forbidden = [one for one in before.get(row, []) if one != value]
        return {name: {**before, row: [*forbidden, value]}}

    def _in_force(self, name: str, step: int) -> Any:
        """Returns the value of a setting after a step, read from the logged changes."""
        turned = [event for event in self._search.events if isinstance(event, Changed) and event.name == name]
        if before := [event.new for event in turned if event.step <= step]:
            return before[-1]
        return turned[0].old if turned else self._search.searcher.in_force(name)

    def _tree(self) -> list[dict[str, Any]]:
        """Returns one row per branch. The step of the search in this panel is left out: the status has it at each
        frame.
        """
        rows, shown = [], self._stage.shown
        for branch in self._of.lineage:
            here = branch.search is not None and branch.search is self._search
            rows.append(
                {
                    "run": branch.run,
                    "name": printable(f"{branch.name:.80}"),
                    "parent": branch.parent,
                    "parted": branch.parted,
                    "step": None if here else branch.step,
                    "total": self._of.total if branch.search is None else branch.search.total,
                    "kind": "left" if branch.abandoned else "gone" if branch.search is None else "live",
                    "where": "" if branch.path is None else printable(str(branch.path)),
                    "shown": branch.search is not None and any(branch.search is one for one in shown),
                }
            )
        return rows


class _Work:
    """Context of one fork or rewind: holds `_working`, reports progress, can be cancelled."""

    def __init__(self, section: Branches, what: str, step: int) -> None:
        self._section, self._what, self._step = section, what, step
        self._cancel = threading.Event()
        self.follow = {"progress": self._progress, "cancel": self._cancel}

    def __enter__(self) -> _Work:
        if not self._section._working.acquire(blocking=False):
            raise RunError("another fork or rewind is still running; wait for it, or cancel it")
        self._section._cancel = self._cancel
        _cancels.add(self._cancel)
        self._progress(0, 0)
        return self

    def __exit__(self, *_: object) -> None:
        self._section._busy = self._section._cancel = None
        self._section._read = float("-inf")  # first, so that the publish that the poke below causes rebuilds the tree
        self._section._working.release()
        self._section._poke()

    def _progress(self, done: int, total: int) -> None:
        self._section._busy = {"what": self._what, "step": self._step, "done": done, "total": total}
        self._section._poke()


_cancels: weakref.WeakSet[threading.Event] = weakref.WeakSet()


@atexit.register
def _cancel_all() -> None:
    """Cancel at exit: a thread that is inside torch while the interpreter shuts down can crash it."""
    for cancel in list(_cancels):
        cancel.set()


def _change(name: str, setting: Setting) -> dict[str, Any] | None:
    """Returns the form by which the page changes a setting in a fork; None if that kind of setting has none."""
    if isinstance(setting, Slider | Count):
        return {"name": name, "kind": "number", "value": setting.value, "low": setting.low, "high": setting.high}
    if isinstance(setting, Switch):
        return {"name": name, "kind": "options", "options": [[True, "on"], [False, "off"]]}
    if isinstance(setting, Select | Several):
        return {"name": name, "kind": "options", "options": _labelled(setting.options)}
    if isinstance(setting, Mask):
        options = [[row, _labelled(offered)] for row, offered in setting.options.items()]
        return {"name": name, "kind": "mask", "what": setting.what, "options": options}
    return None


def _labelled(options: Iterable[Any]) -> list[list[Any]]:
    return [[one, str(one)] for one in options]
