"""Estimator that trains: build the network, train it for some epochs, and evaluate it on held-out data.

With few epochs, a part of the data, few channels or small images this is the low fidelity of Zela et al. 2018
(https://arxiv.org/abs/1807.06906); its rank correlation with full training has to be measured, not assumed.

The training of a candidate can be continued. The recipe describes the full training, and the fidelity is the number of
its epochs that have been run: the first 2 epochs of 9 are the same, with the same learning rates, whether the other 7
follow at once, later, or never. (With a cosine schedule a short training therefore ends at a high learning rate. With
`schedule="constant"` the length of the full training does not matter.)
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn

from naslab import files, snapshot, spaces, tasks
from naslab.architecture import Architecture
from naslab.device import device_here, device_name
from naslab.errors import NaslabError, RunError, RunPaused, SnapshotDamaged, SpecError, whole
from naslab.estimators.estimator import CheckpointRef, Score, UnknownFidelity, WrongSetup, scratch
from naslab.quantities import Objective
from naslab.randomness import seeded
from naslab.spaces.space import Space
from naslab.tasks.checks import check_example, parts_of
from naslab.tasks.metrics import WrongTask
from naslab.tasks.streams import Timetable
from naslab.tasks.task import share_of
from naslab.threads import number_of_threads
from naslab.torch_state import default_torch_state
from naslab.trainers import Recipe, fit
from naslab.trainers.fit import check_kinds
from naslab.trainers.report import Report, best

HELD_OUT = 0.2
"""Default share of the training data that is held out to measure the fitness."""
LAST = 5
"""Number of last epochs whose best objective is reported: the reward of Zoph & Le 2017 is computed from it."""


class Training:
    """Trains the network of an architecture. The fitness is the task's objective on held-out data in the best epoch,
    for images the accuracy, in [0, 1]. It is negated if lower values are better. Test data are never used.

    Metrics, for the objective "accuracy": "parameters", "epochs" (in total), "seconds" (wall-clock time of this part of
    the training), "train_loss" (last epoch), "best_valid_accuracy" (best of the last five epochs), and the other
    metrics of the best epoch, such as "valid/loss". Values that are not finite are left out.

    Args:
        space: builds the networks, with its sizes.
        task: data, loss and metrics, for instance `naslab.tasks.Digits()`.
        seed: seed of initial weights, held-out split, order and augmentation: the same for every candidate.
        device: as in `naslab.trainers.fit`.
        threads: CPU threads of a training; None: torch's current setting.
        data: share of the training data to use, including the held-out part.
        channels: channels of the network, instead of those of the space. Raises `SpecError` for a space without.
        size: side in pixels to which images are downsampled, by averaging.
        hyperparameters: fields of `naslab.trainers.Recipe` for the full training; `held_out` is 0.2 by default. A task
            with its own validation data uses those.
    """

    name = "training"
    keeps_weights = True

    def __init__(
        self,
        space: Space,
        task: Any,
        *,
        seed: int = 0,
        device: str | torch.device | None = None,
        threads: int | None = 1,
        data: float = 1.0,
        channels: int | None = None,
        size: int | None = None,
        **hyperparameters: Any,
    ) -> None:
        if not isinstance(space, Space):
            raise SpecError(f"expected a space, for instance nl.spaces.NASBench201.laptop(), got {space!r:.200}")
        data = share_of(data)
        self.space, self.task = space, check_kinds(task, None)
        self._seed, self._device = whole("seed", seed), None if device is None else device_name(device)
        self._threads = None if threads is None else number_of_threads(threads)
        channels = None if channels is None else whole("channels", channels, 1)
        size = None if size is None else whole("size", size, 1)
        self._less: dict[str, Any] = {"data": data, "channels": channels, "size": size}
        self._builder = space if channels is None else _narrow(space, channels)
        self.recipe = Recipe().but(**{"held_out": HELD_OUT, **hyperparameters})
        if not self.recipe.held_out:
            raise SpecError("held_out must be above 0: a search that chooses by test data has none left to test on")
        weights, _ = parts_of(self._data, self._seed, 1 - self.recipe.held_out, 1)
        Timetable(weights, self.recipe.batch_size, self._seed, "fit")  # raises if mini-batches are too large
        check_example(self._data)
        self._builder.check_task(self._data)

    @property
    def device(self) -> str | None:
        """Name of the device; None for the GPU if there is one, else the CPU."""
        return self._device

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """The objective of the task, measured on the held-out examples."""
        name = self.task.objective
        metric = self.task.metrics()[name]
        return (Objective(name, metric.direction, metric.unit),)

    def __call__(self, architecture: Architecture) -> Score:
        return self.train(architecture)

    @default_torch_state()
    def train(
        self,
        architecture: Architecture,
        *,
        fidelity: float | None = None,
        begin: CheckpointRef | None = None,
        keep: Path | None = None,
    ) -> Score:
        """Returns the score after `fidelity` epochs of the recipe. See `naslab.estimators.Trainable`."""
        recipe = self._part(fidelity).but(**self._builder.recipe(architecture))
        with seeded(self._seed, "training", "weights"):
            network = self._builder.build(architecture, self._data)
        with ExitStack() as stack:
            # `fit` resumes from the file `keep`: put a copy of the earlier training of this architecture there. The
            # weights of another architecture, its parent, only initialise a new training.
            if begin is not None and keep is None:
                keep = stack.enter_context(scratch()) / "training.snapshot"
            if begin is not None and begin.path is not None and keep is not None and not files.is_file(keep):
                if begin.architecture == architecture:
                    _copy(begin.path, keep)
                else:
                    self._inherit(network, architecture, begin.architecture, begin.path)
            with _blameless():
                report = fit(
                    network,
                    self._data,
                    recipe=recipe,
                    seed=self._seed,
                    device=device_here(self._device),
                    threads=self._threads,
                    checkpoint=keep,
                    test=False,
                    progress=False,
                )
        return self._score(report)

    def _score(self, report: Report) -> Score:
        objective, direction, _ = self.objectives[0]
        lately = best(report.history[-LAST:], objective, direction)
        found = {
            "parameters": report.parameters,
            "epochs": report.epochs,
            "seconds": report.seconds,
            "train_loss": report.history[-1].train_loss,
            f"best_valid_{objective}": lately.metrics[f"valid/{objective}"],
        }
        found |= {name: value for name, value in report.metrics.items() if name.startswith("valid/")}
        del found[f"valid/{objective}"]
        metrics = {name: value for name, value in found.items() if math.isfinite(value)}
        return Score(self.task.fitness_of(report.valid), metrics)

    def _inherit(self, network: nn.Module, architecture: Architecture, parent: Architecture, path: Path) -> None:
        """Initialise a network with the trained weights of its parent from a checkpoint, as the space defines it."""
        weights = _weights(snapshot.read(path, links=False))
        try:
            self._builder.inherit(network, architecture, parent, weights)
        except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
            if isinstance(error, NaslabError):
                raise
            raise SnapshotDamaged(f"{path} does not hold the weights of {parent}: {error!s:.200}") from error

    def check_fidelity(self, fidelity: float) -> None:
        """See `naslab.estimators.Trainable`."""
        self._part(fidelity)

    def _part(self, fidelity: float | None) -> Recipe:
        """Returns the recipe for the first `fidelity` epochs, with the schedule of the full training."""
        if fidelity is None:
            return self.recipe
        most = self.recipe.epochs
        endless = self.recipe.schedule == "constant" and self.recipe.drop_path is None
        if fidelity != int(fidelity) or fidelity < 1 or (fidelity > most and not endless):
            raise UnknownFidelity(
                f"a candidate was to be trained for {fidelity:g} epochs, and the whole training has {most}; the "
                "searcher must ask for whole epochs from 1 up"
                + ("" if endless else f" to {most}: give Training(..., epochs={fidelity:g}), or schedule='constant'")
            )
        planned = 0 if endless else self.recipe.planned_epochs
        return self.recipe.but(epochs=int(fidelity), schedule_epochs=planned)

    @cached_property
    def _data(self) -> Any:
        """The task with the reduced data."""
        return self.task.reduced(self._less["data"], self._less["size"])

    def __getstate__(self) -> dict[str, Any]:
        """Leaves out the reduced data, which is computed again from the task."""
        return {name: value for name, value in self.__dict__.items() if name != "_data"}

    def spec(self) -> dict[str, Any]:
        return {
            "estimator": self.name,
            "space": self.space.spec(),
            "task": self.task.spec(),
            "seed": self._seed,
            "device": self._device,
            "threads": self._threads,
            **self._less,
            "recipe": self.recipe.to_json(),
        }

    def fingerprint(self) -> str:
        """Returns a hash of the data and of all settings of the training."""
        told = json.dumps([self.task.fingerprint(), self.spec()], sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()

    @classmethod
    def from_spec(cls, spec: dict[str, Any], task: Any = None) -> Training:
        return cls(
            spaces.from_spec(spec["space"]),
            tasks.from_spec(spec["task"], task),
            **{name: spec[name] for name in ("seed", "device", "threads", "data", "channels", "size")},
            **spec["recipe"],
        )


def _narrow(space: Space, channels: int) -> Space:
    """Returns the same space with another number of channels."""
    fields = {field.name for field in dataclasses.fields(space)} if dataclasses.is_dataclass(space) else set()
    if not dataclasses.is_dataclass(space) or "channels" not in fields:
        own = f", and give the space sizes of its own ({', '.join(sorted(fields))})" if fields else ""
        raise SpecError(f"the space {space.name!r} has no channels that could be {channels}; leave channels out{own}")
    several = getattr(space, "channels", None)
    if isinstance(several, list | tuple):
        raise SpecError(
            f"the space {space.name!r} takes several channels, {tuple(several)}, among which its architectures choose; "
            f"leave channels={channels} out, and give the space its own, for instance "
            f"dataclasses.replace(space, channels=({channels}, {2 * channels}))"
        )
    return dataclasses.replace(space, channels=channels)


@contextmanager
def _blameless() -> Iterator[None]:
    """Context that separates errors of the setup from failures of a candidate. A full disk pauses the search, and a
    task that no network fits stops it, instead of counting as a failed candidate.
    """
    try:
        yield
    except SnapshotDamaged:
        raise
    except WrongTask as error:
        raise WrongSetup(str(error)) from error
    except RunError as error:
        if isinstance(error.__cause__, OSError):
            raise RunPaused(f"{error}. No candidate is to blame, and nothing is lost: call next again") from error
        raise


def _copy(source: Path, keep: Path) -> None:
    """Copy a checkpoint, so that the training continues in a separate file."""
    try:
        content = files.read(source)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise SnapshotDamaged(f"{source} cannot be read: {error}") from error
    with snapshot.disk(f"keeping a training in {keep}"):
        keep.parent.mkdir(parents=True, exist_ok=True)
        snapshot.write_bytes(keep, content)


def _weights(state: snapshot.State) -> dict[str, torch.Tensor]:
    """Returns the weights in a checkpoint: of the best epoch, which the fitness belongs to, else of the last."""
    for part in ("best/", "network/"):
        if found := {name.removeprefix(part): value for name, value in state.items() if name.startswith(part)}:
            return {name: value for name, value in found.items() if isinstance(value, torch.Tensor)}
    return {}
