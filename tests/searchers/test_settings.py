"""What a hand may set and do: kinds of settings, masks that are obeyed, acts, and all of it replayed bit for bit."""

import json

import numpy as np
import pytest
import torch

import naslab as nl
from naslab import lazy
from naslab.errors import NaslabDeprecationWarning, SpecError
from naslab.events import Acted, Changed
from naslab.searchers import Mask, Select, Several, Slider, Switch
from naslab.searchers.settings import Setting, from_json, values_of

OPERATIONS = ("none", "max_pool_3x3", "skip_connect", "sep_conv_3x3")
CELL = dict(nodes=2, operations=OPERATIONS, channels=2, cells=3)
SMALL = dict(batch_size=8, epochs=2)
TABLE = {"cell/1/from_0": ["none", "skip_connect"], "cell/3/from_0": ["avg_pool_3x3"]}

ZEROS = [[0.0] * 4] * 5
ADAM = {"alpha": ZEROS, "exp_avg": ZEROS, "exp_avg_sq": ZEROS, "step": 1}

SETTINGS = {
    "slider": Slider(value=0.1, low=0.01, high=1.0, description="how far"),
    "switch": Switch(value=True),
    "select": Select(value="a", options=("a", "b", 3)),
    "several": Several(value=["2"], options=("0", "1", "2")),
    "mask": Mask(value={"x": ["b"]}, options={"x": ("a", "b", "c"), "y": (1, 2)}),
}
BAD = {
    "slider": [(2.0, "from 0.01 to 1"), ("fast", "must be a number"), (True, "must be a number"), (None, "number")],
    "switch": [(1, "True or False"), ("yes", "True or False"), (None, "True or False")],
    "select": [("c", "unknown option 'c'"), (True, "unknown option"), (["a"], "unknown option")],
    "several": [("2", "expected a list"), (["7"], "unknown option '7'"), (["1", "1"], "twice"), ({"1": 1}, "a list")],
    "mask": [
        (["a"], "is a dictionary"),
        ({"z": ["a"]}, "unknown choice 'z'"),
        ({2: ["a"]}, "unknown choice 2"),
        ({"x": "a"}, "expected a list"),
        ({"x": ["d"]}, "unknown option 'd'"),
        ({"y": [1, 2]}, "nothing would be left of the choice 'y'"),
        ({"y": [True]}, "unknown option"),
        (None, "is a dictionary"),
    ],
}


@pytest.fixture(scope="module")
def digits():
    return nl.tasks.Digits()


@pytest.fixture(scope="module")
def table():
    return nl.benchmarks.NASBench201()


@pytest.mark.parametrize("kind", SETTINGS)
def test_a_setting_goes_through_json_and_refuses_what_it_cannot_be(kind):
    setting = SETTINGS[kind]
    assert setting.kind == kind
    assert from_json(json.loads(json.dumps(setting.to_json()))) == setting
    assert setting.check("it", setting.value) == setting.value
    for bad, said in BAD[kind]:
        with pytest.raises(SpecError, match=f"^it.*{said}"):
            setting.check("it", bad)
    with pytest.raises(SpecError, match="did you mean"):
        from_json({**setting.to_json(), "kind": kind[:-1]})
    with pytest.raises(SpecError):
        from_json({**setting.to_json(), "colour": "red"})


def test_values_have_one_form():
    mask = SETTINGS["mask"]
    assert mask.check("it", {"y": [], "x": ["c", "a"]}) == {"x": ["a", "c"]}
    assert mask.check("it", {"y": [np.int64(2)]}) == {"y": [2]}
    assert SETTINGS["several"].check("it", ("2", "0")) == ["0", "2"]
    assert values_of({"a": Mask(options={"x": ("a", "b")}), "b": Switch(value=False)}) == {"b": False}


# --- gradient searches -------------------------------------------------------------------------------

