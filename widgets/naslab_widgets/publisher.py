"""A thread that exists only while there is something to tell."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Publisher:
    """Calls `publish` every `period` seconds until it says that there is no more; `poke` wakes it again.

    With nobody looking and nothing moving there is no thread at all, so that none can leak.
    """

    def __init__(self, publish: Callable[[], bool], period: float) -> None:
        self._publish, self._period = publish, period
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._poked = threading.Event()

    def poke(self) -> None:
        """There is something new. Any thread; takes microseconds."""
        with self._lock:
            self._poked.set()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, daemon=True, name="naslab-publisher")
                self._thread.start()

    def join(self, timeout: float | None = None) -> None:
        """Until all is told."""
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)

    def _run(self) -> None:
        pause = threading.Event()
        while True:
            self._poked.clear()
            try:
                more = self._publish()
            except BaseException:
                self._thread = None  # the next poke starts another
                raise
            with self._lock:
                if not more and not self._poked.is_set():
                    self._thread = None
                    return
            pause.wait(self._period)
