"""Which search was forked from which, and where: the tree of those that live here and of the runs they come from.

A fork says in its store where it comes from: the identity of the search, the step, the folder if there is one. From
there the tree is put together: searches that live in this process; above them, folders that nobody drives here; and
searches that are gone, of which only that is known.
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
"""Forks of forks that are followed upwards."""

_living: weakref.WeakSet[Search] = weakref.WeakSet()
"""The searches of this process."""
_lock = threading.Lock()
"""Held while one is added, and while they are gone through: each in whichever thread."""
_gone: dict[str, tuple[str, Mapping[str, Any]]] = {}
"""Identity -> name and origin of each fork in memory that this process has made, for what is forked from it later."""


class Branch(NamedTuple):
    """A search, or the steps that one has left behind."""

    run: str
    """The identity of the search."""
    name: str
    parent: int | None
    """Place of the branch that it parted from, in the list that it stands in; None for the root."""
    parted: int
    """The step after which it parted; 0 for the root."""
    step: int
    """How far it is, as far as is known here."""
    search: Search | None = None
    """That lives in this process, if one does."""
    path: Path | None = None
    """Its folder, if it has one."""
    abandoned: bool = False
    """Whether these are steps that were left behind by going back."""


class _Node(NamedTuple):
    run: str
    name: str
    parent: Mapping[str, Any] | None
    search: Search | None
    path: Path | None


def born(search: Search) -> None:
    """From here on the search is a part of its tree."""
    with _lock:
        _living.add(search)
    store = search._store
    if search.run is None and store.parent is not None:
        _gone[store.run] = search.name, store.parent


def _alive() -> list[Search]:
    with _lock:
        return list(_living)


def lineage(search: Search) -> list[Branch]:
    """The tree that a search belongs to: each branch after the one that it parted from, the root first."""
    nodes: dict[str, _Node] = {}
    for one in [each for each in _alive() if each._left is None or each is search]:
        for node in _upwards(one):
            if nodes.setdefault(node.run, node).search is None and node.search is not None:
                nodes[node.run] = node
    return list(_downwards(_root(nodes, search._store.run), nodes))


def _upwards(search: Search) -> Iterator[_Node]:
    """The search, what it was forked from, and so on."""
    node = _Node(search._store.run, search.name, search._store.parent, search, search.run)
    for _ in range(DEEPEST):
        yield node
        if node.parent is None:
            return
        node = _of(node.parent)


def _of(parent: Mapping[str, Any]) -> _Node:
    """What a fork says that it comes from, as far as that can be found."""
    run, told = str(parent.get("run", "")), parent.get("path")
    for search in _alive():
        if search._store.run == run and search._left is None:
            return _Node(run, search.name, search._store.parent, search, search.run)
    if run in _gone:
        name, origin = _gone[run]
        return _Node(run, name, origin, None, None)
    if told is None:
        return _Node(run, "a search that is gone", None, None, None)
    path = Path(told)
    with suppress(RunError, OSError):
        about = read_about(path)
        if about["run"] == run:
            return _Node(run, path.name, about["parent"], None, path)
    return _Node(run, path.name, None, None, None)  # the folder is gone, or another's by now


def _root(nodes: Mapping[str, _Node], run: str) -> str:
    seen = {run}  # a folder may be a stranger's, and come from itself
    while (parent := nodes[run].parent) is not None and (above := str(parent.get("run", ""))) in nodes:
        if above in seen:
            return run
        seen.add(run := above)
    return run


def _downwards(root: str, nodes: Mapping[str, _Node]) -> Iterator[Branch]:
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
    """In a forked process: another thread of the parent's may have held the lock."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unlock)
