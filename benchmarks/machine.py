"""What the figures of a run depend on, for the head of its table."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path
from typing import Any

import torch


def machine() -> dict[str, Any]:
    return {
        "machine": f"{platform.machine()}, {torch.backends.cpu.get_cpu_capability()}, {_processor()}",
        "processors": os.cpu_count(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "date": time.strftime("%Y-%m-%d"),
        "load_before": load(),
    }


def load() -> list[float]:
    """Processes that wanted to run, over the last 1, 5 and 15 minutes."""
    return [round(x, 1) for x in os.getloadavg()] if hasattr(os, "getloadavg") else []


def gpu(device: torch.device | str) -> dict[str, Any]:
    """The GPU and the libraries that compute on it, and what torch has been set to; empty for another device."""
    if torch.device(device).type != "cuda":
        return {}
    about = torch.cuda.get_device_properties(device)
    convolution = torch.backends.cudnn
    return {
        "gpu": about.name,
        "capability": f"{about.major}.{about.minor}",
        "multiprocessors": about.multi_processor_count,
        "gpu_gigabytes": round(about.total_memory / 1e9, 1),
        "gpus": torch.cuda.device_count(),
        "cuda": torch.version.cuda or torch.version.hip,
        "cudnn": convolution.version(),
        "bfloat16": torch.cuda.is_bf16_supported(including_emulation=False),
        "float32_convolutions": convolution.conv.fp32_precision,
        "float32_products": torch.backends.cuda.matmul.fp32_precision,
        "cudnn_deterministic": convolution.deterministic,
        "cudnn_benchmark": convolution.benchmark,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
