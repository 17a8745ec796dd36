"""All of a search by gradients but its step: data, supernet, alphas, knobs, spec and state."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from inspect import signature
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from naslab.device import kept_device, usable_device
from naslab.errors import Diverged, SpecError, whole
from naslab.events import Phase
from naslab.networks.batch_norm import KeptBuffers, enough_to_normalise
from naslab.networks.mixture import takes_mixtures
from naslab.networks.step_memory import gradients_at_the_start, must_fit
from naslab.quantities import Quantity
from naslab.randomness import seeded, torch_generator
from naslab.searchers.batch_size import BatchSize
from naslab.searchers.execution import Execution
from naslab.searchers.feed import Dice, Feed
from naslab.searchers.gradient.adjustable import Adjustable
from naslab.searchers.gradient.mixing import JointSoftmax, entering
from naslab.searchers.gradient.objective import SingleLevel
from naslab.searchers.gradient.optimizers import Optimizers
from naslab.searchers.gradient.parts import Parts, to_json
from naslab.searchers.gradient.regularizers import (
    Penalty,
    Resource,
    Watch,
)
from naslab.searchers.gradient.steering import Masks
from naslab.searchers.gradient.training import Training
from naslab.searchers.gradient.watching import Watching
from naslab.searchers.hyperparameters import hyperparameters_to_spec, read_hyperparameters
from naslab.searchers.specs import made_from, spec_of
from naslab.searchers.stretch import Stretch
from naslab.searchers.turned import Turned
from naslab.snapshot import State
from naslab.spaces.space import Space
from naslab.spaces.weight_sharing import SupernetSpace
from naslab.tasks.checks import check_example, check_task, parts_of
from naslab.tasks.task import Task


class GradientSearcherBase(Adjustable):
    """What `GradientSearcher` makes its steps in.

    Args:
        space: a space with `supernet` and `discretize`, for instance `naslab.spaces.DartsCell`.
        task: for instance `naslab.tasks.FashionMNIST()`.
        seed: of the weights, the alphas, the halves of the data, its order and augmentation, dropout, every sample.
        device: for instance "cuda"; CUDA where there is one if left out, else the CPU.
        threads: CPU threads of each step. One by default, which is repeatable: a small supernet gains little by a
            second one. "probe" takes as many as pay here and now; `probed` tells what was found.
        precision: "float32", or "bfloat16" for activations, faster and half the memory on recent GPUs.
        checkpointing: whether the backward pass computes each cell again: less memory, about a third more time.
        compiled: on a GPU, `torch.compile` with CUDA graphs.
        **hyperparameters: see the dataclass `Hyperparameters` of the class.
    """

    Hyperparameters: ClassVar[type[Training]]

    @classmethod
    @abstractmethod
    def compose(cls, hyper: Any) -> Parts:
        """The method, from its hyperparameters."""

    @classmethod
    def searched(cls, space: Space, hyper: Any) -> Space:
        """The space that is searched when this one is given: itself, unless a hyperparameter asks for a variant."""
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
        checkpointing: bool = False,
        compiled: bool = False,
        **hyperparameters: Any,
    ) -> None:
        if not isinstance(space, Space):
            raise SpecError(f"{self.name} needs a space, such as nl.spaces.DartsCell.laptop(), not {space!r:.100}")
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
            checkpointing=checkpointing,
            compiled=compiled,
        )
        hyper = self.hyperparameters
        self.parts = self.compose(hyper)
        streams = parts_of(task, seed, hyper.train_portion, hyper.batch_size)
        if isinstance(self.parts.level, SingleLevel):
            streams = (streams[0].joined(streams[1]),) * 2
        self._feeds = {
            name: Feed(task, stream, hyper.batch_size, seed, name, device=self.device)
            for name, stream in zip(("weights", "architecture"), streams, strict=True)
        }
        self._timetable = self._feeds["weights"].timetable
        self._step = 0
        self._baseline: float | None = None
        self._alone = False
        """Whether the last step moved the weights alone."""
        self._begun: list[Phase] = []
        """What began with the last step."""
        self._schedules = self._all_schedules()
        self._set = {name: (schedule.start, 0) for name, schedule in self._schedules.items()}
        batches = BatchSize(
            list(self._feeds.values()), hyper.epochs, lambda feed, epoch: self._timetable.total(epoch)
        )  # the architecture's data begins a new pass then, too
        self._regularizers = {type(regularizer): regularizer for regularizer in self.parts.regularizers}
        self._penalties = [regularizer for regularizer in self.parts.regularizers if isinstance(regularizer, Penalty)]
        self._watching = Watching(
            [regularizer for regularizer in self.parts.regularizers if isinstance(regularizer, Watch)], task
        )

        with seeded(seed, "weights"):
            self.network = self.execution.prepare(self._supernet())
        self._takes_mixtures = takes_mixtures(self.network)
        self._dice = Dice(self.network, seed)
        for regularizer in self.parts.regularizers:
            regularizer.check(self.network, self.name)
        self._turned = Turned(batches, self._more_settings())
        self.threads, self.probed = self.execution.settled(self._try)
        shapes = {part: (rows, len(space.operations)) for part, rows in space.edges().items()}
        self.alphas = self._small("alphas", shapes)
        self.edges = {}
        if self.parts.channels.edge_normalisation:
            self.edges = self._small("edges", {part: (rows,) for part, (rows, _) in shapes.items()})
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
        learnt = {**self.alphas, **{f"{part}-edges": logits for part, logits in self.edges.items()}}
        self._optimisers = Optimizers(self.network, learnt, hyper)
        self._weights = self._optimisers.weights

    def _small(self, what: str, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
        """What the architecture learns, at the start: for each part, numbers close to zero."""
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

    def _try(self, *, search: bool = False) -> None:
        """What costs most of a step, the gradients of all operations, without a trace."""
        size = self._batch_size
        batch = self.task.example(size, device=self.device)
        edges, operations = self.space.edges(), len(self.space.operations)  # type: ignore[attr-defined]

        def loss(outputs: Any) -> Tensor:
            return self.task.loss(outputs, batch)

        with KeptBuffers(self.network), enough_to_normalise(size, units=self.task.units), self._dice.cast("try"):
            gradients_at_the_start(self.network, edges, operations, self.task.inputs(batch), loss, search=search)

    def _must_fit(self, size: int | None = None) -> None:
        """`SpecError` if there is not the memory for a step, with mini-batches of another size perhaps. A hard sample
        needs little.
        """
        if not self.parts.sampling.hard:
            edges, operations = self.space.edges(), len(self.space.operations)  # type: ignore[attr-defined]
            with self._dice.cast("try"):
                must_fit(self.network, edges, operations, self.task, batch_size=size or self._batch_size)

    @property
    def _batch_size(self) -> int:
        """Examples in the mini-batches of this step."""
        return self._turned.batches.now(self._step)

    def _batch(self, name: str) -> Any:
        """The mini-batch of this step, for the "weights" or for the "architecture"."""
        return self._feeds[name].batch(self._step)

    @contextmanager
    def _naming_the_step(self) -> Iterator[None]:
        """Inside, what diverges says at which step, and what cannot be normalised says why."""
        try:
            with enough_to_normalise(self._batch_size, units=self.task.units):
                yield
        except Diverged as error:
            raise Diverged(f"step {self._step + 1}: {error}") from None

    # --- where it stands -------------------------------------------------------------------------

    @property
    def metrics(self) -> Mapping[str, Quantity]:
        """Of the task; how undecided the alphas are; and what is known of the architecture that would be derived."""
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
        """Steps in the whole search; fewer once it has been stopped early."""
        whole_search = self._timetable.total(self.hyperparameters.epochs)
        return whole_search if self._watching.stopped is None else self._watching.stopped

    def ahead(self) -> list[Stretch]:
        """Steps of a warm-up, steps of the search, and the last step of each epoch, where more is done in it."""
        closes = bool(self._watching.watches) or any(m.every == "pass" for m in self.task.metrics().values())
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
            checkpointing=self.execution.checkpointing,
            compiled=self.execution.compiled,
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
            checkpointing=spec.get("checkpointing", False),
            compiled=spec.get("compiled", False) and device != "cpu",
        )

    def state_dict(self) -> State:
        state: State = {"step": self._step}
        for name, (value, since) in self._set.items():
            state[name] = value
            if self._schedules[name].end is not None:
                state[f"{name}_epoch"] = since
        if self._baseline is not None:
            state["baseline"] = self._baseline
        if "warmup" in self._schedules:
            state["alone"] = int(self._alone)
        for feed in self._feeds.values():
            state.update(feed.state())
        if self._watching.watches:
            state["epochs"] = self._watching.memory()
        return {**state, **self._turned.state(), **self._masks.state(), **self._optimisers.state()}

    def load_state_dict(self, state: State) -> None:
        self._optimisers.load(state)
        self._step = int(state["step"])  # type: ignore[arg-type]
        self._set = {
            name: (float(state.get(name, schedule.start)), int(state.get(f"{name}_epoch", 0)))  # type: ignore[arg-type]
            for name, schedule in self._schedules.items()
        }
        for feed in self._feeds.values():
            feed.load(state)
        self._turned.load(state)
        self._obey()
        self._masks.load(state)
        self._alone = bool(state["alone"]) if "alone" in state else self._step > 0 and self._warms_up(self._step - 1)
        self._baseline = float(state["baseline"]) if "baseline" in state else None  # type: ignore[arg-type]
        if self._watching.watches:
            self._watching.remember(str(state["epochs"]))
