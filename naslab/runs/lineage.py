"""The tree of forks: which search was forked from which, and after which step.

The store of a fork records its origin: identity of the search, step, and folder if there is one. The tree is assembled
from these records. Its nodes are searches in this process; above them run folders that are not driven here; and
searches in memory that are gone, of which only the record of the fork is left.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from naslab.errors import RunError
from naslab.runs.about import read_about

if TYPE_CHECKING:
    from naslab.runs.search import Search

DEEPEST = 1000
"""Largest number of ancestors that are followed. A stranger's folders may name each other in a circle."""

_living: weakref.WeakSet[Search] = weakref.WeakSet()
"""The searches of this process."""
_lock = threading.Lock()
"""Held while `_living` is changed or copied, in any thread."""
_gone: dict[str, tuple[str, Mapping[str, Any]]] = {}
"""Identity -> name and origin of each fork in memory that this process has made. It outlives the fork, so that the
forks of that fork still find their way up."""


class Branch(NamedTuple):
    """A search, or steps that a rewind of one has abandoned."""

    run: str
    """Identity of the search."""
    name: str
    parent: int | None
    """Index of the branch that it was forked from, in the list of `lineage`; None for the root."""
    parted: int
    """The last common step with the parent; 0 for the root."""
    step: int
    """Its last step, as far as is known here."""
    search: Search | None = None
    """The search, if it lives in this process."""
    path: Path | None = None
    """Its folder, if it has one."""
    abandoned: bool = False
    """True for steps that a rewind has abandoned."""


class _Node(NamedTuple):
    run: str
    name: str
    parent: Mapping[str, Any] | None
    search: Search | None
    path: Path | None


def register(search: Search) -> None:
    """Add a search to its tree."""
    with _lock:
        _living.add(search)
    store = search._store
    if search.run is None and store.parent is not None:
        _gone[store.run] = search.name, store.parent


def _alive() -> list[Search]:
    with _lock:
        return list(_living)


def lineage(search: Search) -> list[Branch]:
    """Returns the tree that a search belongs to: the root first, each branch after its parent."""
    nodes: dict[str, _Node] = {}
    for one in [each for each in _alive() if each._left is None or each is search]:
        for node in _upwards(one):
            if nodes.setdefault(node.run, node).search is None and node.search is not None:
                nodes[node.run] = node
    return list(_downwards(_root(nodes, search._store.run), nodes))


def _upwards(search: Search) -> Iterator[_Node]:
    """Yields the search, its parent, its grandparent, and so on."""
    node = _Node(search._store.run, search.name, search._store.parent, search, search.run)
    for _ in range(DEEPEST):
        yield node
        if node.parent is None:
            return
        node = _of(node.parent)


def _of(parent: Mapping[str, Any]) -> _Node:
    """Returns the node that the record of a fork refers to: a living search, a lost one, or a folder."""
    run, recorded = str(parent.get("run", "")), parent.get("path")
    for search in _alive():
        if search._store.run == run and search._left is None:
            return _Node(run, search.name, search._store.parent, search, search.run)
    if run in _gone:
        name, origin = _gone[run]
        return _Node(run, name, origin, None, None)
    if recorded is None:
        return _Node(run, "a search that is gone", None, None, None)
    path = Path(recorded)
    with suppress(RunError, OSError):
        about = read_about(path)
        if about["run"] == run:
            return _Node(run, path.name, about["parent"], None, path)
    return _Node(run, path.name, None, None, None)  # the folder is gone, or another's by now


def _root(nodes: Mapping[str, _Node], run: str) -> str:
    seen = {run}  # a stranger's folder may name itself as its origin
    while (parent := nodes[run].parent) is not None and (above := str(parent.get("run", ""))) in nodes:
        if above in seen:
            return run
        seen.add(run := above)
    return run


def _downwards(root: str, nodes: Mapping[str, _Node]) -> Iterator[Branch]:
    """Yields the branches of the tree in depth-first order, the children of a branch by step and name."""
    children: dict[str, list[tuple[int, _Node]]] = {}
    for node in nodes.values():
        if node.parent is not None and node.run != root:
            children.setdefault(str(node.parent.get("run", "")), []).append((int(node.parent.get("step", 0)), node))
    count = 0
    left: list[tuple[str, int | None, int]] = [(root, None, 0)]
    while left:
        run, parent, parted = left.pop()
        node = nodes[run]
        below = sorted(children.pop(run, []), key=lambda each: (each[0], each[1].name))
        reached = max([parted, *(step for step, _ in below)]) if node.search is None else node.search.step
        place, count = count, count + 1
        yield Branch(run, node.name, parent, parted, reached, node.search, node.path)
        for end in [] if node.search is None else node.search._store.dead_ends():
            yield Branch(run, node.name, place, end.parted, end.step, abandoned=True)
            count += 1
        left += [(child.run, place, step) for step, child in reversed(below)]


def _unlock() -> None:
    """Replaces the lock in a forked child: a thread of the parent may have held it, which the child does not have."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unlock)
