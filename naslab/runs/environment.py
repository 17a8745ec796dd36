"""The environment that the last bits of a result depend on, in addition to the seed.

Floating-point addition is not associative, so that the order of a sum decides the last bits. It depends on the number
of threads, on the vector instructions of the processor, and on the version of each library.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from naslab._version import __version__
from naslab.operations import kernels

ARITHMETIC = 3
"""Version of naslab's own arithmetic, increased whenever the results of a seeded computation change, if only in their
last bits. Environments recorded without it have version 1.

2: batch normalisation of the supernets adds up in double precision in channels-last layout.
3: 3 x 3 convolutions of NAS-Bench-201's supernet by minimal filtering.
"""


def fingerprint(threads: int | None = None) -> dict[str, str | int]:
    """Returns the environment as JSON. Where two environments are equal, so are the results, bit for bit.

    Args:
        threads: number of CPU threads that the computation uses; torch's own choice if left out.
    """
    return {
        "naslab": __version__,
        "arithmetic": ARITHMETIC,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "threads": threads or torch.get_num_threads(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "cpu": _processor(),
        "compiled_kernel": kernels.available(),
    }


def differences(then: Mapping[str, str | int], now: Mapping[str, str | int]) -> list[str]:
    """Returns the changes in words: `["threads was 4, is 1"]`."""
    then = {"arithmetic": 1, **then}
    return [f"{name} was {then.get(name)}, is {value}" for name, value in now.items() if then.get(name) != value]


def _processor() -> str:
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        for line in listing.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
