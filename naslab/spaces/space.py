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
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence, Set
from functools import cached_property
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

import networkx as nx
import numpy as np
from torch import Tensor, nn

from naslab.architecture import MAX_CHOICES, Architecture, Choice, Option
from naslab.errors import SpecError, listed, plain, real, unknown
from naslab.fields import settle
from naslab.networks.heads import Outputs, outputs_of
from naslab.networks.inherit import inherit
from naslab.randomness import generator_of, uniforms
from naslab.tasks.signature import Shaped, Signature, signature_of
from naslab.torch_state import InDefaultTorchState

Prefix = tuple[Option, ...]

MOST_KEPT = 2**14
"""Architectures that a space keeps, so as not to make them again; NAS-Bench-201 has 15,625."""


class Asked(NamedTuple):
    """What a network is made for: `*asked(task)` are the first two arguments of most networks."""

    shape: tuple[int, ...]
    """Of one input: (C, H, W) of an image, (T,) of tokens."""
    outputs: Outputs


def asked(task: Any) -> Asked:
    """What a task asks of a network with one input."""
    signature = signature_of(task)
    return Asked(signature.field.shape, outputs_of(signature))  # type: ignore[arg-type]


def vocabulary_of(task: Any) -> int | None:
    """How many tokens there are; None for what is no text."""
    return signature_of(task).field.vocabulary


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


