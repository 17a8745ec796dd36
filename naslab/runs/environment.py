"""The environment that the last bits of a result depend on, in addition to the seed.

Floating-point addition is not associative, so that the order of a sum decides the last bits. It depends on the number
of threads, on the vector instructions of the processor, and on the version of each library; on a GPU also on its model,
its driver, and the settings of its libraries (`naslab.numerics`).
"""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch

from naslab._version import __version__
from naslab.device import kept_device
from naslab.errors import SpecError
from naslab.numerics import FLAGS, Numerics
from naslab.operations import kernels

ARITHMETIC = 5
"""Version of naslab's own arithmetic, increased whenever the results of a seeded computation change, if only in their
last bits. Environments recorded without it have version 1.

2: batch normalisation of the supernets adds up in double precision in channels-last layout.
3: 3 x 3 convolutions of NAS-Bench-201's supernet by minimal filtering.
4: separable convolutions, poolings and projections of DARTS' supernet by fused kernels, one image after another.
5: fused SGD on a CPU; one-path supernets and the networks of `fit` in channels-last layout there.
"""


GPU = ("gpu", "capability", "cuda", "cudnn", "driver", *FLAGS)
"""Names in the environment of a computation on a GPU of NVIDIA or AMD."""


def fingerprint(threads: int | None = None, numerics: Numerics | None = None) -> dict[str, str | int]:
    """Returns the environment as JSON. Where two environments are equal, so are the results, bit for bit; on a GPU,
    as far as its libraries are deterministic.

    Args:
        threads: number of CPU threads that the computation uses; torch's own choice if left out.
        numerics: the settings of the GPU that it uses, if any.
    """
    found: dict[str, str | int] = {
        "naslab": __version__,
        "arithmetic": ARITHMETIC,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "threads": threads or torch.get_num_threads(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "cpu": _processor(),
        "compiled_kernel": kernels.available(),
    }
    if numerics is not None and (of_gpu := gpu(numerics.device)):
        found |= {**of_gpu, **numerics.flags()}
    return found


def of_spec(spec: Mapping[str, Any], device: str | None = None) -> dict[str, str | int]:
    """Returns the environment of a search here.

    Args:
        spec: its JSON.
        device: where it computes here, if not where the spec says.
    """
    estimator = spec.get("estimator") or spec.get("race", {}).get("estimator") or {}
    name = device or spec.get("device") or estimator.get("device")
    numerics = None
    if isinstance(name, str):
        with suppress(SpecError):  # a spec that makes no sense is refused where the searcher is made of it
            numerics = Numerics(
                device=torch.device(kept_device(name)),
                precision=str(spec.get("precision", "float32")),
                deterministic=spec.get("deterministic"),
            )
    return fingerprint(spec.get("threads"), numerics)


def gpu(device: torch.device) -> dict[str, str | int]:
    """Returns the model of a GPU of NVIDIA or AMD, and the versions of what computes on it; {} for other devices."""
    if device.type != "cuda" or not torch.cuda.is_available():
        return {}
    major, minor = torch.cuda.get_device_capability(device)
    return {
        "gpu": torch.cuda.get_device_name(device),
        "capability": f"{major}.{minor}",
        "cuda": str(torch.version.cuda or torch.version.hip),
        "cudnn": torch.backends.cudnn.version() or 0,
        "driver": _driver(),
    }


def device_in_words(device: torch.device) -> str:
    """Returns the name of a device; of a GPU of NVIDIA or AMD with the model and the libraries that compute on it."""
    if found := gpu(device):
        return f"{device} ({found['gpu']}, CUDA {found['cuda']}, cuDNN {found['cudnn']})"
    return str(device)


def differences(then: Mapping[str, str | int], now: Mapping[str, str | int]) -> list[str]:
    """Returns the changes in words: `["threads was 4, is 1"]`."""
    then = {"arithmetic": 1, **then}
    if ("gpu" in then) != ("gpu" in now):  # of the rest, which only one of them has, nothing can have changed
        one = [f"gpu was {then.get('gpu', 'not recorded')}, is {now.get('gpu', 'none')}"]
        then, now = ({name: value for name, value in which.items() if name not in GPU} for which in (then, now))
    else:
        one = []
    return one + [f"{name} was {then.get(name)}, is {value}" for name, value in now.items() if then.get(name) != value]


def _driver() -> str:
    """Returns the version of NVIDIA's driver, where Linux tells it."""
    with suppress(OSError):
        told = re.search(r"Kernel Module\D*(\d+(?:\.\d+)+)", Path("/proc/driver/nvidia/version").read_text())
        if told:
            return told[1]
    return "unknown"


def _processor() -> str:
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        for line in listing.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
