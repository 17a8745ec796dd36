"""`Steered`: what a lab, a comparison and the view of a race share: play, step, pause, stop, and waiting for them."""

from __future__ import annotations

import math
import threading
from abc import ABC, abstractmethod
from collections.abc import Hashable
from typing import Any

from naslab.lazy import warn_of_old_name
from naslab_widgets.display import Displayed
from naslab_widgets.figures.svg import Drawing
from naslab_widgets.publisher import Publisher
from naslab_widgets.runner import Runner


class Steered(Displayed, ABC):
    """Runs a search by a `Runner` and shows it by a `Publisher`."""

    _runner: Runner
    _publisher: Publisher
    _observing: threading.Lock
    view: Any

    @abstractmethod
    def step(self, n: int = 1) -> None:
        """Do n more steps, then pause. Returns at once."""

    @abstractmethod
    def _observe(self) -> None:
        """Pass new events to the views. Any thread; holds `_observing` meanwhile."""

    def refresh(self) -> None:
        """Refresh the open pages after the search was changed from code, for example by `rewind`."""
        if self.view.listening and self._stands:
            self._publisher.poke()

    def look(self) -> None:
        """`refresh` by its old name."""
        warn_of_old_name(f"{type(self).__name__}.look", f"{type(self).__name__}.refresh")
        self.refresh()

    def _observe_if_idle(self) -> None:
        """Pass on events of steps that the user did in code. While the runner works, its thread does so."""
        if self._stands:
            self._observe()

    @property
    def _stands(self) -> bool:
        """True if the runner is idle and not stopped."""
        return not self._runner.busy and self._runner.state != "stopped"

    def play(self) -> None:
        """Run to the end, or until `pause`; a step that failed is tried again. Returns at once."""
        self._runner.play()
        self._publisher.poke()

    def pause(self) -> None:
        """Pause when the current step is done. Returns at once."""
        self._runner.pause()
        self._publisher.poke()

    def stop(self, why: str = "") -> None:
        """Stop for good when the current step is done. The search can still be read, forked, or given to a new view.

        Args:
            why: reason, shown in the panel.
        """
        self._runner.stop(why)
        self._publisher.poke()

    _in_a_round = 1
    """Steps of all searches together in one round of `step`."""

    def _is_watched(self) -> bool:
        return bool(self.view.listening)

    def join(self) -> None:
        """Wait until the worker has ended. Raises no error of the search."""
        self._runner.join()

    def wait(self, timeout: float | None = None) -> None:
        """Wait until the search is idle.

        Args:
            timeout: seconds.

        Raises:
            TimeoutError: it is still running by then.
            BaseException: the error that paused it (in a comparison, only if all searches failed).
        """
        try:
            self._runner.wait(timeout)
        finally:
            self._update_still(not self._runner.busy)

    def run(self, n: int | None = None) -> None:
        """Do n steps (rounds of a comparison), by default all that remain, and return when they are done.

        If the user pauses on the page, this returns only after they resume, so that no later cell begins too early.
        """
        begun = self._runner.at
        if n is None:
            self.play()
        else:
            self.step(n)
        try:
            self._runner.wait_for_step(math.inf if n is None else begun + n * self._in_a_round, self._is_watched)
        except KeyboardInterrupt:
            self.pause()
            raise
        finally:
            self._update_still(not self._runner.busy)

    @abstractmethod
    def picture(self) -> Drawing:
        """Returns a static SVG of the current state."""

    def _still(self) -> tuple[Any, ...]:
        return (self.picture(), repr(self))

    def _still_key(self) -> Hashable:
        return (self._runner.at, self._runner.state, self._runner.busy, repr(self._runner.error), self._changes())

    def _changes(self) -> int:
        """Returns the number of events so far: some, such as measurements, come without a step."""
        return 0

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None, **kwargs: Any) -> dict[str, Any]:
        """Returns the live panel and, for front ends without widgets, the picture."""
        self._publisher.poke()
        bundle = self.panel._repr_mimebundle_(**kwargs)
        return {**bundle, "text/plain": repr(self), "image/svg+xml": str(self.picture())}
