"""EN2AS: novelty-driven sampling (Zhang et al. 2020, IJCAI, https://www.ijcai.org/proceedings/2020/441; earlier
https://arxiv.org/abs/1907.09109).

    archive <- A random architectures, each trained on a mini-batch as it comes
    for each further training mini-batch:
      a member of the archive at random;  n perturbations of it
      the most novel of them takes its place;  its weights <- SGD on the mini-batch
    then selection on the shared weights: evolution

The novelty of an architecture is its mean distance to its k nearest members of the archive. So the trained paths stay
spread out over the space, while uniform paths repeat some regions and miss others by chance.

Differences from the authors' code (https://github.com/MiaoZhang0525/ENNAS_MASTER):
- It writes a cell as numbers, moves the member by 0.01 times the mean of normal perturbations, each weighted with its
  novelty, and rounds. So small a step seldom changes a rounded number, and options have no order: here a perturbation
  draws some choices anew, and the step goes to the most novel one.
- The distance is the number of choices that differ, over both cells. Theirs is the share of pairs (source, operation)
  that differ, each cell alone; the code compares the pairs of the first two nodes of four, and never falls below 1/2.
- Novelty alone chooses. Their variant that is rewarded, too (half novelty, half accuracy), is commented out there.
- The learning rate falls update by update, theirs epoch by epoch.
- The evolution takes parents as SPOS does, with the authors' numbers; there mutants come from the best 40 and two
  points cut a crossing. The published script has it, but runs random search: the best of 1,000 children.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from naslab.errors import SpecError, whole
from naslab.searchers.one_shot import SMALL, Novel, OneShot, OneShotHyperparameters
from naslab.searchers.rewards import between

LAPTOP: Mapping[str, Any] = MappingProxyType(
    {**SMALL, "epochs": 4, "w_lr": 0.1, "archive": 100, "batch_norm": "recalibrated"}
)
"""For a few thousand images and a minute: `EN2AS(space, task, **LAPTOP)`."""


@dataclass(frozen=True, kw_only=True)
class EN2ASHyperparameters(OneShotHyperparameters):
    """Defaults are those of the authors' search on CIFAR-10 (`CNN/ENNAS.py`)."""

    epochs: int = 100
    """Passes over the training part."""
    batch_size: int = 64
    """Images in a mini-batch of either part."""
    train_portion: float = 0.5
    """Share of the training data that trains the weights; the rest evaluates the children."""
    w_lr: float = 0.025
    """Learning rate of the shared weights at the start."""
    w_lr_min: float = 0.001
    """Learning rate of the shared weights at the end."""
    schedule: str = "cosine"
    """Schedule of the learning rate, update by update: "linear" or "cosine"."""
    w_weight_decay: float = 3e-4
    """Weight decay of the shared weights."""
    gradient_clipping: float = 5.0
    """Largest Euclidean norm of the gradient; 0: no clipping."""
    label_smoothing: float = 0.0
    """Share of each label that is spread over all classes."""
    archive: int = 1000
    """A: size of the archive that novelty is measured against; the first A paths, drawn at random, fill it."""
    nearest: int = 10
    """k: nearest members of the archive in the novelty."""
    perturbations: int = 10
    """n: perturbations of a member, of which the most novel is trained."""
    perturbation_rate: float = 0.2
    """Probability that a perturbation redraws a choice (ours: the authors' mutation rate)."""
    population: int = 100
    """Children in a generation, at most."""
    generations: int = 61
    """Generations of the evolution: a random one and 60 that are bred."""
    parents: int = 60
    """Number of the best children so far that are mutated and crossed."""
    crossovers: int = 60
    """Children of two parents in a generation, each choice from either."""
    mutations: int = 40
    """Mutated children in a generation. The rest of the generation, if any, is drawn at random."""
    mutation_rate: float = 0.2
    """Probability that a mutation redraws a choice; a change acts from the next generation on."""
    valid_images: int = 320
    """Validation images on which a child is evaluated, or as many as there are."""
    recalibration_images: int = 320
    """Training images that recalibrate a child's batch normalisation; at most as many as evaluate it."""
    batch_norm: str = "kept"
    """Batch normalisation of a child in its evaluation: "recalibrated", "batch" or "kept"."""

    def __post_init__(self) -> None:
        super().__post_init__()
        rate = between("perturbation_rate", self.perturbation_rate, 0, 1, low_too=False)
        object.__setattr__(self, "perturbation_rate", rate)
        for name in ("archive", "nearest", "perturbations"):
            object.__setattr__(self, name, whole(name, getattr(self, name), 1))
        if self.nearest > self.archive:
            raise SpecError(
                f"nearest must be at most the size of the archive, {self.archive}, not {self.nearest}: no "
                "architecture has more neighbours in it; take a larger archive or fewer nearest"
            )


class EN2AS(OneShot):
    """Training of novel paths, then evolution, on any space with shared weights."""

    name = "en2as"
    Hyperparameters = EN2ASHyperparameters
    paths: Novel

    def sampled(self) -> Novel:
        given = self.hyperparameters
        return Novel(
            self.space,
            self.seed,
            size=given.archive,
            nearest=given.nearest,
            perturbations=given.perturbations,
            rate=given.perturbation_rate,
        )
