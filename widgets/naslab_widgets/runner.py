"""The one thread that moves a search: played, paused and stepped from any other.

Callers only queue: a method takes microseconds, touches no tensor, and may be called from whatever thread a Jupyter
front end happens to use for its callbacks. There is a thread only while there is something to do, so a
paused search holds none. A step that has begun is finished before a pause takes hold.
"""

from __future__ import annotations

import atexit
import math
import statistics
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Literal

from naslab.errors import whole

State = Literal["idle", "running", "paused", "stopped", "finished"]

BURST = 0.05
"""Seconds of steps after which the worker lets others observe; a longer step is a burst of its own."""


GAP = 10
"""So many times as long as the usual time from look to look is no work: somebody paused, or the machine slept."""


def pace(times: Sequence[tuple[float, float]]) -> float:
    """Steps a second of (time, steps done) pairs, without the gaps; 0 if it is not known."""
    spans = [(end - begin, after - before) for (begin, before), (end, after) in pairwise(times)]
    usual = statistics.median(seconds for seconds, _ in spans) if len(spans) > 2 else math.inf
    worked = [(seconds, steps) for seconds, steps in spans if seconds <= GAP * usual]
    seconds = sum(seconds for seconds, _ in worked)
    return sum(steps for _, steps in worked) / seconds if seconds > 0 else 0.0


