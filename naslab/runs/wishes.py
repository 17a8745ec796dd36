"""What a hand has asked of a search, until its next step is done: values of settings, and acts.

Any thread may wish. A wish is no part of the run before its step is.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from naslab.errors import RunPaused
from naslab.events import Acted, Changed, Event
from naslab.searchers import Driven


class Wished(NamedTuple):
    """The wishes of one moment."""

    values: dict[str, Any]
    """Setting -> the value that the next step is to put into force."""
    acts: list[tuple[str, dict[str, Any]]]
    """What is to be done before the next step, and what it is to be told."""


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

    def fulfil(self, searcher: Driven, step: int) -> tuple[list[Event], Wished]:
        """Fulfil the wishes of now, before a step.

        Returns:
            The events of what has changed by them, and the wishes, which `forget` is to be told once the step is done:
            a step that fails is tried again with them.
        """
        done: list[Event] = []
        if not self._values and not self._acts:  # nearly always
            return done, Wished({}, [])
        with self._lock:
            wished = Wished(dict(self._values), list(self._acts))
        for name, new in wished.values.items():
            with self._dropped_if_refused(name):
                old = searcher.in_force(name)
                if new != old:
                    searcher.set(name, new)
                    done.append(Changed(step=step, name=name, old=old, new=new))
        for name, arguments in wished.acts:
            with self._dropped_if_refused((name, arguments)):
                before = searcher.act(name, arguments)
                done.append(Acted(step=step, name=name, arguments=arguments, before=before))
        return done, wished

    def forget(self, wished: Wished) -> None:
        """Forget wishes that are fulfilled, but not what was wished since."""
        values, acts = wished
        if not values and not acts:
            return
        with self._lock:
            for name, value in values.items():
                if self._values.get(name) == value:
                    del self._values[name]
            del self._acts[: len(acts)]

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
