"""What a task requires of a network: the shape of an input, its outputs, its vocabulary."""

from __future__ import annotations

from typing import Any, NamedTuple

from naslab.networks.heads import Outputs, outputs_of
from naslab.tasks.signature import signature_of


class Asked(NamedTuple):
    """What a network is made for: `*asked(task)` are the first two arguments of most networks."""

    shape: tuple[int, ...]
    """Of one input: (C, H, W) of an image, (T,) of tokens."""
    outputs: Outputs


def asked(task: Any) -> Asked:
    """What a task asks of a network with one input."""
    signature = signature_of(task)
    return Asked(signature.field.shape, outputs_of(signature))  # type: ignore[arg-type]


def vocabulary_of(task: Any) -> int | None:
    """How many tokens there are; None for what is no text."""
    return signature_of(task).field.vocabulary
