"""A dispatch mode of torch that knows inside which module an operation runs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self

from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.hooks import RemovableHandle


class InsideModules(TorchDispatchMode):
    """Dispatch mode in which `running` is the module whose forward pass is under way; None outside these modules.

    The modules must not contain each other.
    """

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        super().__init__()
        self._modules = list(modules)
        self._hooks: list[RemovableHandle] = []
        self.running: nn.Module | None = None

    def begins(self, module: nn.Module) -> None:
        """Called before each forward pass of one of the modules."""

    def ends(self, module: nn.Module, output: Any) -> None:
        """Called after each forward pass of one of the modules."""

    def __enter__(self) -> Self:
        def enters(module: nn.Module, inputs: Any) -> None:
            self.running = module
            self.begins(module)

        def leaves(module: nn.Module, inputs: Any, output: Any) -> None:
            self.running = None
            self.ends(module, output)

        for module in self._modules:
            self._hooks += [module.register_forward_pre_hook(enters), module.register_forward_hook(leaves)]
        return super().__enter__()

    def __exit__(self, *about: Any) -> None:
        for hook in self._hooks:
            hook.remove()
        super().__exit__(*about)
