"""The one way to the page and back: clean text and numbers of the browser's own kind go there, JSON comes back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import anywidget
import numpy as np
import traitlets

from naslab import markup

T = TypeVar("T", bound=traitlets.TraitType)


def synced(trait: T) -> T:
    """A trait that the page sees, cleaned on the way there (`naslab.markup.page`)."""
    return trait.tag(sync=True, to_json=lambda value, _: markup.page(value))


class PageWidget(anywidget.AnyWidget):
    """A view with JavaScript of the house's own. It calls `tell`, and never `send`; what the page sends arrives in
    `_on_message`.
    """

    description = synced(traitlets.Dict())
    """What the page must know from the beginning."""

    def __init__(self, description: dict[str, Any], **traits: Any) -> None:
        super().__init__(description=description, **traits)
        self.on_msg(self._receive)

    def tell(self, content: dict[str, Any], tables: Sequence[Any] = ()) -> None:
        """A message, and tables of numbers behind it."""
        self.send(markup.page(content), buffers=[packed(table) for table in tables])

    def _receive(self, _: Any, content: Any, buffers: Any) -> None:
        """The page may send any JSON: what is no object, or has no type in words, arrives as a message of type ""."""
        message = content if isinstance(content, dict) else {}
        kind = message.get("type")
        self._on_message(kind if isinstance(kind, str) else "", message)

    def _on_message(self, kind: str, message: Mapping[str, Any]) -> None:
        """A message of the page, of this type. Nothing else in it has been checked."""


def packed(table: Any) -> bytes:
    """A table as the page reads it: float64, little-endian, row after row.

    NaN stands for what is not there, also for what is infinite; beyond 1e300, numbers are those at the end, so that the
    page can add them.
    """
    numbers = np.array(table, dtype="<f8")
    numbers[np.isinf(numbers)] = np.nan
    return np.clip(numbers, -markup.MOST, markup.MOST).tobytes()
