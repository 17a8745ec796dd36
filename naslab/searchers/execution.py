"""How a supernet is computed: device, threads, number format, memory for time, compilation.

None of it changes what is searched for, and all of it changes the last bits, so that it is a part of what makes a
search repeatable.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from naslab.errors import SpecError, among, unknown
from naslab.threads import Probe, number_of_threads, probe
from naslab.trees import floated

PRECISIONS: dict[str, torch.dtype | None] = {"float32": None, "bfloat16": torch.bfloat16}
"""Format of the activations and of what is multiplied; weights, gradients and losses are float32 in both.

float16 is not among them: its gradients need scaling, and every GPU whose float16 is fast but for a few old ones has
bfloat16, which needs none.
"""


@dataclass(frozen=True, kw_only=True)
class Execution:
    """Settings of a supernet searcher, as its arguments of the same names."""

    device: torch.device
    threads: int | str = 1
    """CPU threads of each step; "probe" finds out what pays here and now."""
    precision: str = "float32"
    checkpointing: bool = False
    """Whether the backward pass computes each cell again: less memory, about a third more time."""
    compiled: bool = False
    """On a GPU: `torch.compile`, with CUDA graphs, which spare the launching of thousands of small operations."""

    def __post_init__(self) -> None:
        if not isinstance(self.threads, str) or self.threads != "probe":
            if isinstance(self.threads, str):
                raise SpecError(f"threads must be a whole number or 'probe', not {self.threads!r}")
            object.__setattr__(self, "threads", number_of_threads(self.threads))
        for name in ("checkpointing", "compiled"):
            if not isinstance(getattr(self, name), bool):
                raise SpecError(f"{name} must be True or False, not {getattr(self, name)!r}")
        if not among(self.precision, PRECISIONS):
            raise SpecError(unknown("precision", self.precision, PRECISIONS))
        if self.compiled and self.device.type == "cpu":
            raise SpecError(
                "compiled=True is for GPUs: on a CPU the compiled supernet was measured to be slower (0.74x), after "
                "minutes of compiling; leave it out"
            )

    def prepare(self, network: nn.Module) -> nn.Module:
        """The supernet, ready: on its device, and computing as the settings say."""
        network.to(self.device)
        if self.device.type == "cuda":
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if self.checkpointing:
            if not hasattr(network, "checkpointing"):
                raise SpecError(f"checkpointing=True: a {type(network).__name__} cannot compute its cells again")
            network.checkpointing = True  # type: ignore[assignment]
        if (dtype := PRECISIONS[self.precision]) is not None:
            # a partial, whose bound method goes over to a copy of the network, as a closure's does not
            network.forward = partial(_in, dtype, self.device.type, network.forward)
        if self.compiled:
            network.compile(mode="reduce-overhead")
        return network

    def threads_for(self, step: Callable[[], object]) -> tuple[int, Probe | None]:
        """The number of threads for steps like this one, and what the probe found, if there was one."""
        if isinstance(self.threads, int):
            return self.threads, None
        if self.device.type != "cpu":
            return 1, None
        found = probe(step)
        return found.threads, found


def _in(dtype: torch.dtype, device: str, forward: Callable[..., Any], inputs: Any, weights: Mapping[str, Any]) -> Any:
    with torch.autocast(device, dtype):
        return floated(forward(inputs, weights))
