"""What naslab adds to the methods of a task: errors that name the task, and mini-batches on the device.

`Task` wraps the methods of every subclass in these functions, so that a task of a user needs no decorator.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from naslab.errors import NaslabError
from naslab.tasks.metrics import MISTAKES, WrongTask
from naslab.transfer import HERE, to_device
from naslab.trees import described, tensors

if TYPE_CHECKING:
    from naslab.tasks.task import Task


def judging(judge: Callable[..., Any], what: str, *, scalar: bool) -> Callable[..., Any]:
    """Returns the method with errors that name the task and describe the outputs it was called with.

    Args:
        judge: a method of a task from outputs and a batch, such as `loss`.
        what: its name in an error.
        scalar: True if it must return a tensor without axes, with a gradient where the outputs have one.
    """

    @functools.wraps(judge)
    def judged(self: Task, outputs: Any, batch: Any, **options: Any) -> Any:
        try:
            found = judge(self, outputs, batch, **options)
        except (NaslabError, torch.OutOfMemoryError):  # these explain themselves
            raise
        except MISTAKES as error:
            raise not_judged(self, what, outputs, error) from error
        if scalar and not (isinstance(found, Tensor) and found.ndim == 0):
            raise WrongTask(
                f"{what} of the task {self.name!r} must be a tensor without axes, the mean over what `size` counts; "
                f"it is {described(found)}"
            )
        if scalar and torch.is_grad_enabled() and not found.requires_grad and _has_gradient(outputs):
            raise WrongTask(
                f"{what} of the task {self.name!r} has no gradient, though the outputs of the network have one: do not "
                "compute it from detached or whole numbers"
            )
        return found

    return judged


def arriving(make: Callable[..., Any]) -> Callable[..., Any]:
    """Returns the method, `batch` or `example`, for tasks that know no devices: a mini-batch that was asked for on
    another device than the CPU, and came with all tensors on the CPU, is sent there.

    Where only some are on the CPU, they stay there: some layers read lengths of sequences on the CPU.
    """

    @functools.wraps(make)
    def made(self: Task, *args: Any, device: str | torch.device = "cpu", **options: Any) -> Any:
        found = make(self, *args, device=device, **options)
        if torch.device(device).type not in HERE and all(one.device.type == "cpu" for one in tensors(found)):
            return to_device(found, device)
        return found

    return made


def _has_gradient(outputs: Any) -> bool:
    return any(tensor.requires_grad for tensor in tensors(outputs))


def not_judged(task: Task, what: str, outputs: Any, error: Exception) -> WrongTask:
    heads = task.signature.heads
    wanted = f"a dictionary with {', '.join(heads)}" if len(heads) > 1 else "the numbers of its only head"
    return WrongTask(
        f"{what} of the task {task.name!r} cannot be computed from the outputs of the network, {described(outputs)}: "
        f"{type(error).__name__}: {error!s:.300}. By the task's signature a network of a space returns {wanted}; "
        "correct the task, or use a network whose outputs it understands"
    )
