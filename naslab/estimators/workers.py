"""A pool of processes on this machine that survives the death of its workers; a `concurrent.futures.Executor`.

    one worker, one process: started from a server that has torch loaded, so in a fraction of a second
    a worker that dies is replaced, and what it was at is tried again, three times in all; the others notice nothing
    a worker never outlives the process that started it, however that one ends

`concurrent.futures.ProcessPoolExecutor` gives up all of its futures when one of its processes dies, and cannot stop
a call that runs. The threads here, one a worker, only wait: for a call, for its answer, for the worker's death.
"""

from __future__ import annotations

import math
import multiprocessing
import queue
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import CancelledError, Executor, Future
from contextlib import suppress
from multiprocessing.connection import wait
from typing import Any, TypeVar

from naslab.errors import RunError, SpecError, real, whole
from naslab.estimators.worker_process import Limits, work
from naslab.notebook_code import Unsendable, packed, unpacked
from naslab.threads import number_of_threads

Result = TypeVar("Result")

START_SECONDS = 120.0
"""How long a worker may take until it is ready; loading torch from a slow disk takes most of it."""
MOST = 1024
"""Workers of one machine."""
RESTARTS = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
"""Seconds to wait after each start that failed: a server that was killed may take a while to be gone."""
LONGEST_WAIT = 86400.0
"""Seconds that are waited at once: the system refuses more than some weeks, and a timeout may be longer."""
LEAVE_SECONDS = 5.0
"""How long an idle worker may take to end by itself."""


class Crashed(RunError):
    """The worker died, each time that the call was tried."""


class NotStarted(Crashed):
    """There is no worker, and none can be started: the call was never begun."""


class TimedOut(RunError):
    """The call took longer than it may; its worker was killed."""


