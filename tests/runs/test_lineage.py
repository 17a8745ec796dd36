"""Forks with a change, and the tree that forks make."""

import gc
import json
import threading
import time
import weakref

import pytest

import naslab as nl
from naslab.errors import RunError, SpecError
from naslab.runs import lineage
from naslab.runs.about import sealed


@pytest.fixture(params=["memory", "folder"])
def place(request, tmp_path):
    """Where the search of that name is to be."""
    return lambda name: None if request.param == "memory" else tmp_path / name


@pytest.fixture
def begun(small, place):
    """A search of 12 steps that has done eight."""
    search = nl.Search(small(total=12), run=place("root"), snapshot_every=4)
    for _ in range(8):
        next(search)
    return search


@pytest.fixture
def cells(digits):
    """A search whose alphas can be pushed, that has done three steps."""
    space = nl.spaces.NASBench201(channels=2, cells=1)
    search = nl.Search(nl.searchers.Darts(space, digits, order=1, batch_size=32, epochs=1))
    for _ in range(3):
        next(search)
    return search


def told(search):
    """The tree, without what differs from process to process."""
    return [(b.name, b.parent, b.parted, b.step, b.abandoned, b.search is not None) for b in search.lineage]


# --- a change at the fork ---------------------------------------------------------------------------


def test_a_fork_does_otherwise_from_its_first_step_on(begun, place, state_of):
    fork = begun.fork(place("fork"), 5, change={"alpha_lr": 0.02})
    by_hand = begun.fork(step=5)
    by_hand.set("alpha_lr", 0.02)
    assert [event.kind for event in fork.events[5:]] == []
    assert fork.knobs["alpha_lr"].value == 0.02
    assert list(fork) == list(by_hand)
    assert state_of(fork) == state_of(by_hand)
    assert fork.events[5] == nl.events.Changed(step=6, name="alpha_lr", old=0.01, new=0.02)
    assert begun.knobs["alpha_lr"].value == 0.01


def test_a_change_may_be_an_act_or_a_mask(cells, state_of):
    push = {"part": "cell", "row": 2, "operation": "skip_connect", "by": 1.5}
    fork = cells.fork(step=2, change={"nudge": push, "mask/cell": {"0": ["nor_conv_3x3"]}})
    next(fork)
    by_hand = cells.fork(step=2)
    by_hand.act("nudge", **push)
    by_hand.set("mask/cell", {"0": ["nor_conv_3x3"]})
    next(by_hand)
    assert state_of(fork) == state_of(by_hand)
    assert {event.kind for event in fork.events[2:]} == {"acted", "changed", "supernet_step"}


@pytest.mark.parametrize(
    "change",
    [
        {"alpha_lt": 0.02},
        {"alpha_lr": -1},
        {"alpha_lr": float("nan")},
        {"nudge": 3},
        {"nudge": {"part": "cell", "row": 2, "operation": "skip_connect"}},
        {"mask/cell": {"0": ["no such thing"]}},
        {3: 4},
        [("alpha_lr", 0.1)],
        "alpha_lr",
    ],
)
def test_a_change_that_makes_no_sense_is_refused_before_any_work(cells, tmp_path, change):
    cells._rebuild = lambda: pytest.fail("work was done")
    with pytest.raises(SpecError):
        cells.fork(tmp_path / "fork", 2, change=change)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_is_taken_or_a_step_that_is_not_done_is_refused_before_any_work(begun, tmp_path):
    begun._rebuild = lambda: pytest.fail("work was done")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.tex").touch()
    with pytest.raises(RunError, match="taken"):
        begun.fork(tmp_path / "taken", 3)
    with pytest.raises(RunError, match="0 to 8, not 40"):
        begun.fork(step=40)


def test_at_the_end_there_is_nothing_that_a_change_could_act_on(begun):
    list(begun)
    assert begun.fork(step=12).step == 12
    with pytest.raises(RunError, match="would act on none; fork before"):
        begun.fork(step=12, change={"alpha_lr": 0.02})


def test_what_is_refused_at_the_moment_of_the_fork_leaves_no_fork(cells, tmp_path):
    cells.set("mask/cell", {})
    push = {"part": "cell", "row": 2, "operation": "skip_connect", "by": 1.5}
    cells.set("mask/cell", {"2": ["skip_connect"]})
    next(cells)
    cells.set("mask/cell", {})
    next(cells)
    with pytest.raises(SpecError, match="forbidden on edge 2"):
        cells.fork(tmp_path / "fork", 4, change={"nudge": push})
    assert list(tmp_path.iterdir()) == []
    assert len(cells.lineage) == 1
    assert next(cells.fork(tmp_path / "fork", 5, change={"nudge": push})).step == 6