METHODS = {
    "darts": (nl.searchers.Darts, {}),
    "darts of second order": (nl.searchers.Darts, {"order": 2}),
    "gdas": (nl.searchers.GDAS, {}),
    "snas": (nl.searchers.SNAS, {}),
    "drnas": (nl.searchers.DrNAS, {}),
    "i-darts": (nl.searchers.IDarts, {}),
    "sdarts": (nl.searchers.SmoothDarts, {"perturbation": "adversarial"}),
    "proxylessnas": (nl.searchers.ProxylessNAS, {"warmup": 0.0}),
    "proxylessnas with reinforce": (nl.searchers.ProxylessNAS, {"warmup": 0.0, "rule": "reinforce"}),
    "pc-darts": (nl.searchers.PCDarts, {"warmup": 0.0}),
}


def gradient(name, digits):
    cls, given = METHODS[name]
    channels = 4 if name == "pc-darts" else CELL["channels"]  # of which it computes a quarter
    return cls(nl.spaces.DartsCell(**{**CELL, "channels": channels}), digits, seed=3, **SMALL, **given)


def adam(searcher, part):
    return {key: value.clone() for key, value in searcher._optimizers.adam.state[searcher.alphas[part]].items()}


SLOW = {"darts of second order", "snas", "sdarts", "i-darts", "proxylessnas with reinforce"}
"""What is told apart from the others by little that matters here, and takes long."""


def names(known):
    return [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in known]


@pytest.mark.parametrize("name", names(METHODS))
def test_what_is_forbidden_has_no_weight_and_stands_still(digits, name):
    search = nl.Search(gradient(name, digits))
    searcher = search.searcher
    next(search)
    search.set("mask/normal", {"2": ["skip_connect"], "0": ["sep_conv_3x3"]})
    search.set("edges/reduce", ["3"])
    alphas = {part: alpha.detach().clone() for part, alpha in searcher.alphas.items()}
    moments = {part: adam(searcher, part) for part in alphas}
    forbidden = {part: torch.zeros(5, 4, dtype=torch.bool) for part in alphas}
    forbidden["normal"][2, 2] = forbidden["normal"][0, 3] = forbidden["reduce"][3] = True
    event = next(search)
    for part, where in forbidden.items():
        assert (event.probabilities[part][where.numpy()] == 0).all()
        assert np.isfinite(event.probabilities[part]).all()
        kept = searcher.space.one_hot(event.best)[part]
        assert not kept[where.numpy()].any()
    if name == "darts":
        assert np.allclose(event.probabilities["normal"].sum(axis=1), 1)
    assert event.settings["mask/normal"] == {"0": ["sep_conv_3x3"], "2": ["skip_connect"]}
    assert event.settings["edges/reduce"] == ["3"]
    for part, where in forbidden.items():
        assert torch.equal(searcher.alphas[part][where], alphas[part][where])
        assert not torch.equal(searcher.alphas[part][~where], alphas[part][~where])
        for key in ("exp_avg", "exp_avg_sq"):
            assert torch.equal(adam(searcher, part)[key][where], moments[part][key][where])
    search.set("mask/normal", {})
    search.set("edges/reduce", [])
    event = next(search)
    assert set(event.settings).isdisjoint({"mask/normal", "edges/reduce"})
    assert not torch.equal(searcher.alphas["normal"], alphas["normal"])
    assert [e.new for e in search.events if isinstance(e, Changed)][-2:] == [{}, []]


