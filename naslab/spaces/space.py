"""What every search space is: a tree of choices, from which everything else follows.

A space says which choice comes next (`next_choice`). Sampling, mutation, crossover, neighbours, size,
encoding, distance and JSON are then the same few lines for every space, and stand here once. A space adds
what only it knows: the network (`build`), the graph (`graph`) and, where it has one, the supernet
(`SupernetSpace`).
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from torch import Tensor, nn

from naslab.architecture import Architecture, Choice, Option, Prefix
from naslab.errors import SpecError, real
from naslab.fields import settle
from naslab.lazy import warn_of_old_name
from naslab.networks.inherit import inherit
from naslab.randomness import generator_of
from naslab.spaces.reading import ReadsArchitectures
from naslab.tasks.signature import Signature, TaskLike, signature_of
from naslab.torch_state import InDefaultTorchState

if TYPE_CHECKING:
    import networkx as nx


def _for_a_task(make: Callable[..., nn.Module], position: int) -> Callable[..., nn.Module]:
    """A method that makes a network for a task, which is its argument of that position: it says so at once where the
    space cannot serve the task."""

    @functools.wraps(make)
    def checked(self: Space, *args: Any, **kwargs: Any) -> nn.Module:
        if len(args) > position:
            self.check_task(args[position])
        elif "task" in kwargs:
            self.check_task(kwargs["task"])
        return make(self, *args, **kwargs)

    return checked


_MAKES_A_NETWORK = {"build": 1, "supernet": 0, "shared_weights": 0}
"""Method -> the position of the task among its arguments."""


class Space(ReadsArchitectures, InDefaultTorchState, ABC):
    """A search space. Subclasses are frozen dataclasses, whose fields are the space's parameters."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        for name, position in _MAKES_A_NETWORK.items():
            make = vars(cls).get(name)
            if inspect.isfunction(make) and not getattr(make, "__isabstractmethod__", False):
                setattr(cls, name, _for_a_task(make, position))
        if "derive" in vars(cls) and "discretize" not in vars(cls):
            warn_of_old_name(f"{cls.__qualname__}.derive", f"{cls.__qualname__}.discretize")
            cls.discretize = vars(cls)["derive"]  # type: ignore[attr-defined]
        super().__init_subclass__(**kwargs)

    def derive(self, weights: Mapping[str, np.ndarray]) -> Architecture:
        """`discretize` by its old name."""
        warn_of_old_name(f"{type(self).__name__}.derive", f"{type(self).__name__}.discretize")
        return self.discretize(weights)  # type: ignore[attr-defined]

    name: ClassVar[str]
    """Family of the architectures; two sizes of one space share it."""
    reads: ClassVar[frozenset[str] | None] = None
    """Kinds of input that its networks can read: "image", "tokens", "row" (see `naslab.tasks.Field.kind`). None: the
    networks say so themselves when they are built."""
    gives: ClassVar[frozenset[str]] = frozenset({"vector"})
    """What the heads of its networks can read (see `naslab.tasks.signature.READS`)."""
    has_inactive_choices: ClassVar[bool] = False
    """Whether some choices change nothing in some architectures, so that `canonical` is asked which are the same."""
    in_default_torch_state = ("build", "supernet", "shared_weights", "inherit")
    keeps_local_device = True

    def __post_init__(self) -> None:
        settle(self)

    # --- what a space must say -------------------------------------------------------------------

    @abstractmethod
    def next_choice(self, prefix: Prefix) -> Choice | None:
        """The choice that follows the answers given so far; None when the architecture is complete.

        `prefix` holds legal answers to the choices before.
        """

    @abstractmethod
    def build(self, architecture: Architecture, task: TaskLike) -> nn.Module:
        """The network to be trained on its own.

        A space takes sizes (channels, cells, ...) as further keyword arguments; they override its own.
        """

    @abstractmethod
    def graph(self, architecture: Architecture) -> nx.DiGraph:
        """The DAG, for drawing and for edit distance.

        Nodes carry `part` (which cell they are in), `label` and `role` ("input", "node" or "output");
        an operation is the attribute `op` of an edge or of a node.
        """

    def future(self, prefix: Prefix) -> Hashable:
        """What of the prefix still matters for the choices to come.

        The prefix itself is always right; a space that knows better makes its size quicker to count.
        """
        return prefix

    @property
    def fixed_choices(self) -> tuple[Choice, ...] | None:
        """All choices, where none depends on earlier answers (`FixedSpace`); None where one does."""
        return None

    def canonical(self, architecture: Architecture) -> Any:
        """The architecture that stands for all that are the same network: with each inactive choice, which changes
        nothing, set to one value. Duplicates, distances, `enumerate` and `size` go by it.

        By default the architecture itself. A space with inactive choices says so (`has_inactive_choices`); one without
        may give something else that is the same for equal networks, an expression, say, for whoever asks.
        """
        return architecture

    def recipe(self, architecture: Architecture) -> Mapping[str, Any]:
        """Hyperparameters of training that the architecture itself says, a learning rate for instance, by the names of
        `naslab.trainers.Recipe`. They override those of whoever trains it.
        """
        return {}

    def inherit(
        self, network: nn.Module, architecture: Architecture, parent: Architecture, state: Mapping[str, Tensor]
    ) -> None:
        """Put what fits of a parent's trained weights into the network of another architecture: what has the same name
        and shape, unless the space knows better.

        Args:
            network: built from `architecture`; what it does not inherit stays as it was drawn.
            state: the `state_dict()` of the parent's network.
        """
        inherit(network, state)

    # --- what follows ----------------------------------------------------------------------------

    def check_task(self, task: Any) -> Signature:
        """The signature of the task, if networks of this space can serve it; else `SpecError` says what is missing."""
        signature = signature_of(task)
        for name, head in signature.heads.items():
            if head.reads not in self.gives:
                raise SpecError(
                    f"the head {name!r} of the task reads a {head.reads}, and networks of the space {self.name!r} give "
                    f"a {' or a '.join(sorted(self.gives))}; take another space, or another task"
                )
        fields = signature.inputs if isinstance(signature.inputs, Mapping) else {"": signature.inputs}
        for name, field in fields.items():
            if self.reads is not None and field.kind not in self.reads:
                of = f" {name!r}" if name else ""
                raise SpecError(
                    f"the input{of} of the task is {field} ({field.kind}), and networks of the space {self.name!r} "
                    f"read {' or '.join(sorted(self.reads))}; take another space, or another task"
                )
        return signature

    def spec(self) -> dict[str, Any]:
        """JSON from which `naslab.spaces.from_spec` makes this space again."""
        return {"space": self.name, **dataclasses.asdict(self)}  # type: ignore[call-overload]

    def sample(self, rng: np.random.Generator | int) -> Architecture:
        """Each choice drawn uniformly among its options.

        Args:
            rng: draws; a seed stands for `np.random.default_rng(seed)`, here and wherever a space draws.
        """
        return self._complete((), {}, generator_of(rng))

    def mutate(self, architecture: Architecture, rng: np.random.Generator | int) -> Architecture:
        """One choice changed to another option, never the same; the rest kept wherever it is still legal."""
        rng = generator_of(rng)
        self._check_family(architecture)
        walked = list(self.walk(architecture.choices))
        open_choices = [(position, choice) for position, (choice, _) in enumerate(walked) if len(choice.options) > 1]
        if not open_choices:
            raise SpecError(f"{self.name} holds a single architecture: there is nothing to mutate")
        return self._changed(walked, *open_choices[rng.integers(len(open_choices))], rng)

    def _changed(
        self, walked: Sequence[tuple[Choice, Option]], position: int, choice: Choice, rng: np.random.Generator
    ) -> Architecture:
        """The architecture of the walk with another option at one position, and all else as it is where it is legal."""
        old = tuple(value for _, value in walked)
        others = [option for option in choice.options if option != old[position]]
        start = (*old[:position], others[rng.integers(len(others))])
        return self._complete(start, {choice.name: value for choice, value in walked}, rng)

    def mutate_node_first(self, architecture: Architecture, rng: np.random.Generator | int) -> Architecture:
        """One choice changed to another option, as `mutate` does; but first a node is drawn, then one of its choices. A
        node's choices are those whose names are alike up to the last "/" ("cell/2/from_0" and "cell/2/from_1"), so that
        each of many is changed less often than a single one.
        """
        rng = generator_of(rng)
        self._check_family(architecture)
        walked = list(self.walk(architecture.choices))
        nodes: dict[str, list[tuple[int, Choice]]] = {}
        for position, (choice, _) in enumerate(walked):
            if len(choice.options) > 1:
                nodes.setdefault(choice.name.rpartition("/")[0], []).append((position, choice))
        if not nodes:
            raise SpecError(f"{self.name} holds a single architecture: there is nothing to mutate")
        of_node = list(nodes.values())[rng.integers(len(nodes))]
        return self._changed(walked, *of_node[rng.integers(len(of_node))], rng)

    def mutate_each(self, architecture: Architecture, rate: float, rng: np.random.Generator | int) -> Architecture:
        """Each choice changed to another option with the probability `rate`; if none is, one of them. The rest is kept
        wherever it is still legal.
        """
        rng = generator_of(rng)
        if not 0 <= (rate := real("rate", rate)) <= 1:
            raise SpecError(f"rate is a probability, from 0 to 1, not {rate!r}")
        kept = self.answers(architecture)
        taken: Prefix = ()
        while (choice := self.next_choice(taken)) is not None:
            value = kept.get(choice.name)
            if value is None or value not in choice.options:
                value = choice.options[rng.integers(len(choice.options))]
            elif len(choice.options) > 1 and rng.random() < rate:
                others = [option for option in choice.options if option != value]
                value = others[rng.integers(len(others))]
            taken = (*taken, value)
        return self.mutate(architecture, rng) if taken == architecture.choices else Architecture(self.name, taken)

    def crossover(self, first: Architecture, second: Architecture, rng: np.random.Generator | int) -> Architecture:
        """Uniform crossover: each choice from either parent, where it is legal in the child."""
        rng = generator_of(rng)
        parents = (self.answers(first), self.answers(second))
        taken: Prefix = ()
        while (choice := self.next_choice(taken)) is not None:
            drawn = int(rng.integers(2))
            wished = [parents[i].get(choice.name) for i in (drawn, 1 - drawn)]
            legal = [value for value in wished if value is not None and value in choice.options]
            value = legal[0] if legal else choice.options[rng.integers(len(choice.options))]
            taken = (*taken, value)
        return Architecture(self.name, taken)

    def neighbours(self, architecture: Architecture) -> Iterator[Architecture]:
        """Every architecture that differs in one choice; what follows is kept, or else the first legal option."""
        self._check_family(architecture)
        walked = list(self.walk(architecture.choices))
        kept, old = {choice.name: value for choice, value in walked}, tuple(value for _, value in walked)
        for position, (choice, value) in enumerate(walked):
            for option in choice.options:
                if option != value:
                    yield self._complete((*old[:position], option), kept, None)

    def active(self, architecture: Architecture) -> Architecture:
        """What stands for an architecture among all that are the same network: itself, if no choice is inactive."""
        return self.canonical(architecture) if self.has_inactive_choices else architecture

    def enumerate(self) -> Iterator[Architecture]:
        """Every architecture once, in the order of the choices, those that are the same network (`canonical`) once in
        all. Look at `size` first."""
        if not self.has_inactive_choices:
            yield from self._all()
            return
        known: set[Architecture] = set()
        for architecture in self._all():
            if (one := self.active(architecture)) not in known:
                known.add(one)
                yield one

    def _all(self) -> Iterator[Architecture]:
        """Every sequence of choices."""
        open_prefixes: list[Prefix] = [()]
        while open_prefixes:
            prefix = open_prefixes.pop()
            choice = self.next_choice(prefix)
            if choice is None:
                yield Architecture(self.name, prefix)
            else:
                open_prefixes.extend((*prefix, option) for option in reversed(choice.options))

    @cached_property
    def size(self) -> int:
        """How many architectures there are, exactly; those that are the same network (`canonical`) count once."""
        if self.has_inactive_choices:
            return sum(1 for _ in self.enumerate())
        known: dict[Hashable, int] = {}

        def count(prefix: Prefix) -> int:
            key = self.future(prefix)
            if key not in known:
                choice = self.next_choice(prefix)
                if choice is None:
                    known[key] = 1
                else:
                    known[key] = sum(count((*prefix, option)) for option in choice.options)
            return known[key]

        return count(())

    def encode(self, architecture: Architecture) -> np.ndarray:
        """[D] float32: the one-hot codes of the choices, one after the other (D varies if the choices do)."""
        self._check_family(architecture)
        codes = [
            np.array([option == value for option in choice.options], dtype=np.float32)
            for choice, value in self.walk(architecture.choices)
        ]
        return np.concatenate(codes)

    def distance(self, first: Architecture, second: Architecture) -> int:
        """How many choices differ; one that only one of the two was asked counts as different."""
        one, other = self.answers(self.active(first)), self.answers(self.active(second))
        return sum(one.get(name) != other.get(name) for name in one.keys() | other.keys())

    # --- fewer options ---------------------------------------------------------------------------

    @property
    def offered(self) -> Mapping[str, tuple[Option, ...]]:
        """Name of each choice -> every option that it may come with; found out when it is first looked at."""
        from naslab.spaces.offered import Offered  # which knows this class

        if (known := vars(self).get("_offers")) is None:
            object.__setattr__(self, "_offers", known := Offered(self))
        return known

    def without(self, forbidden: Mapping[str, Sequence[Option]]) -> Space:
        """The same space with fewer options: whatever draws an architecture, or derives one, takes none of the
        forbidden ones. Names, codes, JSON, graphs and networks of architectures stay as they are, and those that hold a
        forbidden option can still be read and built; as parents they are repaired at the choices in question.

        Args:
            forbidden: name of a choice -> options that are not offered there. `SpecError` for a choice or an option
                that is not there, and where nothing would be left.
        """
        from naslab.spaces.forbidding import without  # which knows this class

        return without(self, forbidden)

    def allows(self, architecture: Architecture) -> bool:
        """Whether an architecture of the space holds nothing that is forbidden (`without`)."""
        return True

    def repaired(self, architecture: Architecture, rng: np.random.Generator | int | None = None) -> Architecture:
        """The same with something else at each choice where it holds what is forbidden (`without`), and all else kept
        wherever it is still legal. Without rng the first option is taken.
        """
        return architecture

    def _complete(self, start: Prefix, wished: Mapping[str, Option], rng: np.random.Generator | None) -> Architecture:
        """Answer the choices after `start`: as wished where legal, else at random (without rng: the first)."""
        taken = start
        names: set[str] = set()
        for _ in itertools.count():
            choice = self.next_choice(taken)
            if choice is None:
                return Architecture(self.name, taken)
            self._check_name(choice, names)
            value = wished.get(choice.name)
            if value is None or value not in choice.options:
                drawn = 0 if rng is None else int(rng.integers(len(choice.options)))
                value = choice.options[drawn]
            taken = (*taken, value)
        raise AssertionError("unreachable")
