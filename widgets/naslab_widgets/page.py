"""The only way to the page and back: cleaned text and float64 tables go there, unchecked JSON comes back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import anywidget
import numpy as np
import traitlets

from naslab import markup

T = TypeVar("T", bound=traitlets.TraitType)


def synced(trait: T) -> T:
    """Returns a trait that is synchronized with the page, cleaned on the way there (`naslab.markup.page`)."""
    return trait.tag(sync=True, to_json=lambda value, _: markup.page(value))


class PageWidget(anywidget.AnyWidget):
    """Base of the widgets with naslab's own JavaScript. It sends by `tell`, never by `send`, which would not clean the
    text; messages from the page arrive in `_on_message`.
    """

    description = synced(traitlets.Dict())
    """Constant description of the view, which the page gets when it opens."""

    def __init__(self, description: dict[str, Any], **traits: Any) -> None:
        super().__init__(description=description, **traits)
        self.on_msg(self._receive)

    def tell(self, content: dict[str, Any], tables: Sequence[Any] = ()) -> None:
        """Send a message, followed by tables of numbers as binary buffers."""
        self.send(markup.page(content), buffers=[packed(table) for table in tables])

    def _receive(self, _: Any, content: Any, buffers: Any) -> None:
        """Pass on a message from the page, which may be any JSON: without a "type" of text its kind is ""."""
        message = content if isinstance(content, dict) else {}
        kind = message.get("type")
        self._on_message(kind if isinstance(kind, str) else "", message)

    def _on_message(self, kind: str, message: Mapping[str, Any]) -> None:
        """Handle a message from the page, of the type `kind`. Nothing else in it has been checked."""


def packed(table: Any) -> bytes:
    """Returns a table as the page reads it: float64, little-endian, in row-major order.

    Missing values are NaN; infinities become NaN, too. Magnitudes are clipped to 1e300, so that sums of them on the
    page stay finite.
    """
    numbers = np.array(table, dtype="<f8")
    numbers[np.isinf(numbers)] = np.nan
    return np.clip(numbers, -markup.MOST, markup.MOST).tobytes()
