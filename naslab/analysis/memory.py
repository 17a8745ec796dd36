"""The memory of a search step, measured and predicted (`naslab.networks.step_memory`)."""

from __future__ import annotations

from naslab.device import available
from naslab.networks.step_memory import Alive, AllocatorPeak, Beyond, StepMemory, must_fit, peak, step_memory

__all__ = ["Alive", "AllocatorPeak", "Beyond", "StepMemory", "available", "must_fit", "peak", "step_memory"]
