"""All of a search by gradients but its step: data, supernet, alphas, knobs, spec and state."""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from inspect import signature
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from naslab import spaces, tasks
from naslab.architecture import Architecture
from naslab.device import kept_device, usable_device
from naslab.errors import Diverged, SpecError, whole
from naslab.events import Phase
from naslab.networks.batch_norm import KeptBuffers, enough_to_normalise
from naslab.networks.mixture import SKIP, Mixture, takes_mixtures
from naslab.networks.step_memory import gradients_at_the_start, must_fit
from naslab.quantities import Quantity
from naslab.randomness import seeded, torch_generator
from naslab.searchers.batch_size import BATCH_SIZE, BatchSize
from naslab.searchers.execution import Execution
from naslab.searchers.feed import Dice, Feed
from naslab.searchers.gradient.cures import (
    PERTURBATION,
    SKIP_DROPOUT,
    Penalty,
    Perturbation,
    Resource,
    SizeTracking,
    SkipDropout,
    Watch,
)
from naslab.searchers.gradient.level import Ordered, Single
from naslab.searchers.gradient.mixing import JointSoftmax, Simplexes, entering
from naslab.searchers.gradient.optimisers import Optimisers
from naslab.searchers.gradient.parts import Parts, to_json
from naslab.searchers.gradient.sampling import Drawn
from naslab.searchers.gradient.schedule import Schedule
from naslab.searchers.gradient.steering import Masks, acts
from naslab.searchers.gradient.training import Training
from naslab.searchers.gradient.watching import Sized, Watching
from naslab.searchers.hyperparameters import read_hyperparameters
from naslab.searchers.inherited import inherited_metrics
from naslab.searchers.settings import Act, Select, Setting
from naslab.searchers.signatures import attribute_docstrings
from naslab.searchers.stretch import Stretch
from naslab.searchers.supernet_searcher import SupernetSearcher
from naslab.searchers.turned import ALPHAS, WEIGHTS, Turned, decay, freezing
from naslab.snapshot import State
from naslab.spaces.space import Space
from naslab.spaces.weight_sharing import SupernetSpace
from naslab.tasks.task import Task, check_example, check_task, parts_of
from naslab.threads import torch_threads

ORDER, DECAYS = "order", ("w_weight_decay", "alpha_weight_decay")
SETTLED = {
    "one_in": "it is the width of every operation, and so the shape of the weights",
    "channels": "it is the width of every operation, and so the shape of the weights",
    "edge_normalisation": "edges have numbers of their own to learn, or none",
    "epochs": "all schedules are planned over them",
    "train_portion": "the two halves of the data were parted by it",
    "temperature_end": "turn temperature itself",
    "radius_end": "turn perturbation itself",
    "w_lr_min": "turn w_lr itself",
}
"""Hyperparameter -> why it cannot be turned on the way."""


