"""Execution of a supernet: device, threads, precision, determinism, gradient checkpointing, compilation.

None of these change the algorithm, but all of them change rounding errors. So they belong to the spec of a search,
which has to be repeatable bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import nn

from naslab.errors import SpecError, among, unknown
from naslab.numerics import Numerics
from naslab.out_of_memory import placed
from naslab.precision import FULL_PRECISION, check_precision, full_name
from naslab.searchers.passes import PASSES, Passes
from naslab.threads import Probe, number_of_threads, probe
from naslab.trees import floated

PRECISIONS: dict[str, torch.dtype | None] = {"float32": None, "tf32": None, "bfloat16": torch.bfloat16}
"""Name -> dtype of activations and products, None for float32; weights, gradients and losses are float32 with each.
"tf32" rounds the operands of products (`naslab.numerics`).

float16 is not among them: its gradients need scaling, and every GPU whose float16 is fast but for a few old ones has
bfloat16, which needs none.
"""


@dataclass(frozen=True, kw_only=True)
class Execution:
    """The arguments of a supernet searcher that say how it computes."""

    device: torch.device
    threads: int | str = 1
    """CPU threads of each step; "probe" measures and picks the fastest number."""
    precision: str = "float32"
    """"float32"; "tf32", which on a GPU rounds the operands of products and elsewhere is float32; or "bfloat16", also
    for the activations (also accepted: "no", "bf16")."""
    deterministic: bool | str | None = True
    """Whether a GPU computes the same bits twice: see `naslab.numerics.Numerics`. None: as the process is set, and in
    every other respect as in runs of versions that did not have this argument."""
    checkpointing: bool = False
    """Whether the backward pass recomputes each cell: less memory, about a third more time."""
    compile: bool | str = False
    """On a GPU, how the passes of the update steps become CUDA graphs, which spare the launching of thousands of small
    operations: True, by `torch.compile`, or "cuda_graphs", as they are (`naslab.searchers.passes`)."""

    def __post_init__(self) -> None:
        if not isinstance(self.threads, str) or self.threads != "probe":
            if isinstance(self.threads, str):
                raise SpecError(f"threads must be a whole number or 'probe', not {self.threads!r}")
            object.__setattr__(self, "threads", number_of_threads(self.threads))
        object.__setattr__(self, "precision", full_name(self.precision))
        if not isinstance(self.checkpointing, bool):
            raise SpecError(f"checkpointing must be True or False, not {self.checkpointing!r}")
        if not isinstance(self.compile, bool) and self.compile != "cuda_graphs":
            raise SpecError(f'compile must be True, False or "cuda_graphs", not {self.compile!r}')
        if not among(self.precision, PRECISIONS):
            raise SpecError(unknown("precision", self.precision, PRECISIONS))
        check_precision(self.precision, self.device, instead="precision='float32'")
        _ = self.numerics  # which refuses what is no value of `deterministic`
        if self.compile and self.device.type == "cpu":
            raise SpecError(
                f"compile={self.compile!r} is for GPUs: on a CPU the compiled supernet was measured to be slower "
                "(0.74x), after minutes of compiling; leave it out"
            )
        if self.compile == "cuda_graphs" and self.device.type != "cuda":
            raise SpecError(f'compile="cuda_graphs" needs CUDA, and the device is {self.device}; leave it out')

    def prepare(self, network: nn.Module) -> nn.Module:
        """Returns the supernet on its device, set up as these arguments say; the module itself is changed."""
        placed(network, self.device)
        if self.device.type == "cuda":
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if self.checkpointing:
            if not hasattr(network, "checkpointing"):
                raise SpecError(f"checkpointing=True: a {type(network).__name__} cannot compute its cells again")
            network.checkpointing = True  # type: ignore[assignment]
        self.round(network)
        return network

    def round(self, network: nn.Module) -> None:
        """Let the network compute in this precision, as far as that is its own affair and not a GPU's."""
        if (dtype := PRECISIONS[self.precision]) is not None:
            setattr(network, FULL_PRECISION, False)  # from the start: what appears later makes a compiler begin anew
            # A partial of a bound method, which `copy.deepcopy` binds to the copy; a closure would call the original.
            network.forward = partial(_in, dtype, self.device.type, network.forward)

    @property
    def numerics(self) -> Numerics:
        """The settings of a GPU during a step."""
        return Numerics(device=self.device, precision=self.precision, deterministic=self.deterministic)

    @contextmanager
    def in_float32(self, network: nn.Module) -> Iterator[None]:
        """Inside the `with` block, the network computes in float32 whatever the precision.

        For differences of nearly equal gradients: TF32 moves the finite difference of second order by a tenth, and
        bfloat16 by a half, where the gradients themselves move by less than 1 % and 3 %.
        """
        if self.precision == "float32" or self.deterministic is None:
            yield
            return
        setattr(network, FULL_PRECISION, True)
        try:
            with replace(self.numerics, precision="float32").in_force():
                yield
        finally:
            setattr(network, FULL_PRECISION, False)

    def passes(self, network: nn.Module) -> Passes:
        """Returns what computes the passes of the update steps with a prepared supernet.

        Raises:
            SpecError: the supernet says by an attribute `compilable` that it cannot be compiled.
        """
        if self.compile and not getattr(network, "compilable", True):
            raise SpecError(f"compile={self.compile!r}: a {type(network).__name__} cannot be compiled; leave it out")
        return PASSES[self.compile](network)

    def threads_for(self, step: Callable[[], object]) -> tuple[int, Probe | None]:
        """Returns the number of threads, and the measurements of the probe if `threads` is "probe".

        Args:
            step: runs one step, to be timed.
        """
        if isinstance(self.threads, int):
            return self.threads, None
        if self.device.type != "cpu":
            return 1, None
        found = probe(step)
        return found.threads, found


def _in(dtype: torch.dtype, device: str, forward: Callable[..., Any], inputs: Any, weights: Any) -> Any:
    """Returns the outputs of `forward` under automatic mixed precision, converted to float32 for the loss."""
    network = forward.__self__  # type: ignore[attr-defined]
    with torch.autocast(device, dtype, enabled=not getattr(network, FULL_PRECISION, False)):
        return floated(forward(inputs, weights))