# --- the tree -------------------------------------------------------------------------------------------


def test_the_tree_of_forks(begun, place):
    first = begun.fork(place("first"), 4, name="first")
    second = begun.fork(place("second"), 2, name="second")
    for _ in range(3):
        next(first)
    third = first.fork(place("third"), 6, name="third")
    root = begun.name
    expected = [
        (root, None, 0, 8, False, True),
        ("second", 0, 2, 2, False, True),
        ("first", 0, 4, 7, False, True),
        ("third", 2, 6, 6, False, True),
    ]
    for search in (begun, first, second, third):
        assert told(search) == expected
    assert third.lineage[3].search is third
    assert third.lineage[3].path == third.run
    other = begun.fork(name="between").fork(step=0, name="other")  # nobody keeps the one between them
    gc.collect()
    assert told(other)[4:] == [("between", 0, 8, 8, False, False), ("other", 4, 0, 0, False, True)]
    second.close()
    assert [name for name, *_ in told(begun)] == [root, "first", "third", "between", "other"]


def test_searches_that_have_nothing_to_do_with_each_other_are_two_trees(begun, small):
    assert len(nl.Search(small()).lineage) == 1
    assert len(begun.lineage) == 1


def test_the_tree_can_be_asked_for_while_others_begin_searches(begun, monkeypatch):
    class Slow(weakref.WeakSet):
        """Lets others in between two of its items."""

        def __iter__(self):
            for item in super().__iter__():
                time.sleep(0.005)
                yield item

    monkeypatch.setattr(lineage, "_living", Slow([begun]))
    begins = [begun.fork(step=step) for step in range(3)]
    threads = [threading.Thread(target=begun.fork) for _ in range(3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert len(begun.lineage) >= 4
    assert begins


def test_what_going_back_has_left_is_in_the_tree(begun, place, tmp_path):
    begun.rewind(6)
    next(begun)
    begun.rewind(3)
    begun.rewind(3)
    expected = [
        (begun.name, None, 0, 3, False, True),
        (begun.name, 0, 6, 8, True, False),
        (begun.name, 0, 3, 7, True, False),
    ]
    assert told(begun) == expected
    assert begun.fork().lineage[:1] == begun.lineage[:1]
    if begun.run is not None:
        begun.close()
        again = nl.Search.open(begun.run)
        assert told(again) == expected


def test_a_fork_knows_what_it_comes_from_when_that_is_gone(begun, place):
    fork = begun.fork(place("fork"), 5, name="fork")
    grandchild = fork.fork(place("grandchild"), 5, name="grandchild")
    root = begun.name
    begun.close()
    fork.close()
    del begun, fork
    gc.collect()
    found = [(b.name, b.parent, b.parted, b.search is not None) for b in grandchild.lineage]
    top = root if grandchild.run is not None else "a search that is gone"
    assert found == [(top, None, 0, False), ("fork", 0, 5, False), ("grandchild", 1, 5, True)]


def test_runs_that_are_opened_find_their_tree_again(small, tmp_path):
    root = nl.Search(small(total=12), run=tmp_path / "root")
    for _ in range(4):
        next(root)
    fork = root.fork(tmp_path / "fork", 2)
    root.close()
    fork.close()
    fork = nl.Search.open(tmp_path / "fork")
    assert told(fork) == [("root", None, 0, 2, False, False), ("fork", 0, 2, 2, False, True)]
    assert fork.lineage[0].path == tmp_path / "root"
    root = nl.Search.open(tmp_path / "root")
    assert told(root) == [("root", None, 0, 4, False, True), ("fork", 0, 2, 2, False, True)]
    root.close()
    (tmp_path / "root").rename(tmp_path / "elsewhere")
    assert next((b.name, b.path) for b in fork.lineage) == ("root", None)


def test_a_run_that_says_that_it_comes_from_itself(small, tmp_path):
    nl.Search(small(total=12), run=tmp_path / "run").close()
    file = tmp_path / "run" / "run.json"
    about = json.loads(file.read_text())
    del about["blake2b"]
    file.write_bytes(sealed({**about, "parent": {"path": str(tmp_path / "run"), "step": 3, "run": about["run"]}}))
    assert told(nl.Search.open(tmp_path / "run")) == [("run", None, 0, 0, False, True)]
