"""The interventions of a search, on its panel: what was done, by whom, and buttons that undo it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from naslab_widgets.sections import Section

MOST = 200
"""Interventions that are shown: the last ones."""
PIECE = 500
"""Characters of a text that are told at a time: longer ones are cut on their way to the page."""


class Ledger(Section):
    """Shows `search.ledger`, newest first, undoes what is asked for, and writes the search down as a program.

    Args:
        search: whose interventions they are.
        begin_again: told the number of an intervention that is to be thought away: the search is to be forked.
    """

    name = "ledger"

    def __init__(self, search: Any, begin_again: Callable[[int], None]) -> None:
        self._search, self._begin_again = search, begin_again
        self._script_requests = 0
        """How often the program was asked for."""
        self._program: list[list[str]] = []
        """Its lines, each in pieces."""

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
