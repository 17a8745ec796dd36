"""Benchmarks whose table comes with naslab."""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from typing import Any, ClassVar

import naslab.data
from naslab.benchmarks.benchmark import Benchmark


class Bundled(Benchmark, ABC):
    """A benchmark that is read from one file of `naslab.data`."""

    file: ClassVar[str]
    """Name of the file in `naslab.data`."""

    def spec(self) -> dict[str, Any]:
        return {"benchmark": self.name}

    @property
    def sources(self) -> Sequence[str]:
        return [naslab.data.sidecar(self.file)["sha256"]]
