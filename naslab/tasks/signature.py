"""Signature of a task: shapes and types of the inputs of a network, and the heads that it must have.

A space compares it with what its networks can do, so that a mismatch is an error before the first step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from naslab.errors import SpecError, among, unknown, whole
from naslab.immutable import FrozenDict

READS = ("vector", "map", "pyramid", "sequence")
"""Features that a head can read: one vector [B, D], a map [B, D, H, W], a pyramid of maps from fine to coarse, or a
vector at each position of a sequence [B, T, D]."""
LOGITS = "logits"
"""Name of the head of a task with a single head."""


@dataclass(frozen=True)
class Field:
    """One input of a network: a tensor [B, *shape]."""

    shape: tuple[int | None, ...]
    """Sizes without the batch dimension; None for a size that varies, such as the length of a text."""
    dtype: str = "float32"
    """"float32", or "int64" for indices of words and categories."""
    vocabulary: int | None = None
    """Number of words or categories: indices are below it. None for measured values."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(self.shape))
        for size in self.shape:
            if size is not None:
                whole("a size in the shape of an input", size, 1)
        if not among(self.dtype, ("float32", "int64")):
            raise SpecError(unknown("dtype of an input", self.dtype, ("float32", "int64")))
        if self.vocabulary is not None:
            whole("vocabulary", self.vocabulary, 1)

    @property
    def kind(self) -> str:
        """Kind of data: "image" [C, H, W], "tokens" [T], "characters" [T, L] of T tokens, "row" [D] of values; "array"
        for any other shape."""
        if self.vocabulary is not None:
            return {1: "tokens", 2: "characters"}.get(len(self.shape), "array")
        return {1: "row", 3: "image"}.get(len(self.shape), "array")

    def __str__(self) -> str:
        shape = ", ".join("?" if size is None else str(size) for size in self.shape)
        of = "" if self.vocabulary is None else f" below {self.vocabulary}"
        return f"[{shape}] {self.dtype}{of}"


@dataclass(frozen=True)
class Head:
    """One output of a network: `outputs` values for each vector that it reads."""

    reads: str
    """Kind of features, one of `READS`."""
    outputs: int
    """Number of values: classes, words of a vocabulary, targets of a regression."""

    def __post_init__(self) -> None:
        if not among(self.reads, READS):
            raise SpecError(unknown("what a head reads", self.reads, READS))
        whole("outputs of a head", self.outputs, 1)


@dataclass(frozen=True)
class Signature:
    """Inputs and heads of a network for a task."""

    inputs: Field | Mapping[str, Field]
    """A single tensor, or several by name."""
    heads: Mapping[str, Head]
    """Name -> head. A network with one head returns its values; with several heads, a dictionary of them."""

    def __post_init__(self) -> None:
        fields = self.inputs.values() if isinstance(self.inputs, Mapping) else (self.inputs,)
        if not fields or not all(isinstance(field, Field) for field in fields):
            raise SpecError(f"the inputs of a signature are a Field, or Fields by name, not {self.inputs!r:.200}")
        if not isinstance(self.heads, Mapping) or not self.heads:
            raise SpecError(f"a signature has at least one head, by name, not {self.heads!r:.200}")
        if wrong := [head for head in self.heads.values() if not isinstance(head, Head)]:
            raise SpecError(f"the heads of a signature are Heads, not {wrong[0]!r:.200}")
        if isinstance(self.inputs, Mapping):
            object.__setattr__(self, "inputs", FrozenDict(self.inputs))
        object.__setattr__(self, "heads", FrozenDict(self.heads))

    @property
    def field(self) -> Field:
        """The single input; `SpecError` if there are several."""
        if isinstance(self.inputs, Mapping):
            raise SpecError(f"this network takes one tensor, and the task has several: {', '.join(self.inputs)}")
        return self.inputs

    @property
    def head(self) -> Head:
        """The single head; `SpecError` if there are several."""
        if len(self.heads) > 1:
            raise SpecError(f"this network has one head, and the task wants several: {', '.join(self.heads)}")
        return next(iter(self.heads.values()))

    def __str__(self) -> str:
        """Returns the inputs and the heads in words: "[1, 8, 8] float32 -> logits: vector of 10"."""
        fields = self.inputs.items() if isinstance(self.inputs, Mapping) else [("", self.inputs)]
        given = ", ".join(f"{name}: {field}" if name else str(field) for name, field in fields)
        return f"{given} -> {', '.join(f'{name}: {head.reads} of {head.outputs}' for name, head in self.heads.items())}"


class TaskLike(Protocol):
    """A task without a signature, which earlier versions of naslab accepted; see `signature_of`."""

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one example: (C, H, W) of an image, or (T,) of tokens."""
        ...

    @property
    def classes(self) -> int: ...


def signature_of(task: Any) -> Signature:
    """Returns the signature of a task; for an object with `input_shape` and `classes` (and perhaps `vocabulary`), one
    that follows from these.

    Raises:
        SpecError: it has neither.
    """
    if isinstance(task, Signature):
        return task
    if isinstance(found := getattr(task, "signature", None), Signature):
        return found
    if not hasattr(task, "input_shape") or not hasattr(task, "classes"):
        raise SpecError(
            "a network is built for a task, which has a signature (or an input_shape and classes), for instance "
            f"nl.tasks.Digits(); got {task!r:.200}"
        )
    shape = tuple(task.input_shape)
    vocabulary = getattr(task, "vocabulary", None)
    if len(shape) == 3 and vocabulary is None:
        return Signature(Field(shape), {LOGITS: Head("vector", task.classes)})
    size = vocabulary if isinstance(vocabulary, int) else None
    return Signature(Field(shape, "float32" if size is None else "int64", size), {LOGITS: Head("vector", task.classes)})
