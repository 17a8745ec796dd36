"""What a lab, a comparison and the view of a race have in common: play, step, pause, stop, and waiting for them."""

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
    """Drives by a runner, and pokes whoever shows it."""

    _runner: Runner
    _publisher: Publisher
    _observing: threading.Lock
    view: Any

    @abstractmethod
    def step(self, n: int = 1) -> None:
        """Do n more, then stand still. Returns at once."""

    @abstractmethod
    def _observe(self) -> None:
        """Hand what is new to the views; in any thread, holding `_observing`."""

    def refresh(self) -> None:
        """Refresh the open pages after the search was changed from code, for example by `rewind`."""
        if self.view.listening and self._stands:
            self._publisher.poke()

    def look(self) -> None:
        """`refresh` by its old name."""
        warn_of_old_name(f"{type(self).__name__}.look", f"{type(self).__name__}.refresh")
        self.refresh()

    def _observe_if_idle(self) -> None:
        """See what was done by hand while all stands still."""
        if self._stands:
            self._observe()

    @property
    def _stands(self) -> bool:
        """Whether all stands still, and may be moved by this view."""
        return not self._runner.busy and self._runner.state != "stopped"

    def play(self) -> None:
        """Go on to the end, or until `pause`; what failed is tried again. Returns at once."""
        self._runner.play()
        self._publisher.poke()

    def pause(self) -> None:
        """Stand still once the step under way is done."""
        self._runner.pause()
        self._publisher.poke()

    def stop(self, why: str = "") -> None:
        """End this view's driving. A search can still be asked, forked, or given to a new view.

        Args:
            why: is shown in the panel.
        """
        self._runner.stop(why)
        self._publisher.poke()

    _in_a_round = 1
    """Steps of all searches in a round."""

    def _is_watched(self) -> bool:
        return bool(self.view.listening)

    def join(self) -> None:
        """Until the worker has ended."""
        self._runner.join()

    def wait(self, timeout: float | None = None) -> None:
        """Until all stands still; raises the error that it stands still for (a comparison: if all have failed)."""
        try:
            self._runner.wait(timeout)
        finally:
            self._update_still(not self._runner.busy)

    def run(self, n: int | None = None) -> None:
        """Do n steps (rounds of a comparison), or all that remain, and return when they are done.

        A pause in the page can be ended there; until then this does not return, and no later cell begins.
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
        """A static SVG of the moment."""

    def _still(self) -> tuple[Any, ...]:
        return (self.picture(), repr(self))

    def _still_key(self) -> Hashable:
        return (self._runner.at, self._runner.state, self._runner.busy, repr(self._runner.error), self._changes())

    def _changes(self) -> int:
        """Events so far: some come while no step does."""
        return 0

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None, **kwargs: Any) -> dict[str, Any]:
        """The live panel; where widgets do not render, the picture."""
        self._publisher.poke()
        bundle = self.panel._repr_mimebundle_(**kwargs)
        return {**bundle, "text/plain": repr(self), "image/svg+xml": str(self.picture())}
