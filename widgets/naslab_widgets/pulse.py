"""A heartbeat, once a second, from the kernel to every page that shows a panel: it tells a dead kernel from a slow
search.

One thread serves all panels, and only while a page is open: a visible page reports every ten seconds. While a cell
runs, the main thread cannot receive these reports, so that the beats go on without them. `_lock` guards everything that
both threads use.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

PERIOD = 1.0
"""Seconds between two beats."""
GRACE = 30.0
"""Seconds for which a page counts as open after its last report: three missed ones."""


class Pulse:
    """Sends `{"type": "beat", "held": seconds}` to every listener that reported lately.

    `held` is the longest time so far for which no Python thread could run although this process was computing: an
    operation in C can hold the interpreter lock for seconds. The page then waits longer before it declares the kernel
    dead. A suspended process uses no processor time, so that its delay does not count.

    Args:
        clock: returns seconds.
        work: returns seconds of processor time of this process.
        wait: sleeps for a number of seconds.
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
        """Record that a page shows this listener, whose `tell` reaches the page."""
        with self._lock:
            self._heard_at[listener] = self._clock()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, daemon=True, name="naslab-pulse")
                self._thread.start()

    def reaches(self, listener: Any) -> bool:
        """True if a page shows this listener."""
        with self._lock:
            return listener in self._heard_at

    def follow_cells(self, shell: Any) -> None:
        """Track from now on when a cell of this shell runs; called from within one."""
        with self._lock:
            if shell is None or self._shell is shell:
                return
            self._shell, self._cell_runs = shell, True
        shell.events.register("pre_run_cell", lambda *_: self._cell(True))
        shell.events.register("post_run_cell", lambda *_: self._cell(False))

    def _cell(self, runs: bool) -> None:
        with self._lock:
            self._cell_runs = runs
            for listener in self._heard_at:  # reports sent during the cell are handled only now
                self._heard_at[listener] = self._clock()

    def _listeners(self) -> list[Any]:
        """Returns the current listeners; without any, the thread ends."""
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
            if self._work() - worked > 0.5 * late:  # computing, not suspended
                self.held = max(self.held, late)


PULSE = Pulse()
"""The heartbeat of this kernel."""
