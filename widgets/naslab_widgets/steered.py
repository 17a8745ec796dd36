"""What a lab and a comparison are told: play, step, pause, stop; and to wait for it."""

from __future__ import annotations

from abc import ABC, abstractmethod

from naslab_widgets.publisher import Publisher
from naslab_widgets.runner import Runner


class Steered(ABC):
    """Drives by a runner, and pokes whoever shows it."""

    _runner: Runner
    _publisher: Publisher

    @abstractmethod
    def step(self, n: int = 1) -> None:
        """Do n more, then stand still. Returns at once."""

    def play(self) -> None:
        """Go on to the end, or until `pause`; what failed is tried again. Returns at once."""
        self._runner.play()
        self._publisher.poke()

    def pause(self) -> None:
        """Stand still once the step under way is done."""
        self._runner.pause()
        self._publisher.poke()

    def stop(self) -> None:
        """End this view's driving. A search can still be asked, forked, or given to a new view."""
        self._runner.stop()
        self._publisher.poke()

    def join(self) -> None:
        """Until the worker has ended."""
        self._runner.join()

    def wait(self, timeout: float | None = None) -> None:
        """Until all stands still; raises the error that it stands still for (a comparison: if all have failed)."""
        self._runner.wait(timeout)

    def run(self, n: int | None = None) -> None:
        """Do so many steps (of a comparison: rounds), or all that remain, and come back when they are done."""
        if n is None:
            self.play()
        else:
            self.step(n)
        try:
            self.wait()
        except KeyboardInterrupt:
            self.pause()
            raise
