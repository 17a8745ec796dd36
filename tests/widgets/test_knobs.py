"""What turns the settings of a search, each kind by its own control, without a front end."""

import ipywidgets
import numpy as np
import pytest

import naslab as nl
from naslab.errors import SpecError
from naslab.events import Acted, Changed
from naslab.searchers import Mask, Select, Several, Slider, Switch
from naslab_widgets import Lab
from naslab_widgets.knobs import Controls


class Fake:
    """Takes what its settings allow."""

    def __init__(self):
        self.told = []
        self.settings = {
            "rate": Slider(value=0.1, low=0.01, high=1.0),
            "share": Slider(value=0.5, low=0.0, high=1.0, log=False),
            "replay": Switch(value=False, description="whether it replays"),
            "rule": Select(value="b", options=("a", "b", 3), description="which rule"),
            "edges": Several(options=("0", "1")),
            "mask": Mask(options={"x": ("a", "b")}),
        }

    def set(self, name, value):
        value = self.settings[name].check(name, value)
        if value == "a":
            raise SpecError("not now")
        self.told.append((name, value))


@pytest.fixture
def made():
    search, complaints = Fake(), []
    return search, Controls(search, complaints.append), complaints


def test_each_kind_has_a_control_of_its_own(made):
    _, controls, _ = made
    assert {name: type(control) for name, control in controls.controls.items()} == {
        "rate": ipywidgets.FloatLogSlider,
        "share": ipywidgets.FloatSlider,
        "replay": ipywidgets.Checkbox,
        "rule": ipywidgets.Dropdown,
    }
    replay, rule = controls.controls["replay"], controls.controls["rule"]
    assert (replay.value, replay.description, replay.tooltip) == (False, "replay", "whether it replays")
    assert (rule.value, rule.tooltip) == ("b", "which rule")
    assert [value for _, value in rule.options] == ["a", "b", 3]


def test_a_control_sets_and_follows_and_does_not_answer_back(made):
    search, controls, complaints = made
    controls.controls["replay"].value = True
    controls.controls["rule"].value = 3
    controls.controls["share"].value = 0.25
    assert search.told == [("replay", True), ("rule", 3), ("share", 0.25)]
    events = [
        Changed(step=1, name="replay", old=True, new=False),
        Changed(step=1, name="rule", old=3, new="b"),
        Changed(step=1, name="mask", old={}, new={"x": ["a"]}),
        Acted(step=1, name="kill", arguments={"candidate": 3}, before=None),
    ]
    controls.follow(events)
    assert (controls.controls["replay"].value, controls.controls["rule"].value) == (False, "b")
    controls.follow([])  # the search has gone back: its settings are those at the start
    assert controls.controls["share"].value == 0.5
    assert len(search.told) == 3
    controls.controls["rule"].value = "a"
    assert [str(error) for error in complaints] == ["not now"]
    controls.disable(True)
    assert all(control.disabled for control in controls.controls.values())


def test_a_view_goes_on_over_an_act(tiny):
    search = tiny.Search()
    lab = Lab(search)
    lab.run(1)
    told = {"architecture": ["a", "b"], "candidate": 3}
    search.events.append(Acted(step=2, name="put_back", arguments=told, before={"alpha": [[0.5]], "place": 1}))
    lab.run(2)
    lab._publish()
    assert [line["text"] for line in lab.view._log.lines] == ["put back: architecture a, b, candidate 3"]
    assert lab.view._history.rows()[:, 0].tolist() == [1, 2, 3]
    lab.stop()


def test_candidates_are_shown_on_over_an_act_live_and_from_the_folder(tmp_path):
    table = nl.benchmarks.NASBench201()
    proposer = nl.searchers.RegularizedEvolution(table.space, population=4, sample=2, seed=0)
    search = nl.Search(proposer, tmp_path / "run", estimator=table, budget=12)
    lab = Lab(search)
    lab.run(6)
    search.act("kill", candidate=4)
    search.act("add", architecture=list(table.space.sample(3).choices))
    search.set("mask", {"cell/1/from_0": ["avg_pool_3x3"]})
    lab.run()
    said = [line["text"] for line in lab.view._log.lines]
    assert "kill: candidate 4" in said
    assert [text.split(":")[0] for text in said].count("add") == 1
    search.close()
    view = Lab.watch(tmp_path / "run", period=3600)
    try:
        np.testing.assert_array_equal(view.view._ledger.rows, lab.view._ledger.rows)
        assert view.view._ledger.column("step").tolist() == list(range(1, 13))
        assert view.picture().startswith("<svg")
    finally:
        view.stop()
        view._thread.join(5)
