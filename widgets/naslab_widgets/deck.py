"""What stands above the pictures: the controls of a panel, in sections that know nothing of one another.

Each is drawn by the function of its name in `static/deck.js`. All of them share one widget, and so one message at most
`hz` times a second, with those that have changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from naslab.errors import NaslabError
from naslab_widgets.scripts import bundle, styles
from naslab_widgets.sections import Section
from naslab_widgets.stream import Message, StreamView


class Deck(StreamView):
    """Shows its sections, and how far the search is."""

    _esm = bundle("deck.js")
    _css = styles("live.css", "deck.css", "before.css", "branches.css", "ledger.css")

    def __init__(self, sections: Sequence[Section], **options: Any) -> None:
        """
        Args:
            options: of a `StreamView`.
        """
        self._refused = ""
        """Why what the page asked for last was not done."""
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
        """The log below the pictures shows it, too, but may be out of sight."""
        self._refused = str(error) if isinstance(error, NaslabError) else f"{type(error).__name__}: {error}"
        self._complain(error)
