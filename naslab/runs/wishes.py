"""What a hand has asked of a search, until its next step is done: values of settings, and acts.

Any thread may wish. A wish is no part of the run before its step is.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

from naslab.errors import RunPaused, SpecError
from naslab.events import HAND, Acted, Changed, Event
from naslab.searchers import Setting, Slider, Stepper


@dataclass(frozen=True, kw_only=True, eq=False)
class Wish:
    """One of them."""

    name: str
    """The name of the setting or of the act."""
    given: Any
    """The value that the next step is to put into force; what the act is to be told."""
    act: bool
    who: str = HAND
    undoes: int | None = None
    """Number of the intervention that this is to undo."""


class Wished(NamedTuple):
    """The wishes of one moment."""

    values: dict[str, Wish]
    """Setting -> what the next step is to put into force."""
    acts: list[Wish]
    """What is to be done before the next step."""


class Wishes:
    """Each setting's latest value, and the acts in their order."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: dict[str, Wish] = {}
        """Setting -> the value that the next step is to put into force."""
        self._acts: list[Wish] = []
        """What is to be done before the next step."""

    def add(self, wish: Wish) -> None:
        with self._lock:
            if wish.act:
                self._acts.append(wish)
            else:
                self._values[wish.name] = wish

    @property
    def values(self) -> dict[str, Any]:
        """Setting -> the value that is wished."""
        with self._lock:
            return {name: wish.given for name, wish in self._values.items()}

    @property
    def all(self) -> list[Wish]:
        """In the order in which they will be fulfilled."""
        with self._lock:
            return [*self._values.values(), *self._acts]

    def clear(self) -> None:
        with self._lock:
            self._values.clear()
            self._acts.clear()

    def fulfil(self, searcher: Stepper, step: int) -> tuple[list[Event], Wished]:
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
        try:
            self._fulfil(searcher, step, wished, done)
        except BaseException:
            set_back(searcher, done)
            raise
        return done, wished

    def _fulfil(self, searcher: Stepper, step: int, wished: Wished, done: list[Event]) -> None:
        """Adds to `done` as it goes."""
        for name, wish in wished.values.items():
            with self._dropped_if_refused(wish):
                old, total = searcher.in_force(name), searcher.total
                if wish.given != old:
                    searcher.set(name, wish.given)
                    told: dict[str, Any] = {"name": name, "old": old, "new": wish.given, **_by(wish)}
                    if searcher.total != total:
                        told["total"] = searcher.total
                    done.append(Changed(step=step, **told))
        for wish in wished.acts:
            with self._dropped_if_refused(wish):
                before = searcher.act(wish.name, wish.given)
                done.append(Acted(step=step, name=wish.name, arguments=wish.given, before=before, **_by(wish)))

    def try_on(self, copy: Stepper) -> None:
        """Give a copy of what is driven the values that are wished, as far as it takes them."""
        for name, value in self.values.items():
            with suppress(SpecError):
                copy.set(name, value)

    def forget(self, wished: Wished) -> None:
        """Forget wishes that are fulfilled, but not what was wished since."""
        values, acts = wished
        if not values and not acts:
            return
        with self._lock:
            for name, wish in values.items():
                if self._values.get(name) is wish:
                    del self._values[name]
            self._acts = [wish for wish in self._acts if not any(wish is one for one in acts)]

    def take_back(self, wish: Wish) -> None:
        """Forget one that is not fulfilled yet."""
        self.forget(Wished({}, [wish]) if wish.act else Wished({wish.name: wish}, []))

    @contextmanager
    def _dropped_if_refused(self, wish: Wish) -> Iterator[None]:
        """Forget a wish that fails, as one that another has made impossible meanwhile: else no step could be done any
        more.
        """
        try:
            yield
        except RunPaused:
            raise
        except Exception:
            self.take_back(wish)
            raise


def set_back(searcher: Stepper, done: Sequence[Event]) -> None:
    """Give the settings the values from before a step that was not kept: until it is tried again, they are wishes."""
    for event in reversed(done):
        if isinstance(event, Changed):
            with suppress(Exception):  # what failed is what is to be heard of
                searcher.set(event.name, event.old)


def _by(wish: Wish) -> dict[str, Any]:
    return {"who": wish.who, "undoes": wish.undoes}


def as_wished(setting: Setting, value: Any) -> Setting:
    """The setting as the next step will have it."""
    led = isinstance(setting, Slider) and setting.base is not None
    return dataclasses.replace(setting, value=value, **({"base": value} if led else {}))


def who_of(who: Any) -> str:
    """The name of whoever wishes; `SpecError` if it is none."""
    if not isinstance(who, str) or not who:
        raise SpecError(f"who=... is a word, such as 'cure', not {who!r:.100}")
    return who
