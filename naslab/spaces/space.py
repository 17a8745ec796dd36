"""The abstract base class of search spaces: a space is a tree of categorical choices.

A subclass says which choice follows a prefix of answers (`next_choice`). Sampling, mutation, crossover, neighbours,
size, encoding, distance and JSON follow from that alone, so they are the same code for every space and are written
once, here. A subclass adds what only it knows: the network (`build`), the graph (`graph`) and, where there is one, the
supernet (`naslab.spaces.weight_sharing.Mixable`).
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
from naslab.lazy import keep_old_hooks
from naslab.networks.inherit import inherit
from naslab.randomness import generator_of
from naslab.spaces.reading import ReadsArchitectures
from naslab.tasks.signature import Field, Signature, TaskLike, signature_of
from naslab.torch_state import InDefaultTorchState

if TYPE_CHECKING:
    import networkx as nx


def _for_a_task(make: Callable[..., nn.Module], position: int) -> Callable[..., nn.Module]:
    """Returns `make`, preceded by `check_task` on its argument `task`, which stands at that position.

    A task that does not fit is refused here by name, instead of deep inside a network by a mismatch of shapes.
    """

    @functools.wraps(make)
    def checked(self: Space, *args: Any, **kwargs: Any) -> nn.Module:
        if len(args) > position:
            self.check_task(args[position])
        elif "task" in kwargs:
            self.check_task(kwargs["task"])
        return make(self, *args, **kwargs)

    return checked


def _fields(signature: Signature) -> Mapping[str, Field]:
    """Returns the inputs by name; a single one has the empty name."""
    return signature.inputs if isinstance(signature.inputs, Mapping) else {"": signature.inputs}


def _alternatives(signature: Signature) -> str:
    """Returns advice for a task that a space cannot serve: spaces of naslab with other inputs or heads, if any."""
    from naslab.spaces import SPACES

    kinds = {field.kind for field in _fields(signature).values()}
    heads = {head.reads for head in signature.heads.values()}
    fit = [cls.__name__ for cls in SPACES.values() if kinds <= (cls.reads or set()) and heads <= cls.gives]
    if not fit:
        return "no space of naslab does: take another space of your own, or another task"
    return f"take another space, such as {' or '.join(fit[:2])}, or another task"


_MAKES_A_NETWORK = {"build": 1, "supernet": 0, "shared_weights": 0}
"""Name of a method that makes a network -> position of the task among its arguments, `self` not counted."""


class Space(ReadsArchitectures, InDefaultTorchState, ABC):
    """A search space. Subclasses are frozen dataclasses, whose fields are the space's parameters."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        # Wrapped here rather than in each space, so that a space outside naslab is checked, too.
        for name, position in _MAKES_A_NETWORK.items():
            make = vars(cls).get(name)
            if inspect.isfunction(make) and not getattr(make, "__isabstractmethod__", False):
                setattr(cls, name, _for_a_task(make, position))
        keep_old_hooks(cls, {"derive": "discretize"})
        super().__init_subclass__(**kwargs)

    name: ClassVar[str]
    """Family of the architectures; two sizes of one space share it."""
    reads: ClassVar[frozenset[str] | None] = None
    """Kinds of input that its networks can read: "image", "tokens", "row" (see `naslab.tasks.Field.kind`). None: the
    kind is checked by the networks when they are built."""
    gives: ClassVar[frozenset[str]] = frozenset({"vector"})
    """Kinds of features that its networks offer to a head (see `naslab.tasks.signature.READS`)."""
    has_inactive_choices: ClassVar[bool] = False
    """True if some choices change nothing in some architectures, so that `canonical` decides which ones are equal."""
    in_default_torch_state = ("build", "supernet", "shared_weights", "inherit")
    keeps_local_device = True

    def __post_init__(self) -> None:
        settle(self)

    # --- what a subclass implements --------------------------------------------------------------

    @abstractmethod
    def next_choice(self, prefix: Prefix) -> Choice | None:
        """Returns the choice that follows the answers given so far; None when the architecture is complete.

        Must be a pure function of the prefix: everything else in this class is computed from it, and runs are replayed
        by it.

        Args:
            prefix: legal answers to all earlier choices, in order.
        """

    @abstractmethod
    def build(self, architecture: Architecture, task: TaskLike) -> nn.Module:
        """Returns the network of one architecture, with freshly initialised weights, to be trained on its own.

        A space takes sizes (channels, cells, ...) as further keyword arguments; they override its own fields.
        """

    @abstractmethod
    def graph(self, architecture: Architecture) -> nx.DiGraph:
        """Returns the architecture as a directed acyclic graph, for pictures and for graph distances.

        Nodes carry `part` (the cell that they belong to), `label` and `role` ("input", "node" or "output"). An
        operation is the attribute `op` of an edge or of a node.
        """

    def future(self, prefix: Prefix) -> Hashable:
        """Returns a key of the subtree of choices behind a prefix: equal keys mean equally many completions.

        The prefix itself is always a correct key. A coarser one lets `size` count each kind of subtree once, which
        turns an exponential walk into dynamic programming.
        """
        return prefix

    @property
    def fixed_choices(self) -> tuple[Choice, ...] | None:
        """All choices, if none depends on earlier answers (`FixedSpace`); None otherwise."""
        return None

    def canonical(self, architecture: Architecture) -> Any:
        """Returns a value that is equal for architectures that are the same network. By default the architecture.

        A space with inactive choices (`has_inactive_choices`) returns an architecture in which each inactive choice
        has one fixed option; duplicates, distances, `enumerate` and `size` then use it. A space without them may
        return any key that isomorphic networks share, for instance an expression or a hash of the graph.
        """
        return architecture

    def recipe(self, architecture: Architecture) -> Mapping[str, Any]:
        """Returns training hyperparameters that are part of the architecture, for instance its learning rate.

        Keys are fields of `naslab.trainers.Recipe`; their values override the trainer's.
        """
        return {}

    def inherit(
        self, network: nn.Module, architecture: Architecture, parent: Architecture, state: Mapping[str, Tensor]
    ) -> None:
        """Copy a parent's trained weights into the network of a child, in place.

        By default every tensor whose name and shape agree is copied; a space whose layers move overrides this.

        Args:
            network: built from `architecture`, the child's; tensors that are not inherited keep their initial values.
            state: the `state_dict()` of the network of `parent`.
        """
        inherit(network, state)

    # --- what follows from next_choice -----------------------------------------------------------

    def check_task(self, task: Any) -> Signature:
        """Returns the signature of the task. Raises `SpecError` if networks of this space cannot serve the task."""
        signature = signature_of(task)
        for name, head in signature.heads.items():
            if head.reads not in self.gives:
                raise SpecError(
                    f"the head {name!r} of the task reads a {head.reads}, and networks of the space {self.name!r} give "
                    f"a {' or a '.join(sorted(self.gives))}; {_alternatives(signature)}"
                )
        for name, field in _fields(signature).items():
            if self.reads is not None and field.kind not in self.reads:
                of = f" {name!r}" if name else ""
                raise SpecError(
                    f"the input{of} of the task is {field} ({field.kind}), and networks of the space {self.name!r} "
                    f"read {' or '.join(sorted(self.reads))}; {_alternatives(signature)}"
                )
        return signature

    def spec(self) -> dict[str, Any]:
        """Returns JSON from which `naslab.spaces.from_spec` makes an equal space."""
        return {"space": self.name, **dataclasses.asdict(self)}  # type: ignore[call-overload]

    def sample(self, rng: np.random.Generator | int) -> Architecture:
        """Returns a random architecture: each choice is drawn uniformly among its options.

        Where the number of later choices depends on earlier ones, this is not uniform over architectures.

        Args:
            rng: generator; a seed stands for `np.random.default_rng(seed)`, here and in every method of a space.
        """
        return self._complete((), {}, generator_of(rng))

    def mutate(self, architecture: Architecture, rng: np.random.Generator | int) -> Architecture:
        """Returns a copy with one random choice changed; later answers stay wherever legal, else are drawn anew."""
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
        """Returns the walked architecture with another option at one position; other answers stay where legal."""
        old = tuple(value for _, value in walked)
        others = [option for option in choice.options if option != old[position]]
        start = (*old[:position], others[rng.integers(len(others))])
        return self._complete(start, {choice.name: value for choice, value in walked}, rng)

    def mutate_node_first(self, architecture: Architecture, rng: np.random.Generator | int) -> Architecture:
        """Returns a copy with one choice changed, as `mutate` does, but draws a node first and then one of its choices.

        The choices of a node share their name up to the last "/" ("cell/2/from_0" and "cell/2/from_1"). Every node is
        changed equally often, however many choices it has.
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
        """Returns a copy in which each choice changes to another option with probability `rate`; at least one does.

        Other answers are kept wherever they are still legal, and drawn anew elsewhere.
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
        # A copy of the parent would be evaluated again for nothing, so at least one choice changes.
        return self.mutate(architecture, rng) if taken == architecture.choices else Architecture(self.name, taken)

    def crossover(self, first: Architecture, second: Architecture, rng: np.random.Generator | int) -> Architecture:
        """Returns a child by uniform crossover: each choice comes from either parent with probability 1/2.

        Where one parent's answer is not legal in the child, or was not asked, the other's is taken, else a random one.
        """
        rng = generator_of(rng)
        parents = (self.answers(first), self.answers(second))
        taken: Prefix = ()
        while (choice := self.next_choice(taken)) is not None:
            # Drawn for every choice, also where it decides nothing, so that the stream of random numbers stays aligned.
            drawn = int(rng.integers(2))
            wished = [parents[i].get(choice.name) for i in (drawn, 1 - drawn)]
            legal = [value for value in wished if value is not None and value in choice.options]
            value = legal[0] if legal else choice.options[rng.integers(len(choice.options))]
            taken = (*taken, value)
        return Architecture(self.name, taken)

    def neighbours(self, architecture: Architecture) -> Iterator[Architecture]:
        """Yields every architecture that differs in one choice; later answers stay, or become the first option."""
        self._check_family(architecture)
        walked = list(self.walk(architecture.choices))
        kept, old = {choice.name: value for choice, value in walked}, tuple(value for _, value in walked)
        for position, (choice, value) in enumerate(walked):
            for option in choice.options:
                if option != value:
                    yield self._complete((*old[:position], option), kept, None)

    def active(self, architecture: Architecture) -> Architecture:
        """Returns the representative of all architectures that are the same network; itself if none is inactive."""
        return self.canonical(architecture) if self.has_inactive_choices else architecture

    def enumerate(self) -> Iterator[Architecture]:
        """Yields every architecture once, in the order of the choices; equal networks (`canonical`) count as one.

        Look at `size` first: most spaces are far too large.
        """
        if not self.has_inactive_choices:
            yield from self._all()
            return
        known: set[Architecture] = set()
        for architecture in self._all():
            if (one := self.active(architecture)) not in known:
                known.add(one)
                yield one

    def _all(self) -> Iterator[Architecture]:
        """Yields every sequence of choices, depth first."""
        open_prefixes: list[Prefix] = [()]  # a stack
        while open_prefixes:
            prefix = open_prefixes.pop()
            choice = self.next_choice(prefix)
            if choice is None:
                yield Architecture(self.name, prefix)
            else:
                # reversed, because the last one pushed is the first one popped
                open_prefixes.extend((*prefix, option) for option in reversed(choice.options))

    @cached_property
    def size(self) -> int:
        """Exact number of architectures; equal networks (`canonical`, if choices can be inactive) count once."""
        if self.has_inactive_choices:
            return sum(1 for _ in self.enumerate())
        known: dict[Hashable, int] = {}  # key of a subtree (`future`) -> number of its leaves

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
        """Returns [D] float32: the one-hot codes of the choices, concatenated. D varies where the choices do."""
        self._check_family(architecture)
        codes = [
            np.array([option == value for option in choice.options], dtype=np.float32)
            for choice, value in self.walk(architecture.choices)
        ]
        return np.concatenate(codes)

    def distance(self, first: Architecture, second: Architecture) -> int:
        """Returns the number of choices that differ; a choice that only one of the two has counts as different."""
        one, other = self.answers(self.active(first)), self.answers(self.active(second))
        return sum(one.get(name) != other.get(name) for name in one.keys() | other.keys())

    # --- forbidden options -----------------------------------------------------------------------

    @property
    def offered(self) -> Mapping[str, tuple[Option, ...]]:
        """Name of each choice -> every option that it may ever have; computed at the first access."""
        from naslab.spaces.offered import LazyOptions  # here, since that module imports this one

        if (known := vars(self).get("_offers")) is None:
            object.__setattr__(self, "_offers", known := LazyOptions(self))  # the dataclass is frozen
        return known

    def without(self, forbidden: Mapping[str, Sequence[Option]]) -> Space:
        """Returns the same space with fewer options: nothing that it samples or derives holds a forbidden option.

        Names, encodings, JSON, graphs and networks of architectures stay the same. An architecture that holds a
        forbidden option can still be read and built; as a parent it is repaired at the choices concerned.

        Args:
            forbidden: name of a choice -> options that it no longer has.

        Raises:
            SpecError: for a choice or an option that the space does not have, and if no option would be left.
        """
        from naslab.spaces.forbidding import without  # here, since that module imports this one

        return without(self, forbidden)

    def allows(self, architecture: Architecture) -> bool:
        """Returns True if an architecture of the space holds no forbidden option (`without`)."""
        return True

    def repaired(self, architecture: Architecture, rng: np.random.Generator | int | None = None) -> Architecture:
        """Returns the architecture with every forbidden option (`without`) replaced; other answers stay where legal.

        Args:
            rng: draws the replacements; None takes the first option that is allowed.
        """
        return architecture

    def _complete(self, start: Prefix, wished: Mapping[str, Option], rng: np.random.Generator | None) -> Architecture:
        """Returns `start` completed: each later answer as wished where legal, else at random (no rng: the first)."""
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
