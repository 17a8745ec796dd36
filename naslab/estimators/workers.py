"""A pool of processes on this machine that survives the death of its workers; a `concurrent.futures.Executor`.

    each worker is one process, forked in a fraction of a second from a server that has torch loaded
    a worker that dies is replaced, and its call retried, up to three attempts; other workers are not affected
    a worker never outlives the process that started it, however that process ends

`concurrent.futures.ProcessPoolExecutor` fails all of its futures when one of its processes dies, and cannot cancel a
running call. Here one thread per worker waits for a call, for its answer, or for the worker's death.
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
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Executor, Future
from contextlib import suppress
from multiprocessing.connection import wait
from typing import Any, TypeVar

from naslab.device import visible_gpus, why_no_cuda
from naslab.errors import RunError, SpecError, listed, real, whole
from naslab.estimators.worker_process import Limits, work
from naslab.notebook_code import Unsendable, packed, unpacked
from naslab.threads import number_of_threads

Result = TypeVar("Result")

START_SECONDS = 120.0
"""Timeout in seconds for the start of a worker; most of it is for loading torch from a slow disk."""
MOST = 1024
"""Largest number of workers on one machine."""
RESTARTS = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
"""Seconds to wait after each failed start: a killed fork server may take a while to disappear."""
LONGEST_WAIT = 86400.0
"""Longest single wait in seconds: the system limits a wait to some weeks, and a timeout may be longer."""
LEAVE_SECONDS = 5.0
"""Seconds that an idle worker has to exit by itself before it is killed."""


class Crashed(RunError):
    """The worker died in every attempt of the call."""


class NotStarted(Crashed):
    """No worker could be started, so the call never began."""


class TimedOut(RunError):
    """The call exceeded its time limit; its worker was killed."""


class Workers(Executor):
    """Pool of processes, each of which runs one call at a time.

    A function is sent to each worker only once while the same function is called repeatedly, so that a `partial` with
    large data is cheap. Lambdas, and functions and classes defined in a notebook, are supported
    (`naslab.notebook_code`): a worker gets their state at its first call. In a script, create the pool under
    `if __name__ == "__main__":`.

    Args:
        workers: number of processes.
        timeout: time limit of a call in seconds; then it fails with `TimedOut`.
        memory: memory limit of a call in bytes; above it the call gets a `MemoryError`. Linux only. For a worker with a
            GPU it limits what torch allocates there instead, in all calls together.
        gpus: numbers of the GPUs among which the workers are spread: worker i sees gpus[i % len(gpus)] alone, as
            "cuda", so that several may share one. All that this process sees if left out; () if they are to compute on
            the CPU. Each worker that uses its GPU takes about 0.5 GB of it for itself.
        threads: CPU threads of torch in each process.
        tries: number of attempts of a call whose worker dies, before it fails with `Crashed`.
    """

    def __init__(
        self,
        workers: int = 2,
        *,
        timeout: float | None = None,
        memory: float | None = None,
        gpus: Sequence[int] | None = None,
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
        self._gpus = _named(gpus)
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._open: weakref.WeakKeyDictionary[Future[Any], _Call] = weakref.WeakKeyDictionary()
        self._lanes = [self._lane(number) for number in range(self.workers)]
        self._end = weakref.finalize(self, _stop, self._calls, self._lanes)
        self._end.atexit = False  # at exit, workers end because their parent does

    def submit(self, fn: Callable[..., Result], /, *args: Any, **kwargs: Any) -> Future[Result]:
        """Call the function in a worker, as soon as one is free."""
        if not self._end.alive:
            raise RuntimeError("these workers were shut down; make new ones")
        call = _Call(Future(), fn, args, kwargs)
        self._open[call.future] = call
        self._calls.put(call)
        return call.future

    def grow(self, workers: int) -> None:
        """Increase the number of workers to `workers`, if there are fewer."""
        self._lanes += [self._lane(number) for number in range(self.workers, workers)]
        self.workers = len(self._lanes)

    def _lane(self, number: int) -> _Lane:
        gpu = self._gpus[number % len(self._gpus)] if self._gpus else None
        return _Lane(self._calls, self._limits._replace(gpu=gpu))

    def cancel(self, future: Future[Any]) -> None:
        """Cancel a call of this pool, even if it is running: its worker is killed and replaced.

        (`Future.cancel` cancels only calls that have not begun.) The future's result raises `CancelledError`.
        """
        if not future.cancel() and (call := self._open.get(future)) is not None:
            call.cancel()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Accept no more calls, and end the workers when all submitted calls are done or, if cancelled, at once."""
        if cancel_futures:
            for future in list(self._open):
                self.cancel(future)
        self._end()
        if wait:
            for lane in self._lanes:
                lane.thread.join()

    @property
    def processes(self) -> list[int]:
        """Process ids of the living workers."""
        children = [lane.child for lane in self._lanes]
        return [child.process.pid for child in children if child is not None and child.process.is_alive()]


