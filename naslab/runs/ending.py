"""Handling of SIGTERM, which a cluster sends before it takes the machine away.

    during a step   the step is finished and written, or given up if it takes longer than 4 s;
                    the run is closed, and the process ends with code 0, at most 5 s after the signal
    between steps   nothing is installed: the signal ends the process, and no step is lost

The handler is installed only in the main thread, and only where SIGTERM would simply end the process: a handler of the
user's or of a framework stays as it is. So does the one of a Jupyter kernel, which its server ends.

Python runs a signal handler only between two bytecode instructions, so that it has to wait for compiled code, a matrix
product say, to return. Therefore the operating system also writes each signal into a pipe (`signal.set_wakeup_fd`). A
thread waits there, gives the step up after `PATIENCE`, and ends the process at `LIMIT`. (Compiled code that never
releases the global interpreter lock delays that thread, too.)
"""

from __future__ import annotations

# The module `signal` without its enums, which take ten times as long: the handler is installed at every step.
import _signal  # pyright: ignore[reportMissingImports]
import atexit
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

PATIENCE = 4.0
"""Seconds after the signal at which a step is given up."""
LIMIT = 4.4
"""Seconds after the signal at which the process ends, whatever it is doing."""
_TERM = int(signal.SIGTERM)


class Ending:
    """Context manager around a step that delays SIGTERM until the step is finished.

    Args:
        close: writes the pending step and releases the run.
    """

    def __init__(self, close: Callable[[], None]) -> None:
        self._close = close
        self._watch: _Watch | None = None

    def __enter__(self) -> None:
        if not _ours():
            return
        self._watch = watch = _Watch.of_this_process()
        before = _signal.set_wakeup_fd(watch.write, warn_on_full_buffer=False)
        if before != watch.write:  # equal if an interrupt kept the last step from putting the old descriptor back
            watch.before = before
        _signal.signal(_TERM, _heard)
        watch.inside = True

    def __exit__(self, *_: object) -> None:
        watch, self._watch = self._watch, None
        if watch is None:
            return
        watch.inside = False
        if not watch.asked:
            if _signal.getsignal(_TERM) is _heard:
                _signal.signal(_TERM, _signal.SIG_DFL)  # runs the handler first, if a signal is pending
            _signal.set_wakeup_fd(watch.before)
        if watch.asked:
            _signal.signal(_TERM, _heard)  # a second signal must not kill the process while it closes the run
            self._close()
            raise SystemExit(0)


class _Watch:
    """The state of the signal in this process, and the thread that waits for it."""

    current: _Watch | None = None
    """The one of this process, once a step has begun in its main thread."""

    def __init__(self) -> None:
        self.inside = False
        """True while the main thread is in a step."""
        self.asked = False
        """True once the signal has arrived."""
        self.late = False
        """True once the step is to be given up."""
        self.before = -1
        """File descriptor that signals were written to before, by an event loop for instance; -1 for none."""
        self.main = threading.main_thread().ident
        self._read, self.write = os.pipe()
        os.set_blocking(self.write, False)
        threading.Thread(target=self._wait, name="naslab-ending", daemon=True).start()

    @classmethod
    def of_this_process(cls) -> _Watch:
        if cls.current is None:
            cls.current = cls()
        return cls.current

    def _wait(self) -> None:
        """Waits for SIGTERM, and passes other signals on to the descriptor that they were written to before."""
        while signal.SIGTERM not in (came := os.read(self._read, 64)):
            if self.before != -1:
                with suppress(OSError):
                    os.write(self.before, came)
        start, self.asked = time.monotonic(), True
        time.sleep(PATIENCE)
        self.late = True
        if self.main is not None:
            signal.pthread_kill(self.main, signal.SIGTERM)  # interrupts a blocking call: the handler runs again
        time.sleep(max(0.0, start + LIMIT - time.monotonic()))
        _end()


def _heard(number: int, frame: FrameType | None) -> None:
    """The handler: runs in the main thread as soon as that executes Python code."""
    watch = _Watch.current
    if watch is None:
        return
    watch.asked = True
    if watch.late and watch.inside:
        watch.inside = False  # raise once: a second exception would interrupt the clean-up after the first
        raise SystemExit(0)


def _ours() -> bool:
    """True if SIGTERM would end this process, and this thread is allowed to install a handler."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "pthread_kill"):
        return False
    kernel: Any = sys.modules.get("ipykernel.kernelapp")
    if kernel is not None and kernel.IPKernelApp.initialized():
        return False
    watch, handler = _Watch.current, _signal.getsignal(_TERM)
    return handler == _signal.SIG_DFL or (handler is _heard and watch is not None and not watch.inside)


@atexit.register
def _end_of_program() -> None:
    """After SIGTERM, skip the tear-down of torch at exit, which takes seconds."""
    if _Watch.current is not None and _Watch.current.asked:
        logging.shutdown()
        _end()


def _end() -> None:
    """Ends the process and its children at once, even while threads are running."""
    with suppress(Exception):
        for child in multiprocessing.active_children():
            child.kill()
    flush = threading.Thread(target=_flush, daemon=True)
    flush.start()
    flush.join(0.1)  # no longer: another thread may hold the lock of the stream for ever
    os._exit(0)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()


def _forget() -> None:
    """Runs in a forked child, which has neither the thread nor the pipe of its parent: removes the handler."""
    if _Watch.current is None:
        return
    _Watch.current = None
    with suppress(ValueError):
        if _signal.getsignal(_TERM) is _heard:
            _signal.signal(_TERM, _signal.SIG_DFL)
            _signal.set_wakeup_fd(-1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
