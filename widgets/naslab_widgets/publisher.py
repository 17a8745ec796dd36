"""`Publisher`: a thread that sends news to the page, and exists only while there is any."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Publisher:
    """Calls `publish` every `period` seconds until it returns False; `poke` starts it again.

    While no page is open, or nothing changes, there is no thread at all, so that none can leak.

    Args:
        publish: sends what is new; returns True if it must be called again.
        period: seconds between two calls.
    """

    def __init__(self, publish: Callable[[], bool], period: float) -> None:
        self._publish, self._period = publish, period
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._poked = threading.Event()

    def poke(self) -> None:
        """Request a call of `publish`. Any thread; takes microseconds."""
        with self._lock:
            self._poked.set()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, daemon=True, name="naslab-publisher")
                self._thread.start()

    def join(self, timeout: float | None = None) -> None:
        """Wait until everything is sent.

        Args:
            timeout: seconds.
        """
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)

    def _run(self) -> None:
        pause = threading.Event()
        while True:
            self._poked.clear()  # before publishing: a poke during it causes another round
            try:
                more = self._publish()
            except BaseException:
                self._thread = None  # the next poke starts another
                raise
            with self._lock:  # with `poke`, decides whether this thread goes on or another one starts
                if not more and not self._poked.is_set():
                    self._thread = None
                    return
            pause.wait(self._period)