class Space(InDefaultTorchState, ABC):
    """A search space. Subclasses are frozen dataclasses, whose fields are the space's parameters."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        for name, position in _MAKES_A_NETWORK.items():
            make = vars(cls).get(name)
            if inspect.isfunction(make) and not getattr(make, "__isabstractmethod__", False):
                setattr(cls, name, _for_a_task(make, position))
        super().__init_subclass__(**kwargs)

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
    def build(self, architecture: Architecture, task: Shaped) -> nn.Module:
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

    def walk(self, choices: Sequence[Option]) -> Iterator[tuple[Choice, Option]]:
        """Each choice with its answer, as the space itself offers it. `SpecError` where an answer is none of the
        options.
        """
        taken: Prefix = ()
        names: set[str] = set()
        while (choice := self.next_choice(taken)) is not None:
            if len(taken) >= MAX_CHOICES:
                raise SpecError(f"{self.name}: more than {MAX_CHOICES} choices; does the space ever end?")
            if len(taken) == len(choices):
                raise SpecError(f"{self.name}: {len(choices)} choices are too few; {choice.name!r} is missing")
            value = self._own(choice, choices[len(taken)])
            self._check_name(choice, names)
            yield choice, value
            taken = (*taken, value)
        if len(taken) != len(choices):
            raise SpecError(f"{self.name}: {len(choices)} choices are too many; expected {len(taken)}")

    def architecture(self, choices: Sequence[Option] | Mapping[str, Option]) -> Architecture:
        """The architecture with these answers, checked.

        Args:
            choices: the answers in the order in which the space asks for them; or the name of each choice with its
                answer, as `answers` gives them, in any order. Numbers may be of any library: 5.0 is taken for 5 where
                5 is offered. A choice that is not asked may be missing, None or NaN.
        """
        if isinstance(choices, Architecture):
            return self.check(choices)
        if named := _by_name(choices):
            return self._from_names(named)
        return Architecture(self.name, tuple([value for _, value in self.walk(self._in_order(choices))]))

    def _own(self, choice: Choice, value: Any) -> Option:
        """The option of the choice that equals the value."""
        if type(value) is str and value in choice.options:
            return value
        try:
            return choice.own(value)
        except SpecError as error:
            raise SpecError(f"{self.name}: {error}") from None

    def _check_name(self, choice: Choice, names: set[str]) -> None:
        """Add the name to those that were asked; `SpecError` if it is one of them."""
        if choice.name in names:
            raise SpecError(
                f"{self.name} asks two choices named {choice.name!r}; each choice of an architecture needs a name of "
                "its own, as answers are told by it"
            )
        names.add(choice.name)

    def _in_order(self, choices: Any) -> list[Any]:
        if not listed(choices) or isinstance(choices, Set | Mapping):
            reading = (
                " A text is read by space.parse(text)." if isinstance(choices, str) and hasattr(self, "parse") else ""
            )
            raise SpecError(
                f"{self.name}: expected the choices of an architecture, in order or by name, as "
                f"space.sample(rng).choices or space.answers(architecture) have them, not {choices!r:.200}.{reading}"
            )
        return list(choices)

    def _from_names(self, named: Mapping[str, Any]) -> Architecture:
        """The architecture with the answers to the choices of these names."""
        taken: Prefix = ()
        names: set[str] = set()
        while (choice := self.next_choice(taken)) is not None:
            if len(taken) >= MAX_CHOICES:
                raise SpecError(f"{self.name}: more than {MAX_CHOICES} choices; does the space ever end?")
            if choice.name not in named:
                raise SpecError(f"{self.name}: {choice.name!r} is missing; given: {', '.join(named)[:200]}")
            self._check_name(choice, names)
            taken = (*taken, self._own(choice, named[choice.name]))
        for name, value in named.items():
            if name not in names and not _missing(value):
                raise SpecError(f"{self.name}: {unknown('choice', name, sorted(names))}")
        return Architecture(self.name, taken)

    def check(self, architecture: Architecture) -> Architecture:
        """The same architecture if it belongs here, with the space's own options; `SpecError` if not."""
        self._check_family(architecture)
        return self.architecture(architecture.choices)

    def _check_family(self, architecture: Architecture) -> None:
        if not isinstance(architecture, Architecture):
            raise SpecError(
                f"expected an architecture of {self.name!r}, as space.sample(rng) or space.architecture(choices) gives "
                f"it, not {architecture!r:.100}"
            )
        if architecture.space != self.name:
            raise SpecError(f"an architecture of {architecture.space!r} does not belong to {self.name!r}")

    def __contains__(self, architecture: object) -> bool:
        try:
            return isinstance(architecture, Architecture) and bool(self.check(architecture))
        except SpecError:
            return False

    def from_json(self, text: str) -> Architecture:
        return self.check(Architecture.from_json(text))

    def answers(self, architecture: Architecture) -> dict[str, Option]:
        """Name of each choice -> what was chosen, in order."""
        self._check_family(architecture)
        return {choice.name: value for choice, value in self.walk(architecture.choices)}

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
        from naslab.spaces.without import Offered  # which knows this class

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
        from naslab.spaces.without import without  # which knows this class

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


def _by_name(choices: Any) -> dict[str, Any]:
    """Name -> answer, of a mapping or of a row of a table (a Series of pandas); nothing if there are no names."""
    if isinstance(choices, Mapping):
        if not choices:
            raise SpecError("expected an answer for each choice, got an empty mapping")
        if strange := [name for name in choices if not isinstance(name, str)]:
            raise SpecError(f"expected the names of choices with their answers; {strange[0]!r:.100} is no name")
        return dict(choices)
    if callable(getattr(choices, "keys", None)) and hasattr(choices, "items"):
        named = dict(choices.items())
        return named if all(isinstance(name, str) for name in named) else {}
    return {}


