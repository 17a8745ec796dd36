"""A dispatch mode that knows in which of some modules an operation of torch runs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self

from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.hooks import RemovableHandle


class InsideModules(TorchDispatchMode):
    """While it is entered, `running` is the module whose forward pass is under way, if it is one of these."""

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        super().__init__()
        self._modules = list(modules)
        self._hooks: list[RemovableHandle] = []
        self.running: nn.Module | None = None

    def begins(self, module: nn.Module) -> None:
        """A forward pass of the module begins."""

    def ends(self, module: nn.Module, output: Any) -> None:
        """A forward pass of the module has given its output."""

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
