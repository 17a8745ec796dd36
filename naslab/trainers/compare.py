"""Is the found architecture better than a random one? Retrain both with one recipe, and test the difference."""

from __future__ import annotations

import dataclasses
import inspect
import itertools
import math
import os
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch

from naslab.architecture import Architecture
from naslab.card import Card, card
from naslab.errors import SpecError, listed, plain, unknown, whole
from naslab.immutable import Record
from naslab.markup import printable
from naslab.paths import path_of
from naslab.quantities import Objective
from naslab.randomness import seeded
from naslab.spaces.space import Space
from naslab.statistics import agree, interval, welch_t
from naslab.tasks.task import Task
from naslab.torch_state import each_in_default_torch_state
from naslab.trainers.fit import check_kinds, fit
from naslab.trainers.loop import parts
from naslab.trainers.processes import Group
from naslab.trainers.recipe import Recipe

LARGER = 5
"""Smallest difference in the number of parameters, in per cent, that is reported as a warning."""


ACCURACY = Objective("accuracy", "max", "%")


@dataclass(frozen=True, kw_only=True, eq=False, init=False)
class Score(Record):
    """Result of one training of one architecture.

    Args:
        test_accuracy: another name of `value`, for image classification.
    """

    group: str
    architecture: Architecture
    seed: int
    value: float
    """Value of the task's objective."""
    parameters: int

    def __init__(
        self,
        *,
        group: str,
        architecture: Architecture,
        seed: int,
        value: float = math.nan,
        parameters: int,
        test_accuracy: float | None = None,
    ) -> None:
        value = value if test_accuracy is None else test_accuracy
        fields = {"group": group, "architecture": architecture, "seed": seed, "value": value, "parameters": parameters}
        for name, given in fields.items():
            object.__setattr__(self, name, given)

    @property
    def test_accuracy(self) -> float:
        """The value, if the objective is an accuracy."""
        return self.value


@dataclass(frozen=True, kw_only=True, eq=False)
class Welch(Record):
    """Welch's t-test of two groups with unequal variances (Welch 1947)."""

    difference: float
    """Mean of the first group minus mean of the second."""
    low: float
    """Lower end of the 95 % interval of the difference."""
    high: float
    t: float
    freedom: float
    """Degrees of freedom by the Welch-Satterthwaite equation."""
    p: float
    """Two-sided p-value."""


