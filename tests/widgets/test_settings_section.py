"""What turns the settings of a search, each kind by its own control, without a front end."""

import numpy as np
import pytest

import naslab as nl
from naslab.errors import SpecError
from naslab.events import Acted
from naslab.searchers import Mask, Select, Several, Slider, Switch
from naslab_widgets import Lab
from naslab_widgets.settings import Settings


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
    search = Fake()
    over = []
    return search, Settings({"": search}, lambda: bool(over)), over


def value_of(section, name):
    names = [setting["name"] for setting in section.about()["settings"]]
    return section.state()["values"][names.index(name)]


def test_each_kind_has_a_control_of_its_own(made):
    _, section, over = made
    told = {one["name"]: one for one in section.about()["settings"]}
    assert {name: one["kind"] for name, one in told.items()} == {
        "rate": "slider",
        "share": "slider",
        "replay": "checkbox",
        "rule": "dropdown",
    }
    assert told["rate"] | {"low": 0.01, "high": 1.0, "log": True, "group": ""} == told["rate"]
    assert told["share"]["log"] is False
    assert told["replay"]["description"] == "whether it replays"
    assert told["rule"]["options"] == ["a", "b", 3]
    assert section.state() == {"values": [0.1, 0.5, False, "b"], "over": False}
    over.append(True)
    assert section.state()["over"] is True


def test_a_control_sets_and_follows(made):
    search, section, _ = made
    section.on_message({"set": "replay", "value": True})
    section.on_message({"set": "rule", "value": 3})
    section.on_message({"set": "share", "value": 0.25})
    section.on_message({"set": "rate", "value": 1e9})  # beyond the end: the slider's own end counts
    section.on_message({"set": "mask", "value": {"x": ["a"]}})  # has no control here
    section.on_message({"set": "of a stranger", "value": 1})
    assert search.told == [("replay", True), ("rule", 3), ("share", 0.25), ("rate", 1.0)]
    search.settings["rule"] = Select(value=3, options=("a", "b", 3))
    assert value_of(section, "rule") == 3
    with pytest.raises(SpecError, match="not now"):
        section.on_message({"set": "rule", "value": "a"})


@pytest.mark.parametrize("name", ["w_lr", "alpha_lr"])
def test_a_setting_goes_back_to_its_schedule(name):
    search = nl.Search(nl.searchers.Darts(nl.spaces.DartsCell(nodes=2, channels=2, cells=3), nl.tasks.Digits(), seed=0))
    section = Settings({"": search}, lambda: False, without=["order"])
    assert "order" not in [one["name"] for one in section.about()["settings"]]
    assert all(section.about()["back"])
    before = value_of(section, name)
    section.on_message({"set": name, "value": before / 2})
    assert value_of(section, name) == pytest.approx(before / 2)
    section.on_message({"set": name, "back": True})
    assert value_of(section, name) == before
    section.on_message({"set": "order", "back": True})
    assert search.wished == []


def test_several_searches_have_their_settings_side_by_side():
    first, second = Fake(), Fake()
    section = Settings({"a": first, "b": second}, lambda: False)
    assert [one["group"] for one in section.about()["settings"]] == ["a"] * 4 + ["b"] * 4
    section.on_message({"set": "share", "value": 0.75, "group": "b"})
    assert (first.told, second.told) == ([], [("share", 0.75)])


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
    sampler = nl.searchers.RegularizedEvolution(table.space, population=4, sample=2, seed=0)
    search = nl.Search(sampler, tmp_path / "run", estimator=table, budget=12)
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
        np.testing.assert_array_equal(view.view._table.rows, lab.view._table.rows)
        assert view.view._table.column("step").tolist() == list(range(1, 13))
        assert view.picture().startswith("<svg")
    finally:
        view.stop()
        view._thread.join(5)
