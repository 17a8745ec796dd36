"""A step that an interrupt breaks off, wherever that is, loses nothing and doubles nothing."""

import pytest
from interrupting import interrupted_at

import naslab as nl
from naslab import runs
from naslab.errors import Diverged, RunError


def test_a_step_that_diverges_is_not_kept(begin, state_of):
    search, calm = begin(), begin()
    for _ in range(7):
        next(search)
        next(calm)
    search.set("w_lr", 1e38)
    for _ in range(2):
        with pytest.raises(Diverged, match="lower w_lr"):
            next(search)
    assert search.step == 7
    assert state_of(search) != state_of(calm)
    assert search.best == calm.best
    assert state_of(search) == state_of(calm)
    search.set("w_lr", 0.01)
    calm.set("w_lr", 0.01)
    assert [*search] == [*calm]
    assert list(search.events) == list(calm.events)
    assert state_of(search) == state_of(calm)


@pytest.mark.parametrize("instant", ["before", "after"])
def test_an_interrupt_in_the_middle_of_a_step_loses_nothing(begin, state_of, instant):
    search, calm = begin(), begin()
    for _ in range(3):
        next(search)
    search.set("w_lr", 0.3)
    whole = search.searcher.advance

    def interrupted():
        if instant == "after":
            whole()
        search.searcher.alpha.data.fill_(9)
        raise KeyboardInterrupt

    search.searcher.advance = interrupted
    with pytest.raises(KeyboardInterrupt):
        next(search)
    search.searcher.advance = whole
    assert search.step == 3
    list(search)
    for _ in range(3):
        next(calm)
    calm.set("w_lr", 0.3)
    list(calm)
    assert list(search.events) == list(calm.events)
    assert state_of(search) == state_of(calm)


def test_an_interrupt_while_it_is_written_down_loses_nothing_and_doubles_nothing(begin, tmp_path, state_of):
    search, calm = begin(), begin()
    for _ in range(4):
        next(search)
    whole = search._store.save

    def interrupted(step, state):
        raise KeyboardInterrupt

    search._store.save = interrupted  # the snapshot of step 5, after its event was written
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            next(search)
    search._store.save = whole
    assert next(search).step == 5
    assert search._store.snapshots() == [0, 5]
    list(search)
    list(calm)
    assert list(search.events) == list(calm.events)
    assert state_of(search) == state_of(calm)
    assert list(search.fork(tmp_path / "fork").events) == list(calm.events)


class Connection:
    """SQLite's, but the next COMMIT is done and then interrupted."""

    def __init__(self, whole):
        self._whole, self._interrupt = whole, True

    def __getattr__(self, name):
        return getattr(self._whole, name)

    def execute(self, sql, *values):
        done = self._whole.execute(sql, *values)
        if sql == "COMMIT" and self._interrupt:
            self._interrupt = False
            raise KeyboardInterrupt
        return done


@pytest.mark.parametrize("use", [next, lambda search: search.measure("alpha_norm"), lambda search: search.rewind(2)])
def test_an_interrupt_right_after_a_commit(small, tmp_path, state_of, use):
    search = nl.Search(small(total=12), run=tmp_path / "run", snapshot_every=5)
    for _ in range(4):
        next(search)
    search._store._journal._connection = Connection(search._store._journal._connection)
    with pytest.raises(KeyboardInterrupt):
        use(search)
    for _ in range(4):
        next(search)
    events, state = list(search.events), state_of(search)
    search.close()
    again = nl.Search.open(tmp_path / "run")
    assert list(again.events) == events
    assert state_of(again) == state


def interrupted(use, line):
    """Whether the use was interrupted, as by Ctrl-C, at that line (a count) of all that it executes in the package."""
    modules = (
        *(runs.search, runs.driving, runs.restoring, runs.replay),
        *(runs.journal, runs.acknowledged, runs.folder, runs.store, nl.snapshot),
    )
    return interrupted_at(use, line, {module.__file__ for module in modules})


@pytest.mark.parametrize("where", ["memory", "folder"])
def test_an_interrupt_at_any_line_of_a_step_loses_nothing_and_doubles_nothing(small, tmp_path, state_of, where):
    run = None if where == "memory" else tmp_path / "run"
    total = 400
    search = nl.Search(small(total=total), run=run, snapshot_every=1)
    calm = nl.Search(small(total=total))
    line, hit = 0, True
    while hit:  # until a step has fewer lines than that
        line += 1 if where == "memory" else 3
        hit = interrupted(lambda: next(search), line)
    assert line > 30
    reached = search.step
    for _ in range(2):
        next(search)
    for _ in range(reached + 2):
        next(calm)
    assert list(search.events) == list(calm.events)
    assert state_of(search) == state_of(calm)
    if run is not None:
        search.close()
        again = nl.Search.open(run)
        assert list(again.events) == list(calm.events)
        assert state_of(again) == state_of(calm)


@pytest.mark.slow
@pytest.mark.parametrize("where", ["memory", "folder"])
@pytest.mark.parametrize("what", ["measure", "rewind"])
def test_an_interrupt_at_any_line_of_a_use_leaves_memory_and_store_agreed(small, tmp_path, state_of, where, what):
    run = None if where == "memory" else tmp_path / "run"
    search = nl.Search(small(total=400), run=run, snapshot_every=2)
    hits = 0
    for line in range(1, 150, 4):
        search.rewind(0)
        for _ in range(3):
            next(search)
        hits += interrupted(lambda: search.rewind(2) if what == "rewind" else search.measure("alpha_norm"), line)
        next(search)
        assert [row.event for row in search._store.rows()] == list(search.events)
    assert hits > 8
    state, events = state_of(search), list(search.events)
    fork = search.fork(None, step=search.step - 1)
    next(fork)
    assert state_of(fork) == state
    if run is not None:
        search.close()
        again = nl.Search.open(run)
        assert list(again.events) == events
        assert state_of(again) == state


def test_a_searcher_whose_first_step_was_broken_off_is_spent(begin):
    search = begin()
    search.set("w_lr", 1e38)
    with pytest.raises(Diverged):
        for _ in range(12):
            next(search)
            search.rewind(0)
            search.set("w_lr", 1e38)
            next(search)
    search.close()
    if search.searcher.step == 0:
        with pytest.raises(RunError, match="make a new one"):
            nl.Search(search.searcher)