class Runner:
    """Drives `next(search)`.

    Args:
        search: a `naslab.Search`.
        observe: called by the worker after each burst of steps and each command, before the search counts as at rest.
        rested: called by the worker when it has nothing more to do.
    """

    def __init__(
        self,
        search: Any,
        *,
        observe: Callable[[], None] = lambda: None,
        rested: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._search, self._clock = search, clock
        self._observe, self._rested = observe, rested
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._budget: float = 0
        self._commands: list[Callable[[], object]] = []
        self._stepping = self._begun = self._stopped = False
        self._test: Callable[[Any], str | None] | None = None
        """Of the event of each step: why it is time to stand still, or None."""
        self.reached = ""
        """Why it stands still, if a condition was met; the next step forgets it."""
        self._times: deque[tuple[float, int]] = deque(maxlen=32)
        self.error: BaseException | None = None
        """Why the search stands still, if an error made it; playing or stepping tries again."""
        self.why = ""
        """What stopped it for good, where somebody said so."""
        _RUNNERS.add(self)

    # --- for any thread --------------------------------------------------------------------------

    def play(self) -> None:
        self._test = None
        self._grant_steps(math.inf)

    def step(self, n: int = 1) -> None:
        """Exactly n more steps, then pause."""
        self._test = None
        self._grant_steps(whole("the number of steps", n, 1))

    def until(self, test: Callable[[Any], str | None]) -> None:
        """Steps until the test of an event, the last step's, says that it is time to stand still, and why."""
        with self._changed:
            self._refuse_if_stopped()
            self._test, self.reached = test, ""
        self._grant_steps(math.inf)

    def pause(self) -> None:
        with self._changed:
            self._budget, self._test = 0, None

    def stop(self, why: str = "") -> None:
        """End for good, after the step that is under way. The search itself stays usable.

        Args:
            why: is shown, and told to whoever asks it to go on.
        """
        with self._changed:
            if not self._stopped:
                self.why = why
            self._stopped, self._budget = True, 0
            self._commands.clear()
            self._changed.notify_all()

    def call(self, command: Callable[[], object]) -> None:
        """Have the worker do this between two steps, or now if it rests."""
        with self._changed:
            self._refuse_if_stopped()
            self._commands.append(command)
            self._start()

    def wait(self, timeout: float | None = None) -> None:
        """Until the search rests. Raises the error that made it rest, or `TimeoutError`."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._thread is None, timeout):
                raise TimeoutError(f"the search is still running after {timeout} s; pause() it, or wait longer")
            if self.error is not None:
                raise self.error

    def wait_for_step(self, step: float, watched: Callable[[], bool]) -> None:
        """Until the search has come so far, or has ended; a pause ends the wait only where nobody can play on.

        Args:
            watched: whether somebody looks, who paused it and can play it again.

        Raises the error that made the search rest.
        """

        def over() -> bool:
            if self._thread is not None:
                return False
            reached = self._stopped or self._search.step >= min(step, self._search.total)
            return reached or self.error is not None or not watched()

        with self._changed:
            self._changed.wait_for(over)
            if self.error is not None:
                raise self.error

    def wait_for_the_end(self) -> None:
        """Until the search is finished or the runner stopped, through any number of pauses."""
        with self._changed:
            self._changed.wait_for(lambda: self.ended)

    @property
    def ended(self) -> bool:
        """Finished or stopped, and at rest: nothing moves the search any more."""
        return self._thread is None and self.state in ("finished", "stopped")

    def join(self, timeout: float | None = None) -> None:
        """Until the worker has ended, whatever it ended with."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout)

    @property
    def state(self) -> State:
        with self._changed:
            if self._stopped:
                return "stopped"
            if self._stepping or self._budget:
                return "running"
            if self._search.step >= self._search.total:
                return "finished"
            return "paused" if self._begun or self.error else "idle"

    @property
    def at(self) -> int:
        """Steps that the search has done."""
        return self._search.step

    @property
    def standing(self) -> str:
        """How far the search is, in words."""
        return f"step {self._search.step} of {self._search.total}"

    @property
    def busy(self) -> bool:
        return self._thread is not None

    @property
    def rate(self) -> float:
        """Steps a second over the last few dozen, or the last few bursts; 0 if not known."""
        return pace(list(self._times))

    # --- the worker ------------------------------------------------------------------------------

    def _grant_steps(self, budget: float) -> None:
        with self._changed:
            self._refuse_if_stopped()
            self._begun, self.error, self.reached = True, None, ""
            self._budget += budget
            self._start()

    def _refuse_if_stopped(self) -> None:
        if self._stopped:
            raise RuntimeError(f"this lab was stopped{self._because}; make a new Lab(search) to go on")

    @property
    def _because(self) -> str:
        return f" ({self.why})" if self.why else ""

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, daemon=True, name="naslab-search")
            self._thread.start()

    def _work(self) -> None:
        self._times.clear()
        while True:
            with self._changed:
                commands, self._commands = self._commands, []
                if not commands and not self._budget:
                    self._thread = None
                    self._changed.notify_all()
                    break
                self._stepping = self._budget > 0
            for command in commands:
                self._attempt(command)
            if self._stepping:
                self._attempt(self._advance)
            self._attempt(self._observe)
            self._stepping = False
        self._rested()

    def _advance(self) -> None:
        """Steps, until the budget is used up, a command waits, or the burst has lasted long enough."""
        end = self._clock() + BURST
        while True:
            with self._changed:
                if not self._budget or self._commands:
                    return
                self._budget -= 1
            event = next(self._search, None)
            ended = event is None
            if not ended and self._test is not None and (why := self._test(event)) is not None:
                with self._changed:
                    self._budget, self._test, self.reached = 0, None, why
            now, step = self._clock(), self._search.step
            if ended or step >= self._search.total:
                with self._changed:
                    self._budget = 0
            if now >= end or not self._budget:
                self._times.append((now, step))
                return

    def _attempt(self, action: Callable[[], object]) -> None:
        """An error pauses the search and is kept for the panel and for `wait`."""
        try:
            action()
        except BaseException as error:
            with self._changed:
                self.error, self._budget, self._test = error, 0, None


_RUNNERS: weakref.WeakSet[Runner] = weakref.WeakSet()


@atexit.register
def _stop_all() -> None:
    """A worker inside torch while Python goes down can crash it: let each finish its step."""
    for runner in list(_RUNNERS):
        runner.stop()
    for runner in list(_RUNNERS):
        runner.join(timeout=5)
