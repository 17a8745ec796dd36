"""Events compare by value, bit for bit, and survive the journal's form."""

import dataclasses
import json

import numpy as np
import pytest

from naslab.architecture import Architecture
from naslab.errors import MetricMissing, NaslabError, SpecError
from naslab.events import (
    EVENTS,
    Acted,
    Changed,
    ChildTrained,
    Evaluated,
    Measured,
    Phase,
    Raced,
    Ranked,
    Recovered,
    Saved,
    SupernetStep,
    from_record,
)
from naslab.quantities import Objective

METRICS = {
    "train/loss": 0.1 + 0.2,
    "train/accuracy": 0.5,
    "valid/loss": 2.0,
    "valid/accuracy": 0.25,
    "entropy": 0.6,
    "discretisation_gap": -0.5,
    "count/skip_connect": 1.0,
}


def step(**changes):
    fields = dict(
        step=3,
        epoch=0,
        metrics=METRICS,
        probabilities={"normal": np.array([[0.25, 0.75]]), "reduce": np.array([[1 / 3, 2 / 3]])},
        best=Architecture("darts_cell", ("0,1", "skip_connect", 3, 0.5)),
        settings={"w_lr": 0.025, "alpha_lr": 3e-4, "mask/normal": {"2": ["skip_connect"]}},
    )
    return SupernetStep(**{**fields, **changes})


def evaluated(**changes):
    fields = dict(
        step=3,
        number=4,
        architecture=Architecture("nasbench201", ("none",) * 6),
        origin="mutation",
        parents=(1, 2),
        status="done",
        fitness=0.1 + 0.2,
        message="",
        best=Architecture("nasbench201", ("skip_connect",) * 6),
        best_fitness=94.3733,
        settings={"sample": 3.0},
    )
    return Evaluated(**{**fields, **changes})


def ranked(**changes):
    fields = dict(
        step=3,
        table="nasbench201 cifar10 test_accuracy",
        size=15625,
        batch_norm="kept",
        images=64,
        numbers=(7, 3),
        scores=(0.1 + 0.2, 0.5),
        truth=(94.37333333333, 10.0),
        top=1,
        kendall=(1 / 3, -1.0, 1.0),
        spearman=(1.0, -1.0, 1.0),
        overlap=(1.0, 0.0, 1.0),
        regret=(0.0, 0.0, 0.0),
        best=Architecture("nasbench201", ("none",) * 6),
        best_score=0.1,
        best_truth=10.0,
        best_rank=15625,
        best_regret=84.37333333333,
    )
    return Ranked(**{**fields, **changes})


EXAMPLES = {
    "supernet_step": step(),
    "child_trained": ChildTrained(
        step=3,
        epoch=1,
        architecture=Architecture("enas_macro", ("conv_3x3", "conv_5x5", 1)),
        metrics={"train/loss": 0.1 + 0.2, "train/accuracy": 0.5},
        best=Architecture("enas_macro", ("conv_3x3", "conv_5x5", 0)),
        settings={"w_lr": 0.05},
    ),
    "evaluated": evaluated(),
    "evaluated, several objectives": evaluated(
        values={"accuracy": 0.1 + 0.2, "latency": 3.5}, objectives=[("accuracy", "max", ""), ("latency", "min", "ms")]
    ),
    "evaluated, failed": evaluated(status="failed", fitness=None, message="x", best=None, best_fitness=None),
    "raced": Raced(
        step=4,
        searcher="random",
        seed=2,
        number=3,
        architecture=Architecture("nasbench201", ("none", "skip_connect")),
        status="done",
        fitness=0.1 + 0.2,
        message="",
        figures={"seconds": 0.5},
        spent=3.0,
    ),
    "changed": Changed(step=4, name="w_lr", old=0.025, new=0.01),
    "changed, a mask": Changed(step=4, name="mask/normal", old={}, new={"2": ["skip_connect"]}),
    "acted": Acted(step=4, name="nudge", arguments={"part": "normal", "edge": 2, "by": 0.5}, before=[0.0, 0.25]),
    "phase": Phase(step=4, name="warm-up", settings={"depths": [4], "alphas": "held"}),
    "measured": Measured(step=4, name="alpha_hessian_eigenvalue", value=float("inf")),
    "ranked": ranked(),
    "ranked, unknown": ranked(kendall=None, best_truth=None, best_rank=None, best_regret=None),
    "saved": Saved(step=4, name="archive", digest="0" * 64),
    "recovered": Recovered(step=4, message="naïve <b>"),
}