@pytest.mark.parametrize("name", names(["darts", "darts of second order", "gdas"]))
def test_masks_and_acts_are_replayed_bit_for_bit(digits, name, tmp_path):
    search = nl.Search(gradient(name, digits), run=tmp_path / "run", snapshot_every=100)
    next(search)
    search.set("mask/normal", {"2": ["skip_connect"]})
    next(search)
    search.act("nudge", part="normal", row=1, operation="skip_connect", by=0.5)
    search.act("reset", part="reduce")
    search.set("mask/normal", {"1": ["none"]})
    next(search)
    expected, state = list(search.events), search.searcher.state_dict()
    nudged, reset = [event for event in expected if isinstance(event, Acted)]
    assert (nudged.step, nudged.name, nudged.arguments["by"]) == (3, "nudge", 0.5)
    assert isinstance(nudged.before, float)
    assert set(reset.before) == {"alpha", "exp_avg", "exp_avg_sq", "step"}
    fork = search.fork()
    back = search.fork(step=1)
    search.close()
    again = nl.Search.open(tmp_path / "run", digits)
    for other in (fork, again):
        assert list(other.events)[: len(expected)] == expected
        for key, value in other.searcher.state_dict().items():
            assert torch.equal(value, state[key]) if isinstance(value, torch.Tensor) else value == state[key]
    assert next(fork) == next(again)
    again.rewind(2)
    assert again.settings["mask/normal"].value == {"2": ["skip_connect"]}
    assert back.settings["mask/normal"].value == {}
    again.close()


def test_an_act_that_fails_when_it_is_done_is_forgotten(digits, monkeypatch):
    search = nl.Search(gradient("darts", digits))
    for _ in range(2):  # each for itself could be done
        search.act("nudge", part="normal", row=0, operation="none", by=3e38)
    with pytest.raises(SpecError, match=r"3e\+38 plus 3e\+38 is more than float32 can hold"):
        next(search)
    search.act("put", part="normal", row=0, operation="none", to=0.0)
    assert next(search).step == 1
    assert [event.name for event in search.events if isinstance(event, Acted)] == ["nudge", "put"]

    def broken(name, arguments):
        raise ZeroDivisionError

    search.act("reset", part="normal")
    with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
        patch.setattr(search.searcher, "act", broken)
        next(search)
    assert next(search).step == 2


def test_an_act_is_undone_by_its_inverse_alone(digits):
    searcher = gradient("darts", digits)
    searcher.advance()
    alpha = searcher.alphas["normal"]
    before, kept = alpha.detach().clone(), adam(searcher, "normal")
    old = searcher.act("nudge", {"part": "normal", "row": 1, "operation": "none", "by": 0.1})
    assert alpha[1, 0] == before[1, 0] + 0.1
    searcher.act("put", {"part": "normal", "row": 1, "operation": "none", "to": old})
    assert torch.equal(alpha, before)
    told = json.loads(json.dumps(searcher.act("reset", {"part": "normal"})))
    assert torch.equal(alpha, gradient("darts", digits).alphas["normal"])
    searcher.act("restore", {"part": "normal", "to": told})
    assert torch.equal(alpha, before)
    assert all(torch.equal(value, kept[key]) for key, value in adam(searcher, "normal").items())


def test_what_makes_no_sense_is_refused_at_once(digits):
    search = nl.Search(gradient("darts", digits))
    for name, value, said in (
        ("mask/other", {}, "unknown setting 'mask/other'"),
        ("mask/normal", {"9": ["none"]}, "unknown edge '9'"),
        ("mask/normal", {"2": ["skip_conect"]}, "did you mean 'skip_connect'"),
        ("mask/normal", {"2": list(OPERATIONS)}, "nothing would be left of the edge '2'"),
        ("edges/normal", ["0"], "nothing would be left to derive"),
        ("edges/normal", {"0": []}, "expected a list"),
        ("mask/normal", {"0": ["max_pool_3x3", "skip_connect", "sep_conv_3x3"]}, "nothing would be left to derive"),
    ):
        with pytest.raises(SpecError, match=said):
            search.set(name, value)
    for name, given, said in (
        ("push", {}, "unknown act 'push'"),
        ("nudge", {"part": "normal", "row": 0, "operation": "none"}, "'by' is missing"),
        ("nudge", {"part": "normal", "row": 0, "operation": "none", "by": 1, "for": 2}, "unknown argument 'for'"),
        ("nudge", {"part": "head", "row": 0, "operation": "none", "by": 1}, "unknown part 'head'"),
        ("nudge", {"part": "normal", "row": 5, "operation": "none", "by": 1}, "0 to 4, not 5"),
        ("nudge", {"part": "normal", "row": 0, "operation": "none", "by": "much"}, "must be a number"),
        ("restore", {"part": "normal", "to": {"alpha": [1.0]}}, "of the shape"),
        ("restore", {"part": "normal", "to": {"alpha": ZEROS, "exp_avg": ZEROS}}, "or all of"),
        ("restore", {"part": "normal", "to": {**ADAM, "exp_avg_sq": [[-1.0] * 4] * 5}}, "exp_avg_sq is never negative"),
        ("restore", {"part": "normal", "to": {**ADAM, "step": -1}}, "step is never negative"),
        ("put", {"part": "normal", "row": 0, "operation": "none", "to": 1e300}, "finite number, up to 3.4e"),
        ("nudge", {"part": "normal", "row": 0, "operation": "none", "by": -1e300}, "finite number, up to 3.4e"),
    ):
        with pytest.raises(SpecError, match=said):
            search.act(name, **given)
    assert set(search.acts) == {"nudge", "put", "reset", "restore"}
    next(search)
    assert not [event for event in search.events if isinstance(event, Changed | Acted)]
    search.set("edges/reduce", ["2"])
    search.set("edges/reduce", ["3"])  # replaces it
    assert next(search).settings["edges/reduce"] == ["3"]