@dataclass(frozen=True, repr=False, eq=False)
class Comparison(Record):
    """Values of a task's objective for groups of architectures, all trained with one recipe and the same seeds.

    The statistics treat the *samples* of a group as independent draws. In a group of several architectures a sample
    is one architecture, at its mean over the seeds, since its seeds are not independent of each other; in a
    group of one architecture a sample is one seed, and the interval then speaks of that architecture alone.
    """

    scores: tuple[Score, ...]
    objective: Objective = ACCURACY
    """Metric that the scores are values of, with its direction and unit."""
    split: str = "test"
    """Part of the data that the scores were measured on; "valid" if the task has no test data."""
    notes: tuple[str, ...] = ()
    """The task's remarks to show beside its results."""

    @property
    def what(self) -> str:
        """Part of the data, objective and unit: "test accuracy, %"."""
        held_out = "held-out" if self.split == "valid" else self.split
        return f"{held_out} {self.objective.name}{f', {self.objective.unit}' if self.objective.unit else ''}"

    @property
    def groups(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(score.group for score in self.scores))

    def samples(self, group: str) -> list[float]:
        """Independent values of a group: one per architecture or, for a single architecture, one per seed."""
        by_architecture: dict[Architecture, list[float]] = {}
        for score in self.scores:
            if score.group == group:
                by_architecture.setdefault(score.architecture, []).append(score.value)
        if not by_architecture:
            raise SpecError(unknown("group", group, self.groups))
        if len(by_architecture) == 1:
            return next(iter(by_architecture.values()))
        return [statistics.fmean(values) for values in by_architecture.values()]

    def mean(self, group: str) -> float:
        return statistics.fmean(self.samples(group))

    def interval(self, group: str, confidence: float = 0.95) -> tuple[float, float]:
        """Interval of the mean by Student's t: mean -+ t s / sqrt(n).

        NaN for a single sample and for samples that are all equal: the variance cannot be estimated from them.
        """
        return interval(self.samples(group), confidence)

    def welch(self, first: str, second: str) -> Welch:
        """Test whether the means of two groups differ. Each group needs two samples, and not all may be equal."""
        from scipy.special import stdtr, stdtrit

        one, other = self.samples(first), self.samples(second)
        if len(one) < 2 or len(other) < 2:
            raise SpecError(
                f"a t-test needs two samples or more in each group; {first!r} has {len(one)}, {second!r} has "
                f"{len(other)}: give more seeds or architectures"
            )
        if agree(one) and agree(other):
            raise SpecError(f"all samples of {first!r} agree, and all of {second!r} do: a t-test needs some spread")
        difference, error, freedom = welch_t(one, other)
        reach = float(stdtrit(freedom, 0.975)) * error
        return Welch(
            difference=difference,
            low=difference - reach,
            high=difference + reach,
            t=difference / error,
            freedom=freedom,
            p=2 * float(stdtr(freedom, -abs(difference) / error)),
        )

    @property
    def card(self) -> Card:
        """Summary of the evidence: the test of each pair of groups, and warnings about missing evidence."""
        alone = [name for name in self.groups if len({s.architecture for s in self.scores if s.group == name}) == 1]
        each = ", ".join(map(repr, alone))
        return card(
            {name: [self.objective.scale * sample for sample in self.samples(name)] for name in self.groups},
            what=self.what,
            direction=self.objective.direction,
            test="welch",
            alone=alone,
            warnings=self._sizes(),
            notes=[*self.notes, "budget: one recipe for every training"]
            + ([f"{each}: one architecture, so that a sample is a seed of its training"] if alone else []),
        )

    def parameters(self, group: str) -> float:
        """Mean number of parameters of the networks of a group."""
        if group not in self.groups:
            raise SpecError(unknown("group", group, self.groups))
        return statistics.fmean(score.parameters for score in self.scores if score.group == group)

    def _sizes(self) -> list[str]:
        """Warnings about groups with larger networks, which may be better because of their size alone."""
        found = []
        for first, second in itertools.combinations(self.groups, 2):
            large, small = sorted((first, second), key=self.parameters, reverse=True)
            share = 100 * (self.parameters(large) / self.parameters(small) - 1)
            if round(share) >= LARGER:
                found.append(
                    f"the networks of {large!r} are larger by {share:.0f} % than those of {small!r} "
                    f"({self.parameters(large):,.0f} and {self.parameters(small):,.0f} parameters on average): they "
                    "may be better by that alone"
                )
        return found

    def _repr_html_(self) -> str:
        return self.card._repr_html_()

    def __repr__(self) -> str:
        """Table with one line per group, accuracies in per cent, followed by the card."""
        title, scale = self.what.replace(",", ""), self.objective.scale
        width = max(len("group"), *map(len, self.groups))
        lines = [f"{'group':<{width}}  architectures  trained  {title}  95 % interval  parameters"]
        for group in self.groups:
            rows = [score for score in self.scores if score.group == group]
            low, high = self.interval(group)
            interval = "-" if math.isnan(low) else f"{scale * low:.2f}..{scale * high:.2f}"
            lines.append(
                f"{group:<{width}}  {len({score.architecture for score in rows}):13d}  {len(rows):7d}  "
                f"{scale * self.mean(group):{len(title)}.2f}  {interval:>13}  {self.parameters(group):10,.0f}"
            )
        return printable("\n".join([*lines, *self.card.claims]))


def compare(groups: Mapping[str, Sequence[Architecture]], space: Space, task: Any, **options: Any) -> Comparison:
    """Train every architecture of every group with every seed, all with one recipe, and compare.

    `comparing` documents the options; it yields the comparison so far after each training.
    """
    *_, last = comparing(groups, space, task, **options)
    return last


def comparing(
    groups: Mapping[str, Sequence[Architecture]],
    space: Space,
    task: Any,
    *,
    seeds: Iterable[int] = (0, 1, 2),
    recipe: Recipe | None = None,
    device: str | torch.device | None = None,
    threads: int | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: bool | None = None,
    **changes: Any,
) -> Iterator[Comparison]:
    """Like `compare`, but yields after each training a comparison of all scores so far; the last one is complete.

    Args:
        groups: for instance `{"found": [search.best], "random": [space.sample(rng) for _ in range(5)]}`.
        space: search space of the architectures.
        task: data and metrics.
        seeds: seeds of the initial weights, the order of the data and its augmentation; one training for each.
        recipe: hyperparameters, the same for all trainings, so that all have an equal budget.
        device, threads, progress: as in `fit`.
        checkpoint: folder for a checkpoint of each training, so that an interrupted comparison can resume.
        changes: to the recipe, as in `fit` (`epochs=20`), and sizes of the networks, which `space.build` takes
            (`channels=8`). A name that both have, such as `drop_path`, changes the recipe.
    """
    checked = _checked_groups(groups, space)
    numbers = _checked_seeds(seeds)
    if not checked or not all(checked.values()) or not numbers:
        raise SpecError("compare needs at least one group, one architecture in each group, and one seed")
    hyperparameters, sizes = _parted(changes, space)
    task = check_kinds(task, recipe)
    changed = (recipe if recipe is not None else Recipe()).but(**hyperparameters)
    split = _judged_on(task, changed)
    sizes = {name: plain(size) for name, size in sizes.items()}
    if checkpoint is not None:
        checkpoint = path_of("the folder for checkpoints", checkpoint)
    Group().device(device)  # raises now, before any training, if the device does not exist
    options = {"recipe": changed, "device": device, "threads": threads, "progress": progress}
    return _trained(checked, space, task, split, numbers, checkpoint, sizes, options)


