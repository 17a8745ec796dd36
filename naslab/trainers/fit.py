"""Train a network from the weights it has: `fit(network, task, epochs=5, seed=0)`.

    for each epoch, for each mini-batch:
        learning rate <- warm-up, then cosine
        loss          <- cross-entropy of the logits (+ 0.4 of the auxiliary head's, where there is one)
        gradient      <- averaged over the processes, clipped
        weights       <- SGD or Adam
    after each epoch: accuracy on the held-out and on the test images; checkpoint

Everything random is drawn from (seed, what for, step), so that a training goes on from its checkpoint bit for bit,
and no generator is left changed.
"""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from tqdm.auto import tqdm

from naslab import snapshot
from naslab.architecture import Architecture
from naslab.errors import Diverged, NaslabError, RunError, RunPaused, SpecError, whole
from naslab.modes import evaluation_mode
from naslab.networks.batch_norm import enough_to_normalise
from naslab.paths import check_writable, path_of
from naslab.progress import interactive
from naslab.randomness import seeded, torch_generator
from naslab.tasks.order import batch_indices, epoch_length
from naslab.threads import torch_threads
from naslab.torch_state import default_torch_state, each_in_default_torch_state
from naslab.trainers.processes import Group, join, spread
from naslab.trainers.recipe import Recipe
from naslab.trainers.report import Epoch, Report, best

FUNCTION_TOLERANCE = 1e-4
"""By how much, relative to the largest, the logits of one function may differ between machines."""
SHARED = "take batch_size=2 or more for each process, or a network that shrinks the image less"
"""What to do about a mini-batch of one image that cannot be normalised: in training,"""
UNEVEN = (
    "the network normalises by the mini-batch also when it is evaluated (track_running_stats=False), and the last one "
    "holds what is left of the images; take another batch_size, or another number of images"
)
"""and in evaluation."""


@default_torch_state()
def fit(
    network: nn.Module,
    task: Any,
    *,
    recipe: Recipe | None = None,
    seed: int = 0,
    device: str | torch.device | None = None,
    processes: int = 1,
    threads: int | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: bool | None = None,
    **hyperparameters: Any,
) -> Report:
    """Train the network in place, and test it. It is left in evaluation mode, on the device, also when the training is
    interrupted or fails.

    Args:
        network: [B, C, H, W] -> logits [B, K]; in training mode it may give the pair (logits, auxiliary logits).
        task: for instance `naslab.tasks.FashionMNIST()`.
        recipe: how to train; `Recipe()` by default.
        seed: of the order of the data, of augmentation and drop path. The weights are those the network has.
        device: by default the GPU if there is one, else the CPU.
        processes: how many processes share each mini-batch, one GPU each where there are GPUs; they are started
            here and end here. In a script started by `torchrun` leave it at 1: the training
            takes part in the group it finds, and every process gets the same report.
        threads: CPU threads of this training, in each process; None: as torch is set (shared among `processes`).
        checkpoint: file in which the training is kept after every epoch. A training that finds its own file there
            goes on from it, and ends bit for bit where it would have ended; also one of fewer epochs, if the learning
            rate is constant or planned over `schedule_epochs`. The network must be the same but for its weights: the
            same modules, computing the same function when evaluated. Processes on several machines need a disk that
            they share.
        progress: whether to show a bar; by default in notebooks and terminals only.
        hyperparameters: changes to the recipe, by name: `epochs=20, learning_rate=0.1`.

    Raises:
        Diverged: a loss or gradient was not finite.
        RunError: the checkpoint is damaged, or of another training.
    """
    if isinstance(network, Architecture):
        raise SpecError(
            "fit trains a network, and this is the architecture of one; build it first: "
            "fit(space.build(architecture, task), task)"
        )
    if not isinstance(network, nn.Module):
        raise SpecError(f"fit trains a network, a torch.nn.Module, not {type(network).__name__}")
    _check_weights(network)
    check_kinds(task, recipe)
    recipe = (recipe if recipe is not None else Recipe()).but(**hyperparameters)
    processes, seed = whole("processes", processes, 1), whole("seed", seed)
    if checkpoint is not None:
        checkpoint = path_of("the checkpoint", checkpoint)
    start = time.perf_counter()
    history: list[Epoch] = []
    job = partial(train, task=task, recipe=recipe, seed=seed, device=device, checkpoint=checkpoint)
    with ExitStack() as stack:
        stack.callback(network.eval)  # also after an interrupt, or if the training diverges
        group = join(device)
        if processes > 1:
            if group.size > 1:
                raise SpecError(
                    f"this process is one of {group.size} that train together; leave processes at 1 in such a script"
                )
            cuda = group.device(device).type == "cuda"
            if cuda and processes > torch.cuda.device_count():
                raise SpecError(f"processes={processes} need a GPU each, and there are {torch.cuda.device_count()}")
            _check_share(recipe, processes)
            epochs = spread(job, network, processes, cuda=cuda, threads=threads)
        else:
            stack.enter_context(torch_threads(threads))
            epochs = job(network)
        shown = (interactive() if progress is None else progress) and group.rank == 0
        bar = stack.enter_context(tqdm(total=recipe.epochs, unit="epoch", disable=not shown))
        for row in epochs:
            history.append(row)
            bar.update()
            bar.set_postfix(loss=f"{row.train_loss:.3f}", test_accuracy=f"{row.test_accuracy:.3f}")
    return Report(
        history=tuple(history),
        parameters=sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad),
        recipe=recipe,
        seed=seed,
        seconds=time.perf_counter() - start,
    )


