"""CPU threads, chosen deliberately: torch's own choice suits large networks on idle machines only.

A step of small operations meets the end of a parallel region thousands of times. Threads that wait there by spinning,
as OpenMP's do by default, take the processor from those they wait for as soon as anything else runs: two threads on
two busy cores made a step of 0.6 s last 2 to 25 s. Threads that sleep while they wait do not; `import naslab` asks for
that (`naslab.waiting`), and `probe` finds out whether more than one thread pays at all.
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
"""So many times faster has a step to be for twice the threads to be worth it."""


MOST = 1024
"""Threads that can be asked for: with very many, the process dies of the memory for their stacks."""


def number_of_threads(given: Any) -> int:
    """The number as an `int`; `SpecError` for one that cannot be."""
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
    """What was found out about a step."""

    threads: int
    """The number chosen."""
    seconds: Mapping[int, float]
    """Number of threads -> the seconds that the step took with them."""

    def __str__(self) -> str:
        told = ", ".join(f"{seconds:.3g} s with {number}" for number, seconds in self.seconds.items())
        return f"{self.threads} thread{'s' if self.threads > 1 else ''} (a step takes {told})"


def processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def probe(
    step: Callable[[], object], *, most: int | None = None, clock: Callable[[], float] = time.perf_counter
) -> Probe:
    """How many threads suit a step, found by doing it: with 1, 2, 4, ... threads, as long as that pays.

    Args:
        step: what is to be done often; it is done once to warm up, and twice with each number, of which the quicker
            counts.
        most: threads; as many as there are processors if left out.
        clock: in seconds.
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
