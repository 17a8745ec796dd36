"""A training in a file: what it is known again by, what it is, and how it goes on from there."""

from __future__ import annotations

import json
import os
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
"""By how much, relative to the largest, the outputs of one function may differ between machines."""
MOST_OUTPUTS = 4096
"""Numbers of an output that are compared; of a larger one some, evenly."""
EARLIER = json.loads(json.dumps({field.name: field.default for field in fields(Recipe) if field.name in LATER}))
"""What the hyperparameters were in a training that does not name them."""


class Checkpoint:
    """The file of a training.

    Args:
        path: where it is, or will be.
        training: the training; its network and task are looked at now, to be known again.
    """

    def __init__(self, path: Path, training: TrainingLoop) -> None:
        self.path, self.training = path, training
        self._function = function(training.network, training.task)

    def exists(self) -> bool:
        return os.path.isfile(self.path)

    def write(self) -> None:
        """Keep the training; every process calls it, and the first one writes."""
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
        self.training.group.wait()  # or another could look for the file too early

    def read(self) -> None:
        """Have the training go on from the file; `RunError` if it is of another training, or does not make sense."""
        state = snapshot.read(self.path)
        try:
            self._load(state)
        except NaslabError:
            raise
        except Exception as error:  # its checksum is right, so it was written so
            raise RunError(
                f"the checkpoint {self.path} does not make sense ({type(error).__name__}: {error!s:.200}); give "
                "another file"
            ) from error

    # --- what is in it -------------------------------------------------------------------------------

    def _identity(self) -> dict[str, Any]:
        """What must be the same for a checkpoint to be of this training."""
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
        """All that the next epoch depends on."""
        training = self.training
        state: snapshot.State = {
            "kind": "fit",
            "identity": json.dumps(self._identity()),
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
        self._check_identity(EARLIER | json.loads(str(state["identity"])))
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
        self._load_optimizer(parts["optimizer"])
        training.scaler.load_state_dict(parts["scaler"])
        if training.carries_on:
            training.carry = self._carried(parts["carry"])

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
        """What this process's columns have carried to the end of the last epoch."""
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
    """What function of its weights a network is, to know it again when it comes with other weights.

    Neither the modules nor the shapes of the weights tell how the modules are wired. The outputs for two examples do,
    computed in evaluation, on the CPU, from weights that depend on nothing but their names and shapes.

    Returns:
        "function", "function/1", ... -> the numbers of an output.
    """
    kept = network.state_dict().keys()
    values: dict[str, Tensor] = {}
    for name, parameter in network.named_parameters():
        scale = (2 / max(1, parameter[:1].numel())) ** 0.5 if parameter.ndim > 1 else 1.0  # He et al. 2015
        if name.endswith("bias"):
            scale *= 0.1  # or in a deep network they drown what the first layers say
        drawn = torch.randn(parameter.shape, generator=torch_generator("function", name)) * scale
        values[name] = drawn.to(parameter.dtype)
    for name, buffer in network.named_buffers():
        learnt = name in kept and buffer.is_floating_point()  # such as the statistics of batch norm
        values[name] = torch.ones_like(buffer, device="cpu") if learnt else buffer.detach().cpu().clone()
    batch = task.example(2)
    with evaluation_mode(network), torch.no_grad(), seeded("function"):
        outputs, _ = task.with_auxiliary(functional_call(network, values, (task.inputs(batch),)))
    found = [_some(tensor.float()) for tensor in trees.tensors(outputs)]
    return {f"function/{number}" if number else "function": tensor for number, tensor in enumerate(found)}


def _some(output: Tensor) -> Tensor:
    """The output, or `MOST_OUTPUTS` of its numbers and a few."""
    return output if output.numel() <= MOST_OUTPUTS else output.flatten()[:: output.numel() // MOST_OUTPUTS].clone()


def _same_function(one: Mapping[str, Tensor], state: Mapping[str, Any]) -> bool:
    """Whether outputs agree with those in a checkpoint, up to what threads and machines may change."""
    names = {name for name in state if name.partition("/")[0] == "function"}
    if one and names != one.keys():
        return False
    others = {name: state[name] for name in one}
    return all(
        isinstance(other, Tensor) and trees.alike(one[name], other, tolerance=FUNCTION_TOLERANCE)
        for name, other in others.items()
    )
