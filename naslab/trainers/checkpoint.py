"""Checkpoints: how a training is identified, what of it is saved, and how it resumes."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping
from dataclasses import fields
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from naslab import snapshot, trees
from naslab.errors import NaslabError, RunError, RunPaused
from naslab.modes import evaluation_mode
from naslab.randomness import seeded, torch_generator
from naslab.tasks.task import Task
from naslab.trainers.loop import TrainingLoop
from naslab.trainers.recipe import LATER, Recipe
from naslab.trainers.report import Epoch

FUNCTION_TOLERANCE = 1e-4
"""Largest difference between the outputs of one function on two machines, relative to the largest output."""
MOST_OUTPUTS = 4096
"""Largest number of values of an output that are compared; a larger output is subsampled evenly."""
EARLIER = json.loads(json.dumps({field.name: field.default for field in fields(Recipe) if field.name in LATER}))
"""Values of the hyperparameters that checkpoints of earlier versions do not contain."""


class Checkpoint:
    """The file of a training.

    Args:
        path: where the file is, or will be written.
        training: the training; its network and task are identified now, while they are as they were given.
    """

    def __init__(self, path: Path, training: TrainingLoop) -> None:
        self.path, self.training = path, training
        self._function = function(training.network, training.task)

    def exists(self) -> bool:
        return os.path.isfile(self.path)

    def write(self) -> None:
        """Save the training. Every process calls this, and the first one writes."""
        state = self._state()
        if self.training.group.rank == 0:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                snapshot.write(self.path, state)
            except OSError as error:
                kept = "the one before it is still there" if self.exists() else "there is none yet of this training"
                raise RunPaused(
                    f"the checkpoint {self.path} could not be written ({error}); {kept}: mend it and call fit again to "
                    "go on"
                ) from error
        self.training.group.wait()  # or another process could look for the file before it is written

    def read(self) -> None:
        """Resume the training from the file.

        Raises:
            RunError: the file belongs to another training, or its contents are inconsistent.
        """
        state = snapshot.read(self.path)
        try:
            self._load(state)
        except NaslabError:
            raise
        except Exception as error:  # the checksum matched, so it was not damaged later: it was written like this
            raise RunError(
                f"the checkpoint {self.path} does not make sense ({type(error).__name__}: {error!s:.200}); give "
                "another file"
            ) from error

    # --- what is in it -------------------------------------------------------------------------------

    def _identity(self) -> dict[str, Any]:
        """Values that must agree between a checkpoint and this training."""
        training = self.training
        recipe = training.recipe.to_json()
        if training.recipe.prolongable:
            del recipe["epochs"]
        untouched = training.recipe.drop_path is None
        return {
            **recipe,
            "seed": training.seed,
            "task": training.task.fingerprint(),
            "augmentation": training.task.spec().get("augmentation"),
            "drop_path_probability": getattr(training.network, "drop_path_probability", None) if untouched else None,
            "network": blake2b(repr(training.network).encode(), digest_size=8).hexdigest(),
        }

    def _state(self) -> snapshot.State:
        """Everything that the next epoch depends on."""
        training = self.training
        state: snapshot.State = {
            "kind": "fit",
            "identity": json.dumps(self._identity()),
            "device": training.device.type,
            "history": json.dumps([row.to_json() for row in training.history]),
            **self._function,
        }
        state |= {f"network/{name}": tensor for name, tensor in training.network.state_dict().items()}
        state |= {f"best/{name}": tensor for name, tensor in training.best_weights.items()}
        for number, values in training.optimizer.state_dict()["state"].items():
            state |= {f"optimizer/{number}/{name}": v for name, v in values.items() if v is not None}
        if training.carries_on:
            structure, leaves = trees.packed(trees.moved(training.carry, "cpu"))
            for rank, (text, tensors) in enumerate(training.group.gather((structure, leaves))):
                state |= {f"carry/{rank}/structure": text}
                state |= {f"carry/{rank}/{name}": tensor for name, tensor in tensors.items()}
        return state | {f"scaler/{name}": value for name, value in training.scaler.state_dict().items()}

    def _load(self, state: snapshot.State) -> None:
        training, path = self.training, self.path
        if state.get("kind") != "fit":
            raise RunError(f"{path} is a snapshot, but not of a training; give another checkpoint")
        was = EARLIER | json.loads(str(state["identity"]))
        if training.recipe.channels_last is None:  # left to naslab, which once never took that layout by itself
            training.recipe = training.recipe.but(channels_last=was["channels_last"])
        self._check_identity(was)
        if not _same_function(self._function, state):
            raise RunError(
                f"the checkpoint {path} is of another network: it has the same modules, but they are wired in another "
                "way, or compute something else; give another file"
            )
        kinds = ("network", "best", "optimizer", "scaler", "carry", "function")
        parts: dict[str, dict[str, Any]] = {kind: {} for kind in kinds}
        for name, value in state.items():
            part, slash, rest = name.partition("/")
            if slash:
                parts[part][rest] = value
        history = [Epoch(**row) for row in json.loads(str(state["history"]))]
        if len(history) > training.recipe.epochs:
            raise RunError(
                f"the checkpoint {path} is of {len(history)} epochs already, more than epochs="
                f"{training.recipe.epochs}; give epochs={len(history)} or more, or another file"
            )
        if [row.epoch for row in history] != list(range(1, len(history) + 1)):
            raise ValueError("its epochs are not 1, 2, 3, ...")
        try:
            training.network.load_state_dict(parts["network"])
        except RuntimeError as error:
            raise RunError(f"the checkpoint {path} is of another network: {error}") from None
        shapes = {name: tensor.shape for name, tensor in training.network.state_dict().items()}
        if parts["best"] and {name: tensor.shape for name, tensor in parts["best"].items()} != shapes:
            raise ValueError("the best weights are not of this network")
        training.best_weights = {name: tensor.to(training.device) for name, tensor in parts["best"].items()}
        training.history = history
        self._tell_of(state.get("device"))
        self._load_optimizer(parts["optimizer"])
        training.scaler.load_state_dict(parts["scaler"])
        if training.carries_on:
            training.carry = self._carried(parts["carry"])

    def _tell_of(self, device: Any) -> None:
        """Warn if the training was begun on another kind of device; checkpoints of earlier versions do not say."""
        training, here = self.training, self.training.device
        if device not in (None, here.type) and not training.finished and training.group.rank == 0:
            warnings.warn(
                f"the training in {self.path} was begun on {device!s:.20} and goes on on {here}: the last bits of the "
                "next epochs differ from what they would have been there",
                stacklevel=2,
            )

    def _load_optimizer(self, values: Mapping[str, Any]) -> None:
        slots: dict[int, dict[str, Any]] = {}
        for name, value in values.items():
            number, _, slot = name.partition("/")
            slots.setdefault(int(number), {})[slot] = value
        optimizer = self.training.renew_optimizer()
        optimizer.load_state_dict({"state": slots, "param_groups": optimizer.state_dict()["param_groups"]})
        for parameter, slot in optimizer.state.items():
            if any(value.ndim and value.shape != parameter.shape for value in slot.values()):
                raise ValueError("the optimizer's state is not of these weights")

    def _carried(self, values: Mapping[str, Any]) -> Any:
        """Recurrent state of this process's columns at the end of the last epoch."""
        group = self.training.group
        ranks = {name.partition("/")[0] for name in values}
        if len(ranks) != group.size:
            raise RunError(
                f"the training in {self.path} carries a state from epoch to epoch, that of {len(ranks)} processes; it "
                f"goes on with as many, not with {group.size}"
            )
        own = f"{group.rank}/"
        leaves = {name.removeprefix(own): value for name, value in values.items() if name.startswith(own)}
        return trees.unpacked(str(leaves.pop("structure")), leaves, self.training.device)

    def _check_identity(self, was: Mapping[str, Any]) -> None:
        now, recipe = EARLIER | json.loads(json.dumps(self._identity())), self.training.recipe
        if changed := [
            f"{name} was {was.get(name)!r}, now {now.get(name)!r}" for name in now if was.get(name) != now[name]
        ]:
            advice = "give another file"
            if any(was.get(name) != now.get(name) for name in ("epochs", "schedule", "schedule_epochs")):
                longest = max(recipe.planned_epochs, was.get("epochs", 0), was["schedule_epochs"])
                advice += (
                    ". A training can go on to more epochs later if its learning rate was planned so at the beginning: "
                    f"by schedule_epochs={longest} in both calls, or by schedule='constant' without drop_path"
                )
            raise RunError(f"the checkpoint {self.path} is of another training: {'; '.join(changed)}; {advice}")