class Frame(SupernetSearcher):
    """What `Composed` makes its steps in.

    Args:
        space: a space with `supernet` and `derive`, for instance `naslab.spaces.DartsCell`.
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
    task: Task

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
        self.hyperparameters: Any = read_hyperparameters(self.Hyperparameters, hyperparameters)
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
        if isinstance(self.parts.level, Single):
            streams = (streams[0].joined(streams[1]),) * 2
        self._feeds = {
            name: Feed(task, stream, hyper.batch_size, seed, name, device=self.device)
            for name, stream in zip(("weights", "architecture"), streams, strict=True)
        }
        self._timetable = self._feeds["weights"].timetable
        """An epoch is a pass over the data that moves the weights."""
        self._step = 0
        self._baseline: float | None = None
        self._alone = False
        """Whether the last step moved the weights alone."""
        self._begun: list[Phase] = []
        """What began with the last step."""
        self._schedules = self._all_schedules()
        self._set = {name: (schedule.start, 0) for name, schedule in self._schedules.items()}
        """Knob -> the value that was last set, and the epoch when it was."""
        batches = BatchSize(
            list(self._feeds.values()), hyper.epochs, lambda feed, epoch: self._timetable.total(epoch)
        )  # the architecture's data begins a new pass then, too
        self._cures = {type(cure): cure for cure in self.parts.cures}
        self._penalties = [cure for cure in self.parts.cures if isinstance(cure, Penalty)]
        self._watching = Watching([cure for cure in self.parts.cures if isinstance(cure, Watch)], task)

        with seeded(seed, "weights"):
            self.network: nn.Module = self.execution.prepare(self._supernet())
        self._takes_mixtures = takes_mixtures(self.network)
        self._dice = Dice(self.network, seed)
        for cure in self.parts.cures:
            cure.check(self.network, self.name)
        self._turned = Turned(batches, self._more_settings())
        self.threads, self.probed = self.execution.settled(self._try)
        shapes = {part: (rows, len(space.operations)) for part, rows in space.edges().items()}
        self.alphas = self._small("alphas", shapes)
        """Part -> [E, O]."""
        self.edges: dict[str, Tensor] = {}
        """Part -> [E]: logits of the edges, where they have some of their own."""
        if self.parts.channels.edge_normalisation:
            self.edges = self._small("edges", {part: (rows,) for part, (rows, _) in shapes.items()})
        self._entering = entering(space)
        self._simplexes = {part: self.parts.mixing.simplexes(rows) for part, rows in self._entering.items()}
        compete = self.parts.channels.edge_normalisation or isinstance(self.parts.mixing, JointSoftmax)
        self._masks = Masks(space, self._entering, self.device, compete=compete)
        self._costs = {
            part: matrix.to(self.device)
            for cure in self._penalties
            if isinstance(cure, Resource)
            for part, matrix in cure.costs(self.network, task, shapes).items()
        }
        learnt = {**self.alphas, **{f"{part}-edges": logits for part, logits in self.edges.items()}}
        self._optimisers = Optimisers(self.network, learnt, hyper)
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

    # --- knobs -----------------------------------------------------------------------------------

    def _more_settings(self) -> dict[str, Setting]:
        """Those that are neither schedules nor masks, as they are at the beginning."""
        hyper, level, about = self.hyperparameters, self.parts.level, attribute_docstrings(Training)
        found: dict[str, Setting] = {name: decay(getattr(hyper, name), about[name]) for name in DECAYS}
        if isinstance(level, Ordered):
            described = "1 takes the weights as they are; 2 looks through one step of them, at a few times the cost."
            found[ORDER] = Select(value=level.order, options=(1, 2), description=described)
        return {**found, ALPHAS: freezing("alphas"), WEIGHTS: freezing("weights"), **self._late_cures()}

    def _late_cures(self) -> dict[str, Setting]:
        """Cures that the search was made without, and could still get on the way; 0 is none."""
        found: dict[str, Setting] = {}
        for cure, name in ((SkipDropout(), SKIP_DROPOUT), (Perturbation(), PERTURBATION)):
            with suppress(SpecError):
                cure.check(self.network, self.name)
                replace(self.parts, cures=(*self.parts.cures, cure))
                schedule = cure.schedules()[name]
                found[name] = replace(schedule, start=0.0, end=None).slider(0.0, 0.0)
        return found

    def _of_order(self, order: int) -> Parts:
        """The parts with another order; `SpecError` where they do not go together with it."""
        level: Any = self.parts.level
        return self.parts if level.order == order else replace(self.parts, level=replace(level, order=order))

    def _all_schedules(self) -> dict[str, Schedule]:
        hyper, documented = self.hyperparameters, attribute_docstrings(Training)
        return {
            "w_lr": Schedule(
                start=hyper.w_lr,
                end=hyper.w_lr_min,
                shape="cosine",
                low=1e-5,
                high=1.0 if hyper.w_lr <= 1 else 5 * hyper.w_lr,
                description=documented["w_lr"],
            ),
            "alpha_lr": Schedule(start=hyper.alpha_lr, low=1e-5, high=1.0, description=documented["alpha_lr"]),
            **self.parts.schedules(),
        }

    def _at(self, name: str, epoch: int) -> float:
        """The value of a knob in an epoch."""
        return self._schedules[name].at(epoch, self.hyperparameters.epochs, *self._set[name])

    @property
    def settings(self) -> Mapping[str, Setting]:
        epoch = self._timetable.epoch(min(self._step, self.total - 1))
        sliders = {
            name: schedule.slider(self._at(name, epoch), self._set[name][0])
            for name, schedule in self._schedules.items()
        }
        return {**sliders, **self._turned.settings(self._step), **self._masks.settings}

    def aged(self, name: str, value: Any, step: int) -> Any:
        """Along the schedule that a number was put on."""
        if name not in self._schedules:
            return value
        since, now = (self._timetable.epoch(min(each, self.total - 1)) for each in (step - 1, self._step))
        return self._schedules[name].at(now, self.hyperparameters.epochs, value, since)

    def planned(self, values: Mapping[str, Any]) -> int:
        if self._watching.stopped is not None:
            return self._watching.stopped
        return self._turned.batches.epochs_of(values, self._step).total(self.hyperparameters.epochs)

    @property
    def end_of_epoch(self) -> int:
        epoch = self._timetable.epoch(min(self._step, self.total - 1))
        return min(self._timetable.total(epoch + 1), self.total)

    @property
    def acts(self) -> Mapping[str, Act]:
        operations = self.space.operations  # type: ignore[attr-defined]
        shapes = {part: tuple(alpha.shape) for part, alpha in self.alphas.items()}
        return acts(self.alphas, self._masks, operations, self._optimisers, lambda: self._small("alphas", shapes))

    def check_setting(self, name: str, value: Any) -> Any:
        """The value as JSON; for a hyperparameter that is no setting, `SpecError` says why it is none."""
        if isinstance(name, str) and name in self._turned and name in self.settings:
            value = self._turned.check(name, value, self._step)
            if name == BATCH_SIZE and value > self._batch_size:
                self._must_fit(value)
            if name == ORDER:
                self._of_order(value)
            return value
        if isinstance(name, str) and name not in self._schedules and hasattr(self.hyperparameters, name):
            raise SpecError(
                f"{name} is {getattr(self.hyperparameters, name)!r} for the whole search: "
                f"{SETTLED.get(name, 'it was settled when the search was made')}. Make another search with "
                f"{name}={value!r}; what can be turned on the way: {', '.join(self.settings)}"
            )
        if isinstance(name, str) and name in self._masks.settings:
            return self._masks.check(name, value)
        return super().check_setting(name, value)

    def put(self, name: str, value: Any) -> None:
        if name in self._schedules:
            self._set[name] = (value, self._timetable.epoch(self._step))
        elif name in self._turned:
            self._turned.put(name, value, self._step)
            self._obey()
        else:
            self._masks.put(name, value)

    def _obey(self) -> None:
        """Have what is turned obeyed."""
        if ORDER in self._turned:
            self.parts = self._of_order(self._turned[ORDER])
        self._optimisers.weight_decay, self._optimisers.alpha_weight_decay = (self._turned[name] for name in DECAYS)

    def _warms_up(self, step: int) -> bool:
        """Whether a step, counted from 0, moves the weights alone, as the settings are now."""
        epoch = self._timetable.epoch(step)
        return "warmup" in self._schedules and epoch < self._at("warmup", epoch) * self.hyperparameters.epochs

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

    def _edge_shares(self, part: str) -> Tensor:
        """[E]: a softmax over the edges into each node."""
        logits = self._masks.edges_offered(part, self.edges[part])
        shares = torch.cat([logits[rows].softmax(dim=0) for rows in self._entering[part]])
        return shares[torch.tensor([row for rows in self._entering[part] for row in rows]).argsort()]

    def _offered(self, part: str) -> Tensor:
        """The alphas [E, O], minus infinity for what is forbidden."""
        together = self._simplexes[part].groups is not None
        return self._masks.offered(part, self.alphas[part], together=together)

    def _mean(self) -> dict[str, Tensor]:
        """Part -> [E, O]: what the weights of the operations are on average."""
        return self._by_edges(self.parts.sampling.mean)

    def _by_edges(self, rule: Callable[[Tensor, Simplexes], Tensor]) -> dict[str, Tensor]:
        """Part -> [E, O] of the alphas, each edge weighed by its share where edges have shares."""
        found = {
            part: self._masks.weighed(part, rule(self._offered(part), self._simplexes[part])) for part in self.alphas
        }
        return {part: m * self._edge_shares(part).unsqueeze(1) for part, m in found.items()} if self.edges else found

    def _derived(self) -> Architecture:
        """What the space derives from the strengths of the operations, which are their mean weights but for a sampling
        that says otherwise."""
        with torch.no_grad():
            strengths = self._by_edges(self.parts.sampling.strengths)
            found = {part: self._masks.ranked(part, m.float().cpu().numpy()) for part, m in strengths.items()}
            return self.space.derive(found)  # type: ignore[attr-defined]

    def probabilities(self) -> dict[str, np.ndarray]:
        """Part -> [E, O] float32: the mean weights, from which the cell is derived (but see `Dirichlet.derivation`).

        A row is the distribution of its edge; where edges are weighed against each other (`JointSoftmax`, edge
        normalisation), it is the edge's part of the distribution of the node that it enters.
        """
        with torch.no_grad():
            return {part: mean.float().cpu().numpy() for part, mean in self._mean().items()}

    @property
    def best(self) -> Architecture:
        if self._watching.kept is not None:
            return Architecture(self.space.name, tuple(self._watching.kept))
        return self._derived()

    @property
    def by_size(self) -> list[Sized]:
        """The best cell of every size so far, small to large; `pareto` in `watching` keeps those worth their size."""
        if not any(isinstance(cure, SizeTracking) for cure in self.parts.cures):
            raise SpecError(f"{self.name} tracks no sizes; give it the cure SizeTracking, or take MiLeNAS")
        return self._watching.by_size(self.space.name)

    def measure_child(
        self,
        child: Architecture,
        *,
        batch_norm: str = "batch",
        examples: int | None = None,
        metrics: Sequence[str] | None = None,
    ) -> dict[str, float]:
        """Of the child inside the mixture: its operations weigh 1, and the others, which weigh 0, are not computed."""
        one_hot = self._one_hot(self.space.check(child))
        with self.alone, torch_threads(self.threads):
            return inherited_metrics(
                self.network,
                lambda inputs: self.network(inputs, one_hot),
                self.task,
                self._feeds["weights"].stream,
                self._feeds["architecture"].stream,
                batch_norm=batch_norm,
                examples=examples,
                batch_size=self.hyperparameters.batch_size,
                device=self.device,
                names=metrics,
            )

    def _mixed(self, weights: Mapping[str, Drawn]) -> dict[str, Tensor | Mixture]:
        """Part -> the weights of its operations, as the supernet takes them."""
        return {part: one.mixture() if self._takes_mixtures else one.weights for part, one in weights.items()}

    def _one_hot(self, child: Architecture) -> dict[str, Tensor | Mixture]:
        """Part -> 1 for each operation that the child keeps, as the supernet takes them."""
        kept = self.space.one_hot(child)  # type: ignore[attr-defined]
        if self._takes_mixtures:
            return {part: Mixture.one_hot(matrix, self.device) for part, matrix in kept.items()}
        return {part: torch.from_numpy(matrix).to(self.device) for part, matrix in kept.items()}

    @property
    def _counted(self) -> tuple[str, ...]:
        """Operations whose number in the cell is told: skip connections; of a space that calls none so, all of them."""
        operations = tuple(self.space.operations)  # type: ignore[attr-defined]
        return (SKIP,) if SKIP in operations else operations

    # --- spec and state --------------------------------------------------------------------------

    def spec(self) -> dict[str, Any]:
        return {
            "searcher": self.name,
            "space": self.space.spec(),
            "task": self.task.spec(),
            "seed": self.seed,
            "device": str(self.device),
            "threads": self.threads,
            "precision": self.execution.precision,
            "checkpointing": self.execution.checkpointing,
            "compiled": self.execution.compiled,
            "hyperparameters": {
                field.name: to_json(getattr(self.hyperparameters, field.name))
                for field in dataclasses.fields(self.hyperparameters)
            },
        }

    @classmethod
    def from_spec(cls, spec: dict[str, Any], task: Task | None = None) -> Frame:
        device = kept_device(spec["device"])
        return cls(
            spaces.from_spec(spec["space"]),
            tasks.from_spec(spec["task"], task),
            seed=spec["seed"],
            device=device,
            threads=spec["threads"],
            precision=spec.get("precision", "float32"),
            checkpointing=spec.get("checkpointing", False),
            compiled=spec.get("compiled", False) and device != "cpu",
            **spec["hyperparameters"],
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
