"""`Runner`: the one thread that steps a search, controlled from any other thread.

The methods only queue requests: they take microseconds, touch no tensor, and may be called in whatever thread a Jupyter
front end uses for its callbacks. The thread exists only while there is work, so that a paused search holds none. A
pause takes effect when the current step is done. `_changed` guards the queue and signals each change of it.
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
"""Seconds of steps between two calls of `observe`; a longer step is a burst of its own."""

GAP = 10
"""A gap longer than this many times the median gap counts as a pause (of the search or of the machine), not as work."""


def pace(times: Sequence[tuple[float, float]]) -> float:
    """Returns steps per second from (seconds, steps done) pairs, without pauses; 0 if unknown."""
    spans = [(end - begin, after - before) for (begin, before), (end, after) in pairwise(times)]
    # With fewer than three gaps a median says nothing yet: count them all.
    usual = statistics.median(seconds for seconds, _ in spans) if len(spans) > 2 else math.inf
    worked = [(seconds, steps) for seconds, steps in spans if seconds <= GAP * usual]
    seconds = sum(seconds for seconds, _ in worked)
    return sum(steps for _, steps in worked) / seconds if seconds > 0 else 0.0


class Runner:
    """Calls `next(search)` in a worker thread.

    Args:
        search: a `naslab.Search`.
        observe: called in the worker after each burst of steps and each command, before the search counts as idle.
        rested: called in the worker when it has nothing more to do.
        clock: seconds; for tests.
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
        self._budget: float = 0  # steps that are still requested; infinite while playing
        self._commands: list[Callable[[], object]] = []
        self._stepping = self._begun = self._stopped = False
        self._test: Callable[[Any], str | None] | None = None
        """Stop condition: takes the event of a step, returns the reason to pause, or None."""
        self.reached = ""
        """Reason of the last pause if a stop condition was met; cleared by the next step."""
        self._times: deque[tuple[float, int]] = deque(maxlen=32)
        self.error: BaseException | None = None
        """Error that paused the search; `play` and `step` try again."""
        self.why = ""
        """Reason given to `stop`."""
        _RUNNERS.add(self)

    # --- for any thread --------------------------------------------------------------------------

    def play(self) -> None:
        """Run to the end, or until `pause`. Returns at once."""
        self._test = None
        self._grant_steps(math.inf)

    def step(self, n: int = 1) -> None:
        """Do exactly n more steps, then pause. Returns at once."""
        self._test = None
        self._grant_steps(whole("the number of steps", n, 1))

    def until(self, test: Callable[[Any], str | None]) -> None:
        """Run until `test`, called with the event of each step, returns a reason to pause. Returns at once."""
        with self._changed:
            self._refuse_if_stopped()
            self._test, self.reached = test, ""
        self._grant_steps(math.inf)

    def pause(self) -> None:
        """Pause when the current step is done. Returns at once."""
        with self._changed:
            self._budget, self._test = 0, None

    def stop(self, why: str = "") -> None:
        """Stop for good when the current step is done. The search itself stays usable.

        Args:
            why: reason, shown in the panel and part of the error of later requests.
        """
        with self._changed:
            if not self._stopped:
                self.why = why
            self._stopped, self._budget = True, 0
            self._commands.clear()
            self._changed.notify_all()

    def call(self, command: Callable[[], object]) -> None:
        """Run a command in the worker: between two steps, or now if the search is idle.

        Raises:
            RuntimeError: the runner was stopped.
        """
        with self._changed:
            self._refuse_if_stopped()
            self._commands.append(command)
            self._start()

    def wait(self, timeout: float | None = None) -> None:
        """Wait until the search is idle.

        Args:
            timeout: seconds.

        Raises:
            TimeoutError: the search is still running by then.
            BaseException: the error that paused the search.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._thread is None, timeout):
                raise TimeoutError(f"the search is still running after {timeout} s; pause() it, or wait longer")
            if self.error is not None:
                raise self.error

    def wait_for_step(self, step: float, watched: Callable[[], bool]) -> None:
        """Wait until the search has reached a step or has ended.

        Args:
            step: the step.
            watched: returns True if a page is open, where the user can resume a paused search. Otherwise a pause ends
                the wait.

        Raises:
            BaseException: the error that paused the search.
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
        """Wait until the search is finished or the runner is stopped, through any number of pauses."""
        with self._changed:
            self._changed.wait_for(lambda: self.ended)

    @property
    def ended(self) -> bool:
        """True if the search is finished or stopped, and idle."""
        return self._thread is None and self.state in ("finished", "stopped")

    def join(self, timeout: float | None = None) -> None:
        """Wait until the worker has ended, successfully or not.

        Args:
            timeout: seconds.
        """
        thread = self._thread
        if thread is not None:
            thread.join(timeout)

    @property
    def state(self) -> State:
        """One of `State`; "idle" before the first step, then "running", "paused", "stopped" or "finished"."""
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
        """Steps done so far."""
        return self._search.step

    @property
    def progress(self) -> str:
        """The progress as text: "step 3 of 10"."""
        return f"step {self._search.step} of {self._search.total}"

    @property
    def busy(self) -> bool:
        """True while the worker thread exists."""
        return self._thread is not None

    @property
    def rate(self) -> float:
        """Steps per second over the last 32 bursts; 0 if unknown."""
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
        """The worker thread: commands first, then a burst of steps, then `observe`; ends when nothing is requested."""
        self._times.clear()  # the time between two runs of the thread is a pause
        while True:
            with self._changed:
                commands, self._commands = self._commands, []
                if not commands and not self._budget:  # under the lock, so that no request is lost in between
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
        """Do steps until the budget is used up, a command waits, or `BURST` seconds are over."""
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
        """Run an action; an error pauses the search and is kept for the panel and for `wait`."""
        try:
            action()
        except BaseException as error:
            with self._changed:
                self.error, self._budget, self._test = error, 0, None


_RUNNERS: weakref.WeakSet[Runner] = weakref.WeakSet()


@atexit.register
def _stop_all() -> None:
    """Stop all workers at exit: a thread that is inside torch while the interpreter shuts down can crash it."""
    for runner in list(_RUNNERS):
        runner.stop()
    for runner in list(_RUNNERS):
        runner.join(timeout=5)
