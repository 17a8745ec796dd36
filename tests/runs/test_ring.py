"""States in memory: that what comes back from them is exact, and that they stay within their bounds."""

import re
import threading
import time
from itertools import pairwise

import pytest
import torch
from interrupting import interrupted_at

import naslab as nl
from naslab.errors import Cancelled
from naslab.runs import ring as rings
from naslab.runs.ring import Copy, Ring


@pytest.fixture(autouse=True)
def however_slow(monkeypatch):
    """Copies may take any time, as on a machine that is busy with other things."""
    monkeypatch.setattr(rings, "SHARE_OF_TIME", 1e9)


@pytest.fixture
def every_step(monkeypatch):
    """A copy of each step."""
    monkeypatch.setattr(rings, "SECONDS_APART", 0.0)
    monkeypatch.setattr(rings, "SHARE_OF_TIME", 1e9)


@pytest.fixture(params=["memory", "folder"])
def begin(request, small, tmp_path, monkeypatch):
    """Begins a search of 12 steps with no snapshot but the first and the last, and no copy that nobody asked for: on a
    slow machine a few steps are a second of work.
    """
    if "every_step" not in request.fixturenames:
        monkeypatch.setattr(rings, "SECONDS_APART", float("inf"))

    def begin(**sizes):
        run = None if request.param == "memory" else nl.runs.fresh(tmp_path / "run")
        return nl.Search(small(**{"total": 12, **sizes}), run=run, snapshot_every=50)

    return begin


def redone(search, step):
    """Steps that are done again to get there, and how it went."""
    seen = []
    search.rewind(step, progress=lambda done, total: seen.append((done, total)))
    return seen


def moments_of(search, state_of, steps=12):
    found = [state_of(search)]
    for _ in range(steps):
        next(search)
        found.append(state_of(search))
    return found


def test_what_lies_in_memory_is_back_without_a_step_and_exactly(begin, state_of, every_step):
    search = begin()
    moments = moments_of(search, state_of)
    assert search._ring.steps == list(range(1, 13))
    assert redone(search, 9) == [(0, 0)]
    assert state_of(search) == moments[9]
    fork = search.fork(step=4, progress=lambda done, total: pytest.fail("a step") if total else None)
    assert state_of(fork) == moments[4]
    list(search)
    list(fork)
    assert state_of(search) == state_of(fork) == moments[12]


def test_an_advance_that_was_broken_off_is_undone_from_memory(begin, state_of, every_step):
    search, calm = begin(), begin()
    for _ in range(6):
        next(search)
    search.searcher.alpha.data.fill_(9)
    search._lost = True
    search.searcher.repeat = lambda logged: pytest.fail("a step was done again")
    next(search)
    list(search)
    list(calm)
    assert state_of(search) == state_of(calm)


def test_going_back_forgets_the_copies_of_what_was_left(begin, state_of, every_step):
    search = begin()
    moments_of(search, state_of)
    search.rewind(5)
    assert search._ring.steps == [1, 2, 3, 4, 5]
    search.set("w_lr", 0.5)
    moments = [None] * 5 + moments_of(search, state_of, 7)
    assert redone(search, 8) == [(0, 0)]
    assert state_of(search) == moments[8]


@pytest.mark.slow
@pytest.mark.parametrize("where", ["memory", "folder"])
def test_an_interrupt_at_any_line_of_a_rewind_leaves_no_copy_of_what_was_left(
    small, tmp_path, state_of, every_step, where
):
    run = None if where == "memory" else tmp_path / "run"
    search, hits, rate = nl.Search(small(total=400), run=run), 0, 0.05
    places = {module.__file__ for module in (nl.runs.search, nl.runs.driving, nl.runs.restoring, rings)}
    for line in range(1, 60, 4):
        search.rewind(0)
        for _ in range(4):
            next(search)
        hits += interrupted_at(lambda: search.rewind(2), line, places)
        rate = 0.06 - rate + 0.04
        search.set("w_lr", rate)  # from here on other steps come
        while search.step < 4:
            next(search)
        state, calm = state_of(search), search.fork(step=0)
        for event in search.events:
            if event.kind == "changed":
                calm.set(event.name, event.new)
            elif event.kind == "supernet_step":
                next(calm)
        assert state == state_of(calm)
        search.rewind(4)
        assert state_of(search) == state
    assert hits > 5


