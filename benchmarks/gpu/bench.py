"""What the sections share: the device, the sizes, searches on it, and a clock that waits for it."""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch

import naslab as nl
from naslab.device import synchronise, why_no_cuda
from naslab.numerics import Numerics


def none_here() -> str:
    """Returns a sentence about why nothing is tested and measured; empty where there is a GPU."""
    why = why_no_cuda()
    return why and f"There is no GPU here that torch can use ({why}), so nothing of it is tested and measured."


@dataclass(frozen=True)
class Bench:
    """A device, and whether the networks on it are the paper's or tiny ones."""

    device: torch.device
    small: bool

    @property
    def cuda(self) -> bool:
        """True on a GPU of NVIDIA or AMD."""
        return self.device.type == "cuda"

    @functools.cached_property
    def digits(self) -> Any:
        """For what needs no size."""
        return nl.tasks.Digits()

    @functools.cached_property
    def images(self) -> Any:
        """For what is timed: [1, 28, 28], or [1, 8, 8]."""
        return self.digits.subset(256, 64) if self.small else nl.tasks.FashionMNIST().subset(8000, 1000)

    @functools.cached_property
    def nasbench201(self) -> Any:
        """The laptop's supernet of NAS-Bench-201."""
        return nl.spaces.NASBench201(channels=4, cells=1) if self.small else nl.spaces.NASBench201.laptop()

    @functools.cached_property
    def cell(self) -> Any:
        """A supernet of DARTS that takes a moment."""
        nodes, channels = (2, 2) if self.small else (3, 8)
        return nl.spaces.DartsCell(nodes=nodes, channels=channels, cells=3)

    @functools.cached_property
    def paper(self) -> Any:
        """The supernet of DARTS at the paper's size."""
        return self.cell if self.small else nl.spaces.DartsCell.paper()

    @property
    def batch(self) -> int:
        """Images in a mini-batch of what is timed; DARTS: 64."""
        return 8 if self.small else 64

    def search(self, searcher: str = "Darts", space: Any = None, task: Any = None, **given: Any) -> Any:
        """Returns a searcher on the device."""
        space, task = space or self.nasbench201, task or self.digits
        settings = {"epochs": 4, "batch_size": 32, "seed": 0, "device": self.device, **given}
        return getattr(nl.searchers, searcher)(space, task, **settings)

    def large(self, searcher: str = "Darts", **given: Any) -> Any:
        """Returns a searcher on the device, at the size of DARTS' paper."""
        return self.search(searcher, self.paper, self.images, **{"batch_size": self.batch, **given})

    def milliseconds(self, job: Callable[[], object], *, count: int | None = None, warm: int | None = None) -> float:
        """Returns the median of how long the job takes, by a clock that waits for the device."""
        count, warm = count or (2 if self.small else 10), (1 if self.small else 3) if warm is None else warm
        seconds = []
        for _ in range(warm + count):
            synchronise(self.device)
            begun = time.perf_counter()
            job()
            synchronise(self.device)
            seconds.append(time.perf_counter() - begun)
        return 1e3 * statistics.median(seconds[warm:])

    def numerics(self, precision: str = "float32") -> AbstractContextManager[None]:
        """Context in which products are computed so, for what is no search and no training."""
        return Numerics(device=self.device, precision=precision).in_force()

    def empty(self) -> None:
        """Give back what torch's allocator holds, so that sections do not take memory from one another."""
        if self.cuda:
            torch.cuda.empty_cache()
