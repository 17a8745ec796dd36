"""The training loop, epoch by epoch. An interrupted and resumed training gives the same numbers."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from naslab import trees
from naslab.directions import Direction
from naslab.errors import Diverged, NaslabError, SpecError
from naslab.networks.batch_norm import KeptBuffers, enough_to_normalise
from naslab.networks.step_memory import FEW, extrapolated
from naslab.numerics import Numerics
from naslab.operations.layout import channels_last_pays
from naslab.out_of_memory import MARGIN, available_or_none, placed, release, smaller
from naslab.precision import check_precision
from naslab.randomness import seeded, torch_generator
from naslab.tasks.checks import check_example, parts_of
from naslab.tasks.measurement import Measurement
from naslab.tasks.streams import Stream, Timetable
from naslab.tasks.task import LOSS, Task
from naslab.trainers.averages import averaged_weights
from naslab.trainers.evaluation import evaluate
from naslab.trainers.processes import Group
from naslab.trainers.recipe import Recipe
from naslab.trainers.report import Epoch, best
from naslab.transfer import numbers

SHARED = "take batch_size=2 or more for each process, or a network that shrinks the image less"
"""Advice for the error that batch norm cannot normalise a mini-batch of one image, during training."""
UNEVEN = (
    "the network normalises by the mini-batch also when it is evaluated (track_running_stats=False), and the last one "
    "holds what is left of the data; take another batch_size, or another number of examples"
)
"""The same advice, during evaluation."""
HALVES = {"bfloat16": torch.bfloat16, "float16": torch.float16}
"""Precision -> dtype of the activations, where they have another than the weights."""


class TrainingLoop:
    """A training that can be paused after every epoch. The next epoch depends only on the weights, the history, the
    carried recurrent state, and the state of the optimizer.

    Args:
        network: trained in place.
        task: data, loss and metrics.
        recipe: hyperparameters of the training.
        seed: seed of all random numbers.
        group: the processes that share each mini-batch.
        device: where this process computes.
        test: whether to evaluate on the test data after each epoch, if the task has any.
    """

    def __init__(
        self,
        network: nn.Module,
        task: Task,
        recipe: Recipe,
        seed: int,
        group: Group,
        device: torch.device,
        *,
        test: bool = True,
    ) -> None:
        if recipe.precision == "float16" and device.type != "cuda":
            raise SpecError(
                f"float16 needs CUDA, and this training runs on {device}; use precision='bfloat16' or 'float32'"
            )
        check_precision(recipe.precision, device, instead="precision='float16', which is scaled, or 'float32'")
        if recipe.sync_batch_norm and group.size > 1:
            if device.type != "cuda":
                raise SpecError(f"sync_batch_norm works on several GPUs only, and this training runs on {device}")
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
        if recipe.drop_path is not None and not hasattr(network, "drop_path_probability"):
            raise SpecError(
                f"drop_path={recipe.drop_path} needs a network with drop path, which {type(network).__name__} has not "
                "(no drop_path_probability); leave drop_path at None"
            )
        self.numerics = Numerics(device=device, precision=recipe.precision, deterministic=recipe.deterministic)
        check_example(task)
        self.task, self.recipe, self.seed, self.group, self.device = task, recipe, seed, group, device
        self.network = placed(network, device)
        self._channels_last = False
        group.agree(self.network)
        if recipe.compile and recipe.drop_path is not None:
            # before anything is compiled: drop path begins at 0, and a network may compile nothing for it at 0
            self.network.drop_path_probability = recipe.drop_path  # type: ignore[assignment]
        self._module = torch.compile(self.network) if recipe.compile else self.network
        self.history: list[Epoch] = []
        self.best_weights: dict[str, Tensor] = {}
        self.carry: Any = None
        """Recurrent state that the next mini-batch of this process's columns starts with; None: a fresh one."""
        self.optimizer = recipe.make_optimizer(self.network)
        self.scaler = torch.amp.GradScaler(device.type, enabled=recipe.precision == "float16")
        weights, self._valid = parts(task, recipe, seed)
        self._test = task.stream("test") if test and "test" in task.splits else None
        self._timetable = Timetable(weights, recipe.batch_size, seed, "fit")
        self._nominal = task.nominal_size(recipe.batch_size)
        self._metrics = {name: one.weighed(self._nominal) for name, one in task.metrics().items() if name != LOSS}
        self._direction: Direction = task.metrics()[task.objective].direction
        if recipe.nonmonotone_interval and self._valid is None:
            raise SpecError(
                f"nonmonotone_interval={recipe.nonmonotone_interval} needs held-out data to judge by: give "
                "held_out=0.1, for instance"
            )

    @property
    def finished(self) -> bool:
        stale = len(self.history) - self._best.epoch if self.history else 0
        return len(self.history) == self.recipe.epochs or 0 < self.recipe.patience <= stale

    @property
    def averages(self) -> bool:
        """True if averaged SGD is active, which follows from the held-out losses so far."""
        return self.recipe.averages_after([row.metrics.get("valid/loss", 0.0) for row in self.history])

    @property
    def carries_on(self) -> bool:
        """True if the next epoch starts with the recurrent state at the end of the last one."""
        carries = self._timetable.stream.carries and bool(self.history)
        return carries and not self._timetable.resets(self._timetable.total(len(self.history)))

    @property
    def _best(self) -> Epoch:
        return best(self.history, self.task.objective, self._direction)

    def _lay_out(self) -> None:
        """Put the weights, and from now on the images, into the layout of the recipe.

        Not before a checkpoint has been read, which may say another one: weights of a single channel do not come back.
        """
        self._channels_last = bool(self.recipe.channels_last)
        if self.recipe.channels_last is None:
            self._channels_last = not self.recipe.compile and channels_last_pays(self.network, self.device)
        if self._channels_last:
            self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def renew_optimizer(self) -> torch.optim.Optimizer:
        """Replace the optimizer by a fresh one for the next epoch, and return it."""
        self.optimizer = self.recipe.make_optimizer(self.network, averaged=self.averages)
        return self.optimizer

    def advance(self) -> None:
        """Train one epoch and evaluate."""
        self._lay_out()
        epoch, averaged = len(self.history), self.averages
        if self.recipe.drop_path is not None:
            self.network.drop_path_probability = self.recipe.drop_path * epoch / self.recipe.planned_epochs  # type: ignore[assignment]
        self.network.train()
        rate, metrics = self._pass(epoch)
        # Evaluation must see the same network everywhere. Weights agree already, since all made the same steps.
        self.group.agree(self.network, buffers_only=True)  # each process has other batch norm statistics
        self.network.eval()
        with averaged_weights(self.optimizer):
            for name, stream in (("valid", self._valid), ("test", self._test)):
                if stream is not None:
                    metrics |= {f"{name}/{metric}": value for metric, value in self._evaluate(stream).items()}
            self.history.append(Epoch(epoch=epoch + 1, learning_rate=rate, metrics=metrics))
            if self._valid is not None and self._best is self.history[-1]:
                self.best_weights = {name: tensor.clone() for name, tensor in self.network.state_dict().items()}
        if self.averages and not averaged:
            self.renew_optimizer()

    def smaller_batch(self) -> tuple[str, int | None]:
        """Returns what to do after an epoch that ran out of memory, and the batch size that fits, if one is known."""
        self.optimizer.zero_grad()
        size = self.recipe.batch_size // self.group.size
        if not self.network.training:
            largest = self._evaluation_size(self._timetable.stream)
            half = max(1, largest // 2)
            return f"It was evaluated on {largest} {self.task.units} at once; give evaluation_batch_size={half}", None
        free, fits = available_or_none(self.device), None
        try:
            whole, each = self._step_memory(size)
            if free is not None:
                fits = (MARGIN * free - whole) / each + size
        except (RuntimeError, MemoryError, NaslabError):  # not even a few examples fit
            release(self.device)
        found = smaller(size, fits)
        if found is None:
            return f"Not even one of the {self.task.units} seems to fit; take a smaller network", None
        found *= self.group.size
        about = "may" if fits is None or fits >= size else "should"
        return f"batch_size={found} {about} fit, instead of {self.recipe.batch_size}", found

    def _step_memory(self, size: int) -> tuple[int, float]:
        """Returns the peak of bytes in a step of `size` examples, and the bytes of each example."""
        weights = [weight for weight in self.network.parameters() if weight.requires_grad]

        def step(count: int) -> None:
            batch = self.task.example(count, device=self.device)
            outputs, auxiliary = self._forward(batch, None)
            loss = self.task.loss(outputs, batch)
            if auxiliary is not None:
                loss = loss + self.recipe.auxiliary_weight * self.task.loss(auxiliary, batch)
            torch.autograd.grad(loss, weights, allow_unused=True)

        with KeptBuffers(self.network), seeded(self.seed, "fit", "memory", device=self.device):
            return extrapolated([partial(step, count) for count in (FEW, 2 * FEW)], self.device, size)

    def end(self) -> None:
        """Load the weights of the best epoch, which the report describes, and switch to evaluation mode."""
        self._lay_out()
        if self.best_weights:
            self.network.load_state_dict(self.best_weights)
        self.network.eval()

    def _pass(self, epoch: int) -> tuple[float, dict[str, float]]:
        """Train on all mini-batches of an epoch.

        Returns:
            The learning rate of the last step, before `scale_rate`, and the metrics on the training data.
        """
        measurement = Measurement(self._metrics, every="batch")
        first, last = self._timetable.total(epoch), self._timetable.total(epoch + 1)
        losses, weights, rate = [], [], 0.0
        for step in range(first, last):
            rate = self.recipe.learning_rate_at(epoch * (last - first) + step - first, last - first)
            with self.numerics.in_force():
                loss, weight = self._step(step, rate, measurement)
            losses.append(loss * weight)
            weights.append(weight)
        if self.group.size > 1:
            measurement.merge(self.group.gather(measurement.states))
        found = {LOSS: sum(losses) / sum(weights), **measurement.compute()}
        return rate, {f"train/{name}": value for name, value in found.items()}

    def _step(self, step: int, rate: float, measurement: Measurement) -> tuple[float, float]:
        """Train on one mini-batch.

        Returns:
            Its loss before the step, over all processes, and its size divided by the nominal size.
        """
        recipe, group, task = self.recipe, self.group, self.task
        augment = torch_generator(self.seed, "fit", "augment", step) if recipe.augment else None
        batch = task.batch(
            self._timetable.where(step),
            split=self._timetable.stream.split,
            augment=augment,
            device=self.device,
            rows=slice(group.rank, None, group.size),
        )
        if self._timetable.resets(step):
            self.carry = None
        with seeded(self.seed, "fit", "network", step, group.rank, device=self.device):
            outputs, auxiliary = self._forward(batch, self.carry)
        if self._timetable.stream.carries:
            self.carry = trees.detached(task.carry(outputs))
        smoothing = {"smoothing": recipe.label_smoothing} if recipe.label_smoothing else {}
        loss = task.loss(outputs, batch, **smoothing)
        objective = loss
        if auxiliary is not None:
            objective = loss + recipe.auxiliary_weight * task.loss(auxiliary, batch, **smoothing)
        if (extra := task.regularisation(outputs, batch)) is not None:
            objective = objective + extra
        self.optimizer.zero_grad()
        self.scaler.scale(objective).backward()
        with torch.no_grad():
            measurement.update(trees.detached(outputs), batch)

        size = task.size(batch)
        (total,) = group.total([size], self.device)
        share = size * group.size / total
        # As float64, so that rounding waits for the mean; alone nothing is averaged, and a Mac's GPU has no float64.
        measured = loss.detach() if group.size == 1 else loss.detach().double() * share
        parameters = [parameter for parameter in self.network.parameters() if parameter.requires_grad]
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        # Each process has the mean over its own examples. Weighted by `share`, the mean over processes becomes the mean
        # over all examples of the mini-batch, also when they do not divide evenly.
        if share != 1:
            for gradient in gradients:
                gradient.mul_(share)
        group.average([measured, *gradients])
        weight = total / self._nominal
        if recipe.scale_rate:
            rate *= weight
        self.scaler.unscale_(self.optimizer)
        clipped = nn.utils.clip_grad_norm_(parameters, recipe.gradient_clipping or float("inf"))
        loss_value, norm = numbers([measured, clipped])  # the only time that the step waits for the device
        skipped = self.scaler.is_enabled()  # float16: a gradient may overflow; the scaler then skips the step
        for what, value in (("loss", loss_value), ("gradient norm", 0.0 if skipped else norm)):
            if value - value != 0:
                raise Diverged(
                    f"the {what} became {value} at step {step + 1} (epoch {self._timetable.epoch(step) + 1}, learning "
                    f"rate {rate:g}), and the step was not kept; lower learning_rate, for instance to "
                    f"{recipe.learning_rate / 10:g}, keep gradient_clipping above 0, or give warmup_epochs"
                )
        for parameters_group in self.optimizer.param_groups:
            parameters_group["lr"] = rate
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return loss_value, weight

    def _forward(self, batch: Any, carry: Any) -> tuple[Any, Any]:
        """Returns the outputs and, in training with an auxiliary head, its outputs, else None; in float32."""
        task, inputs = self.task, self.task.inputs(batch, carry)
        if self._channels_last:
            inputs = trees.tree_map(_channels_last, inputs)
        dtype = HALVES.get(self.recipe.precision)
        automatic = torch.autocast(self.device.type, dtype or torch.bfloat16, enabled=dtype is not None)
        advice = SHARED if self.network.training else UNEVEN
        with automatic, enough_to_normalise(task.size(batch), advice, task.units):
            try:
                output: Any = self._module(inputs)
            except RuntimeError as error:
                given = {x.dtype for x in trees.tensors(inputs) if x.is_floating_point()} or {torch.float32}
                kinds = {p.dtype for p in self.network.parameters() if p.is_floating_point()} - given
                if not kinds or "type" not in str(error):
                    raise
                raise SpecError(
                    f"the network has weights of {' and '.join(map(str, kinds))}, and {task.units} are "
                    f"{' and '.join(map(str, given))}; call network.float() before it is trained (precision='bfloat16' "
                    "is for a faster training)"
                ) from error
        outputs, auxiliary = task.with_auxiliary(output)
        for found in (outputs, auxiliary) if auxiliary is not None else (outputs,):
            task.check_outputs(found, batch)
        return trees.floated(outputs), None if auxiliary is None else trees.floated(auxiliary)

    def _evaluation_size(self, stream: Stream) -> int:
        return self.recipe.evaluation_batch_size or self.recipe.batch_size * (1 if stream.carries else 2)

    def _evaluate(self, stream: Stream) -> dict[str, float]:
        """Returns every metric of the network with its current weights."""
        size = self._evaluation_size(stream)
        with self.numerics.in_force():
            found = evaluate(
                lambda batch, carry: self._forward(batch, carry)[0],
                self.task,
                stream,
                size,
                group=self.group,
                device=self.device,
            )
        if found[LOSS] - found[LOSS] != 0:
            part = stream.split if stream is self._test else "held-out"
            raise Diverged(
                f"the loss on the {part} {self.task.units} is {found[LOSS]} after epoch {len(self.history) + 1}; lower "
                f"learning_rate, for instance to {self.recipe.learning_rate / 10:g}"
            )
        return found


def parts(task: Task, recipe: Recipe, seed: int) -> tuple[Stream, Stream | None]:
    """Returns the training data, and the data that the best epoch is selected on: the held-out part or, if nothing is
    held out, the task's own validation data, unless they are part of its training data.
    """
    if recipe.held_out:
        return parts_of(task, seed, 1 - recipe.held_out, 1)
    weights = task.stream("train")
    valid = task.stream("valid") if "valid" in task.splits else None
    return weights, None if valid is None or valid.split == weights.split else valid


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x