def test_two_wishes_that_do_not_go_together_are_told_and_lose_nothing(digits):
    search = nl.Search(gradient("darts", digits))
    search.set("edges/normal", ["2"])
    search.set("mask/normal", {"3": ["max_pool_3x3", "skip_connect", "sep_conv_3x3"]})
    with pytest.raises(SpecError, match="nothing would be left to derive"):
        next(search)
    event = next(search)
    assert event.step == 1
    assert event.settings["edges/normal"] == ["2"]
    assert "mask/normal" not in event.settings


def test_the_earlier_names_of_sliders_go_on(digits, monkeypatch):
    monkeypatch.setattr(lazy, "_warned", set())
    searcher = gradient("darts", digits)
    with pytest.warns(NaslabDeprecationWarning, match=r"Darts.turn is now called set;"):
        searcher.turn("w_lr", 0.01)
    with pytest.warns(NaslabDeprecationWarning, match=r"Darts.knobs is now called settings;"):
        assert searcher.knobs["w_lr"].value == searcher.settings["w_lr"].value == pytest.approx(0.01)
    with pytest.warns(NaslabDeprecationWarning, match=r"Darts.check_knob is now called check_setting;"):
        assert searcher.check_knob("w_lr", np.float32(0.5)) == 0.5
    with pytest.warns(NaslabDeprecationWarning, match=r"put is now called apply_setting;"):
        searcher.put("w_lr", 0.02)
    assert searcher.in_force("w_lr") == pytest.approx(0.02)
    with pytest.raises(SpecError, match="must be a number from"):
        searcher.turn("w_lr", -1.0)


def test_a_searcher_with_knobs_of_the_earlier_kind_goes_on(table, monkeypatch):
    monkeypatch.setattr(lazy, "_warned", set())
    with pytest.warns(NaslabDeprecationWarning) as warned:

        class Earlier(nl.searchers.RandomSearch):
            name = "earlier_random"
            chance = 0.5

            @property
            def knobs(self):
                return {"chance": Slider(value=self.chance, low=0.0, high=1.0, log=False)}

            def turn(self, name, value):
                super().turn(name, value)
                self.chance = value

    assert [str(one.message).partition("; ")[0].partition(".Earlier.")[2] for one in warned] == [
        "knobs is now called settings",
        "turn is now called apply_setting",
    ]
    assert {one.filename for one in warned} == {__file__}
    search = nl.Search(Earlier(table.space), estimator=table, budget=5)
    search.set("chance", 0.25)
    assert next(search).settings == {"chance": 0.25}
    assert isinstance(search.settings["chance"], Setting)
    with pytest.raises(SpecError, match="from 0 to 1"):
        search.set("chance", 2)
    search.set("mask", TABLE)
    assert next(search).settings == {"chance": 0.25, "mask": TABLE}