def test_taking_copies_changes_no_bit(begin, state_of, every_step, monkeypatch):
    with_copies = begin()
    events = list(with_copies)
    monkeypatch.setattr(rings, "SECONDS_APART", 1e9)
    without = begin()
    assert events == list(without)
    assert (len(with_copies._ring.steps), without._ring.steps) == (12, [])
    assert state_of(with_copies) == state_of(without)


def test_trials_come_back_from_memory_without_being_told_again(every_step):
    table = nl.benchmarks.NASBench201()
    sampler = nl.searchers.RegularizedEvolution(table.space, population=5, sample=2, seed=3)
    search = nl.Search(sampler, estimator=table, budget=40)
    events = list(search)
    assert redone(search, 21) == [(0, 0)]
    assert [*events[:21], *search] == events


# --- how much there is of it -----------------------------------------------------------------------


def state(numbers, step=0):
    return {"weights": torch.full((numbers,), float(step)), "step": step}


def filled(count, *, numbers=10, ring=None):
    ring = ring or Ring()
    for step in range(1, count + 1):
        ring.passed(step, 1.0, lambda step=step: state(numbers, step))
    return ring


def test_one_copy_a_second_of_work():
    ring = Ring()
    for step in range(1, 101):
        ring.passed(step, 0.125, lambda: state(10))
    assert ring.steps == list(range(8, 101, 8))


def test_a_dear_copy_is_taken_seldom(monkeypatch):
    monkeypatch.setattr(rings, "SHARE_OF_TIME", 0.01)
    ring = Ring()

    def dear():
        time.sleep(0.05)
        return state(10)

    for step in range(1, 21):
        ring.passed(step, 1.0, dear)
    assert ring.steps[0] == 1
    assert all(later >= earlier + 5 for earlier, later in pairwise(ring.steps))  # 0.05 s is a hundredth of 5 s


def test_gaps_grow_with_age(monkeypatch):
    monkeypatch.setattr(rings, "CACHE_COPIES", 40)
    ring = filled(1000)
    steps = ring.steps
    assert len(steps) == 40
    assert steps[-4:] == [997, 998, 999, 1000]
    gaps = [later - earlier for earlier, later in zip([0, *steps], steps, strict=False)]
    ages = [1000 - step for step in steps]
    assert all(gap <= 0.4 * age + 2 for gap, age in zip(gaps, ages, strict=True))
    assert max(gaps) > 30


def test_a_big_state_stays_within_the_limit_and_all_searches_share_it(monkeypatch):
    most, numbers = 10_000_000, 250_000  # a megabyte each
    monkeypatch.setattr(rings, "CACHE_BYTES", rings.cached_bytes() + most)
    before = rings.cached_bytes()
    first = filled(40, numbers=numbers)
    assert 8_000_000 < first.bytes <= most
    second = filled(40, numbers=numbers)
    assert rings.cached_bytes() - before <= most
    assert min(first.bytes, second.bytes) > 3_000_000
    assert first.steps[-1] == second.steps[-1] == 40
    alive = sum(copy.state["weights"].nbytes for ring in (first, second) for copy, _ in ring._copies)
    assert alive <= most
    second.clear()
    filled(40, numbers=numbers, ring=first)
    assert first.bytes > 8_000_000


def test_a_state_larger_than_the_limit_is_tried_once(monkeypatch):
    monkeypatch.setattr(rings, "CACHE_BYTES", 1_000_000)
    asked = []
    ring = Ring()
    for step in range(1, 6):
        ring.passed(step, 1.0, lambda: asked.append(1) or state(2_000_000))
    assert (ring.steps, len(asked)) == ([], 1)


def test_a_tenth_of_what_is_free(monkeypatch):
    monkeypatch.setattr(rings, "available", lambda: 30_000_000 - rings.cached_bytes())
    ring = filled(20, numbers=250_000)
    assert rings.cached_bytes() <= 3_000_000
    assert len(ring.steps) == 2


def test_what_tensors_share_is_counted_once_and_a_part_with_all_that_it_keeps():
    fixed, whole = torch.zeros(1000), torch.zeros(1000)
    ring = Ring()
    for step in range(1, 6):
        ring.passed(step, 1.0, lambda: {"fixed": fixed, "again": fixed, "part": whole[:10].view(2, 5)})
    assert ring.bytes == 5 * 3 * rings.BYTES_PER_VALUE + 2 * 4000
    ring._splice(0, 1, [])  # what it shared with the next is that one's now
    assert ring.bytes == 4 * 3 * rings.BYTES_PER_VALUE + 2 * 4000
    before = rings.cached_bytes()
    other = Ring()
    other.share(ring, 4)
    assert (other.steps, rings.cached_bytes()) == ([2, 3, 4], before)
    ring.clear()
    assert rings.cached_bytes() == before - 3 * rings.BYTES_PER_VALUE


