"""How large a network may become while it is built from somebody's description: told before the memory is full.

PyTorch gets the memory of a parameter from the system before it is written to, and it is counted when the parameter is
given to its module, just before it is.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import nn
from torch.nn.modules.module import (
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)

from naslab.errors import SpecError

MOST_MODULES = 50_000
"""Modules within each other, of all networks that a description makes."""


@contextmanager
def bounded(memory: int | None) -> Iterator[None]:
    """Inside, `SpecError` as soon as this thread's new networks have too many modules, or parameters of more bytes."""
    here, modules, used = threading.get_ident(), 0, 0

    def module(_: nn.Module, __: str, given: Any) -> None:
        nonlocal modules
        if threading.get_ident() == here and given is not None:
            modules += 1
            if modules > MOST_MODULES:
                raise SpecError(f"the networks that are described have more than {MOST_MODULES:,} modules")

    def parameter(_: nn.Module, __: str, given: Any) -> None:
        nonlocal used
        if threading.get_ident() == here and given is not None and given.device.type == "cpu":
            used += given.numel() * given.element_size()
            if memory is not None and used > memory:
                raise SpecError(
                    f"the networks that are described need more than the {memory / 1e9:.2g} GB of memory that are free"
                )

    with ExitStack() as stack:
        for hook in (
            register_module_module_registration_hook(module),
            register_module_parameter_registration_hook(parameter),
        ):
            stack.callback(hook.remove)
        yield
