"""How a GPU computes: the precision of its products, and whether it computes the same bits twice.

torch keeps both in settings of the whole process, whose defaults are neither exact nor repeatable on CUDA:

                                                    precision              deterministic
    setting of torch                its default    "float32"   "tf32"     True        False       "strict"
    convolutions in TF32            yes            no          yes
    matrix products in TF32         no             no          yes
    cuDNN deterministic             no                                    yes         no          yes
    cuDNN benchmark                 no                                    no          yes         no
    deterministic algorithms        no                                    unchanged   unchanged   yes, or a warning

TF32 rounds the operands of a product to 10 bits of mantissa. It hardly changes a gradient, but it moves a difference of
two gradients, as second-order DARTS takes it, by a tenth. cuDNN may add up a gradient in the order in which its threads
happen to finish, and its benchmark picks the algorithm that was fastest this time.

`Numerics.in_force()` sets them around a computation, and restores those of the caller. On a CPU nothing is set: the
precision and the order of its sums are fixed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from naslab.errors import SpecError
from naslab.torch_state import PROCESS_STATE

STRICT = "strict"
"""Value of `deterministic` that also asks torch for deterministic algorithms."""
WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
"""Environment variable that fixes the buffers of cuBLAS, as `STRICT` needs it."""
WORKSPACES = (":4096:8", ":16:8")
"""Its values with which cuBLAS is deterministic on several streams, too."""
_BACKENDS: Any = torch.backends
_OPERATIONS = (_BACKENDS.cudnn.conv, _BACKENDS.cudnn.rnn, _BACKENDS.cuda.matmul)
"""What torch can compute in TF32: objects with the attribute `fp32_precision`."""
_FLAGS: dict[str, Callable[[], Any]] = {
    "tf32_convolutions": lambda: _BACKENDS.cudnn.conv.fp32_precision == "tf32",
    "tf32_products": lambda: _BACKENDS.cuda.matmul.fp32_precision == "tf32",
    "cudnn_deterministic": lambda: _BACKENDS.cudnn.deterministic,
    "cudnn_benchmark": lambda: _BACKENDS.cudnn.benchmark,
    "deterministic_algorithms": torch.are_deterministic_algorithms_enabled,
}
FLAGS = tuple(_FLAGS)
"""Names of the settings that decide what a GPU computes."""


def checked_deterministic(value: Any) -> bool | str | None:
    """Returns a value of the argument `deterministic`; `SpecError` unless it is True, False, "strict" or None."""
    if value is None or isinstance(value, bool) or (isinstance(value, str) and value == STRICT):
        return value
    raise SpecError(f"deterministic must be True, False, {STRICT!r} or None, not {value!r:.100}")


@dataclass(frozen=True, kw_only=True)
class Numerics:
    """The settings of a GPU's libraries for one computation."""

    device: torch.device
    precision: str = "float32"
    """"tf32" for products in TF32; with every other precision, those in float32 are in float32."""
    deterministic: bool | str | None = True
    """Whether the same computation gives the same bits: True, as far as cuDNN decides it; "strict", also where torch
    has a deterministic algorithm beside a faster one, with a warning where it has none; False, the fastest. None: what
    the process has set, for the precision, too, as in runs of versions that did not know of these settings."""

    def __post_init__(self) -> None:
        checked_deterministic(self.deterministic)
        if self.applies and self.deterministic == STRICT and os.environ.get(WORKSPACE) not in WORKSPACES:
            raise SpecError(
                f"deterministic={STRICT!r} on a GPU needs {WORKSPACE}={WORKSPACES[0]} in the environment before "
                f"CUDA is used: set it before Python starts, or by os.environ[{WORKSPACE!r}] = {WORKSPACES[0]!r} in "
                "the first cell; or give deterministic=True"
            )

    @property
    def applies(self) -> bool:
        """True if there is something to set: on CUDA, unless all is as the process has it."""
        return self.device.type == "cuda" and self.deterministic is not None

    @property
    def repeats(self) -> bool:
        """True if a repeated computation gives the same bits without fail, as on a CPU.

        On a GPU single operations have no deterministic algorithm, whatever is set.
        """
        return self.device.type == "cpu"

    def flags(self) -> dict[str, bool]:
        """Returns the settings of torch as they are inside `in_force`, by name."""
        with self.in_force():
            return {name: bool(read()) for name, read in _FLAGS.items()}

    @contextmanager
    def in_force(self) -> Iterator[None]:
        """Inside the `with` block, torch has these settings; afterwards those of the caller, also after an interrupt.

        They belong to the process: other threads see them too, and one that needs its own waits until the block ends.
        """
        if not self.applies:
            yield
            return
        with PROCESS_STATE, ExitStack() as stack:
            _set_tf32(stack, self.precision == "tf32")
            cudnn = torch.backends.cudnn
            _set(stack, lambda: cudnn.deterministic, _setter(cudnn, "deterministic"), bool(self.deterministic))
            _set(stack, lambda: cudnn.benchmark, _setter(cudnn, "benchmark"), not self.deterministic)
            if self.deterministic == STRICT and not torch.are_deterministic_algorithms_enabled():
                stack.callback(torch.use_deterministic_algorithms, False)
                torch.use_deterministic_algorithms(True, warn_only=True)
            yield


def _setter(settings: Any, name: str) -> Callable[[Any], None]:
    return lambda value: setattr(settings, name, value)


def _set(stack: ExitStack, read: Callable[[], Any], write: Callable[[Any], object], value: Any) -> None:
    """Set one setting until the stack is closed; one that has the value is left alone."""
    if (before := read()) != value:
        stack.callback(write, before)
        write(value)


def _set_tf32(stack: ExitStack, wished: bool) -> None:
    """Turn TF32 on or off for convolutions, recurrent layers and matrix products.

    torch has two interfaces for it. `allow_tf32` is read by its compiler, and raises an error where the two disagree;
    `fp32_precision` alone can tell what a process that has used it had set. So both are set, and both restored: the
    older one first, since it overwrites the other.
    """
    for operation in _OPERATIONS:
        stack.callback(_setter(operation, "fp32_precision"), _own_precision(operation))
    product = _readable(torch.get_float32_matmul_precision)
    if product is not None and (product == "highest") is wished:
        on_cpu = _BACKENDS.mkldnn.matmul  # written by the same call
        stack.callback(_setter(on_cpu, "fp32_precision"), _own_precision(on_cpu))
        stack.callback(torch.set_float32_matmul_precision, product)
        torch.set_float32_matmul_precision("high" if wished else "highest")  # "medium" is TF32, too, on a GPU
    convolution = _readable(lambda: torch.backends.cudnn.allow_tf32)
    if convolution is not None and convolution is not wished:
        stack.callback(_setter(torch.backends.cudnn, "allow_tf32"), convolution)
        torch.backends.cudnn.allow_tf32 = wished
    for operation in _OPERATIONS:
        operation.fp32_precision = "tf32" if wished else "ieee"


def _own_precision(operation: Any) -> str:
    """Returns the setting of one operation; "none" if it is that of all operations, which it then follows."""
    found = operation.fp32_precision
    return "none" if found == torch.backends.cudnn.fp32_precision else found


def _readable(read: Callable[[], Any]) -> Any:
    """Returns a setting of the older interface; None where the caller has made it disagree with the newer one."""
    try:
        return read()
    except RuntimeError:
        return None