class Workers(Executor):
    """Processes that call functions, one at a time each.

    A function is sent to each worker once, as long as the same one is called again and again, so that a `partial` with
    data in it costs little. It may be a lambda, and functions and classes that were defined in a notebook may be in it
    (`naslab.notebook_code`): a worker gets them as they are at its first call. In a script, make the pool under
    `if __name__ == "__main__":`.

    Args:
        workers: how many.
        timeout: seconds after which a call is given up, as `TimedOut`.
        memory: bytes that a call may take; more is a `MemoryError` in it. Linux only.
        threads: CPU threads of torch in each.
        tries: how often a call is tried whose worker dies, before it is given up as `Crashed`.
    """

    def __init__(
        self,
        workers: int = 2,
        *,
        timeout: float | None = None,
        memory: float | None = None,
        threads: int = 1,
        tries: int = 3,
    ) -> None:
        self.workers = whole("workers", workers, 1, MOST)
        limits: list[float | None] = []
        for name, unit, value in (("timeout", "seconds", timeout), ("memory", "bytes", memory)):
            limits.append(None if value is None else real(f"{name} in {unit}", value))
            if value is not None and not 0 < real(f"{name} in {unit}", value) < math.inf:
                raise SpecError(f"{name} must be above 0 and finite, or None for no limit, not {value!r}")
        self._limits = Limits(limits[0], limits[1], number_of_threads(threads), whole("tries", tries, 1))
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._open: weakref.WeakKeyDictionary[Future[Any], _Call] = weakref.WeakKeyDictionary()
        self._lanes = [_Lane(self._calls, self._limits) for _ in range(self.workers)]
        self._end = weakref.finalize(self, _stop, self._calls, self._lanes)
        self._end.atexit = False  # then the system does it

    def submit(self, fn: Callable[..., Result], /, *args: Any, **kwargs: Any) -> Future[Result]:
        """Call the function in a worker, as soon as one is free."""
        if not self._end.alive:
            raise RuntimeError("these workers were shut down; make new ones")
        call = _Call(Future(), fn, args, kwargs)
        self._open[call.future] = call
        self._calls.put(call)
        return call.future

    def grow(self, workers: int) -> None:
        """Have so many workers, if there are fewer."""
        self._lanes += [_Lane(self._calls, self._limits) for _ in range(self.workers, workers)]
        self.workers = len(self._lanes)

    def cancel(self, future: Future[Any]) -> None:
        """End a call of this pool, also one that runs: its worker is killed and replaced.

        (`Future.cancel` ends only one that has not begun.) Whoever asks for its result gets `CancelledError`.
        """
        if not future.cancel() and (call := self._open.get(future)) is not None:
            call.cancel()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls; end the workers once what was submitted is done, or at once if it is cancelled."""
        if cancel_futures:
            for future in list(self._open):
                self.cancel(future)
        self._end()
        if wait:
            for lane in self._lanes:
                lane.thread.join()

    @property
    def processes(self) -> list[int]:
        """Process ids of the workers that live."""
        children = [lane.child for lane in self._lanes]
        return [child.process.pid for child in children if child is not None and child.process.is_alive()]


def _stop(calls: queue.SimpleQueue[_Call | None], lanes: list[_Lane]) -> None:
    for _ in lanes:
        calls.put(None)


class _Call:
    """A function that is to be called, and what becomes of it."""

    def __init__(self, future: Future[Any], function: Callable[..., Any], args: Any, kwargs: Any) -> None:
        self.future, self.function, self.content = future, function, (args, kwargs)
        self.cancelled = False
        self._child: _Child | None = None
        self._lock = threading.Lock()  # so that no other call's worker is killed

    def cancel(self) -> None:
        with self._lock:
            self.cancelled = True
            if self._child is not None:
                self._child.process.kill()

    def run(self, child: _Child, timeout: float | None) -> tuple[str, Any]:
        with self._lock:
            if self.cancelled:
                return "cancelled", None
            self._child = child
        try:
            answer = child.call(self.function, self.content, timeout)
        finally:
            with self._lock:
                self._child = None
        return ("cancelled", None) if self.cancelled and answer[0] == "died" else answer


class _Lane:
    """A thread that keeps one worker busy. Knows nothing of the pool, so that the pool can be forgotten."""

    def __init__(self, calls: queue.SimpleQueue[_Call | None], limits: Limits) -> None:
        self.child: _Child | None = None
        self._calls, self._limits = calls, limits
        self.thread = threading.Thread(target=self._serve, name="naslab-worker", daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        while (call := self._calls.get()) is not None:
            if call.future.set_running_or_notify_cancel():
                try:
                    result = self._answer(call)
                except BaseException as error:
                    call.future.set_exception(error)
                else:
                    call.future.set_result(result)
            del call  # or it would live until the next one comes
        if self.child is not None:
            self.child.leave()

    def _answer(self, call: _Call) -> Any:
        content = None
        for _ in range(self._limits.tries):
            if self.child is None or not self.child.process.is_alive():
                self.child = self._start()
            kind, content = call.run(self.child, self._limits.timeout)
            if kind == "result":
                return content
            if kind == "error":
                raise content
            if kind == "unsendable":
                raise content
            if kind == "unreadable":
                raise SpecError(
                    f"{call.function!r:.200}, what it is called with or what it gives cannot be read by another "
                    f"process ({content}); put functions and classes of your own into this notebook or script, or into "
                    "a file that can be imported, or evaluate in this process, workers=1"
                )
            self.child.end()
            if kind == "cancelled":
                raise CancelledError
            if kind == "late":
                raise TimedOut(f"it took longer than {self._limits.timeout:g} seconds, and was ended")
        raise Crashed(f"its process died ({content}), {self._limits.tries} times out of {self._limits.tries}")

    def _start(self) -> _Child:
        """A new worker; tried again for a while, for the server that forks it, or itself, may have been killed."""
        why: Exception | None = None
        for pause in RESTARTS:
            try:
                return _Child(self._limits)
            except (EOFError, OSError) as error:
                why = error
                time.sleep(pause)
        raise NotStarted(f"no process could be started for it, {len(RESTARTS)} times ({type(why).__name__}: {why})")


class _Child:
    """A worker process, seen from its parent."""

    def __init__(self, limits: Limits) -> None:
        context: Any = _context()
        self._pipe, other = context.Pipe()
        self.process = context.Process(target=work, args=(other, limits), name="naslab-worker", daemon=True)
        self._function: Callable[..., Any] | None = None
        try:
            self.process.start()
        finally:
            other.close()
        kind, why = self._hear(START_SECONDS)
        if kind != "ready":
            self.end()
            if kind == "died" and self.process.exitcode != 1:  # an exception would have ended it with 1
                raise EOFError(f"it was killed, {why}")
            raise RunError(
                "a worker process could not be started; what it wrote says why. In a script, workers may be used only "
                'under `if __name__ == "__main__":`, for each of them imports the script'
            )

    def call(self, function: Callable[..., Any], content: Any, timeout: float | None) -> tuple[str, Any]:
        """What came of it: ("result" | "error" | "unsendable" | "unreadable" | "late" | "died", more)."""
        try:
            message = packed((None if function is self._function else function, *content))
        except Unsendable as error:
            return "unsendable", error
        try:
            self._pipe.send_bytes(message)
            self._function = function
        except (OSError, EOFError):  # it died before
            return "died", self._death()
        answer = self._hear(timeout)
        if answer[0] == "unreadable":
            self._function = None  # perhaps it was this that did not arrive
        return answer

    def _hear(self, timeout: float | None) -> tuple[str, Any]:
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            ready = wait([self._pipe, self.process.sentinel], None if left is None else min(left, LONGEST_WAIT))
            if self._pipe in ready:
                try:
                    message = self._pipe.recv_bytes()
                except (EOFError, OSError):
                    return "died", self._death()
                try:
                    return unpacked(message)
                except Exception as error:  # an answer that cannot be read here
                    return "unreadable", f"{type(error).__name__}: {error}"
            if ready:
                return "died", self._death()
            if deadline is not None and time.monotonic() >= deadline:
                return "late", None

    def _death(self) -> str:
        self.process.join(5)
        code = self.process.exitcode
        if code is not None and code < 0:
            with suppress(ValueError):
                return signal.Signals(-code).name
        return f"exit code {code}"

    def leave(self) -> None:
        """End it while it is idle: by itself, so that it tidies up what it has of the system, semaphores say."""
        self._pipe.close()
        self.process.join(LEAVE_SECONDS)
        self.end()

    def end(self) -> None:
        self._pipe.close()
        self.process.kill()
        self.process.join()


def _context() -> Any:
    """How processes are started: forked from a server that has everything loaded, where that exists."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_in_use())
    return context


def _in_use() -> list[str]:
    """The modules of naslab that this process has imported, in that order, and what only some functions import."""
    modules = list(sys.modules)  # a copy: another thread may import
    own = [name for name in modules if name.partition(".")[0] == "naslab"]
    return [*own, *({"networkx", "torch.utils.flop_counter"} & {*modules})]
