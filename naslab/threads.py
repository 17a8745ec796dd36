"""The number of CPU threads: torch's default, one for each core, suits only large networks on idle machines.

A step of small operations reaches the end of a parallel region thousands of times. OpenMP's threads wait there by
spinning, which takes the processor from the threads that they wait for as soon as anything else runs: with two threads
on two busy cores, a step of 0.6 s took 2 to 25 s. Threads that sleep while they wait do not have this problem;
`import naslab` requests them (`naslab.waiting`), and `probe` measures whether more than one thread is faster at all.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from naslab.errors import whole

GAIN = 1.1
"""Least speedup by which doubling the number of threads is worth it."""


MOST = 1024
"""Largest number of threads that is accepted: with very many, their stacks exhaust the memory."""


def number_of_threads(given: Any) -> int:
    """Returns the number as an `int`; `SpecError` if it is not from 1 to `MOST`."""
    return whole("threads", given, 1, MOST)


@contextmanager
def torch_threads(number: int | None) -> Iterator[None]:
    """Inside, torch uses this many CPU threads; afterwards as many as before. None leaves them alone."""
    before = torch.get_num_threads()
    number = None if number is None else number_of_threads(number)
    change = number is not None and number != before
    if change:
        torch.set_num_threads(number)  # type: ignore[arg-type]
    try:
        yield
    finally:
        if change:
            torch.set_num_threads(before)


@dataclass(frozen=True)
class Probe:
    """Timings of a step with several numbers of threads."""

    threads: int
    """The number that was chosen."""
    seconds: Mapping[int, float]
    """Number of threads -> seconds of the step."""

    def __str__(self) -> str:
        timings = ", ".join(f"{seconds:.3g} s with {number}" for number, seconds in self.seconds.items())
        return f"{self.threads} thread{'s' if self.threads > 1 else ''} (a step takes {timings})"


def processors() -> int:
    """Returns the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def probe(
    step: Callable[[], object], *, most: int | None = None, clock: Callable[[], float] = time.perf_counter
) -> Probe:
    """Returns the best number of threads for a step, measured with 1, 2, 4, ... threads as long as that is faster.

    Args:
        step: function to be timed. It is called once to warm up, and twice with each number, of which the shorter time
            counts: disturbances only ever add time.
        most: largest number of threads; by default the number of processors.
        clock: returns the time in seconds.
    """
    most = processors() if most is None else most
    found: dict[int, float] = {}
    number = chosen = 1
    while number <= most:
        with torch_threads(number):
            if number == 1:
                step()
            times = []
            for _ in range(2):
                start = clock()
                step()
                times.append(clock() - start)
        found[number] = min(times)
        if number > 1 and found[number] * GAIN > found[chosen]:
            break
        chosen, number = number, number * 2
    return Probe(chosen, found)
