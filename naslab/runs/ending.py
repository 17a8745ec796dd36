"""An end that was asked for: SIGTERM, as a cluster sends it before it takes the machine away.

    during a step   it is finished and written down, or given up if it lasts longer than 4 s;
                    the run is closed, and the process ends with code 0, 5 s after the signal at the latest
    between steps   nothing of this is in force: the signal ends the process, and no step is lost

In force it is only in the main thread, and only where SIGTERM would simply end the process: what others have arranged
(a handler of the user's, a framework) stays as it is. So it does in a Jupyter kernel, which its server ends.

A handler written in Python has to wait for compiled code to come back. So the system also writes each signal into a
pipe, where a thread waits for it, which gives the step up, and at last ends the process. (Compiled code that keeps
Python's global lock to itself all the time keeps that thread waiting, too.)
"""

from __future__ import annotations

# As `signal`, which takes ten times as long, to say what it gives back by name.
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
"""Seconds after the signal at which the process ends, whatever it is at."""
_TERM = int(signal.SIGTERM)


class Ending:
    """Makes SIGTERM wait for a step; a context manager around it.

    Args:
        close: writes down what is done, and lets go of the run.
    """

    def __init__(self, close: Callable[[], None]) -> None:
        self._close = close
        self._watch: _Watch | None = None

    def __enter__(self) -> None:
        if not _ours():
            return
        self._watch = watch = _Watch.of_this_process()
        before = _signal.set_wakeup_fd(watch.write, warn_on_full_buffer=False)
        if before != watch.write:  # a step before this one was interrupted at its very end
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
                _signal.signal(_TERM, _signal.SIG_DFL)  # which hears first what has come meanwhile
            _signal.set_wakeup_fd(watch.before)
        if watch.asked:
            _signal.signal(_TERM, _heard)  # there is an end already
            self._close()
            raise SystemExit(0)


class _Watch:
    """What one process knows of the signal, and the thread that waits for it."""

    current: _Watch | None = None

    def __init__(self) -> None:
        self.inside = False
        """Whether the main thread is in a step."""
        self.asked = False
        """Whether the signal has come."""
        self.late = False
        """Whether the step is to be given up."""
        self.before = -1
        """The file descriptor that signals were written to before, that of an event loop for instance."""
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
        while signal.SIGTERM not in (came := os.read(self._read, 64)):
            if self.before != -1:
                with suppress(OSError):
                    os.write(self.before, came)
        start, self.asked = time.monotonic(), True
        time.sleep(PATIENCE)
        self.late = True
        if self.main is not None:
            signal.pthread_kill(self.main, signal.SIGTERM)  # it wakes from what it waits for, and hears it once more
        time.sleep(max(0.0, start + LIMIT - time.monotonic()))
        _end()


def _heard(number: int, frame: FrameType | None) -> None:
    """Runs in the main thread, as soon as it executes Python code."""
    watch = _Watch.current
    if watch is None:
        return
    watch.asked = True
    if watch.late and watch.inside:
        watch.inside = False  # once is enough
        raise SystemExit(0)


def _ours() -> bool:
    """Whether SIGTERM would end this process, and this thread may say what it does instead."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "pthread_kill"):
        return False
    kernel: Any = sys.modules.get("ipykernel.kernelapp")
    if kernel is not None and kernel.IPKernelApp.initialized():
        return False
    watch, handler = _Watch.current, _signal.getsignal(_TERM)
    return handler == _signal.SIG_DFL or (handler is _heard and watch is not None and not watch.inside)


@atexit.register
def _end_of_program() -> None:
    """Do without taking torch apart: it takes seconds, in which nothing is heard."""
    if _Watch.current is not None and _Watch.current.asked:
        logging.shutdown()
        _end()


def _end() -> None:
    """Ends the process at once, even while threads are at work."""
    with suppress(Exception):
        for child in multiprocessing.active_children():
            child.kill()
    flush = threading.Thread(target=_flush, daemon=True)
    flush.start()
    flush.join(0.1)  # a thread that does not end may be writing
    os._exit(0)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()


def _forget() -> None:
    """Runs in a forked process: its parent's arrangements are not its own."""
    if _Watch.current is None:
        return
    _Watch.current = None
    with suppress(ValueError):
        if _signal.getsignal(_TERM) is _heard:
            _signal.signal(_TERM, _signal.SIG_DFL)
            _signal.set_wakeup_fd(-1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
