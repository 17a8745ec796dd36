"""Base of the searchers that train one child of shared weights at a time (ENAS, SPOS and their kind): the data, the
weights with their optimizer, and the metrics of a child with these weights.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from naslab.architecture import Architecture
from naslab.device import kept_device, usable_device
from naslab.errors import Diverged, SpecError, whole
from naslab.networks.batch_norm import frozen_statistics
from naslab.operations.descent import sgd
from naslab.out_of_memory import placed
from naslab.quantities import Objective, Quantity
from naslab.randomness import seeded
from naslab.searchers.execution import Execution
from naslab.searchers.feed import Feed, LayerNoise
from naslab.searchers.hyperparameters import (
    hyperparameters_to_spec,
    read_hyperparameters,
)
from naslab.searchers.inherited import example_size, inherited_metrics
from naslab.searchers.masked import Masked
from naslab.searchers.overrides import WEIGHTS, Overrides
from naslab.searchers.settings import Setting
from naslab.searchers.specs import made_from, spec_of
from naslab.searchers.supernet_searcher import SupernetSearcher
from naslab.snapshot import State
from naslab.spaces.space import Space
from naslab.spaces.weight_sharing import Shared
from naslab.tasks.checks import check_example, check_task, parts_of, warn_of_unused_portion
from naslab.tasks.task import Task
from naslab.threads import number_of_threads, torch_threads
from naslab.transfer import Number, numbers, to_device
from naslab.trees import detached

DECAY = "w_weight_decay"
"""Name of the setting of the shared weights' weight decay."""
SharedSpace = Shared
"""Earlier name of `naslab.spaces.weight_sharing.Shared`."""


class SharedWeights:
    """A network with the weights of all children, and SGD with a state in which every tensor has a name.

    Weights that a child does not use have no gradient, so that neither they nor their momentum change, and they do not
    decay.

    Args:
        network: the shared weights.
        rate: learning rate at the start.
        momentum: momentum of SGD.
        clip: largest Euclidean norm of the gradient; 0: no clipping.
        weight_decay: weight decay.
        nesterov: whether the momentum is Nesterov's.
    """

    def __init__(
        self, network: nn.Module, *, rate: float, momentum: float, clip: float, weight_decay: float, nesterov: bool
    ) -> None:
        self.network, self._clip = network, clip or math.inf
        self.weight_decay = weight_decay
        """Weight decay of the next update."""
        self._named = dict(network.named_parameters())
        self._sgd = sgd(
            list(self._named.values()),
            lr=rate,
            momentum=momentum,
            nesterov=nesterov and momentum > 0,
            weight_decay=weight_decay,
        )

    def clip(self) -> Tensor:
        """Clip the gradients that `loss.backward()` accumulated. Returns their norm before that, not read yet."""
        return nn.utils.clip_grad_norm_(self._named.values(), self._clip)

    def step(self, rate: float) -> None:
        """Make one SGD step with the accumulated gradients, and clear them."""
        self._sgd.param_groups[0]["lr"], self._sgd.param_groups[0]["weight_decay"] = rate, self.weight_decay
        self._sgd.step()
        self._sgd.zero_grad()

    def forget(self) -> None:
        """Clear the accumulated gradients without a step."""
        self._sgd.zero_grad()

    def state(self) -> State:
        """Returns copies of the network's tensors, the momentum, and the gradients accumulated so far, by name."""
        state: State = {
            f"network/{name}": tensor.detach().clone() for name, tensor in self.network.state_dict().items()
        }
        for name, weight in self._named.items():
            if (buffer := self._sgd.state.get(weight, {}).get("momentum_buffer")) is not None:
                state[f"momentum/{name}"] = buffer.clone()
            if weight.grad is not None:  # between the paths of one update, which add up their gradients
                state[f"gradient/{name}"] = weight.grad.clone()
        return state

    def load(self, state: State) -> None:
        """Take back what `state` gave."""
        state = to_device(state, next(iter(self._named.values())).device)
        self.network.load_state_dict(below("network/", state))
        # Cleared first: a weight without momentum in the state had none, since no child with it was trained yet.
        self._sgd.state.clear()
        self._sgd.zero_grad()
        for name, buffer in below("momentum/", state).items():
            weight = self._named[name]
            self._sgd.state[weight]["momentum_buffer"] = buffer.to(weight.device, copy=True)
        for name, gradient in below("gradient/", state).items():
            weight = self._named[name]
            weight.grad = gradient.to(weight.device, copy=True)


def below(prefix: str, state: State) -> dict[str, Tensor]:
    """Returns the tensors of a state whose names begin with `prefix`, by the rest of the name."""
    return {
        name.removeprefix(prefix): value
        for name, value in state.items()
        if name.startswith(prefix) and isinstance(value, Tensor)
    }


