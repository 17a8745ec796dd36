"""Forks and ways back as the page asks for them, and what one panel shows of them."""

import threading
import time

import pytest

import naslab as nl
from naslab import snapshot
from naslab.errors import Cancelled, RunError, SpecError
from naslab_widgets import Lab


@pytest.fixture(scope="module")
def digits():
    return nl.tasks.Digits()


@pytest.fixture
def lab(digits):
    """Of a search whose steps cannot be had without doing them again, ten of them done."""
    space = nl.spaces.NASBench201(channels=2, cells=1)
    search = nl.Search(nl.searchers.Darts(space, digits, order=1, batch_size=32, epochs=1, threads=1))
    lab = Lab(search)
    lab.run(10)
    search._ring.clear()
    yield lab
    Lab.stop_all()


def hear(lab, **message):
    lab.deck._receive(lab.deck, {"type": "section", "section": "branches", **message}, [])


def settled(lab, until, seconds=30.0):
    end = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end, lab.branches.state()
        time.sleep(0.02)


def tree(lab):
    lab.branches._read = float("-inf")
    return lab.branches.state()["rows"]


def rows(lab):
    return [(row["name"], row["parent"], row["parted"], row["kind"], row["shown"]) for row in tree(lab)]


def test_a_fork_in_python_and_on_the_page_are_the_same(lab):
    by_hand = lab.fork_here(4, change={"alpha_lr": 0.02}, name="by hand")
    assert (by_hand.step, by_hand.knobs["alpha_lr"].value) == (4, 0.02)
    hear(lab, do="fork", step=4, name="by page", change={"name": "alpha_lr", "value": 0.02}, keep=False)
    settled(lab, lambda: len(lab.stage.shown) == 3)
    assert rows(lab) == [
        ("search", None, 0, "live", True),
        ("by hand", 0, 4, "live", True),
        ("by page", 0, 4, "live", True),
    ]
    by_page = lab.stage.shown[-1]
    assert list(by_page.events) == list(by_hand.events)
    assert next(by_page) == next(by_hand)


def test_side_by_side_in_step_and_back_to_one(lab):
    fork = lab.fork_here(4)
    compare = lab.stage.compare
    assert list(compare.searches) == ["search", "fork-1"]
    assert list(lab.panel.children) == list(compare.panel.children)
    assert (lab.search.step, fork.step, compare.state) == (10, 4, "idle")
    compare.run(3)  # six steps, all of them of the one that is behind
    assert (lab.search.step, fork.step) == (10, 10)
    run = fork._store.run
    compare.deck._receive(compare.deck, {"type": "section", "section": "branches", "do": "show", "runs": [run]}, [])
    settled(lab, lambda: lab.stage.compare is None)
    assert (lab.stage.shown, compare.state) == ((fork,), "stopped")
    other = lab.stage.lab_of(fork)
    assert list(lab.panel.children) == [other.deck, *other.views]
    other.run(1)
    lab.run(1)  # it was not stopped, and has come to no harm
    assert (lab.search.step, fork.step, lab.state) == (11, 11, "paused")
    lab.branches.show([lab.search._store.run])
    assert list(lab.panel.children) == [lab.deck, *lab.views]


def test_a_tree_that_was_put_together_a_moment_ago_is_not_told_again_after_a_change(lab):
    def shown():
        return [(row["name"], row["kind"], row["shown"]) for row in lab.branches.state()["rows"]]

    lab.fork_here(4)
    assert shown() == [("search", "live", True), ("fork-1", "live", True)]
    lab.stage.compare.deck.sections["branches"].show([lab.search._store.run])
    assert shown() == [("search", "live", True), ("fork-1", "live", False)]
    told = []
    lab.branches._poke = lambda: told.append(shown())
    lab.go_back(6)
    assert "left" in [kind for _, kind, _ in told[-1]], "the last that is published has the branch that was left"


def test_what_it_takes_is_told_when_it_is_asked(lab):
    hear(lab, do="ask", step=6)
    told = lab.branches.state()["told"]
    assert told["again"].startswith("steps 1 to 6 are done again, in about ")
    assert told["left"] == "steps 7 to 10 stay"


def test_going_back_leaves_the_rest_in_the_tree(lab):
    lab.play()
    hear(lab, do="back", step=6)
    settled(lab, lambda: lab.search.step == 6 and lab.branches.state()["busy"] is None)
    assert lab.state == "paused"
    assert [row[1:4] for row in rows(lab)] == [(None, 0, "live"), (0, 6, "left")]
    assert lab.search.lineage[1].step >= 10


