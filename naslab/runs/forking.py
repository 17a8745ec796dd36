"""Forking: a second search that begins as an exact copy of the first after one of its steps.

A fork is computed on a rebuilt searcher, so that the first search keeps its state. It is made from what is in memory as
far as possible, so that it works, as a rescue, when the folder of the first search is gone or its disk is full.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from naslab import snapshot
from naslab.errors import RunError, RunPaused, SnapshotDamaged, SpecError, unknown
from naslab.paths import resolved
from naslab.runs.creation import check_free, create, entered, undone
from naslab.runs.places import located
from naslab.runs.replay import Follow
from naslab.runs.store import Memory, Store

if TYPE_CHECKING:
    import os

    from naslab.runs.search import Search


def fork(
    search: Search,
    run: str | os.PathLike[str] | None,
    step: int | None,
    *,
    change: Mapping[str, Any] | None,
    name: str | None,
    follow: Follow,
) -> Search:
    """Implements `Search.fork`."""
    path = None if run is None else _outside(located(run), search.run)
    with search._mine(settled=False):
        with suppress(RunPaused, RunError):  # a full disk must not prevent the fork that would save everything
            search._settle()
            search._write()
        end = search._pending[-1].step if search._pending else search.step
        step, difference = search._check_step(end if step is None else step, end), ""
        wishes = _checked(search, change or {}, step)
        twin = search._rebuild()
        start = twin.state_dict()
        if 0 in search._store.snapshots():
            with suppress(SnapshotDamaged):
                start = search._store.load(0)
        if step == end and (search._pending or not search._lost):
            twin.load_state_dict(search.searcher.state_dict())
        else:
            restored = search._restore_to(twin, step, follow)
            step, difference = restored.step, restored.difference
        states = {0: start, step: twin.state_dict()}
        rows = [row for row in search._rows() if row.step <= step]
        parent = {"path": None if search.run is None else str(search.run), "step": step, "run": search._store.run}
        store: Store
        above: Sequence[Path]
        if path is None:
            store, above = Memory(search._every, rows, parent), []
            for at, state in states.items():
                store.save(at, state)
        else:
            above = create(
                path,
                search.spec,
                total=twin.total,
                task=search.searcher.fingerprint(),
                every=search._every,
                states=states,
                metrics=search.metrics,
                shown=search.shown,
                rows=rows,
                parent=parent,
            )
            store = entered(path, above)
    made = object.__new__(type(search))  # __init__ would make a new run
    try:
        made._begin(twin, store, search._every, search.ranking, name, elsewhere=search._elsewhere)
        made._ring.share(search._ring, step)
        twin.take_trainings(search.searcher)
        with snapshot.disk("copying what is kept beside the events"):
            store.blobs.take(search._store.blobs)
        if difference:
            made._warn(difference)
        for wish, value in wishes.items():
            _change(made, wish, value)
    except BaseException:
        made._left = "it was not begun"
        made._ring.clear()
        undone(store, above)
        raise
    return made


def _outside(path: Path, run: Path | None) -> Path:
    """Returns the folder of the fork; `RunError`, before any work is done, if a run cannot be made there."""
    if run is not None and resolved(path).is_relative_to(resolved(run)):
        raise RunError(f"{path} is inside the run that is forked; take a folder outside {run}")
    check_free(path)
    return path


def _checked(search: Search, change: Mapping[str, Any], step: int) -> dict[str, Any]:
    """Returns the changes before the first step of the fork; raises an error, before any work, if one is invalid.

    Checks that depend on the state of the search are repeated once the fork is in that state.
    """
    if not isinstance(change, Mapping):
        raise SpecError(f"change is a dictionary, setting -> value or act -> its arguments, not {change!r:.100}")
    values = {}
    for name, value in change.items():
        if name in search.acts:
            if not isinstance(value, Mapping):
                raise SpecError(f"{name!r} is an act: give its arguments as a dictionary, not {value!r:.100}")
            search._checked_act(name, value)
        elif isinstance(name, str):
            values[name] = search.searcher.check_setting(name, value)
        else:
            raise SpecError(unknown("setting or act", name, [*search.settings, *search.acts]))
    if change and step >= (total := search.searcher.planned(values)):
        raise RunError(f"all {total} steps are done at step {step}, and a change would act on none; fork before")
    return dict(change)


def _change(fork: Search, name: str, value: Any) -> None:
    if name in fork.acts:
        fork.act(name, **value)
    else:
        fork.set(name, value)
