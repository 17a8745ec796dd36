"""The controls above the pictures of a panel: independent sections in one widget.

Each section is drawn by the function of its name in `static/deck.js`. Because they share one widget, the page gets at
most `hz` messages a second for all of them, each with the sections that have changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from naslab.errors import NaslabError
from naslab_widgets.scripts import bundle, styles
from naslab_widgets.sections import Section
from naslab_widgets.stream import Message, StreamView


class Deck(StreamView):
    """Shows its sections and the progress of the search."""

    _esm = bundle("deck.js")
    _css = styles("live.css", "deck.css", "before.css", "branches.css", "ledger.css")

    def __init__(self, sections: Sequence[Section], **options: Any) -> None:
        """
        Args:
            options: of a `StreamView`.
        """
        self._refused = ""
        """Error of the last message from the page; empty if it succeeded."""
        super().__init__({}, sections=sections, **options)

    @property
    def sections(self) -> dict[str, Section]:
        return self._sections.all

    def _status(self, status: dict[str, Any]) -> dict[str, Any]:
        return {**status, "message": self._refused} if self._refused and not status.get("message") else status

    def _message(self, fresh: bool, status: dict[str, Any]) -> Message:
        return {"type": "deck", "fresh": fresh}, []

    def _act(self, message: Mapping[str, Any]) -> None:
        self._refused = ""
        self._sections.on_message(message, self._refuse)

    def _refuse(self, error: Exception) -> None:
        """Show an error in the status line, since the log below the pictures may be out of sight."""
        self._refused = str(error) if isinstance(error, NaslabError) else f"{type(error).__name__}: {error}"
        self._complain(error)
