"""Gradient-based search without its step (`searcher.py`): data, supernet, architecture parameters, spec and state."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from inspect import signature
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from naslab.device import kept_device, usable_device
from naslab.errors import Diverged, SpecError, whole
from naslab.events import Phase
from naslab.lazy import warn_of_old_name
from naslab.networks.batch_norm import KeptBuffers, enough_to_normalise
from naslab.networks.frozen import frozen
from naslab.networks.mixture import takes_mixtures
from naslab.networks.step_memory import FEW, StepMemory, gradients_at_the_start, must_fit, peak, step_memory
from naslab.quantities import Quantity
from naslab.randomness import seeded, torch_generator
from naslab.searchers.batch_size import BatchSize
from naslab.searchers.execution import Execution
from naslab.searchers.feed import Feed, LayerNoise
from naslab.searchers.gradient.adjustable import Adjustable
from naslab.searchers.gradient.history import EpochHistory
from naslab.searchers.gradient.mixing import JointSoftmax, entering
from naslab.searchers.gradient.objective import SingleLevel
from naslab.searchers.gradient.on_host import OnHost
from naslab.searchers.gradient.optimizers import Optimizers
from naslab.searchers.gradient.parts import Parts, to_json
from naslab.searchers.gradient.regularizers import (
    Penalty,
    Resource,
    StoppingCriterion,
)
from naslab.searchers.gradient.steering import Masks
from naslab.searchers.gradient.training import Training
from naslab.searchers.hyperparameters import hyperparameters_to_spec, read_hyperparameters
from naslab.searchers.overrides import Overrides
from naslab.searchers.specs import made_from, spec_of
from naslab.searchers.stretch import Stretch
from naslab.snapshot import State
from naslab.spaces.space import Space
from naslab.spaces.weight_sharing import SupernetSpace
from naslab.tasks.checks import check_example, check_task, parts_of, warn_of_unused_portion
from naslab.tasks.task import Task


class GradientSearcherBase(Adjustable):
    """Base of `GradientSearcher`: everything that exists before the first step, and everything that is saved.

    Args:
        space: a space with `supernet` and `discretize`, for instance `naslab.spaces.DartsCell`.
        task: for instance `naslab.tasks.FashionMNIST()`.
        seed: seed of the weights, the alphas, the split of the data, its order and augmentation, dropout, all samples.
        device: for instance "cuda". If left out, CUDA if there is a GPU, else the CPU.
        threads: CPU threads of each step. One by default, which is repeatable; a small supernet gains little from a
            second one. "probe" measures and picks the fastest number; `probed` has the measurements.
        precision: "float32"; "tf32", which on a GPU rounds the operands of products to 10 bits, and elsewhere is
            float32; or "bfloat16", also for activations, which is faster and takes half the memory on recent GPUs
            (also accepted: "no", "bf16"). A finite difference of second order is taken in float32 with each.
        deterministic: whether a GPU computes the same bits twice, as far as its libraries allow: True; "strict", which
            asks torch for deterministic algorithms everywhere and warns where it has none; False, which is faster.
            None: as torch is set in this process. A CPU always computes the same bits.
        checkpointing: whether to use gradient checkpointing: the backward pass recomputes each cell, which takes less
            memory and about a third more time.
        compile: on a GPU, whether the passes of the supernet become CUDA graphs, which are launched at once: True, by
            `torch.compile`, which takes minutes and fuses operations; or "cuda_graphs", as they are, which takes
            seconds. Needs a search that computes every operation (no sampled ones) and no double backward pass.
        **hyperparameters: see the dataclass `Hyperparameters` of the class.
    """

    Hyperparameters: ClassVar[type[Training]]

    @classmethod
    @abstractmethod
    def compose(cls, hyper: Any) -> Parts:
        """Returns the components of the method, made from its hyperparameters."""

    @classmethod
    def searched(cls, space: Space, hyper: Any) -> Space:
        """Returns the space to search: the given one, unless a hyperparameter asks for a variant of it."""
        return space

    def __init__(
        self,
        space: Space,
        task: Task,
        *,
        seed: int = 0,
        device: str | torch.device | None = None,
        threads: int | str = 1,
        precision: str = "float32",
        deterministic: bool | str | None = True,
        checkpointing: bool = False,
        compile: bool | str = False,
        **hyperparameters: Any,
    ) -> None:
        if not isinstance(space, Space):
            raise SpecError(f"{self.name} needs a space, such as nl.spaces.DartsCell.laptop(), not {space!r:.100}")
        if "compiled" in hyperparameters:
            if compile:
                raise SpecError("compiled= and compile= are the same argument; give compile= alone")
            warn_of_old_name(f"compiled= of {type(self).__name__}", "compile=")
            compile = hyperparameters.pop("compiled")
        self.hyperparameters = read_hyperparameters(self.Hyperparameters, hyperparameters)
        space = self.searched(space, self.hyperparameters)
        if not isinstance(space, SupernetSpace):
            raise SpecError(f"{self.name} needs a space with a supernet; {space.name!r} has none")
        space.check_task(check_task(task, self.name))
        check_example(task)
        self.seed = whole("seed", seed, 0)
        self.space, self.task = space, task
        self.device = usable_device(device)
        self.execution = Execution(
            device=self.device,
            threads=threads,
            precision=precision,
            deterministic=deterministic,
            checkpointing=checkpointing,
            compile=compile,
        )
        self.numerics = self.execution.numerics
        hyper = self.hyperparameters
        self.parts = self.compose(hyper)
        if self.execution.compile and (reason := self.parts.not_compilable(self.execution.compile)):
            raise SpecError(f"{self.name} with compile={self.execution.compile!r}: {reason}")
        streams = parts_of(task, seed, hyper.train_portion, hyper.batch_size)
        # single level: one stream of all training data, read by weights and architecture alike
        if isinstance(self.parts.level, SingleLevel):
            streams = (streams[0].joined(streams[1]),) * 2
        elif hyper.train_portion != self.Hyperparameters.train_portion:  # the user's choice, not the default
            warn_of_unused_portion(task, "train_portion", hyper.train_portion)
        self._feeds = {
            name: Feed(task, stream, hyper.batch_size, seed, name, device=self.device)
            for name, stream in zip(("weights", "architecture"), streams, strict=True)
        }
        self._timetable = self._feeds["weights"].timetable
        self._step = 0
        self._baseline: float | None = None
        self._reward = 0.0
        """Reward of the last sample (`Reinforce`)."""
        self._chooses_on_host = "on_host" in signature(self.parts.sampling.draw).parameters
        self._warming_up = False
        """True if the last step was one of the warm-up, in which only the weights move."""
        self._new_phases: list[Phase] = []
        """Phases that began with the last step."""
        self._schedules = self._all_schedules()
        self._last_set = {name: (schedule.start, 0) for name, schedule in self._schedules.items()}
        batches = BatchSize(
            list(self._feeds.values()), hyper.epochs, lambda feed, epoch: self._timetable.total(epoch)
        )  # the architecture's data begins a new pass then, too
        self._regularizers = {type(regularizer): regularizer for regularizer in self.parts.regularizers}
        self._penalties = [regularizer for regularizer in self.parts.regularizers if isinstance(regularizer, Penalty)]
        self._history = EpochHistory(
            [regularizer for regularizer in self.parts.regularizers if isinstance(regularizer, StoppingCriterion)], task
        )

        # Layers take their initial weights from torch's global generator, so it is seeded for them alone.
        with seeded(seed, "weights", device="cpu"):
            self.network = self.execution.prepare(self._supernet())
        self._passes = self.execution.passes(self.network)
        self._takes_mixtures = takes_mixtures(self.network)
        self._layer_noise = LayerNoise(self.network, seed, self.device)
        for regularizer in self.parts.regularizers:
            regularizer.check(self.network, self.name)
        self._overrides = Overrides(batches, self._unscheduled_settings())
        self.threads, self.probed = self.execution.threads_for(self._trial_pass)
        shapes = {part: (rows, len(space.operations)) for part, rows in space.edges().items()}
        self.alphas = self._initial_parameters("alphas", shapes)
        self.edges = {}
        if self.parts.channels.edge_normalisation:
            self.edges = self._initial_parameters("edges", {part: (rows,) for part, (rows, _) in shapes.items()})
        self._entering = entering(space)
        self._simplexes = {part: self.parts.mixing.simplexes(rows) for part, rows in self._entering.items()}
        compete = self.parts.channels.edge_normalisation or isinstance(self.parts.mixing, JointSoftmax)
        self._masks = Masks(space, self._entering, self.device, compete=compete)
        self._costs = {
            part: matrix.to(self.device)
            for regularizer in self._penalties
            if isinstance(regularizer, Resource)
            for part, matrix in regularizer.costs(self.network, task, shapes).items()
        }
        self._on_host = OnHost(self._learnt)
        self._optimizers = Optimizers(self.network, self._learnt(), hyper, self._on_host.check)
        self._weights = self._optimizers.weights

    def _initial_parameters(self, what: str, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
        """Returns part -> the initial architecture parameters, normally distributed with deviation `alpha_scale`.

        Close to zero, since a softmax of zeros gives all operations the same weight; not zero, to break ties.

        Args:
            what: name of the parameters, a part of the seed.
            shapes: part -> shape.
        """
        # drawn on the CPU and moved, so that they do not depend on the device
        generator, scale = torch_generator(self.seed, what), self.hyperparameters.alpha_scale
        return {
            part: (scale * torch.randn(*shape, generator=generator)).to(self.device).requires_grad_()
            for part, shape in shapes.items()
        }

    def _supernet(self) -> nn.Module:
        supernet, one_in = self.space.supernet, self.parts.channels.one_in  # type: ignore[attr-defined]
        if one_in == 1:
            return supernet(self.task)
        if "one_in" not in signature(supernet).parameters:
            raise SpecError(f"the supernet of {self.space.name!r} has no partial channels; leave one_in at 1")
        return supernet(self.task, one_in=one_in)

    def _trial_pass(self, *, search: bool = False) -> None:
        """Compute the gradients of all operations, the most expensive part of a step, to measure its time and memory.

        Nothing remains of it: buffers are restored and gradients dropped.
        """
        size = self._batch_size
        batch = self.task.example(size, device=self.device)
        edges, operations = self.space.edges(), len(self.space.operations)  # type: ignore[attr-defined]

        def loss(outputs: Any) -> Tensor:
            return self.task.loss(outputs, batch)

        with (
            KeptBuffers(self.network),
            enough_to_normalise(size, units=self.task.units),
            self._layer_noise.seeded_by("try"),
        ):
            gradients_at_the_start(self.network, edges, operations, self.task.inputs(batch), loss, search=search)

    def _must_fit(self, size: int | None = None) -> None:
        """Raises `SpecError` if there is too little memory for a step.

        Not checked for hard samples, which compute one or two operations an edge.

        Args:
            size: examples in a mini-batch; the size in force if left out.
        """
        if not self.parts.sampling.hard:
            edges, operations = self.space.edges(), len(self.space.operations)  # type: ignore[attr-defined]
            with self._layer_noise.seeded_by("try"):
                must_fit(
                    self.network,
                    edges,
                    operations,
                    self.task,
                    batch_size=size or self._batch_size,
                    beyond=self.parts.level.beyond,
                )

    def _trial_memory(self) -> int:
        """Returns the peak of bytes alive in a first-order step, beyond those that outlive it."""
        of_weights = peak(self._trial_pass, self.device, warm_up=True)
        with frozen(self._weights):
            return max(of_weights, peak(partial(self._trial_pass, search=True), self.device, warm_up=True))

    def _relieve(self) -> None:
        for weight in self._weights:
            weight.grad = None

    def _step_memory(self) -> StepMemory | None:
        """Returns an estimate for this step; None for hard samples, which compute one or two operations an edge."""
        if self.parts.sampling.hard:
            return None
        edges, operations = self.space.edges(), len(self.space.operations)  # type: ignore[attr-defined]
        with self._layer_noise.seeded_by("try"), enough_to_normalise(FEW, units=self.task.units):
            found = step_memory(self.network, edges, operations, self.task, batch_size=self._batch_size)
        return found.more(self.parts.level.beyond, sum(weight.nbytes for weight in self._weights))

    @property
    def _batch_size(self) -> int:
        """Examples in the mini-batches of this step."""
        return self._overrides.batches.now(self._step)

    def _batch(self, name: str) -> Any:
        """Returns the mini-batch of this step for the "weights" or the "architecture", without its carry."""
        return self._feeds[name].batch(self._step)

    @contextmanager
    def _naming_the_step(self) -> Iterator[None]:
        """Errors raised inside name the step, and say why if a mini-batch is too small for batch normalisation."""
        try:
            with enough_to_normalise(self._batch_size, units=self.task.units):
                yield
        except Diverged as error:
            raise Diverged(f"step {self._step + 1}: {error}") from None
        except (ArithmeticError, LookupError, RuntimeError, ValueError):
            # Numbers that are no longer finite are noticed when they are read, and an error may come of them before.
            try:
                self._on_host.numbers()
            except Diverged as error:
                raise Diverged(f"step {self._step + 1}: {error}") from None
            raise

    # --- progress --------------------------------------------------------------------------------

    @property
    def metrics(self) -> Mapping[str, Quantity]:
        """Metrics of the task, entropy of the operations, metrics of the architecture derived now."""
        of_task = super().metrics
        return {
            **of_task,
            "entropy": Quantity(None, "nats"),
            "discretisation_gap": Quantity(None, of_task["valid/loss"].unit),
            **{f"count/{name}": Quantity() for name in self._counted},
        }

    @property
    def step(self) -> int:
        return self._step

    @property
    def total(self) -> int:
        """Steps in the whole search; fewer once a stopping criterion has ended it."""
        whole_search = self._timetable.total(self.hyperparameters.epochs)
        return whole_search if self._history.stopped is None else self._history.stopped

    def ahead(self) -> list[Stretch]:
        """Returns the remaining steps by kind: warm-up, search, and the last of each epoch if it does more work."""
        closes = bool(self._history.criteria) or any(m.every == "pass" for m in self.task.metrics().values())
        counts: dict[str, list[int]] = {}
        begin = self._step
        while begin < self.total:
            end = min(self._timetable.total(self._timetable.epoch(begin) + 1), self.total)
            name = "warm-up" if self._warms_up(begin) else "search"
            for kind, at, count in ((name, begin, end - begin - closes), ("end of an epoch", end - 1, int(closes))):
                if count:
                    counts.setdefault(kind, [0, at])[0] += count
            begin = end
        moves = {"warm-up": ("w_lr",)}
        return [
            Stretch(kind, count, at, self.total - at, moves=moves.get(kind, ("w_lr", "alpha_lr")))
            for kind, (count, at) in counts.items()
        ]

    def epochs_ahead(self) -> float:
        return self.hyperparameters.epochs * (self.total - self._step) / self.total

    # --- spec and state --------------------------------------------------------------------------

    def spec(self) -> dict[str, Any]:
        return spec_of(
            self,
            self.space,
            hyperparameters_to_spec(self.hyperparameters, to_json),
            precision=self.execution.precision,
            deterministic=self.execution.deterministic,
            checkpointing=self.execution.checkpointing,
            compiled=self.execution.compile,
        )

    @classmethod
    def from_spec(cls, spec: dict[str, Any], task: Task | None = None) -> GradientSearcherBase:
        device = kept_device(spec["device"])
        return made_from(
            cls,
            spec,
            task,
            device=device,
            precision=spec.get("precision", "float32"),
            deterministic=spec.get("deterministic"),
            checkpointing=spec.get("checkpointing", False),
            compile=spec.get("compiled", False) if device != "cpu" else False,
        )

    def state_dict(self) -> State:
        # Names in a state are data: run folders of earlier versions hold them, so they keep their first names.
        state: State = {"step": self._step}
        for name, (value, since) in self._last_set.items():
            state[name] = value
            if self._schedules[name].end is not None:
                state[f"{name}_epoch"] = since
        if self._baseline is not None:
            state["baseline"] = self._baseline
        if "warmup" in self._schedules:
            state["alone"] = int(self._warming_up)
        for feed in self._feeds.values():
            state.update(feed.state())
        if self._history.criteria:
            state["epochs"] = self._history.state_dict()
        return {**state, **self._overrides.state(), **self._masks.state(), **self._optimizers.state()}

    def load_state_dict(self, state: State) -> None:
        self._optimizers.load(state)
        self._step = int(state["step"])  # type: ignore[arg-type]
        self._last_set = {
            name: (float(state.get(name, schedule.start)), int(state.get(f"{name}_epoch", 0)))  # type: ignore[arg-type]
            for name, schedule in self._schedules.items()
        }
        for feed in self._feeds.values():
            feed.load(state)
        self._overrides.load(state)
        self._apply_settings()  # after the overrides: it copies them to where they act
        self._masks.load(state)
        # a state from before there was the key "alone" has it computed from the schedule
        self._warming_up = (
            bool(state["alone"]) if "alone" in state else self._step > 0 and self._warms_up(self._step - 1)
        )
        self._baseline = float(state["baseline"]) if "baseline" in state else None  # type: ignore[arg-type]
        if self._history.criteria:
            self._history.load_state_dict(str(state["epochs"]))
