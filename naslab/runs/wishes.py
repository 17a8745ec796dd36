"""Wishes: changes of settings, and acts, that were requested of a search and wait for its next step.

Any thread may add a wish at any time, also during a step. It becomes part of the run, as an event, in one transaction
with the step that it was fulfilled for.
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
    """A requested change of a setting, or a requested act."""

    name: str
    """The name of the setting or of the act."""
    given: Any
    """New value of the setting, or arguments of the act."""
    act: bool
    """True for an act, False for a setting."""
    who: str = HAND
    """Its author."""
    undoes: int | None = None
    """Number of the intervention that this will undo."""


class Wished(NamedTuple):
    """The wishes at one moment."""

    values: dict[str, Wish]
    """Setting -> latest wish for it."""
    acts: list[Wish]
    """Acts in the order in which they were requested."""


class Wishes:
    """The pending wishes of a search: for each setting the latest, and all acts in order."""

    def __init__(self) -> None:
        # Held only while the collections are copied or changed, never while a wish is fulfilled: `set` answers at once.
        self._lock = threading.Lock()
        self._values: dict[str, Wish] = {}
        self._acts: list[Wish] = []

    def add(self, wish: Wish) -> None:
        with self._lock:
            if wish.act:
                self._acts.append(wish)
            else:
                self._values[wish.name] = wish

    @property
    def values(self) -> dict[str, Any]:
        """Setting -> requested value."""
        with self._lock:
            return {name: wish.given for name, wish in self._values.items()}

    @property
    def all(self) -> list[Wish]:
        """All wishes in the order in which they will be fulfilled."""
        with self._lock:
            return [*self._values.values(), *self._acts]

    def clear(self) -> None:
        with self._lock:
            self._values.clear()
            self._acts.clear()

    def fulfil(self, searcher: Stepper, step: int) -> tuple[list[Event], Wished]:
        """Fulfil the current wishes, before a step.

        Returns:
            The events of the changes and acts, and the wishes that were fulfilled. The caller passes these to `forget`
            once the step is done: a step that fails is tried again with them.
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
        """Appends each event to `done` at once, so that after an error the caller can revert what was done."""
        for name, wish in wished.values.items():
            with self._dropped_if_refused(wish):
                old, total = searcher.in_force(name), searcher.total
                if wish.given != old:
                    searcher.set(name, wish.given)
                    fields: dict[str, Any] = {"name": name, "old": old, "new": wish.given, **_signed(wish)}
                    if searcher.total != total:
                        fields["total"] = searcher.total
                    done.append(Changed(step=step, **fields))
        for wish in wished.acts:
            with self._dropped_if_refused(wish):
                before = searcher.act(wish.name, wish.given)
                done.append(Acted(step=step, name=wish.name, arguments=wish.given, before=before, **_signed(wish)))

    def try_on(self, copy: Stepper) -> None:
        """Set the requested values on a copy of the searcher, as far as they are valid."""
        for name, value in self.values.items():
            with suppress(SpecError):
                copy.set(name, value)

    def forget(self, wished: Wished) -> None:
        """Remove wishes that are fulfilled, but not those that were added since."""
        values, acts = wished
        if not values and not acts:
            return
        with self._lock:
            for name, wish in values.items():
                if self._values.get(name) is wish:  # by identity: an equal wish may have been added during the step
                    del self._values[name]
            self._acts = [wish for wish in self._acts if not any(wish is one for one in acts)]

    def take_back(self, wish: Wish) -> None:
        """Remove a wish that is not fulfilled yet."""
        self.forget(Wished({}, [wish]) if wish.act else Wished({wish.name: wish}, []))

    @contextmanager
    def _dropped_if_refused(self, wish: Wish) -> Iterator[None]:
        """Removes a wish that fails, because another made it impossible for instance: no step could be done with it."""
        try:
            yield
        except RunPaused:
            raise
        except Exception:
            self.take_back(wish)
            raise


def set_back(searcher: Stepper, done: Sequence[Event]) -> None:
    """Revert the settings after a step that was not kept: until it is tried again, the changes are wishes.

    Acts are not reverted here; the state before the step is restored before the next one (`_lost`).
    """
    for event in reversed(done):
        if isinstance(event, Changed):
            with suppress(Exception):  # the error of the step is the one to report
                searcher.set(event.name, event.old)


def _signed(wish: Wish) -> dict[str, Any]:
    return {"who": wish.who, "undoes": wish.undoes}


def as_wished(setting: Setting, value: Any) -> Setting:
    """Returns the setting as it will be at the next step."""
    led = isinstance(setting, Slider) and setting.base is not None
    return dataclasses.replace(setting, value=value, **({"base": value} if led else {}))


def who_of(who: Any) -> str:
    """Returns the author of a wish; `SpecError` unless it is a word."""
    if not isinstance(who, str) or not who:
        raise SpecError(f"who=... is a word, such as 'cure', not {who!r:.100}")
    return who
