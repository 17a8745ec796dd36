"""The types of `static/types.d.ts` say what Python sends: no member too few, and none that Python never heard of."""

import re
import time

import pytest

import naslab as nl
from naslab_widgets import Compare, Lab, scripts
from naslab_widgets.composer import Compose
from naslab_widgets.figures.trial_table import COLUMNS
from naslab_widgets.page import PageWidget
from naslab_widgets.race import RaceView

TEXT = (scripts.STATIC / "types.d.ts").read_text(encoding="utf-8")
INTERFACES = {
    name: (parents or "", body)
    for name, parents, body in re.findall(
        r"^(?:export )?interface (\w+)(?:<[^{]*?>)?(?: extends ([^{]+?))? \{\n(.*?)^\}", TEXT, re.MULTILINE | re.DOTALL
    )
}


def members(name):
    """Name of each member -> whether it may be missing."""
    parents, body = INTERFACES[name]
    found = {}
    if parents:
        omitted = re.fullmatch(r'Omit<(\w+), "(\w+)">', parents)
        found = members(omitted[1] if omitted else re.match(r"\w+", parents)[0])
        if omitted:
            del found[omitted[2]]
    return found | {
        member: mark == "?" for member, mark in re.findall(r"^  (?:readonly )?(\w+)(\??):", body, re.MULTILINE)
    }


def agrees(name, value):
    """Fails unless an object has the members of an interface."""
    known = members(name)
    assert set(value) <= set(known), f"{name} lacks {set(value) - set(known)}"
    assert {member for member, optional in known.items() if not optional} <= set(value), name


@pytest.fixture
def said(monkeypatch):
    """(widget, message) of everything that is sent to a page."""
    found = []
    monkeypatch.setattr(PageWidget, "send", lambda self, content, buffers=(): found.append((self, content)))
    return found


def asked(widget, said, question, kind=None):
    """The answer of a widget to a page: the next message of this type; the publisher of its panel sends it."""
    before = len(said)
    widget._receive(None, question, [])
    until = time.monotonic() + 20
    while time.monotonic() < until:
        for sender, message in said[before:]:
            if sender is widget and (message["type"] == kind or (kind is None and "number" in message)):
                return message
        time.sleep(0.02)
    raise AssertionError(f"no answer to {question}")


HELLO = {"type": "hello"}
SECTIONS = {
    "strip": "StripState",
    "settings": "SettingsState",
    "branches": "BranchesState",
    "watch": "WatchState",
    "ledger": "LedgerState",
    "before": "BeforeState",
    "sheet": "EdgeSheetState",
    "candidate": "CandidateState",
}


def test_an_interface_is_read_with_what_it_extends():
    assert members("RowsMessage") == {"type": False, "number": False, "status": False, "sections": False}
    assert "measured" not in members("CompareStatus")
    assert members("TrialsStatus")["epoch"] is True


def test_columns_of_trials():
    listed = re.search(r"export type TrialColumn =\n(.*?);", TEXT, re.DOTALL)[1]
    assert re.findall(r'"(\w+)"', listed) == list(COLUMNS)


@pytest.mark.slow
def test_a_search_with_a_supernet(said):
    space, task = nl.spaces.NASBench201(channels=2, cells=1), nl.tasks.Digits()
    search = nl.Search(nl.searchers.Darts(space, task, order=1, batch_size=8, epochs=1, seed=0))
    next(search)
    lab = Lab(search)
    message = asked(lab.view, said, HELLO)
    agrees("RowsMessage", message)
    agrees("LoggedStatus", message["status"])
    description = lab.view.description
    agrees("LiveDescription", description)
    for name, values in (("Operation", "operations"), ("Part", "parts"), ("Chart", "charts")):
        for value in description[values]:
            agrees(name, value)
    agrees("EdgeSheetAbout", description["sections"]["sheet"])
    deck = asked(lab.deck, said, HELLO)
    agrees("DeckMessage", deck)
    agrees("Status", deck["status"])
    for name, state in {**deck["sections"], **message["sections"]}.items():
        if name in SECTIONS and state != {"shown": False}:
            agrees(SECTIONS[name], state)
    agrees("Rules", message["sections"]["sheet"]["now"])
    agrees("Branch", deck["sections"]["branches"]["rows"][0])
    for setting in lab.deck.description["sections"]["settings"]["settings"]:
        assert set(setting) <= set(members("Setting"))


@pytest.mark.slow
def test_a_search_of_trials(said):
    table = nl.benchmarks.NASBench201()
    evolution = nl.searchers.RegularizedEvolution(table.space, population=4, sample=2, seed=0)
    search = nl.Search(evolution, estimator=table, budget=9)
    for _ in range(6):
        next(search)
    lab = Lab(search)
    agrees("TrialsDescription", lab.view.description)
    agrees("CandidateAbout", lab.view.description["sections"]["candidate"])
    message = asked(lab.view, said, HELLO)
    agrees("TrialsMessage", message)
    agrees("TrialsStatus", message["status"])
    for head in message["tables"]:
        agrees("TableHead", head)
    portrait = asked(lab.view, said, {"type": "select", "number": 1, "chosen": True}, "candidate")
    agrees("Portrait", {name: value for name, value in portrait.items() if name != "type"} | {"ancestry": []})
    agrees("TrialsMomentMessage", asked(lab.view, said, {"type": "moment", "step": 3}, "moment"))
    message = asked(lab.view, said, HELLO)
    agrees("CandidateState", message["sections"]["candidate"])
    agrees("CandidateFacts", message["sections"]["candidate"]["told"])
    agrees("Hand", message["sections"]["candidate"]["hand"])


@pytest.mark.slow
def test_several_searches_races_and_composed_cells(said):
    table = nl.benchmarks.NASBench201()

    def evolution(seed):
        return nl.searchers.RegularizedEvolution(table.space, population=4, sample=2, seed=seed)

    searches = {name: nl.Search(evolution(seed), estimator=table, budget=9) for seed, name in enumerate(("one", "two"))}
    together = Compare(searches)
    agrees("CompareDescription", together.view.description)
    agrees("Track", together.view.description["tracks"][0])
    agrees("CompareChart", together.view.description["charts"][0])
    message = asked(together.view, said, HELLO)
    agrees("CompareMessage", message)
    agrees("TrackStatus", message["status"]["tracks"][0])
    race = RaceView(nl.runs.Race({"random": nl.searchers.RandomSearch}, table, seeds=range(2), budget=9))
    agrees("RaceDescription", race.canvas.description)
    message = asked(race.canvas, said, HELLO)
    agrees("BandsMessage", message)
    agrees("BandsHead", message["kinds"][0])
    agrees("RaceStatus", message["status"])
    composer = Compose(table, queries=3, seeds=1)
    agrees("ComposeDescription", composer.description)
    composer.submit()
    assert set(members("Attempt")) <= set(composer.scores[0])
