"""A value of the last mini-batch, computed once for all metrics that are functions of it."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from torch import Tensor

T = TypeVar("T")


class OncePerBatch(Generic[T]):
    """Function of outputs and batch that keeps its last value.

    Weak references recognise the mini-batch without keeping its tensors alive.

    Args:
        function: (outputs, batch) -> the value.
        tensors: (outputs, batch) -> two tensors that are made anew for each mini-batch, such as logits and targets.
    """

    def __init__(self, function: Callable[[Any, Any], T], tensors: Callable[[Any, Any], tuple[Tensor, Tensor]]) -> None:
        self._function, self._tensors = function, tensors
        self._value: T | None = None
        self._seen: tuple[weakref.ref[Tensor], weakref.ref[Tensor]] | None = None

    def __call__(self, outputs: Any, batch: Any) -> T:
        one, other = self._tensors(outputs, batch)
        if self._seen is None or self._seen[0]() is not one or self._seen[1]() is not other:
            self._value = self._function(outputs, batch)
            self._seen = weakref.ref(one), weakref.ref(other)
        return self._value  # type: ignore[return-value]
