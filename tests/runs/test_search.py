"""Driving a search: the loop, steering, rewinding, forking. In memory and on disk alike."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import naslab as nl
from naslab.errors import RunError, SpecError
from naslab.events import Changed, Measured


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


@pytest.mark.slow
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
@pytest.mark.slow
def test_rewind_is_exact(begin, state_of, step):
    search = begin()
    moments = [state_of(search)]
    search.set("w_lr", 0.2)
    for _ in search:
        moments.append(state_of(search))
    events = list(search.events)
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


@pytest.mark.slow
def test_knobs_and_events_from_other_threads(begin):
    search, seen = begin(total=40), []
    worker = threading.Thread(target=lambda: list(search))
    worker.start()
    turn = 0
    while worker.is_alive():
        turn += 1
        try:
            search.set("w_lr", 0.01 + 1e-5 * (turn % 100))
        except RunError:
            assert search.step == 40
        seen.append(len(search.events))
    worker.join()
    assert seen == sorted(seen)
    steps = [event for event in search.events if event.kind == "supernet_step"]
    changes = {event.step: event.new for event in search.events if event.kind == "changed"}
    assert changes
    assert all(event.rates["w_lr"] == changes[event.step] for event in steps if event.step in changes)


@pytest.mark.slow
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


def test_a_searcher_serves_one_search(begin, small, tmp_path, state_of):
    search, calm = begin(), begin()
    with pytest.raises(RunError, match=r"another Search already, <Search: small, step 0 of 12.*close that one first"):
        nl.Search(search.searcher, run=tmp_path / "second")
    assert not (tmp_path / "second").exists()
    next(search)
    with pytest.raises(RunError, match=r"make a new one for each$"):
        nl.Search(search.searcher)
    assert [*search.events, *search] == list(calm)


def test_a_searcher_that_has_not_moved_is_free_again_after_closing(begin, state_of):
    search = begin()
    search.close()
    assert list(nl.Search(search.searcher)) == list(begin())


def test_a_proposer_serves_one_search():
    sampler = nl.searchers.RandomSearch(nl.spaces.NASBench201())
    first = nl.Search(sampler, estimator=lambda architecture: 1.0, budget=3)
    with pytest.raises(RunError, match="another Search already, <Search: random_search, step 0 of 3, in memory>"):
        nl.Search(sampler, estimator=lambda architecture: 1.0, budget=3)
    assert len(list(first)) == 3


def test_a_knob_that_would_act_on_nothing_is_refused(begin):
    search = begin()
    list(search)
    with pytest.raises(RunError, match=r"all 12 steps are done.*rewind\(step\)"):
        search.set("w_lr", 0.5)
    search.rewind(3)
    search.set("w_lr", 0.5)
    assert next(search).rates["w_lr"] == 0.5
    search.close()
    with pytest.raises(RunError, match="it was closed"):
        search.set("w_lr", 0.1)


def test_going_back_forgets_wishes(begin):
    search = begin()
    next(search)
    next(search)
    search.set("w_lr", 0.9)
    search.rewind(1)
    assert next(search).rates["w_lr"] == 0.05


def test_a_fork_in_memory(begin, state_of):
    search, calm = begin(), begin()
    for _ in range(7):
        next(search)
    fork, early = search.fork(None), search.fork(None, step=3)
    assert fork.run is None
    assert [*fork.events, *fork] == [*early.events, *early] == list(calm)
    assert state_of(fork) == state_of(early) == state_of(calm)
    fork.rewind(4)
    early.rewind(4)
    assert state_of(fork) == state_of(early)
    assert search.step == 7


@pytest.mark.parametrize("wrong", [nl.spaces.NASBench201(), nl.searchers.Darts, "runs/darts-1", None])
def test_what_is_no_searcher_is_refused(wrong):
    with pytest.raises(SpecError, match=r"Search drives a searcher, for instance nl.searchers.Darts\(space, task\)"):
        nl.Search(wrong)


@pytest.mark.parametrize("wrong", ["", "  ", 5, object()])
def test_what_is_no_path_is_refused(small, wrong, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for use in (lambda: nl.Search(small(), run=wrong), lambda: nl.Search.open(wrong), lambda: nl.runs.fresh(wrong)):
        with pytest.raises(RunError, match=r"the path of a run is empty; give one|give its path as a string"):
            use()
    assert list(tmp_path.iterdir()) == []


def test_it_says_what_it_is(small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    search = nl.Search(small(total=12), run="runs/small-1")
    next(search)
    assert repr(search) == "<Search: small, step 1 of 12, runs/small-1>"
    search.close()
    assert repr(search) == "<Search: small, step 1 of 12, runs/small-1; it was closed>"
    assert repr(nl.Search(small())) == "<Search: small, step 0 of 30, in memory>"


def test_an_estimator_for_what_has_none_is_refused(small, tmp_path):
    nl.Search(small(), run=tmp_path / "run").close()
    for given in ({"estimator": len}, {"executor": ThreadPoolExecutor(1)}, {"workers": 2}):
        with pytest.raises(SpecError, match=rf"{next(iter(given))}=\.\.\. is for samplers; 'small'"):
            nl.Search.open(tmp_path / "run", **given)
    assert nl.Search.open(tmp_path / "run").step == 0, "and it is nobody's"


def test_where_no_folder_can_be_made(small, tmp_path):
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file" / "run", "/proc/run", "/dev/null/run"):
        with pytest.raises(RunError, match=r"(no folder can be made at|no run could be made at|cannot be).*run"):
            nl.Search(small(), run=place)


@pytest.mark.parametrize("every", [0, -1, 1.5, "2", None, True])
def test_snapshots_come_after_whole_steps(every):
    benchmark = nl.benchmarks.NASBenchMacro()
    with pytest.raises(RunError, match="snapshot_every must be a whole number from 1 up"):
        nl.Search(nl.searchers.RandomSearch(benchmark.space), estimator=benchmark, budget=3, snapshot_every=every)