@pytest.mark.parametrize("what", ["fork", "back"])
def test_what_is_cancelled_leaves_all_as_it_was(lab, what):
    before = snapshot.digest(lab.search.searcher.state_dict())
    repeat, waits = lab.search.searcher.repeat, threading.Event()
    begun = threading.Event()

    def slow(self, logged):
        begun.set()
        waits.wait(20)
        return type(self).advance(self)

    kind = type(lab.search.searcher)
    kept, kind.repeat = kind.repeat, slow
    try:
        hear(lab, do=what, step=6)
        assert begun.wait(20)
        settled(lab, lambda: lab.branches.state()["busy"]["total"] == 6)
        assert lab.branches.state()["busy"] == {"what": what, "step": 6, "done": 0, "total": 6}
        with pytest.raises(RunError, match="another fork or rewind is still running"):
            lab.go_back(3)
        hear(lab, do="cancel")
        waits.set()
        settled(lab, lambda: lab.branches.state()["busy"] is None)
    finally:
        kind.repeat = kept
    assert repeat is not None
    assert (lab.search.step, snapshot.digest(lab.search.searcher.state_dict())) == (10, before)
    assert [row[0] for row in rows(lab)] == ["search"]
    assert lab.branches.state()["error"] == ""


def test_a_mask_is_added_to_what_was_forbidden_at_that_moment(lab):
    lab.search.set("mask/cell", {"0": ["nor_conv_3x3"]})
    lab.run(1)
    lab.search.set("mask/cell", {})
    lab.run(1)
    change = {"name": "mask/cell", "where": "0", "value": "skip_connect"}
    for step, expected in ((11, ["skip_connect", "nor_conv_3x3"]), (12, ["skip_connect"]), (10, ["skip_connect"])):
        given = lab.branches._changed(change, step)["mask/cell"]
        assert (step, sorted(given["0"])) == (step, sorted(expected))


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ({"step": 400}, "0 to 10, not 400"),
        ({"step": 3, "change": {"name": "alpha_lr", "value": -1}}, "alpha_lr"),
        ({"step": 3, "change": {"name": "<b>no", "value": 1}}, "<b>no"),
        ({"step": 3, "name": "../elsewhere", "keep": True}, "expected a folder name"),
    ],
)
def test_what_makes_no_sense_is_said_and_nothing_has_happened(lab, message, said):
    told = []
    lab.deck._complain = lambda error: told.append(str(error))
    hear(lab, do="fork", **message)
    settled(lab, lambda: told or lab.branches.state()["error"])
    assert told == [], "it is said beside the buttons, not below the pictures"
    assert said in lab.branches.state()["error"]
    assert (lab.search.step, [row[0] for row in rows(lab)]) == (10, ["search"])


def test_a_fork_is_kept_beside_its_run_and_a_run_that_vanishes_is_said(digits, tmp_path):
    space = nl.spaces.NASBench201(channels=2, cells=1)
    search = nl.Search(nl.searchers.Darts(space, digits, order=1, batch_size=32, epochs=1), run=tmp_path / "root")
    lab = Lab(search)
    assert lab.branches.about()["folders"]
    lab.run(3)
    hear(lab, do="fork", step=3, name="mine", keep=True)
    settled(lab, lambda: len(lab.stage.shown) == 2)
    assert lab.stage.shown[1].run == tmp_path / "mine"
    hear(lab, do="fork", step=3, name="mine", keep=True)
    settled(lab, lambda: lab.branches.state()["error"])
    assert "mine" in lab.branches.state()["error"]
    (tmp_path / "root").rename(tmp_path / "away")
    hear(lab, do="back", step=1)
    settled(lab, lambda: "the folder is gone" in lab.branches.state()["error"])
    assert search.step == 3
    (tmp_path / "away").rename(tmp_path / "root")
    lab.go_back(1)
    assert search.step == 1
    Lab.stop_all()


def test_up_to_three_and_no_name_twice(lab):
    first, second, third = (lab.search.fork(step=step, name="same") for step in (1, 2, 3))
    with pytest.raises(SpecError, match="1 to 3"):
        lab.stage.show([lab.search, first, second, third])
    lab.stage.show([first, second, third])
    assert list(lab.stage.compare.searches) == ["same", "same (2)", "same (3)"]


def test_in_python_a_cancelled_fork_raises(lab):
    def cancelled(**how):
        raise Cancelled("by hand")

    lab.search.fork = lambda *given, **named: cancelled()
    with pytest.raises(Cancelled):
        lab.fork_here(4)
    assert lab.branches.state()["busy"] is None
