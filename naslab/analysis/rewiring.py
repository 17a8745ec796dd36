"""Same operations, other connections (Shu, Wang & Cai 2020, https://arxiv.org/abs/1909.09569, Sec. 3.2).

    Wirings          all ways to connect an architecture's operations, counted and numbered
    rewirings        some of them, drawn uniformly without replacement
    widest, deepest  the extremes: wide and shallow, deep and narrow

A wiring changes the choices about connections, which are recognised by their names and options:

    `.../inputs` of lists of states    DARTS, where a node's two operations may change places too; NAS-Bench-101
    `.../input_0`, `.../from_3`        NASNet, ENAS
    operations on given edges          NAS-Bench-201, where "none" is no connection: they change places in their cell

All other choices stay. Difference from the paper: it draws each connection independently, so that a DARTS node may
read the same state twice; here every result is an architecture of the space.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property

import numpy as np

from naslab.analysis.cell_shape import NO_CONNECTION, cell_shapes
from naslab.architecture import Architecture, Choice, Option, Prefix
from naslab.errors import SpecError, unknown, whole
from naslab.randomness import numpy_generator
from naslab.spaces.space import Space

FEW = 3000
"""Largest number of wirings that are enumerated to find the widest; of more, a local search is made."""
MANY = 7
"""Largest number of choices of a node that are optimised jointly; of more choices, each pair is."""

Wish = Callable[[float, float, float], tuple[float, ...]]
"""(width, depth, reach), summed over the cells -> sort key; greater is better."""
Pools = Mapping[str, tuple[Option, ...]]
"""Name of a pool (choices that exchange operations) -> operations that are not assigned yet."""


class Wirings:
    """All architectures with the operations of a given one, in the lexicographic order of their choices."""

    def __init__(self, space: Space, architecture: Architecture, free: Iterable[str] | None = None) -> None:
        """
        Args:
            free: names of the choices that may change; by default all choices about connections.
        """
        self.space, self.architecture = space, architecture
        walked = list(space.walk(space.check(architecture).choices))
        self._kept = {choice.name: value for choice, value in walked}
        wires, pools = _wires([choice for choice, _ in walked])
        if not wires and not pools:
            raise SpecError(
                f"{space.name} has no connections that could be changed with the operations kept; spaces that have "
                "are those of DARTS, NASNet, ENAS, NAS-Bench-101, NAS-Bench-201 and the hierarchical one"
            )
        chosen = set(self._kept if free is None else free)
        if strange := chosen - set(self._kept):
            raise SpecError(unknown("choice", sorted(strange)[0], self._kept))
        self._wires = wires & chosen
        self._pool_of = {name: pool for pool, names in pools.items() for name in names if name in chosen}
        self._full: Pools = {
            pool: tuple(sorted((self._kept[name] for name in names if name in chosen), key=str))
            for pool, names in pools.items()
        }
        self._known: dict[Hashable, int] = {}

    @property
    def free(self) -> list[str]:
        """Names of the choices that may change, in order."""
        return [name for name in self._kept if name in self._wires or name in self._pool_of]

    @cached_property
    def _total(self) -> int:
        return self._count((), self._full)

    @property
    def size(self) -> int:
        """Exact number of wirings, including the architecture itself (`len` is limited to 2**63 - 1)."""
        return self._total

    def __iter__(self) -> Iterator[Architecture]:
        return map(self.at, range(self.size))

    def at(self, number: int) -> Architecture:
        """Returns the wiring with a number from 0 to size - 1.

        Walks down the tree of choices, skipping each subtree whose wirings all have smaller numbers.
        """
        if not 0 <= (rest := whole("the number of a wiring", number)) < self.size:
            raise SpecError(f"the wirings are numbered from 0 to {self.size - 1}; there is no {number}")
        prefix, pools = (), self._full
        while (choice := self.space.next_choice(prefix)) is not None:
            for option in self._allowed(choice, pools):
                after = (*prefix, option), self._without(choice.name, option, pools)
                if rest < (below := self._count(*after)):
                    prefix, pools = after
                    break
                rest -= below
        return Architecture(self.space.name, prefix)

    def _count(self, prefix: Prefix, pools: Pools) -> int:
        """Returns the number of wirings that begin with `prefix`, cached by all that it depends on."""
        key = (self.space.future(prefix), tuple(pools.items()))
        if key not in self._known:
            choice = self.space.next_choice(prefix)
            self._known[key] = (
                1
                if choice is None
                else sum(
                    self._count((*prefix, option), self._without(choice.name, option, pools))
                    for option in self._allowed(choice, pools)
                )
            )
        return self._known[key]

    def _allowed(self, choice: Choice, pools: Pools) -> tuple[Option, ...]:
        """Returns the options of a choice: all for a connection, the unassigned ones of a pool, else the original."""
        if choice.name in self._wires:
            return choice.options
        if choice.name in self._pool_of:
            return tuple(option for option in choice.options if option in pools[self._pool_of[choice.name]])
        kept = self._kept.get(choice.name)
        return (kept,) if kept is not None and kept in choice.options else ()

    def _without(self, name: str, option: Option, pools: Pools) -> Pools:
        """Returns the pools after a choice has taken an option from its own."""
        if name not in self._pool_of:
            return pools
        left = list(pools[self._pool_of[name]])
        left.remove(option)
        return {**pools, self._pool_of[name]: tuple(left)}


def rewirings(
    space: Space, architecture: Architecture, n: int, seed: int = 0, *, part: str | None = None
) -> list[Architecture]:
    """Returns n other architectures with the same operations, drawn uniformly without replacement.

    Args:
        space: space of the architecture.
        architecture: source of the operations.
        n: number of architectures.
        seed: seed of the draw.
        part: the only cell that is rewired, for instance "normal"; by default all cells are.

    Raises:
        SpecError: there are fewer than n other wirings, or nothing to rewire.
    """
    wirings, n = Wirings(space, architecture, _of_part(space, architecture, part)), whole("n", n, 1)
    if n >= wirings.size:
        raise SpecError(
            f"these operations can be connected in {wirings.size - 1} other ways, which is fewer than n={n}: take fewer"
        )
    rng, drawn = numpy_generator(whole("seed", seed), "rewirings"), dict[Architecture, None]()
    while len(drawn) < n:
        found = wirings.at(_below(wirings.size, rng))
        if found != architecture:
            drawn[found] = None
    return list(drawn)


def widest(space: Space, architecture: Architecture, *, part: str | None = None) -> Architecture:
    """Returns the wiring of the largest width, and among those the shallowest. It is exact for at most `FEW` wirings;
    otherwise a local optimum: no change of one node (or of two connections of a node with many) improves it.
    """
    return _best(space, architecture, part, lambda width, depth, reach: (width, -depth, -reach))


def deepest(space: Space, architecture: Architecture, *, part: str | None = None) -> Architecture:
    """Returns the wiring of the largest depth, and among those the narrowest; exact or local as `widest`."""
    return _best(space, architecture, part, lambda width, depth, reach: (depth, -width, reach))


def _best(space: Space, architecture: Architecture, part: str | None, wish: Wish) -> Architecture:
    def worth(candidate: Architecture) -> tuple[float, ...]:
        shapes = cell_shapes(space, candidate).values()
        return wish(*(sum(getattr(shape, name) for shape in shapes) for name in ("width", "depth", "reach")))

    everything = Wirings(space, architecture, _of_part(space, architecture, part))
    groups: list[Sequence[str]] = [everything.free]
    if everything.size > FEW:
        nodes = _by_node(everything.free).values()
        groups = [g for names in nodes for g in ([names] if len(names) <= MANY else itertools.combinations(names, 2))]
    best, before = architecture, None
    while best != before:
        before = best
        for group in groups:
            best = max((best, *Wirings(space, best, group)), key=worth)
    return best


def _of_part(space: Space, architecture: Architecture, part: str | None) -> list[str] | None:
    if part is None:
        return None
    names = list(space.answers(architecture))
    if part not in (known := list(dict.fromkeys(name.partition("/")[0] for name in names))):
        raise SpecError(unknown("part", part, known))
    return [name for name in names if name.startswith(f"{part}/")]


def _wires(choices: list[Choice]) -> tuple[set[str], dict[str, list[str]]]:
    """Returns the names of the choices of connections, and pool -> choices that exchange its operations."""
    wires = {choice.name for choice in choices if _is_wire(choice)}
    pools: dict[str, list[str]] = {}
    if wires:
        for choice in choices:
            node, _, word = choice.name.rpartition("/")
            if re.fullmatch(r"op_\d+", word) and f"{node}/inputs" in wires:
                pools.setdefault(node, []).append(choice.name)
    elif all(NO_CONNECTION in choice.options for choice in choices):
        for choice in choices:
            pools.setdefault(choice.name.partition("/")[0], []).append(choice.name)
    return wires, pools


def _is_wire(choice: Choice) -> bool:
    """True for a choice of the states to read: a list of their numbers, one number, or 0 or 1 for a given state."""
    word = choice.name.rpartition("/")[2]
    if word == "inputs":
        return all(isinstance(option, str) and re.fullmatch(r"\d+(,\d+)*", option) for option in choice.options)
    return bool(re.fullmatch(r"(input|from)_\d+", word)) and all(isinstance(option, int) for option in choice.options)


def _by_node(names: Iterable[str]) -> dict[str, list[str]]:
    """Returns node -> its choices, or cell -> its choices if their names contain no node."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(name.rpartition("/")[0], []).append(name)
    return groups


def _below(end: int, rng: np.random.Generator) -> int:
    """Returns a uniformly random integer from 0 to end - 1, of any size, by rejection sampling on its bits."""
    bits = end.bit_length()
    # -(-bits // 8) is the number of bytes rounded up; the shift discards the surplus bits
    while (drawn := int.from_bytes(rng.bytes(-(-bits // 8)), "little") >> (-bits % 8)) >= end:
        pass
    return drawn
