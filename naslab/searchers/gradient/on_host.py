"""What the host knows of the numbers that a step computes on a device.

A step needs some of them on the host: which operations a sample computes, the probabilities of its event, whether
anything has diverged. Each read waits for the device, so that they are read together: `OnHost` keeps the architecture
parameters as they were read last, and collects checks until the next read. On the CPU nothing is copied.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor

from naslab.errors import Diverged
from naslab.transfer import Number, fetched


class OnHost:
    """The architecture parameters on the host, and the checks of a step that have not been read.

    Args:
        learnt: returns name -> tensor that the architecture learns.
    """

    def __init__(self, learnt: Callable[[], Mapping[str, Tensor]]) -> None:
        self._learnt = learnt
        self._copies: dict[str, Tensor] = {}
        self._versions: tuple[tuple[int, int], ...] = ()
        """Identity and version (number of changes in place) of each tensor that was copied."""
        self._checks: list[tuple[str, Tensor]] = []

    def begin(self) -> None:
        """Begin a step: checks of a step that was broken off are dropped."""
        self._checks.clear()

    def changed(self) -> None:
        """Note that a tensor was changed by what may not count changes in place, such as an optimizer."""
        self._versions = ()

    def check(self, what: str, value: Tensor) -> None:
        """Have the next `numbers` raise `Diverged` unless all numbers of the tensor are finite."""
        self._checks.append((what, torch.isfinite(value.detach()).all()))

    def copies(self) -> Mapping[str, Tensor]:
        """Returns name -> tensor that the architecture learns, detached and on the CPU."""
        if self._now() != self._versions:
            self._read((), [])
        return self._copies

    def numbers(self, values: Iterable[Number] = ()) -> list[float]:
        """Returns the values as numbers of Python, which are read in one copy together with everything that waits.

        Raises:
            Diverged: a tensor that was to be checked is not finite; the message names the first of them.
        """
        checks, self._checks = self._checks, []
        found, flags = self._read(values, [flag for _, flag in checks])
        for (what, _), flag in zip(checks, flags, strict=True):
            if not bool(flag):
                raise diverged(what)
        return found

    def _read(self, values: Iterable[Number], flags: list[Tensor]) -> tuple[list[float], list[Tensor]]:
        learnt = self._learnt()
        now = self._now()
        stale = list(learnt) if now != self._versions else []
        found, tensors = fetched(values, [*(learnt[name].detach() for name in stale), *flags])
        if stale:
            self._copies, self._versions = dict(zip(stale, tensors, strict=False)), now
        return found, tensors[len(stale) :]

    def _now(self) -> tuple[tuple[int, int], ...]:
        return tuple((id(tensor), tensor._version) for tensor in self._learnt().values())


def diverged(what: str) -> Diverged:
    """Returns the error for something that is no longer finite."""
    return Diverged(
        f"the {what} is no longer finite (NaN or infinite); the step was not kept. "
        "Most often the loss has been growing for some steps: search.rewind(step) to before that, lower w_lr "
        "or alpha_lr with search.set(name, value), and go on"
    )


def must_be_finite(what: str, value: Tensor) -> None:
    """Raises `Diverged` if any number of `value` is NaN or infinite; `what` names it in the message."""
    if not bool(torch.isfinite(value).all()):
        raise diverged(what)