@each_in_default_torch_state
def train(
    network: nn.Module,
    *,
    task: Any,
    recipe: Recipe,
    seed: int,
    device: str | torch.device | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
) -> Iterator[Epoch]:
    """The training itself, an epoch at a time; those that the checkpoint already holds come first."""
    group = join(device)
    _check_share(recipe, group.size)
    training = _Training(network, task, recipe, seed, group, group.device(device))
    path = None if checkpoint is None else path_of("the checkpoint", checkpoint)
    if path is not None:
        training.recognise()
        if os.path.isfile(path):
            training.go_on(snapshot.read(path), path)
        if not training.finished and group.rank == 0:
            check_writable("the checkpoint", path)
    yield from training.history
    while not training.finished:
        training.advance()
        if path is not None:
            if group.rank == 0:
                _write(path, training.state())
            group.wait()  # or another could look for the file too early
        yield training.history[-1]
    training.end()


class _Training:
    """A training between two epochs. What it does next depends on `state()` alone."""

    def __init__(
        self, network: nn.Module, task: Any, recipe: Recipe, seed: int, group: Group, device: torch.device
    ) -> None:
        if recipe.precision == "fp16" and device.type != "cuda":
            raise SpecError(f"fp16 needs CUDA, and this training runs on {device}; use precision='bf16' or 'no'")
        if recipe.sync_batch_norm and group.size > 1:
            if device.type != "cuda":
                raise SpecError(f"sync_batch_norm works on several GPUs only, and this training runs on {device}")
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
        if recipe.drop_path is not None and not hasattr(network, "drop_path_probability"):
            raise SpecError(
                f"drop_path={recipe.drop_path} needs a network with drop path, which {type(network).__name__} has not "
                "(no drop_path_probability); leave drop_path at None"
            )
        self.task, self.recipe, self.seed, self.group, self.device = task, recipe, seed, group, device
        self.network = network.to(device)
        if recipe.channels_last:
            self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        group.agree(self.network)
        self.forward = torch.compile(self.network) if recipe.compile else self.network
        self.optimizer = recipe.make_optimizer(self.network)
        self.scaler = torch.amp.GradScaler(device.type, enabled=recipe.precision == "fp16")
        everything = torch.arange(len(task.train))
        self.weights, self.held_out = (
            task.halves(seed, 1 - recipe.held_out) if recipe.held_out else (everything, everything[:0])
        )
        self.epoch_steps = epoch_length(len(self.weights), recipe.batch_size)
        self.history: list[Epoch] = []
        self.best_weights: dict[str, Tensor] = {}
        self.function = torch.empty(0)

    @property
    def finished(self) -> bool:
        stale = len(self.history) - best(self.history).epoch if self.history else 0
        return len(self.history) == self.recipe.epochs or 0 < self.recipe.patience <= stale

    def advance(self) -> None:
        """One epoch."""
        epoch = len(self.history)
        if self.recipe.drop_path is not None:
            self.network.drop_path_probability = self.recipe.drop_path * epoch / self.recipe.planned_epochs  # type: ignore[assignment]
        self.network.train()
        first = epoch * self.epoch_steps
        losses, accuracies = zip(*(self._step(step) for step in range(first, first + self.epoch_steps)), strict=True)
        self.group.agree(self.network, buffers_only=True)  # each process has its own batch norm statistics
        self.network.eval()
        valid = self._evaluate(self.held_out, "train") if len(self.held_out) else (None, None)
        test_loss, test_accuracy = self._evaluate(torch.arange(len(self.task.test)), "test")
        self.history.append(
            Epoch(
                epoch=epoch + 1,
                learning_rate=self.optimizer.param_groups[0]["lr"],
                train_loss=sum(losses) / len(losses),
                train_accuracy=sum(accuracies) / len(accuracies),
                valid_loss=valid[0],
                valid_accuracy=valid[1],
                test_loss=test_loss,
                test_accuracy=test_accuracy,
            )
        )
        if len(self.held_out) and best(self.history) is self.history[-1]:
            self.best_weights = {name: tensor.clone() for name, tensor in self.network.state_dict().items()}

    def end(self) -> None:
        """Leave the network with the weights that the report is about."""
        if self.best_weights:
            self.network.load_state_dict(self.best_weights)
        self.network.eval()

    def _step(self, step: int) -> tuple[float, float]:
        """One mini-batch; its loss and accuracy, over all processes, before the step."""
        recipe, group = self.recipe, self.group
        indices = batch_indices(self.weights, recipe.batch_size, step, self.seed, "fit")
        augment = torch_generator(self.seed, "fit", "augment", step) if recipe.augment else None
        x, y = self.task.batch(indices, augment=augment, device=self.device, rows=slice(group.rank, None, group.size))
        smoothing = {"smoothing": recipe.label_smoothing} if recipe.label_smoothing else {}
        with seeded(self.seed, "fit", "network", step, group.rank):
            logits, auxiliary = self._forward(x)
        loss = self.task.loss(logits, y, **smoothing)
        objective = loss
        if auxiliary is not None:
            objective = loss + recipe.auxiliary_weight * self.task.loss(auxiliary, y, **smoothing)
        self.optimizer.zero_grad()
        self.scaler.scale(objective).backward()

        measured = torch.tensor([loss.item(), self.task.accuracy(logits, y)], dtype=torch.float64, device=self.device)
        parameters = [parameter for parameter in self.network.parameters() if parameter.requires_grad]
        group.average([measured, *(p.grad for p in parameters if p.grad is not None)])
        loss_value, accuracy = measured.tolist()
        rate = recipe.learning_rate_at(step, self.epoch_steps)
        self.scaler.unscale_(self.optimizer)
        norm = float(nn.utils.clip_grad_norm_(parameters, recipe.gradient_clipping or float("inf")))
        skipped = self.scaler.is_enabled()  # with loss scaling a gradient may overflow; that step is left out
        for what, value in (("loss", loss_value), ("gradient norm", 0.0 if skipped else norm)):
            if value - value != 0:
                raise Diverged(
                    f"the {what} became {value} at step {step + 1} (epoch {step // self.epoch_steps + 1}, learning "
                    f"rate {rate:g}), and the step was not kept; lower learning_rate, for instance to "
                    f"{recipe.learning_rate / 10:g}, keep gradient_clipping above 0, or give warmup_epochs"
                )
        for parameters_group in self.optimizer.param_groups:
            parameters_group["lr"] = rate
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return loss_value, accuracy

    def _forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Logits and, in training with an auxiliary head, the auxiliary logits, float32."""
        if self.recipe.channels_last:
            x = x.contiguous(memory_format=torch.channels_last)
        dtype = torch.float16 if self.recipe.precision == "fp16" else torch.bfloat16
        automatic = torch.autocast(self.device.type, dtype, enabled=self.recipe.precision != "no")
        with automatic, enough_to_normalise(len(x), SHARED if self.network.training else UNEVEN):
            try:
                output: Any = self.forward(x)
            except RuntimeError as error:
                kinds = {p.dtype for p in self.network.parameters() if p.is_floating_point()} - {x.dtype}
                if not kinds or "type" not in str(error):
                    raise
                raise SpecError(
                    f"the network has weights of {' and '.join(map(str, kinds))}, and images are {x.dtype}; call "
                    "network.float() before it is trained (precision='bf16' is for a faster training)"
                ) from error
        pair: Any = output if isinstance(output, tuple) and len(output) == 2 else (output, None)
        logits, auxiliary = pair
        for given in (logits, auxiliary) if auxiliary is not None else (logits,):
            if not isinstance(given, Tensor) or given.shape[:1] != x.shape[:1] or given.ndim != 2:
                came = list(given.shape) if isinstance(given, Tensor) else type(given).__name__
                raise SpecError(
                    f"the network must give logits of shape [{len(x)}, {self.task.classes}] for images of shape "
                    f"{list(x.shape)} (in training, a pair of them if it has an auxiliary head), not {came}"
                )
            if given.shape[1] < self.task.classes:
                raise SpecError(
                    f"the network has {given.shape[1]} outputs, and the task {self.task.classes} classes; give its "
                    f"last layer {self.task.classes} outputs"
                )
        return logits.float(), None if auxiliary is None else auxiliary.float()

    @torch.no_grad()
    def _evaluate(self, indices: Tensor, split: str) -> tuple[float, float]:
        """Mean loss and accuracy of the network as it is, each process taking a part."""
        sums = [0.0, 0.0, 0.0]
        for chosen in indices[self.group.rank :: self.group.size].split(2 * self.recipe.batch_size):
            x, y = self.task.batch(chosen, split=split, device=self.device)
            logits, _ = self._forward(x)
            for i, value in enumerate((self.task.loss(logits, y).item(), self.task.accuracy(logits, y), 1.0)):
                sums[i] += value * len(chosen)
        loss, accuracy, count = self.group.total(sums, self.device)
        if loss - loss != 0:
            raise Diverged(
                f"the loss on the {split} images is {loss / count} after epoch {len(self.history) + 1}; lower "
                f"learning_rate, for instance to {self.recipe.learning_rate / 10:g}"
            )
        return loss / count, accuracy / count

    # --- checkpoint ----------------------------------------------------------------------------------

    def _identity(self) -> dict[str, Any]:
        """What must be the same for a checkpoint to be of this training."""
        recipe = dataclasses.asdict(self.recipe)
        if self.recipe.prolongable:
            del recipe["epochs"]
        return {
            **recipe,
            "seed": self.seed,
            "task": self.task.fingerprint(),
            "augmentation": self.task.spec().get("augmentation"),
            "drop_path_probability": (
                getattr(self.network, "drop_path_probability", None) if self.recipe.drop_path is None else None
            ),
            "network": blake2b(repr(self.network).encode(), digest_size=8).hexdigest(),
        }

    def recognise(self) -> None:
        """Remember what function of its weights the network is, to know it again when it comes with other weights.

        Neither the modules nor the shapes of the weights tell how the modules are wired. The logits of two images do,
        computed in evaluation, on the CPU, from weights that depend on nothing but their names and shapes.
        """
        kept = self.network.state_dict().keys()
        values: dict[str, Tensor] = {}
        for name, parameter in self.network.named_parameters():
            scale = (2 / max(1, parameter[:1].numel())) ** 0.5 if parameter.ndim > 1 else 1.0  # He et al. 2015
            if name.endswith("bias"):
                scale *= 0.1  # or in a deep network they drown what the first layers say
            drawn = torch.randn(parameter.shape, generator=torch_generator("function", name)) * scale
            values[name] = drawn.to(parameter.dtype)
        for name, buffer in self.network.named_buffers():
            learnt = name in kept and buffer.is_floating_point()  # such as the statistics of batch norm
            values[name] = torch.ones_like(buffer, device="cpu") if learnt else buffer.detach().cpu().clone()
        x, _ = self.task.batch(torch.arange(min(2, len(self.task.train))))
        with evaluation_mode(self.network), torch.no_grad(), seeded("function"):
            output = functional_call(self.network, values, (x,))
        logits: Any = output[0] if isinstance(output, tuple) else output
        if isinstance(logits, Tensor):  # if not, the first step says so
            self.function = logits.float()

    def state(self) -> snapshot.State:
        """All that the next epoch depends on."""
        state: snapshot.State = {
            "kind": "fit",
            "identity": json.dumps(self._identity()),
            "function": self.function,
            "history": json.dumps([dataclasses.asdict(row) for row in self.history]),
        }
        state |= {f"network/{name}": tensor for name, tensor in self.network.state_dict().items()}
        state |= {f"best/{name}": tensor for name, tensor in self.best_weights.items()}
        for number, values in self.optimizer.state_dict()["state"].items():
            state |= {f"optimizer/{number}/{name}": v for name, v in values.items() if v is not None}
        return state | {f"scaler/{name}": value for name, value in self.scaler.state_dict().items()}

    def go_on(self, state: snapshot.State, path: Path) -> None:
        """Go on from a checkpoint; `RunError` if it is of another training, or does not make sense."""
        try:
            self._load(state, path)
        except NaslabError:
            raise
        except Exception as error:  # its checksum is right, so it was written so
            raise RunError(
                f"the checkpoint {path} does not make sense ({type(error).__name__}: {error!s:.200}); give another file"
            ) from error

    def _load(self, state: snapshot.State, path: Path) -> None:
        if state.get("kind") != "fit":
            raise RunError(f"{path} is a snapshot, but not of a training; give another checkpoint")
        was, now = json.loads(str(state["identity"])), json.loads(json.dumps(self._identity()))
        if changed := [
            f"{name} was {was.get(name)!r}, now {now.get(name)!r}" for name in now if was.get(name) != now[name]
        ]:
            advice = "give another file"
            if any(was.get(name) != now.get(name) for name in ("epochs", "schedule", "schedule_epochs")):
                longest = max(self.recipe.planned_epochs, was.get("epochs", 0), was["schedule_epochs"])
                advice += (
                    ". A training can go on to more epochs later if its learning rate was planned so at the beginning: "
                    f"by schedule_epochs={longest} in both calls, or by schedule='constant' without drop_path"
                )
            raise RunError(f"the checkpoint {path} is of another training: {'; '.join(changed)}; {advice}")
        function = state.get("function")
        if not isinstance(function, Tensor) or not _alike(function, self.function):
            raise RunError(
                f"the checkpoint {path} is of another network: it has the same modules, but they are wired in another "
                "way, or compute something else; give another file"
            )
        parts: dict[str, dict[str, Any]] = {"network": {}, "best": {}, "optimizer": {}, "scaler": {}}
        for name, value in state.items():
            part, slash, rest = name.partition("/")
            if slash:
                parts[part][rest] = value
        try:
            self.network.load_state_dict(parts["network"])
        except RuntimeError as error:
            raise RunError(f"the checkpoint {path} is of another network: {error}") from None
        slots: dict[int, dict[str, Any]] = {}
        for name, value in parts["optimizer"].items():
            number, _, slot = name.partition("/")
            slots.setdefault(int(number), {})[slot] = value
        self.optimizer.load_state_dict({"state": slots, "param_groups": self.optimizer.state_dict()["param_groups"]})
        self.scaler.load_state_dict(parts["scaler"])
        for parameter, slot in self.optimizer.state.items():
            if any(value.ndim and value.shape != parameter.shape for value in slot.values()):
                raise ValueError("the optimizer's state is not of these weights")
        shapes = {name: tensor.shape for name, tensor in self.network.state_dict().items()}
        if parts["best"] and {name: tensor.shape for name, tensor in parts["best"].items()} != shapes:
            raise ValueError("the best weights are not of this network")
        self.best_weights = {name: tensor.to(self.device) for name, tensor in parts["best"].items()}
        history = [Epoch(**row) for row in json.loads(str(state["history"]))]
        if len(history) > self.recipe.epochs:
            raise RunError(
                f"the checkpoint {path} is of {len(history)} epochs already, more than epochs={self.recipe.epochs}; "
                f"give epochs={len(history)} or more, or another file"
            )
        if [row.epoch for row in history] != list(range(1, len(history) + 1)):
            raise ValueError("its epochs are not 1, 2, 3, ...")
        self.history = history


def _alike(one: Tensor, other: Tensor) -> bool:
    """Whether logits [B, K] agree up to what threads and machines may change."""
    if one.shape != other.shape:
        return False
    reach = FUNCTION_TOLERANCE * float(other.nan_to_num(0, 0, 0).abs().max())
    return torch.allclose(one, other, rtol=0, atol=reach, equal_nan=True)


def _check_weights(network: nn.Module) -> None:
    """Refuse weights that cannot be trained, whatever the recipe."""
    for tensor in (*network.parameters(), *network.buffers()):
        if tensor.is_meta:
            raise SpecError(
                "the network was made on torch's meta device, where weights have shapes and no numbers; make it "
                "outside `with torch.device('meta')`, and without torch.set_default_device('meta')"
            )
        if tensor.is_inference():
            raise SpecError(
                "the network was made inside torch.inference_mode(), and its weights can never be trained; make it "
                "outside (torch.no_grad() does no harm)"
            )


def check_kinds(task: Any, recipe: Any) -> None:
    """Refuse what is no task and no recipe."""
    if not hasattr(task, "batch"):
        raise SpecError(
            f"the task must be one of naslab.tasks, not {type(task).__name__}; of your own data "
            "naslab.tasks.Images.from_arrays(x, y) makes one"
        )
    if recipe is not None and not isinstance(recipe, Recipe):
        raise SpecError(f"the recipe must be a Recipe, not {type(recipe).__name__}; write Recipe(epochs=5), say")


def _check_share(recipe: Recipe, size: int) -> None:
    if recipe.batch_size % size:
        raise SpecError(
            f"a batch of {recipe.batch_size} cannot be shared evenly by {size} processes; "
            f"take batch_size={recipe.batch_size // size * size or size}"
        )


def _write(path: Path, state: snapshot.State) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        snapshot.write(path, state)
    except OSError as error:
        kept = "the one before it is still there" if os.path.isfile(path) else "there is none yet of this training"
        raise RunPaused(
            f"the checkpoint {path} could not be written ({error}); {kept}: mend it and call fit again to go on"
        ) from error
