"""The section that lists the interventions in a search, with buttons that undo them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from naslab_widgets.sections import Section

MOST = 200
"""Interventions that are shown, the last ones."""
PIECE = 500
"""Characters of one string in a message: `naslab.markup.page` truncates longer ones, so long lines go in pieces."""


class Ledger(Section):
    """Shows `search.ledger`, newest first, undoes entries, and shows the search as a program.

    Args:
        search: the search.
        begin_again: called with the number of an intervention, to fork the search as if it had not happened.
    """

    name = "ledger"

    def __init__(self, search: Any, begin_again: Callable[[int], None]) -> None:
        self._search, self._begin_again = search, begin_again
        self._script_requests = 0
        """Requests for the program so far: the page opens the dialog when this number grows."""
        self._program: list[list[str]] = []
        """Lines of the program, each split into pieces of `PIECE` characters."""

    def state(self) -> dict[str, Any]:
        ledger = self._search.ledger
        rows = [one.to_json() for one in ledger[-MOST:]]
        standing = sum(not one.pending for one in ledger)
        return {"rows": rows, "count": standing, "script": {"asked": self._script_requests, "lines": self._program}}

    def on_message(self, message: Mapping[str, Any]) -> None:
        done, number = message.get("do"), message.get("number")
        if done == "undo":
            self._search.undo(number)
        elif done == "redo":
            self._search.redo()
        elif done == "without" and isinstance(number, int):
            self._begin_again(number)
        elif done == "script":
            lines = self._search.script().splitlines()
            self._program = [[line[at : at + PIECE] for at in range(0, len(line), PIECE)] for line in lines]
            self._script_requests += 1
        elif done == "shut":
            self._program = []
