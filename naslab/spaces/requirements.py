"""The requirements that a task has of a network: the shape of its input, its outputs, its vocabulary."""

from __future__ import annotations

from typing import Any, NamedTuple

from naslab.networks.heads import Outputs, outputs_of
from naslab.tasks.signature import signature_of


class Requirements(NamedTuple):
    """Shapes that a network is built for; `*requirements_of(task)` are the first two arguments of most networks."""

    shape: tuple[int, ...]
    """Shape of one example: (C, H, W) of an image, (T,) of tokens."""
    outputs: Outputs
    """Number of outputs of the head, or of each head by name."""


def requirements_of(task: Any) -> Requirements:
    """Returns the requirements of a task whose networks read one tensor."""
    signature = signature_of(task)
    return Requirements(signature.field.shape, outputs_of(signature))  # type: ignore[arg-type]


def vocabulary_of(task: Any) -> int | None:
    """Returns the size of the vocabulary; None if the input is not tokens."""
    return signature_of(task).field.vocabulary
