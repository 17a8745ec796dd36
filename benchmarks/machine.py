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


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
