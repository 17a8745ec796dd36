"""Driving a search: the loop, steering, rewinding, forking. In memory and on disk alike."""

import threading

import pytest

import naslab as nl
from naslab.errors import Diverged, RunError, SpecError
from naslab.events import Changed, Measured


@pytest.fixture(params=["memory", "folder"])
def begin(request, small, tmp_path):
    """Begins a search of 12 steps with a snapshot every 5."""

    def begin(**sizes):
        run = None if request.param == "memory" else nl.runs.fresh(tmp_path / "run")
        return nl.Search(small(**{"total": 12, **sizes}), run=run, snapshot_every=5)

    return begin


def test_one_step_one_event(begin):
    search = begin()
    first = next(search)
    assert (first.step, search.step, search.total) == (1, 1, 12)
    assert [event.step for event in search] == list(range(2, 13))
    assert list(search.events) == [first, *search.events[1:]]
    assert search.best == search.searcher.best
    with pytest.raises(StopIteration):
        next(search)


def test_break_is_a_pause(begin, small, state_of):
    search, calm = begin(), begin()
    for event in search:
        if event.step == 4:
            break
    assert search.step == 4
    assert [*search.events, *search] == list(calm)
    assert state_of(search) == state_of(calm)


def test_a_knob_acts_on_the_next_step_and_is_logged_with_it(begin):
    search = begin()
    next(search)
    search.set("w_lr", 0.5)
    assert search.knobs["w_lr"].value == 0.5
    assert len(search.events) == 1
    event = next(search)
    assert event.rates["w_lr"] == 0.5
    assert search.events[1] == Changed(step=2, name="w_lr", old=0.05, new=0.5)
    assert search.events[2] is event


def test_the_last_wish_counts_and_no_change_is_no_event(begin):
    search = begin()
    search.set("w_lr", 0.5)
    search.set("w_lr", 0.05)
    next(search)
    assert [event.kind for event in search.events] == ["supernet_step"]


@pytest.mark.parametrize(("name", "value"), [("wlr", 0.1), ("w_lr", -1), ("w_lr", float("nan")), ("w_lr", "fast")])
def test_a_wish_that_makes_no_sense_is_refused_at_once(begin, name, value):
    search = begin()
    with pytest.raises(SpecError, match="w_lr"):
        search.set(name, value)
    assert next(search).rates["w_lr"] == 0.05


def test_measure_is_logged_and_changes_nothing(begin, state_of):
    search, calm = begin(), begin()
    next(search)
    value = search.measure("alpha_norm")
    assert search.events[-1] == Measured(step=1, name="alpha_norm", value=value)
    assert search.step == 1
    list(search)
    list(calm)
    assert state_of(search) == state_of(calm)


def test_every_moment_can_be_forked_exactly(begin, tmp_path, state_of):
    search, moments = begin(), []
    moments.append(state_of(search))
    while search.step < search.total:
        if search.step == 3:
            search.set("w_lr", 0.3)
        if search.step == 7:
            search.set("alpha_lr", 0.2)
        next(search)
        moments.append(state_of(search))
    end, events = state_of(search), list(search.events)
    for step, moment in enumerate(moments):
        fork = search.fork(tmp_path / f"fork-{step}", step=step)
        assert state_of(fork) == moment
        assert list(fork.events) == [event for event in events if event.step <= step]
        if step >= 7:
            if step == 7:  # the knob was turned for the next step, which is not part of this moment
                fork.set("alpha_lr", 0.2)
            list(fork)
            assert state_of(fork) == end
        fork.close()
    assert state_of(search) == end
    assert nl.runs.read(tmp_path / "fork-3").parent["step"] == 3


def test_a_fork_goes_its_own_way(begin, tmp_path, state_of):
    search = begin()
    for _ in range(6):
        next(search)
    fork = search.fork(tmp_path / "fork")
    before = state_of(search)
    fork.set("w_lr", 1.0)
    list(fork)
    assert (search.step, fork.step) == (6, 12)
    assert state_of(search) == before
    fork.close()
    again = nl.Search.open(tmp_path / "fork")
    assert state_of(again) == state_of(fork)
    again.rewind(2)
    search.rewind(2)
    assert state_of(again) == state_of(search)


@pytest.mark.parametrize("step", [0, 1, 5, 6, 11, 12])
def test_rewind_is_exact(begin, state_of, step):
    search = begin()
    moments = [state_of(search)]
    search.set("w_lr", 0.2)
    for _ in search:
        moments.append(state_of(search))
    events = list(search.events)
    search.set("w_lr", 0.9)
    search.rewind(step)
    assert search.step == step
    assert state_of(search) == moments[step]
    assert list(search.events) == [event for event in events if event.step <= step]
    if step == 0:
        search.set("w_lr", 0.2)
    list(search)
    assert list(search.events) == events
    assert state_of(search) == moments[-1]


@pytest.mark.parametrize("step", [-1, 3, True, 1.0, None])
def test_rewind_only_to_what_was(begin, step):
    search = begin()
    next(search)
    next(search)
    with pytest.raises(RunError, match="0 to 2"):
        search.rewind(step)


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


def test_knobs_and_events_from_other_threads(begin):
    search, seen = begin(total=40), []
    worker = threading.Thread(target=lambda: list(search))
    worker.start()
    turn = 0
    while worker.is_alive():
        turn += 1
        search.set("w_lr", 0.01 + 1e-5 * (turn % 100))
        seen.append(len(search.events))
    worker.join()
    assert seen == sorted(seen)
    steps = [event for event in search.events if event.kind == "supernet_step"]
    changes = {event.step: event.new for event in search.events if event.kind == "changed"}
    assert changes
    assert all(event.rates["w_lr"] == changes[event.step] for event in steps if event.step in changes)


def test_two_threads_take_turns(begin, state_of):
    search, calm = begin(total=30), begin(total=30)
    workers = [threading.Thread(target=lambda: list(search)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert list(search.events) == list(calm)
    assert state_of(search) == state_of(calm)


def test_the_log_reads_like_a_list(begin):
    search = begin()
    list(search)
    log = search.events
    assert len(log) == 12
    assert log[-1].step == 12
    assert [event.step for event in log[2:4]] == [3, 4]
    assert log == list(log)
    assert repr(log) == "<12 events>"
    with pytest.raises(TypeError):
        log[0] = None


def test_after_closing_it_only_tells(begin):
    search = begin()
    next(search)
    search.close()
    search.close()
    assert len(search.events) == search.step == 1
    assert search.best
    for use in (lambda: next(search), lambda: search.measure("alpha_norm"), lambda: search.rewind(0)):
        with pytest.raises(RunError, match="it was closed"):
            use()


def test_a_searcher_that_has_moved_is_refused(small):
    searcher = small()
    searcher.advance()
    with pytest.raises(RunError, match="has done 1 step"):
        nl.Search(searcher)


def test_no_snapshots_is_no_choice(small):
    with pytest.raises(RunError, match="1 step or more"):
        nl.Search(small(), snapshot_every=0)