def _missing(value: Any) -> bool:
    """Whether it says that there is no value: None, NaN, or what pandas writes for it."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value := plain(value), float) and value != value


class FixedSpace(Space):
    """A space whose choices do not depend on earlier answers. Subclasses say `each_choice` instead of `next_choice`,
    and get quick ways of `sample` and `mutate`, and a size that is a product."""

    @abstractmethod
    def each_choice(self) -> Iterable[Choice]:
        """All choices, in order; asked for once."""

    @property
    def fixed_choices(self) -> tuple[Choice, ...]:
        return self._choices

    @cached_property
    def _choices(self) -> tuple[Choice, ...]:
        choices = tuple(self.each_choice())
        names: set[str] = set()
        for choice in choices:
            self._check_name(choice, names)
        return choices

    def next_choice(self, prefix: Prefix) -> Choice | None:
        return self._choices[len(prefix)] if len(prefix) < len(self._choices) else None

    def future(self, prefix: Prefix) -> int:
        """How many choices are made."""
        return len(prefix)

    @cached_property
    def _offered(self) -> tuple[tuple[Option, ...], ...]:
        """The options of each choice."""
        return tuple(choice.options for choice in self._choices)

    @cached_property
    def _others(self) -> tuple[tuple[dict[Option, tuple[Option, ...]], ...], tuple[int, ...]]:
        """For each choice, option -> those that come after it, round to the one before it; and the places of the
        choices with more than one option."""
        others = tuple(
            {option: (*offered[place + 1 :], *offered[:place]) for place, option in enumerate(offered)}
            for offered in self._offered
        )
        return others, tuple(place for place, offered in enumerate(self._offered) if len(offered) > 1)

    @cached_property
    def _owned(self) -> tuple[dict[Option, Option], ...]:
        """Choice -> {a value equal to an option: the option itself}."""
        return tuple({option: option for option in offered} for offered in self._offered)

    @cached_property
    def _kept(self) -> dict[Prefix, Architecture]:
        """Choices -> the architecture, of the first that were made."""
        return {}

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_kept"}

    def sample(self, rng: np.random.Generator | int) -> Architecture:
        """The same without asking choice by choice."""
        offered = self._offered
        drawn = uniforms(generator_of(rng), len(offered))
        return self._made(tuple([options[int(u * len(options))] for options, u in zip(offered, drawn, strict=True)]))

    def mutate(self, architecture: Architecture, rng: np.random.Generator | int) -> Architecture:
        """The same without a walk, in a tenth of the time."""
        offered, (others, places) = self._offered, self._others
        self._check_family(architecture)
        if known := self._kept.get(architecture.choices):
            old = known.choices
        else:
            found = tuple(map(dict.get, self._owned, architecture.choices))
            if len(architecture.choices) != len(offered) or None in found:
                self.check(architecture)  # which says what is wrong
            old: Prefix = found  # type: ignore[assignment]
        if not places:
            raise SpecError(f"{self.name} holds a single architecture: there is nothing to mutate")
        first, second = uniforms(generator_of(rng), 2)
        place = places[int(first * len(places))]
        options = others[place][old[place]]
        return self._made((*old[:place], options[int(second * len(options))], *old[place + 1 :]))

    def _made(self, choices: Prefix) -> Architecture:
        """The architecture with these choices, which are legal; of a small space the same object every time."""
        if (architecture := self._kept.get(choices)) is None:
            architecture = Architecture(self.name, choices)
            if len(self._kept) < MOST_KEPT:
                self._kept[choices] = architecture
        return architecture


class Supernet(Protocol):
    """A network that holds all candidate operations at once and shares their weights."""

    def __call__(self, x: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
        """Logits [B, classes] of the mixture.

        Args:
            x: [B, C, H, W].
            weights: for each part [E, O], the weight of each candidate operation on each edge (a
                softmax, a one-hot sample, ...). An operation whose weight is exactly 0 in a tensor
                that needs no gradient is not computed.
        """
        ...


@runtime_checkable
class DrawnSupernet(Protocol):
    """A space whose architectures can all be drawn as one graph, and each of them inside it."""

    def supergraph(self) -> nx.DiGraph:
        """All architectures at once. `graph(architecture)` is a part of it: its nodes and edges are here, too, under
        the same names, and their attribute `op` says which of the candidates was taken. Where `ops`, the candidates
        in order, stands at every node but the first, or at every edge from one node to the next, the picture has them
        all."""
        ...


@runtime_checkable
class Mixable(Protocol):
    """A space whose architectures are an operation on each edge, and which can build them all at once as a mixture.

    One whose edges have different candidates says which by a method more, `edge_operations`: part -> for each row the
    names of those of `operations` that it has (see `candidates`).
    """

    @property
    def operations(self) -> tuple[str, ...]:
        """All candidates, in the order of the columns of the mixture."""
        ...

    def edges(self) -> dict[str, int]:
        """Part -> number of edges E of the densest graph: the mixture of a part is [E, O]."""
        ...

    def supergraph(self) -> nx.DiGraph:
        """The densest graph. Node names, `part`, `label`, `role` as in `graph`; a searched edge carries `row`,
        its row in the part's [E, O] matrix; a fixed edge (to the output) carries none."""
        ...

    def supernet(self, task: Shaped) -> nn.Module:
        """A `Supernet` for the task. Sizes may be given as keyword arguments, as to `build`."""
        ...

    def derive(self, weights: Mapping[str, np.ndarray]) -> Architecture:
        """The published rule from the [E, O] weights of each part to one architecture."""
        ...

    def one_hot(self, architecture: Architecture) -> dict[str, np.ndarray]:
        """Part -> [E, O] float32 with a 1 for each operation that the architecture keeps, else 0."""
        ...


