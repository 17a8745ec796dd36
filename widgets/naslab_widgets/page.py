"""The one way to the page: whatever a view tells it is clean text, and numbers of the browser's own kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import anywidget
import numpy as np
import traitlets

from naslab import markup

T = TypeVar("T", bound=traitlets.TraitType)


def shown(trait: T) -> T:
    """A trait that the page sees, cleaned on the way there (`naslab.markup.page`)."""
    return trait.tag(sync=True, to_json=lambda value, _: markup.page(value))


class PageWidget(anywidget.AnyWidget):
    """A view with JavaScript of the house's own. It calls `tell`, and never `send`."""

    description = shown(traitlets.Dict())
    """What the page must know from the beginning."""

    def tell(self, content: dict[str, Any], tables: Sequence[Any] = ()) -> None:
        """A message, and tables of numbers behind it."""
        self.send(markup.page(content), buffers=[packed(table) for table in tables])


def packed(table: Any) -> bytes:
    """A table as the page reads it: float64, little-endian, row after row.

    NaN stands for what is not there, also for what is infinite; beyond 1e300, numbers are those at the end, so that the
    page can add them.
    """
    numbers = np.array(table, dtype="<f8")
    numbers[np.isinf(numbers)] = np.nan
    return np.clip(numbers, -markup.MOST, markup.MOST).tobytes()
