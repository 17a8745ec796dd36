"""`Stage`: what one panel shows of a search and its forks: the lab of one of them, or up to three side by side.

Each search keeps its lab. During a comparison the labs are suspended, because a search has one driver at a time; they
take over again when it ends. `_changing` is held while the panel switches, which any thread may request.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from naslab.errors import SpecError

MOST = 3
"""Searches side by side, at most."""


class Stage:
    """Switches the contents of one panel.

    Args:
        box: the container widget.
        enter: creates the lab of a search on this stage.
        lend: releases a search from its lab without stopping the lab.
        back: makes a lab the driver of its search again, and stops the current driver.
        compare: creates a comparison of named searches on this stage.
    """

    def __init__(
        self,
        box: Any,
        *,
        enter: Callable[[Any, Stage], Any],
        lend: Callable[[Any], object],
        back: Callable[[Any, Any], object],
        compare: Callable[[Mapping[str, Any], Stage], Any],
    ) -> None:
        self.box = box
        self._enter, self._lend, self._back, self._compare = enter, lend, back, compare
        self._labs: dict[int, Any] = {}
        self._changing = threading.Lock()
        self.compare: Any = None
        """The comparison that is shown; None while one lab is."""
        self.shown: tuple[Any, ...] = ()
        """The searches that are shown."""

    def begin(self, lab: Any) -> None:
        """Show the first lab."""
        self._labs[id(lab.search)] = lab
        self.shown = (lab.search,)
        self.box.children = [lab.deck, *lab.views]

    def lab_of(self, search: Any) -> Any:
        """Returns the lab of a search; a new one if it has none or its lab was stopped."""
        lab = self._labs.get(id(search))
        if lab is None or lab.state == "stopped":
            lab = self._labs[id(search)] = self._enter(search, self)
        return lab

    def show(self, searches: Sequence[Any]) -> None:
        """Show one search with its lab, or two or three side by side, all paused. Returns when their current steps are
        done.

        Raises:
            SpecError: no search, or more than `MOST`.
        """
        if not 1 <= len(searches) <= MOST:
            raise SpecError(f"expected 1 to {MOST} searches to show side by side, got {len(searches)}")
        with self._changing:
            labs = [self.lab_of(search) for search in searches]
            if self.compare is not None:
                self.compare.pause()
                self.compare.join()
                for search in self.shown:
                    self._back(search, self.lab_of(search))
                self.compare = None
            self.shown = tuple(searches)
            if len(labs) == 1:
                self.box.children = [labs[0].deck, *labs[0].views]
                labs[0].refresh()
                return
            for lab in labs:
                lab.pause()
                lab.join()
                self._lend(lab.search)
            self.compare = self._compare(_named(searches), self)
            self.box.children = self.compare.panel.children


def _named(searches: Sequence[Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for search in searches:
        name, number = search.name, 2
        while name in found:
            name, number = f"{search.name} ({number})", number + 1
        found[name] = search
    return found
