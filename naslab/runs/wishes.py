"""What a hand has asked of a search, until its next step is done: values of settings, and acts.

Any thread may wish. A wish is no part of the run before its step is.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from naslab.errors import RunPaused
from naslab.events import Acted, Changed, Event
from naslab.searchers import Driven


class Wishes:
    """Each setting's latest value, and the acts in their order."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: dict[str, Any] = {}
        """Setting -> the value that the next step is to put into force."""
        self._acts: list[tuple[str, dict[str, Any]]] = []
        """What is to be done before the next step, and what it was told."""

    def set(self, name: str, value: Any) -> None:
        with self._lock:
            self._values[name] = value

    def act(self, name: str, arguments: dict[str, Any]) -> None:
        with self._lock:
            self._acts.append((name, arguments))

    @property
    def values(self) -> dict[str, Any]:
        """Setting -> the value that is wished."""
        with self._lock:
            return dict(self._values)

    def clear(self) -> None:
        with self._lock:
            self._values.clear()
            self._acts.clear()

    @contextmanager
    def fulfilled(self, searcher: Driven, step: int) -> Iterator[list[Event]]:
        """Fulfil the wishes of now, for a step that is done inside. They are forgotten at its end: a step that fails is
        tried again with them.

        Yields:
            The events of what has changed by them.
        """
        with self._lock:
            values, acts = dict(self._values), list(self._acts)
        done: list[Event] = []
        for name, new in values.items():
            with self._dropped_if_refused(name):
                old = searcher.in_force(name)
                if new != old:
                    searcher.set(name, new)
                    done.append(Changed(step=step, name=name, old=old, new=new))
        for name, arguments in acts:
            with self._dropped_if_refused((name, arguments)):
                before = searcher.act(name, arguments)
                done.append(Acted(step=step, name=name, arguments=arguments, before=before))
        yield done
        self._granted(values, len(acts))

    @contextmanager
    def _dropped_if_refused(self, wish: Any) -> Iterator[None]:
        """Forget a wish that fails, as one that another has made impossible meanwhile: else no step could be done any
        more.
        """
        try:
            yield
        except RunPaused:
            raise
        except Exception:
            with self._lock:
                if isinstance(wish, str):
                    self._values.pop(wish, None)
                elif wish in self._acts:
                    self._acts.remove(wish)
            raise

    def _granted(self, values: Mapping[str, Any], acts: int) -> None:
        with self._lock:
            for name, value in values.items():
                if self._values.get(name) == value:
                    del self._values[name]
            del self._acts[:acts]
