"""A beat once a second from the kernel to every page that shows a panel, so that a page can tell a dead kernel from a
slow search.

One thread for all panels, and only while a page is there: a page that is looked at says so every ten seconds. While a
cell runs in the main thread that word cannot be heard, so the beats then go on without it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

PERIOD = 1.0
"""Seconds from beat to beat."""
GRACE = 30.0
"""Seconds for which a page counts as looking after it has said so."""


class Pulse:
    """Sends `{"type": "beat", "held": seconds}` to everyone who was heard of lately.

    `held` is the longest time so far for which this process was at work and yet no thread of Python came to its turn:
    an operation in C can hold the interpreter for seconds. A page is then patient for longer. A process that was
    stopped does no work meanwhile, and is not excused.

    Args:
        clock: seconds.
        work: seconds of processor time that this process has used.
        wait: sleeps so long.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        work: Callable[[], float] = time.process_time,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self._clock, self._work, self._wait = clock, work, wait
        self._lock = threading.Lock()
        self._heard_at: dict[Any, float] = {}
        self._thread: threading.Thread | None = None
        self._shell: Any = None
        self._cell_runs = False
        self.held = 0.0

    def heard(self, listener: Any) -> None:
        """A page looks at this listener, whose `tell` reaches it."""
        with self._lock:
            self._heard_at[listener] = self._clock()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, daemon=True, name="naslab-pulse")
                self._thread.start()

    def reaches(self, listener: Any) -> bool:
        """Whether a page looks at it."""
        with self._lock:
            return listener in self._heard_at

    def follow_cells(self, shell: Any) -> None:
        """Know from now on when a cell of this shell runs; called from within one."""
        with self._lock:
            if shell is None or self._shell is shell:
                return
            self._shell, self._cell_runs = shell, True
        shell.events.register("pre_run_cell", lambda *_: self._cell(True))
        shell.events.register("post_run_cell", lambda *_: self._cell(False))

    def _cell(self, runs: bool) -> None:
        with self._lock:
            self._cell_runs = runs
            for listener in self._heard_at:  # what was said meanwhile is heard only now
                self._heard_at[listener] = self._clock()

    def _listeners(self) -> list[Any]:
        """Those to be told; with nobody there the thread ends."""
        with self._lock:
            now = self._clock()
            if not self._cell_runs:
                self._heard_at = {each: at for each, at in self._heard_at.items() if now - at < GRACE}
            if not self._heard_at:
                self._thread = None
            return list(self._heard_at)

    def _run(self) -> None:
        while listeners := self._listeners():
            for listener in listeners:
                try:
                    listener.tell({"type": "beat", "held": self.held})
                except Exception:  # its widget was closed
                    with self._lock:
                        self._heard_at.pop(listener, None)
            began, worked = self._clock(), self._work()
            self._wait(PERIOD)
            late = self._clock() - began - PERIOD
            if self._work() - worked > 0.5 * late:
                self.held = max(self.held, late)


PULSE = Pulse()
"""That of this kernel."""