def test_there_is_an_example_of_every_event():
    assert {example.kind for example in EXAMPLES.values()} == set(EVENTS)


@pytest.mark.parametrize("event", EXAMPLES.values(), ids=list(EXAMPLES))
def test_round_trip(event):
    again = from_record(event.kind, *event.to_record())
    assert again == event
    assert hash(again) == hash(event)
    assert again.to_record() == event.to_record()


@pytest.mark.parametrize(
    "changes",
    [
        {"step": 4},
        {"metrics": {**METRICS, "train/loss": float(np.nextafter(0.1 + 0.2, 1))}},
        {"metrics": {name: METRICS[name] for name in list(METRICS)[1:]}},
        {"probabilities": {"normal": np.array([[0.25, np.nextafter(np.float32(0.75), np.float32(1))]])}},
        {"best": Architecture("darts_cell", ("0,1",))},
        {"settings": {"w_lr": 0.025}},
        {"settings": {"w_lr": 0.025, "alpha_lr": 3e-4, "mask/normal": {"2": ["none"]}}},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_one_bit_tells_two_events_apart(changes):
    assert step(**changes) != step()


@pytest.mark.parametrize(
    "changes",
    [
        {"fitness": np.nextafter(0.1 + 0.2, 1)},
        {"parents": (1,)},
        {"architecture": Architecture("nasbench201", ("none", "none", "none", "none", "none", "skip_connect"))},
        {"best": None},
        {"settings": {}},
        {"status": "failed"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_one_bit_tells_two_evaluations_apart(changes):
    assert evaluated(**changes) != evaluated()
    assert evaluated(parents=[1, 2]) == evaluated()


def test_events_are_frozen_to_the_bottom():
    source = np.array([[0.25, 0.75]])
    event = step(probabilities={"normal": source})
    source[0, 0] = 9
    assert event.probabilities["normal"][0, 0] == 0.25
    with pytest.raises(ValueError, match="read-only"):
        event.probabilities["normal"][0, 0] = 1
    with pytest.raises(TypeError):
        event.settings["w_lr"] = 1
    with pytest.raises(TypeError):
        event.settings["mask/normal"]["2"].append("none")
    with pytest.raises(TypeError):
        event.metrics["train/loss"] = 0.0
    with pytest.raises(dataclasses.FrozenInstanceError):
        event.step = 9


@pytest.mark.parametrize(
    ("kind", "text", "blob"),
    [
        ("chanced", "{}", b""),
        ("changed", "{", b""),
        ("changed", "[1]", b""),
        ("changed", '{"step": 1}', b""),
        ("changed", '{"step": 1, "name": "a", "old": 1, "new": 2, "more": 3}', b""),
        ("supernet_step", step().to_record()[0], b"not safetensors"),
        ("supernet_step", step().to_record()[0].replace("skip_connect", "\\ud800"), step().to_record()[1][:-1]),
    ],
)
def test_anything_else_is_a_spec_error(kind, text, blob):
    with pytest.raises(SpecError):
        from_record(kind, text, blob)


def test_a_misspelt_kind_is_answered_with_the_right_one():
    with pytest.raises(SpecError, match="did you mean 'changed'"):
        from_record("chanced", "{}", b"")


def test_an_evaluation_of_before_values_were_kept_has_its_fitness_as_the_one_value():
    kind, (text, blob) = "evaluated", evaluated().to_record()
    earlier = {name: value for name, value in json.loads(text).items() if name not in ("values", "objectives")}
    again = from_record(kind, json.dumps(earlier), blob)
    assert again.values == {"fitness": 0.1 + 0.2}
    assert again.objectives == ()
    assert from_record(kind, json.dumps({**earlier, "fitness": None, "status": "failed"}), blob).values == {}


def test_objectives_are_objectives_again():
    again = from_record("evaluated", *EXAMPLES["evaluated, several objectives"].to_record())
    assert again.objectives == (Objective("accuracy", "max"), Objective("latency", "min", "ms"))
    with pytest.raises(SpecError, match="unknown direction 'least'"):
        evaluated(objectives=[("latency", "least")])


def test_the_metrics_of_a_step_have_names_of_their_own():
    event = step()
    assert list(event.metrics) == sorted(METRICS)
    assert (event.train_loss, event.train_accuracy) == (0.1 + 0.2, 0.5)
    assert (event.valid_loss, event.valid_accuracy) == (2.0, 0.25)
    assert (event.entropy, event.discretisation_gap) == (0.6, -0.5)
    assert (event.skip_count, type(event.skip_count)) == (1, int)
    assert event.rates == event.knobs == event.settings
    assert evaluated().knobs == {"sample": 3.0}


def test_a_metric_that_there_is_not_is_no_attribute():
    event = step(metrics={"train/loss": 2.0, "train/perplexity": 7.4})
    with pytest.raises(MetricMissing, match=r"step 3 .*no metric 'valid/accuracy'.*train/loss, train/perplexity"):
        _ = event.valid_accuracy
    assert not hasattr(event, "valid_accuracy")
    assert issubclass(MetricMissing, NaslabError)


@pytest.mark.parametrize(
    ("value", "kept"), [((1, 2), [1, 2]), (np.float32(0.5), 0.5), ({"2": ("none",)}, {"2": ["none"]}), (None, None)]
)
def test_a_setting_is_json_and_frozen(value, kept):
    event = Changed(step=1, name="a", old=None, new=value)
    assert event.new == kept
    assert from_record(event.kind, *event.to_record()) == event
    if isinstance(kept, list | dict):
        with pytest.raises(TypeError, match="cannot be changed"):
            event.new.clear()


@pytest.mark.parametrize("value", [{1: 2}, {1, 2}, np.zeros(2), object(), [[b"1"]]])
def test_a_setting_is_what_json_can_hold(value):
    with pytest.raises(SpecError, match="JSON"):
        Changed(step=1, name="a", old=None, new=value)
    with pytest.raises(SpecError, match="JSON"):
        step(settings={"a": value})


# --- records of format 1 -------------------------------------------------------------------------


def of_format_1(event):
    """The record of an event as it was written when each metric was a field."""
    text, blob = event.to_record()
    fields = json.loads(text)
    settings = fields.pop("settings")
    fields["rates" if event.kind == "supernet_step" else "knobs"] = settings
    for name, value in fields.pop("metrics", {}).items():
        old = {"count/skip_connect": "skip_count"}.get(name, name.replace("/", "_"))
        fields[old] = int(value) if old == "skip_count" else value
    return event.kind, json.dumps(fields, sort_keys=True), blob


@pytest.mark.parametrize("kind", ["supernet_step", "child_trained", "evaluated", "evaluated, failed"])
def test_a_record_of_format_1_is_the_same_event(kind):
    event = EXAMPLES[kind]
    record = of_format_1(event)
    assert "metrics" not in record[1]
    assert from_record(*record) == event


def test_a_record_as_it_was_written_then():
    text = (
        '{"best": {"choices": ["none"], "space": "nasbench201"}, "discretisation_gap": -0.5, "entropy": 0.25, '
        '"epoch": 4, "probabilities": {}, "rates": {"w_lr": 0.1}, "skip_count": 2, "step": 9, "train_accuracy": 0.75, '
        '"train_loss": 0.30000000000000004, "valid_accuracy": 0.5, "valid_loss": NaN}'
    )
    event = from_record("supernet_step", text, b"")
    assert isinstance(event, SupernetStep)
    assert (event.step, event.epoch, event.train_loss, event.skip_count) == (9, 4, 0.1 + 0.2, 2)
    assert np.isnan(event.valid_loss)
    assert event.settings == {"w_lr": 0.1}


@pytest.mark.parametrize("missing", ["train_loss", "rates", "entropy"])
def test_half_a_record_of_format_1_is_a_spec_error(missing):
    kind, text, blob = of_format_1(EXAMPLES["supernet_step"])
    fields = json.loads(text)
    del fields[missing]
    with pytest.raises(SpecError, match="not a record"):
        from_record(kind, json.dumps(fields), blob)