def test_a_copy_is_not_what_was_taken_nor_what_is_given():
    copy = Copy.of(1, {"weights": torch.zeros(3), "name": "x"})
    copy.cloned()["weights"].fill_(7)
    assert copy.cloned()["weights"].tolist() == [0, 0, 0]


def test_a_search_that_is_closed_holds_nothing(small, every_step):
    search = nl.Search(small(total=4))
    list(search)
    assert search._ring.bytes > 0
    search.close()
    assert search._ring.bytes == 0


# --- said before, shown, cancelled -------------------------------------------------------------------


def test_what_it_takes_is_said_before(begin, state_of, monkeypatch):
    search = begin()
    assert search.cost_of_going_back(0) == (0, 0, 0.0, 0)
    for _ in range(9):
        next(search)
    told = search.cost_of_going_back(7)
    assert (told.again, told.start, told.end) == (7, 0, 9)
    assert 7 * 1e-5 < told.seconds < 7 * 0.5
    assert re.fullmatch(
        r"steps 1 to 7 are done again, in about \d\.\d s; steps 8 to 9 stay in the run as abandoned", str(told)
    )
    monkeypatch.setattr(rings, "SECONDS_APART", 0.0)
    next(search)
    next(search)
    told = search.cost_of_going_back(10)
    assert (told.again, told.start) == (0, 10)
    assert str(told) == "at once; step 11 stays in the run as abandoned"
    assert str(search.cost_of_going_back(11)) == "at once"
    with pytest.raises(nl.errors.RunError, match="0 to 11"):
        search.cost_of_going_back(12)


def test_of_a_run_that_is_opened_the_journal_knows_how_long_a_step_took(small, tmp_path):
    search = nl.Search(small(total=30), run=tmp_path / "run")
    for _ in range(9):
        next(search)
    search.close()
    again = nl.Search.open(tmp_path / "run")
    assert 0 < again.cost_of_going_back(8).seconds < 8


@pytest.mark.parametrize("turned", [False, True])
def test_a_rewind_can_be_followed_and_cancelled_and_then_nothing_has_happened(begin, state_of, turned):
    search, calm, cancel, seen = begin(), begin(), threading.Event(), []
    for _ in range(10):
        next(search)
        next(calm)
    if turned:
        search.set("w_lr", 0.2)
        calm.set("w_lr", 0.2)
    before, log = state_of(search), list(search.events)

    def progress(done, total):
        seen.append((done, total))
        if done == 4:
            cancel.set()

    with pytest.raises(Cancelled, match=r"4 of 8 steps .* as it was"):
        search.rewind(8, progress=progress, cancel=cancel)
    assert seen == [(done, 8) for done in range(5)]
    assert (search.step, state_of(search), list(search.events)) == (10, before, log)
    assert search.knobs["w_lr"].value == (0.2 if turned else 0.05)
    assert search._store.snapshots() == calm._store.snapshots()
    assert list(search) == list(calm)
    assert (state_of(search), list(search.events)) == (state_of(calm), list(calm.events))
    assert search.lineage[0].step == 12
    assert len(search.lineage) == 1


def test_whatever_ends_a_rewind_the_search_is_where_it_was(begin, state_of):
    search = begin()
    for _ in range(10):
        next(search)
    before = state_of(search)
    with pytest.raises(ZeroDivisionError):
        search.rewind(8, progress=lambda done, total: 1 // (3 - done))
    assert (search.step, state_of(search), search._lost) == (10, before, False)


def test_a_fork_that_is_cancelled_leaves_nothing(begin, state_of, tmp_path):
    search, cancel = begin(), threading.Event()
    for _ in range(10):
        next(search)
    before, others = state_of(search), sorted(tmp_path.iterdir())
    with pytest.raises(Cancelled):
        search.fork(tmp_path / "fork", 8, progress=lambda done, total: done == 3 and cancel.set(), cancel=cancel)
    assert (search.step, state_of(search), sorted(tmp_path.iterdir())) == (10, before, others)
    assert len(search.lineage) == 1