class WeightSharing(Masked, SupernetSearcher):
    """Base of these searchers. Their hyperparameters include `batch_size` and `train_portion`.

    Args:
        space: a space whose networks share weights, for instance `naslab.spaces.NASBench201.laptop()`.
        task: for instance `naslab.tasks.FashionMNIST()`.
        seed: seed of the weights, the split of the data, its order and augmentation, and all children.
        device: device of the shared weights, for instance "cuda". If left out, CUDA if there is a GPU, else the CPU.
        threads: CPU threads of each step; a search is repeatable with the same number.
        precision: "float32"; "tf32", which on a GPU rounds the operands of products to 10 bits, and elsewhere is
            float32; or "bfloat16", also for activations (also accepted: "no", "bf16").
        deterministic: whether a GPU computes the same bits twice, as far as its libraries allow: True; "strict", which
            asks torch for deterministic algorithms everywhere and warns where it has none; False, which is faster.
            None: as torch is set in this process. A CPU always computes the same bits.
        **hyperparameters: see the dataclass `Hyperparameters` of the class.
    """

    Hyperparameters: ClassVar[type]
    task: Task
    weights: SharedWeights
    overrides: Overrides
    """Settings that `begin` makes."""

    def __init__(
        self,
        space: Space,
        task: Task,
        *,
        seed: int = 0,
        device: str | torch.device | None = None,
        threads: int = 1,
        precision: str = "float32",
        deterministic: bool | str | None = True,
        **hyperparameters: Any,
    ) -> None:
        if not isinstance(space, Space) or not isinstance(space, Shared):
            raise SpecError(
                f"{self.name} needs a space with shared weights, such as nl.spaces.EnasMacro(), not {space!r:.100}"
            )
        space.check_task(check_task(task, self.name))
        check_example(task)
        self.seed, self.threads = whole("seed", seed, 0), number_of_threads(threads)
        self.hyperparameters: Any = read_hyperparameters(self.Hyperparameters, hyperparameters)
        self.space, self.task, self.device = space, task, usable_device(device)
        self.execution = Execution(
            device=self.device, threads=self.threads, precision=precision, deterministic=deterministic
        )
        self.numerics = self.execution.numerics
        given = self.hyperparameters
        self._train, self._valid = parts_of(task, seed, given.train_portion, given.batch_size)
        if given.train_portion != self.Hyperparameters.train_portion:  # the user's choice, not the default
            warn_of_unused_portion(task, "train_portion", given.train_portion)
        self._step = 0
        # layers take their initial weights from torch's global generator, so it is seeded for them alone
        with seeded(seed, "weights", device="cpu"):
            network = space.shared_weights(task)  # type: ignore[attr-defined]
        self._layer_noise = LayerNoise(network, seed, self.device)
        self._feed = Feed(task, self._train, given.batch_size, seed, "weights", device=self.device)
        """Training mini-batches for the weights."""
        self.execution.round(placed(network, self.device))
        self.begin(network)

    @abstractmethod
    def begin(self, network: nn.Module) -> None:
        """Set up the algorithm's own state, `weights` among it; all else is there.

        Args:
            network: the shared weights, drawn.
        """

    @property
    def step(self) -> int:
        return self._step

    def _relieve(self) -> None:
        self.weights.forget()

    @property
    def metrics(self) -> Mapping[str, Quantity]:
        """Metrics of the task on the mini-batches of a child's training, and the fitness of an evaluated child."""
        objective = self.task.quantities[self.task.objective]
        fitness = Quantity("max", objective.unit if objective.direction == "max" else "")
        trained = {name: known for name, known in super().metrics.items() if not name.startswith("valid/")}
        return {**trained, "fitness": fitness}

    # --- settings that all have ------------------------------------------------------------------

    def _done(self, step: int) -> int:
        """Returns the number of training mini-batches that are done, or under way, after `step` steps."""
        raise NotImplementedError

    def _place(self, step: int) -> int:
        """Returns the training mini-batch of a step, counted from 0; for a step without one, the last before it."""
        raise NotImplementedError

    @property
    def _batch_size(self) -> int:
        """Examples in the mini-batch of this step."""
        return self.overrides.batches.now(self._place(self._step))

    @property
    def _in_force(self) -> dict[str, Any]:
        """Values of changed settings in the last step."""
        return {**self.overrides.in_force(self._place(self._step - 1)), **super()._in_force}

    @property
    def settings(self) -> Mapping[str, Setting]:
        return {**self.overrides.settings(self._done(self._step)), **super().settings}

    def check_setting(self, name: str, value: Any) -> Any:
        if name in self.overrides:
            return self.overrides.check(name, value, self._done(self._step))
        return super().check_setting(name, value)

    def apply_setting(self, name: str, value: Any) -> None:
        if name in self.overrides:
            self.overrides.put(name, value, self._done(self._step))
            self.obey()
        else:
            super().apply_setting(name, value)

    @contextmanager
    def _weights_or_still(self) -> Iterator[None]:
        """Inside the `with` block, a forward pass trains; if the weights are frozen, it leaves no gradients and no new
        statistics of batch normalisation."""
        if not self.overrides[WEIGHTS]:
            yield
            return
        with torch.no_grad(), frozen_statistics(self.weights.network):
            yield

    def obey(self) -> None:
        """Copy the overrides to the objects that they control."""
        self.weights.weight_decay = self.overrides[DECAY]

    def _scheduled(self, step: int | None = None) -> float:
        """Returns the scheduled learning rate of the shared weights in a step, without the user's changes.

        Args:
            step: the step, counted from 0; the next one if left out.
        """
        raise NotImplementedError

    def aged(self, name: str, value: Any, step: int) -> Any:
        """A learning rate along its schedule."""
        if name != "w_lr" or not (then := self._scheduled(step - 1)):
            return value
        return value / then * self._scheduled()

    def _layers(self, child: Architecture) -> Any:
        return self.space.layers_of(child)  # type: ignore[attr-defined]

    def _must_be_finite(self, what: str, value: float) -> None:
        if not math.isfinite(value):
            raise Diverged(
                f"step {self._step + 1}: the {what} is no longer finite (NaN or infinite); the step was not kept. "
                "Go back with search.rewind(step) to before the loss grew, lower w_lr with search.set('w_lr', value), "
                "and go on"
            )

    def _learn(self, loss: Tensor, outputs: Any, batch: Any, rate: float | None) -> dict[str, float]:
        """Backward pass of a child, whose gradients are accumulated, and one step of SGD. If the weights are frozen,
        neither is done.

        The numbers that decide about the step, and those of the event, are read together before it, which is the only
        time that a step waits for the device.

        Args:
            loss: loss of the mini-batch, of which the weights minimise the sum with the task's regularisation.
            outputs: outputs of the child.
            batch: the mini-batch.
            rate: learning rate; None for no step, since more paths of this update will follow.

        Returns:
            The metrics of the mini-batch, by name, with "train/" before it.

        Raises:
            Diverged: the loss or the gradient is not finite; no step was made.
        """
        frozen: bool = self.overrides[WEIGHTS]
        norm: Number = 0.0
        if not frozen:
            extra = self.task.regularisation(outputs, batch)
            (loss if extra is None else loss + extra).backward()
            norm = 0.0 if rate is None else self.weights.clip()
        measured = self.task.pending_metrics(detached(outputs), batch, loss=loss)
        value, norm, *found = numbers([loss, norm, *measured.values()])
        self._must_be_finite("training loss", value)
        self._must_be_finite("gradient of the shared weights", norm)
        if rate is not None and frozen:
            self.weights.forget()  # gradients from before the weights were frozen
        elif rate is not None:
            self.weights.step(rate)
        return {f"train/{name}": one for name, one in zip(measured, found, strict=True)}

    def _inherited(
        self,
        child: Architecture,
        batch_norm: str,
        examples: int | None,
        metrics: Sequence[str] | None,
        recalibrating: int | None = None,
    ) -> dict[str, float]:
        """Returns metrics of a child.

        Args:
            child: the architecture.
            batch_norm: statistics of batch normalisation, as of `measure_child`.
            examples: validation examples, as of `measure_child`.
            metrics: names of the metrics, as of `measure_child`.
            recalibrating: largest number of training examples on which it is recalibrated; all if left out.
        """
        layers, size = self._layers(child), self.hyperparameters.batch_size
        train = self._train
        if recalibrating is not None:
            train = train.first(min(recalibrating * example_size(self.task, size), len(train)))
        with self.alone, torch_threads(self.threads):
            return inherited_metrics(
                self.weights.network,
                lambda inputs: self.weights.network(inputs, layers),
                self.task,
                train,
                self._valid,
                batch_norm=batch_norm,
                examples=examples,
                batch_size=size,
                device=self.device,
                names=metrics,
            )

    @property
    def _examples(self) -> int:
        """Number of validation examples, such as images or rows of a text."""
        return max(1, len(self._valid) // example_size(self.task, self.hyperparameters.batch_size))

    def _worth(self, reward: str, fitness: float) -> dict[str, Any]:
        """Returns the fields of an event that give the metric behind a fitness which is its negative; else none.

        Args:
            reward: name of the metric that is the fitness, with a "-" before it if the fitness is its negative.
            fitness: the fitness.
        """
        if not reward.startswith("-"):
            return {}
        name = reward[1:]
        return {"values": {name: -fitness}, "objectives": (Objective(name, "min", self.task.quantities[name].unit),)}

    def spec(self) -> dict[str, Any]:
        return spec_of(
            self,
            self.whole,
            hyperparameters_to_spec(self.hyperparameters),
            precision=self.execution.precision,
            deterministic=self.execution.deterministic,
        )

    @classmethod
    def from_spec(cls, spec: dict[str, Any], task: Task | None = None) -> Self:
        return made_from(
            cls,
            spec,
            task,
            device=kept_device(spec["device"]),
            precision=spec.get("precision", "float32"),
            deterministic=spec.get("deterministic"),
        )