SupernetSpace = Mixable
"""An earlier name."""


@runtime_checkable
class Shared(Protocol):
    """A space whose networks can share their weights, and which computes one of them at a time."""

    def shared_weights(self, task: Any) -> nn.Module:
        """(inputs, child) -> outputs, where only the child is computed."""
        ...

    def layers_of(self, architecture: Architecture) -> Any:
        """The child, as the shared weights want it."""
        ...


def edge_operations(space: Mixable) -> dict[str, tuple[tuple[str, ...], ...]]:
    """Part -> for each edge its candidates: what `space.edge_operations()` says, else all of them on every edge.

    `SpecError` where that does not fit to `space.edges()` and `space.operations`, or leaves an edge with none.
    """
    edges, known = space.edges(), tuple(space.operations)
    told = getattr(space, "edge_operations", None)
    if told is None:
        return {part: (known,) * rows for part, rows in edges.items()}
    found = {part: tuple(tuple(row) for row in rows) for part, rows in told().items()}
    if {part: len(rows) for part, rows in found.items()} != dict(edges):
        raise SpecError(f"edge_operations() must say the operations of the edges {edges}, not of {found!r:.300}")
    for part, rows in found.items():
        for row, operations in enumerate(rows):
            if not operations or len(set(operations)) < len(operations):
                raise SpecError(f"edge {row} of {part!r} needs some operations, each once, not {operations!r:.200}")
            for operation in operations:
                if operation not in known:
                    raise SpecError(f"edge {row} of {part!r}: {unknown('operation', operation, known)}")
    return found


def candidates(space: Mixable) -> dict[str, np.ndarray]:
    """Part -> [E, O] bool: whether the edge has that operation; False where the row of the mixture is only padded."""
    known = tuple(space.operations)
    return {
        part: np.array([[operation in row for operation in known] for row in rows], dtype=bool).reshape(-1, len(known))
        for part, rows in edge_operations(space).items()
    }


def weight_matrices(
    weights: Mapping[str, np.ndarray], edges: Mapping[str, int], operations: int
) -> dict[str, np.ndarray]:
    """The [E, O] weights of each part, if there is one for each, of the right shape and finite; else `SpecError`."""
    if set(weights) != set(edges):
        raise SpecError(f"expected the weights of the parts {', '.join(edges)}; got {', '.join(map(str, weights))}")
    matrices = {part: np.asarray(weights[part]) for part in edges}
    for part, matrix in matrices.items():
        if matrix.shape != (edges[part], operations):
            expected = (edges[part], operations)
            raise SpecError(f"the weights of {part!r} must have shape {expected}, not {matrix.shape}")
        if not np.isfinite(matrix).all():
            raise SpecError(f"the weights of {part!r} are not all finite: nothing can be derived from them")
    return matrices
