"""The same operations, connected otherwise (Shu, Wang & Cai 2020, https://arxiv.org/abs/1909.09569, Sec. 3.2).

    wirings          all ways to connect an architecture's operations, counted, each with a number
    rewirings        some of them, drawn uniformly without repetition
    widest, deepest  the ends: wide and shallow, deep and narrow

What a wiring changes is what the space asks about connections, recognised by the choices themselves:

    `.../inputs` of lists of states    DARTS, where a node's two operations may change places too; NAS-Bench-101
    `.../input_0`, `.../from_3`        NASNet, ENAS
    operations on given edges          NAS-Bench-201, where "none" is no connection: they change places in their cell

Everything else stays. Difference from the paper: it draws each connection by itself, so that a DARTS node may read one
state twice; here what comes out is an architecture of the space.
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
"""Largest number of wirings that are enumerated to find the widest; more are improved node by node."""
MANY = 7
"""Largest number of choices of a node that are improved together; otherwise, pairs of choices are."""

Wish = Callable[[float, float, float], tuple[float, ...]]
"""(width, depth, reach), summed over the cells -> the greater the better."""
Pools = Mapping[str, tuple[Option, ...]]
"""Name of a pool -> the operations that its choices have still to share out."""


class Wirings:
    """All architectures with the operations of one, in the order of the choices."""

    def __init__(self, space: Space, architecture: Architecture, free: Iterable[str] | None = None) -> None:
        """
        Args:
            free: names of the choices that may change; all that are about connections by default.
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
        """How many there are, exactly, the architecture itself among them (`len` cannot say so much)."""
        return self._total

    def __iter__(self) -> Iterator[Architecture]:
        return map(self.at, range(self.size))

    def at(self, number: int) -> Architecture:
        """The wiring of that number, from 0."""
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
        if choice.name in self._wires:
            return choice.options
        if choice.name in self._pool_of:
            return tuple(option for option in choice.options if option in pools[self._pool_of[choice.name]])
        kept = self._kept.get(choice.name)
        return (kept,) if kept is not None and kept in choice.options else ()

    def _without(self, name: str, option: Option, pools: Pools) -> Pools:
        """What is left once the choice has taken the option."""
        if name not in self._pool_of:
            return pools
        left = list(pools[self._pool_of[name]])
        left.remove(option)
        return {**pools, self._pool_of[name]: tuple(left)}


def rewirings(
    space: Space, architecture: Architecture, n: int, seed: int = 0, *, part: str | None = None
) -> list[Architecture]:
    """n other architectures with the same operations, all different, each wiring as likely as any other.

    Args:
        part: only that cell is wired anew, for instance "normal"; all of them by default.
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
    """Names of the choices that say what reads what, and name of a pool -> the choices of operations that share it."""
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
    """Whether it says which states are read: one number or a list of them, or yes and no to one of them."""
    word = choice.name.rpartition("/")[2]
    if word == "inputs":
        return all(isinstance(option, str) and re.fullmatch(r"\d+(,\d+)*", option) for option in choice.options)
    return bool(re.fullmatch(r"(input|from)_\d+", word)) and all(isinstance(option, int) for option in choice.options)


def _by_node(names: Iterable[str]) -> dict[str, list[str]]:
    """The node, or the cell where there is no more to its names -> its choices."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(name.rpartition("/")[0], []).append(name)
    return groups


def _below(end: int, rng: np.random.Generator) -> int:
    """Returns a uniformly random integer from 0 to end - 1, of any size, by rejection sampling on its bits."""
    bits = end.bit_length()
    while (drawn := int.from_bytes(rng.bytes(-(-bits // 8)), "little") >> (-bits % 8)) >= end:
        pass
    return drawn