def _named(gpus: Sequence[int] | None) -> list[tuple[int, str]]:
    """Returns number and name of each GPU; `SpecError` for one that this process does not see."""
    visible = visible_gpus()
    if isinstance(gpus, str) or not (gpus is None or listed(gpus)):
        raise SpecError(f"gpus are the numbers of GPUs, such as [0, 1], or () for none; not {gpus!r:.100}")
    numbers = range(len(visible)) if gpus is None else [whole("the number of a GPU", gpu) for gpu in gpus]
    if missing := [number for number in numbers if number >= len(visible)]:
        there = f"there are {len(visible)}, counted from 0" if visible else f"there is none ({why_no_cuda()})"
        raise SpecError(f"gpus={list(numbers)} names GPU {missing[0]}, and {there}")
    return [(number, visible[number]) for number in numbers]


def _stop(calls: queue.SimpleQueue[_Call | None], lanes: list[_Lane]) -> None:
    for _ in lanes:
        calls.put(None)


class _Call:
    """A submitted call, its future, and the worker that runs it."""

    def __init__(self, future: Future[Any], function: Callable[..., Any], args: Any, kwargs: Any) -> None:
        self.future, self.function, self.content = future, function, (args, kwargs)
        self.cancelled = False
        self._child: _Child | None = None
        self._lock = threading.Lock()  # cancel() must not kill a worker that already runs another call

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
    """A thread that serves one worker. It has no reference to the pool, so that the pool can be garbage-collected."""

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
            del call  # frees its data now, not when the next call arrives
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
        """Returns a new worker. Retries for a few seconds, since the fork server or the worker may have been killed."""
        why: Exception | None = None
        for pause in RESTARTS:
            try:
                return _Child(self._limits)
            except (EOFError, OSError) as error:
                why = error
                time.sleep(pause)
        raise NotStarted(f"no process could be started for it, {len(RESTARTS)} times ({type(why).__name__}: {why})")


class _Child:
    """Handle of a worker process in the parent."""

    def __init__(self, limits: Limits) -> None:
        context: Any = _context()
        self._pipe, other = context.Pipe()
        self.process = context.Process(target=work, args=(other, limits), name="naslab-worker", daemon=True)
        self._function: Callable[..., Any] | None = None
        try:
            self.process.start()
        finally:
            other.close()  # the child has the only other end now, so that its death closes the pipe
        kind, why = self._hear(START_SECONDS)
        if kind != "ready":
            self.end()
            if kind == "died" and self.process.exitcode != 1:  # an exception would have given exit code 1
                raise EOFError(f"it was killed, {why}")
            raise RunError(
                "a worker process could not be started; what it wrote says why. In a script, workers may be used only "
                'under `if __name__ == "__main__":`, for each of them imports the script'
            )

    def call(self, function: Callable[..., Any], content: Any, timeout: float | None) -> tuple[str, Any]:
        """Returns the outcome: ("result" | "error" | "unsendable" | "unreadable" | "late" | "died", details)."""
        try:
            message = packed((None if function is self._function else function, *content))
        except Unsendable as error:
            return "unsendable", error
        try:
            self._pipe.send_bytes(message)
            self._function = function
        except (OSError, EOFError):  # the worker had already died
            return "died", self._death()
        answer = self._hear(timeout)
        if answer[0] == "unreadable":
            self._function = None  # the function itself may not have arrived: send it again next time
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
                except Exception as error:  # the answer cannot be unpickled here
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
        """Let an idle worker exit by itself, so that it releases system resources such as semaphores."""
        self._pipe.close()
        self.process.join(LEAVE_SECONDS)
        self.end()

    def end(self) -> None:
        self._pipe.close()
        self.process.kill()
        self.process.join()


def _context() -> Any:
    """Returns the start method: a fork server with all modules loaded, or spawning where there is none."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_in_use())
    return context


def _in_use() -> list[str]:
    """Returns the imported modules of naslab, in import order, and imported modules that functions load late."""
    modules = list(sys.modules)  # a copy, since another thread may be importing
    own = [name for name in modules if name.partition(".")[0] == "naslab"]
    return [*own, *({"networkx", "torch.utils.flop_counter"} & {*modules})]