def function(network: nn.Module, task: Task) -> dict[str, Tensor]:
    """Identify the function that a network computes, whatever the values of its weights.

    Neither the modules nor the shapes of the weights show how the modules are connected. The outputs for two examples
    do, computed in evaluation mode, on the CPU, with weights that depend only on their names and shapes.

    Returns:
        "function", "function/1", ... -> the values of one output.
    """
    kept = network.state_dict().keys()
    values: dict[str, Tensor] = {}
    for name, parameter in network.named_parameters():
        scale = (2 / max(1, parameter[:1].numel())) ** 0.5 if parameter.ndim > 1 else 1.0  # He et al. 2015
        if name.endswith("bias"):
            scale *= 0.1  # smaller biases: in a deep network they would hide the contribution of the first layers
        drawn = torch.randn(parameter.shape, generator=torch_generator("function", name)) * scale
        values[name] = drawn.to(parameter.dtype)
    for name, buffer in network.named_buffers():
        learnt = name in kept and buffer.is_floating_point()  # running statistics of batch norm, for instance
        values[name] = torch.ones_like(buffer, device="cpu") if learnt else buffer.detach().cpu().clone()
    batch = task.example(2)
    with evaluation_mode(network), torch.no_grad(), seeded("function", device="cpu"):
        outputs, _ = task.with_auxiliary(functional_call(network, values, (task.inputs(batch),)))
    found = [_some(tensor.float()) for tensor in trees.tensors(outputs)]
    return {f"function/{number}" if number else "function": tensor for number, tensor in enumerate(found)}


def _some(output: Tensor) -> Tensor:
    """Returns the output, flat, subsampled evenly to about `MOST_OUTPUTS` values if it has more."""
    return output if output.numel() <= MOST_OUTPUTS else output.flatten()[:: output.numel() // MOST_OUTPUTS].clone()


def _same_function(one: Mapping[str, Tensor], state: Mapping[str, Any]) -> bool:
    """True if outputs agree with those in a checkpoint, up to rounding that depends on threads and machines."""
    names = {name for name in state if name.partition("/")[0] == "function"}
    if one and names != one.keys():
        return False
    others = {name: state[name] for name in one}
    return all(
        isinstance(other, Tensor) and trees.alike(one[name], other, tolerance=FUNCTION_TOLERANCE)
        for name, other in others.items()
    )
