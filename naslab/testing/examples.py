"""Small tasks and an estimator, for cases that need some and are given none."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from naslab.architecture import Architecture
from naslab.estimators import CheckpointRef, Score
from naslab.spaces import Space, from_spec
from naslab.tasks import Images, LanguageModel, Task


@functools.cache
def small_images() -> Images:
    """24 images [1, 8, 8] of three classes, which differ in brightness."""
    y = torch.arange(24) % 3
    x = torch.rand(24, 1, 8, 8, generator=torch.Generator().manual_seed(0)) + y[:, None, None, None]
    return Images.from_arrays(x.numpy(), y.numpy())


@functools.cache
def small_text() -> LanguageModel:
    """2,400 characters of six kinds, each of which says what the next one is."""
    return LanguageModel.from_text("abcde\n" * 400, unit="characters")


def task_for(space: Space) -> Task | None:
    """A small task that networks of the space can serve, as far as it says so; None if neither of the two is one."""
    if space.gives == {"sequence"}:
        return small_text()
    reads_images = space.reads is None or "image" in space.reads
    return small_images() if reads_images and "vector" in space.gives else None


class Checksum:
    """An estimator that any searcher can use: a number in [0, 1) for each architecture, drawn once and for all by a
    checksum of its choices, and the nearer to it the longer a candidate is trained. It costs nothing.
    """

    name = "testing_checksum"
    keeps_weights = False

    def __init__(self, space: Space) -> None:
        self.space = space

    def __call__(self, architecture: Architecture) -> float:
        text = json.dumps([architecture.space, *architecture.choices])
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") / 2**32

    def train(
        self,
        architecture: Architecture,
        *,
        fidelity: float | None = None,
        begin: CheckpointRef | None = None,
        keep: Path | None = None,
    ) -> Score:
        """See `naslab.estimators.Trainable`."""
        share = 1.0 if fidelity is None else 1 - 0.5**fidelity
        return Score(self(architecture) * share)

    def check_fidelity(self, fidelity: float) -> None:
        """Any length will do."""

    def spec(self) -> dict[str, Any]:
        return {"estimator": self.name, "space": self.space.spec()}

    def fingerprint(self) -> str:
        return hashlib.sha256(json.dumps(self.spec(), sort_keys=True).encode()).hexdigest()

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any], task: Any = None) -> Checksum:
        return cls(from_spec(spec["space"]))
