"""Limits on the size of networks that are built from an untrusted description, enforced before memory is exhausted.

PyTorch reserves the memory of a parameter before writing to it, and the operating system provides it only then. The
parameter is counted in between, when it is registered in its module, so that the error comes in time.
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
"""Maximal number of modules, over all networks of a description."""


@contextmanager
def bounded(memory: int | None) -> Iterator[None]:
    """Context that raises `SpecError` as soon as networks built in this thread have too many modules or parameters.

    Args:
        memory: maximal size of all parameters in bytes; None for no limit.
    """
    # torch's registration hooks are global; other threads may build networks meanwhile, which must not be counted.
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
