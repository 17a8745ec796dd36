"""Is the architecture that was found better than chance? Retrain it and others alike, and say how sure one can be."""

from __future__ import annotations

import itertools
import math
import os
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch

from naslab.architecture import Architecture
from naslab.errors import SpecError, unknown
from naslab.randomness import seeded
from naslab.spaces.space import Space
from naslab.trainers.fit import fit
from naslab.trainers.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class Score:
    """One architecture, trained once."""

    group: str
    architecture: Architecture
    seed: int
    test_accuracy: float
    parameters: int


@dataclass(frozen=True, kw_only=True)
class Welch:
    """Welch's t-test of two groups with unequal variances (Welch 1947)."""

    difference: float
    """Mean of the first group less that of the second."""
    low: float
    """Lower end of the 95 % interval of the difference."""
    high: float
    t: float
    freedom: float
    """Degrees of freedom, after Satterthwaite."""
    p: float
    """Two-sided."""


@dataclass(frozen=True, repr=False)
class Comparison:
    """Test accuracies of groups of architectures, each trained alike with each seed.

    The statistics treat the *samples* of a group as independent draws. In a group of several architectures a sample
    is one architecture, at its mean over the seeds, since its seeds are not independent of each other; in a
    group of one architecture a sample is one seed, and the interval then speaks of that architecture alone.
    """

    scores: tuple[Score, ...]

    @property
    def groups(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(score.group for score in self.scores))

    def samples(self, group: str) -> list[float]:
        """Independent test accuracies of a group."""
        by_architecture: dict[Architecture, list[float]] = {}
        for score in self.scores:
            if score.group == group:
                by_architecture.setdefault(score.architecture, []).append(score.test_accuracy)
        if not by_architecture:
            raise SpecError(unknown("group", group, self.groups))
        if len(by_architecture) == 1:
            return next(iter(by_architecture.values()))
        return [statistics.fmean(values) for values in by_architecture.values()]

    def mean(self, group: str) -> float:
        return statistics.fmean(self.samples(group))

    def interval(self, group: str, confidence: float = 0.95) -> tuple[float, float]:
        """Interval of the mean by Student's t: mean -+ t s / sqrt(n). NaN for a single sample, which has none."""
        from scipy.special import stdtrit

        samples = self.samples(group)
        if len(samples) < 2:
            return math.nan, math.nan
        reach = float(stdtrit(len(samples) - 1, (1 + confidence) / 2)) * _standard_error(samples)
        return self.mean(group) - reach, self.mean(group) + reach

    def welch(self, first: str, second: str) -> Welch:
        """Do the means of two groups differ? Needs two samples in each, that do not all agree.

        t = (m1 - m2) / sqrt(v1 + v2),   freedom = (v1 + v2)^2 / (v1^2 / (n1 - 1) + v2^2 / (n2 - 1)),
        v = s^2 / n
        """
        from scipy.special import stdtr, stdtrit

        one, other = self.samples(first), self.samples(second)
        if len(one) < 2 or len(other) < 2:
            raise SpecError(
                f"a t-test needs two samples or more in each group; {first!r} has {len(one)}, {second!r} has "
                f"{len(other)}: give more seeds or architectures"
            )
        v1, v2 = _standard_error(one) ** 2, _standard_error(other) ** 2
        if v1 + v2 == 0:
            raise SpecError(f"all samples of {first!r} agree, and all of {second!r} do: a t-test needs some spread")
        error = math.sqrt(v1 + v2)
        difference = self.mean(first) - self.mean(second)
        freedom = (v1 + v2) ** 2 / (v1**2 / (len(one) - 1) + v2**2 / (len(other) - 1))
        reach = float(stdtrit(freedom, 0.975)) * error
        return Welch(
            difference=difference,
            low=difference - reach,
            high=difference + reach,
            t=difference / error,
            freedom=freedom,
            p=2 * float(stdtr(freedom, -abs(difference) / error)),
        )

    def __repr__(self) -> str:
        """A table, one line a group; accuracies in per cent."""
        width = max(len("group"), *map(len, self.groups))
        lines = [f"{'group':<{width}}  architectures  trained  test accuracy %  95 % interval  parameters"]
        for group in self.groups:
            rows = [score for score in self.scores if score.group == group]
            low, high = self.interval(group)
            interval = "-" if math.isnan(low) else f"{100 * low:.2f}..{100 * high:.2f}"
            sizes = statistics.fmean(score.parameters for score in rows)
            lines.append(
                f"{group:<{width}}  {len({score.architecture for score in rows}):13d}  {len(rows):7d}  "
                f"{100 * self.mean(group):15.2f}  {interval:>13}  {sizes:10,.0f}"
            )
        return "\n".join(lines)


def compare(groups: Mapping[str, Sequence[Architecture]], space: Space, task: Any, **options: Any) -> Comparison:
    """Train every architecture of every group with every seed, all with one recipe, and compare.

    `comparing` tells the options, and gives the comparison so far after each training.
    """
    *_, last = comparing(groups, space, task, **options)
    return last


def comparing(
    groups: Mapping[str, Sequence[Architecture]],
    space: Space,
    task: Any,
    *,
    seeds: Sequence[int] = (0, 1, 2),
    recipe: Recipe | None = None,
    device: str | torch.device | None = None,
    threads: int | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: bool | None = None,
    **sizes: Any,
) -> Iterator[Comparison]:
    """The same, one training after the other: each value holds all scores so far, the last one all there are.

    Args:
        groups: for instance `{"found": [search.best], "random": [space.sample(rng) for _ in range(5)]}`.
        space: where they are from.
        task: what to train and test on.
        seeds: each one draws initial weights, order and augmentation.
        recipe: how to train; the same for all, which is what makes the budget equal.
        device, threads, progress: as in `fit`.
        checkpoint: folder for a checkpoint of each training, so that a comparison that was broken off goes on.
        sizes: of the networks, handed to `space.build` (channels, cells, ...).
    """
    if not groups or not all(groups.values()) or not seeds:
        raise SpecError("compare needs at least one group, one architecture in each group, and one seed")
    if len(set(seeds)) < len(seeds):
        raise SpecError(f"each seed counts once; they are {list(seeds)}")
    trained: dict[tuple[Architecture, int], tuple[float, int]] = {}  # one in two groups is trained once
    scores: list[Score] = []
    for group, architectures in groups.items():
        for architecture, seed in itertools.product(dict.fromkeys(architectures), seeds):
            key = (space.check(architecture), seed)
            if key not in trained:
                with seeded(seed, "compare", "weights"):
                    network = space.build(architecture, task, **sizes)
                report = fit(
                    network,
                    task,
                    recipe=recipe,
                    seed=seed,
                    device=device,
                    threads=threads,
                    checkpoint=None if checkpoint is None else _file(checkpoint, architecture, seed, sizes),
                    progress=progress,
                )
                trained[key] = (report.test_accuracy, report.parameters)
            accuracy, parameters = trained[key]
            scores.append(
                Score(group=group, architecture=architecture, seed=seed, test_accuracy=accuracy, parameters=parameters)
            )
            yield Comparison(tuple(scores))


def _standard_error(samples: Sequence[float]) -> float:
    return statistics.stdev(samples) / math.sqrt(len(samples))


def _file(folder: str | os.PathLike[str], architecture: Architecture, seed: int, sizes: Mapping[str, Any]) -> Path:
    named = f"{architecture.to_json()} {seed} {sorted(sizes.items())}"
    return Path(folder) / f"{blake2b(named.encode(), digest_size=8).hexdigest()}.snapshot"