@each_in_default_torch_state
def _trained(
    groups: Mapping[str, tuple[Architecture, ...]],
    space: Space,
    task: Any,
    split: str,
    seeds: tuple[int, ...],
    checkpoint: str | os.PathLike[str] | None,
    sizes: Mapping[str, Any],
    options: Mapping[str, Any],
) -> Iterator[Comparison]:
    """Run the comparison with checked arguments; `options` are passed to `fit`."""
    trained: dict[tuple[Architecture, int], tuple[float, int]] = {}  # once for all groups
    scores: list[Score] = []
    quantity = task.quantities[task.objective]
    objective = Objective(task.objective, quantity.direction or "max", quantity.unit)
    for group, architectures in groups.items():
        for architecture, seed in itertools.product(dict.fromkeys(architectures), seeds):
            key = (architecture, seed)
            if key not in trained:
                with seeded(seed, "compare", "weights"):
                    network = space.build(architecture, task, **sizes)
                report = fit(
                    network,
                    task,
                    seed=seed,
                    checkpoint=None if checkpoint is None else _file(checkpoint, architecture, seed, sizes),
                    **options,
                )
                trained[key] = (report.test if split == "test" else report.valid, report.parameters)
            value, parameters = trained[key]
            scores.append(Score(group=group, architecture=architecture, seed=seed, value=value, parameters=parameters))
            yield Comparison(tuple(scores), objective, split, tuple(task.notes))


def _judged_on(task: Task, recipe: Recipe) -> str:
    """Returns the part of the data on which trainings are compared."""
    if "test" in task.splits:
        return "test"
    if parts(task, recipe, 0)[1] is not None:
        return "valid"
    raise SpecError(
        f"the task {task.name!r} has no test data, and none is held out, so that trainings cannot be compared; give "
        "held_out=0.1, for instance"
    )


def _checked_groups(groups: Any, space: Space) -> dict[str, tuple[Architecture, ...]]:
    if not isinstance(space, Space):
        raise SpecError(f"expected the space of the architectures, then the task; got {space!r:.200} as the space")
    if not isinstance(groups, Mapping):
        raise SpecError(
            "groups is a mapping from a name to a list of architectures, as {'found': [search.best]}, "
            f"not {type(groups).__name__}"
        )
    checked: dict[str, tuple[Architecture, ...]] = {}
    for name, architectures in groups.items():
        if isinstance(architectures, Architecture) or not listed(architectures):
            raise SpecError(
                f"each group is a list of architectures; {name!r} is {type(architectures).__name__}: "
                f"write {{{name!r}: [architecture]}}"
            )
        members = tuple(architectures)
        for member in members:
            if not isinstance(member, Architecture):
                raise SpecError(
                    f"each group is a list of architectures; {name!r} holds {type(member).__name__}: take "
                    "space.sample(rng), space.parse(text) or search.best"
                )
        checked[str(name)] = tuple(map(space.check, members))
    if len(checked) < len(groups):
        raise SpecError(f"groups need different names; they are {', '.join(map(repr, groups))}")
    return checked


def _checked_seeds(seeds: Any) -> tuple[int, ...]:
    if not listed(seeds):
        raise SpecError(f"seeds is a list of whole numbers, not {seeds!r}; for that many seeds write range({seeds!r})")
    numbers = tuple(whole("a seed", seed) for seed in seeds)
    if len(set(numbers)) < len(numbers):
        raise SpecError(f"each seed counts once; they are {list(numbers)}")
    return numbers


def _parted(changes: Mapping[str, Any], space: Space) -> tuple[dict[str, Any], dict[str, Any]]:
    """Split keyword arguments into recipe hyperparameters and network sizes."""
    recipe = [field.name for field in dataclasses.fields(Recipe)]
    parameters = inspect.signature(space.build).parameters.values()
    sizes = [p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY]
    takes_all = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters)
    for name in changes:
        if name not in recipe and name not in sizes and not takes_all:
            options = [p.name for p in inspect.signature(comparing).parameters.values() if p.kind is p.KEYWORD_ONLY]
            raise SpecError(unknown("option of a comparison", name, [*options, *recipe, *sizes]))
    hyperparameters = {name: value for name, value in changes.items() if name in recipe}
    return hyperparameters, {name: value for name, value in changes.items() if name not in recipe}


def _file(folder: str | os.PathLike[str], architecture: Architecture, seed: int, sizes: Mapping[str, Any]) -> Path:
    named = f"{architecture.to_json()} {seed} {sorted(sizes.items())}"
    return Path(folder) / f"{blake2b(named.encode(), digest_size=8).hexdigest()}.snapshot"
