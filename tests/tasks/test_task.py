"""The contract of tasks: metrics that add up, streams as functions of the step, trees that nobody looks into."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

import naslab as nl
from naslab import trees
from naslab.errors import DataError, SpecError
from naslab.tasks.checks import check_example, check_task
from naslab.tasks.measurement import Measurement
from naslab.tasks.metrics import Collected, Mean, Ratio, Torchmetric
from naslab.tasks.order import batch_indices, epoch_length
from naslab.tasks.signature import Field, Head, Signature, signature_of
from naslab.tasks.streams import Exchangeable, Stream, Timetable


@pytest.fixture(scope="module")
def digits():
    return nl.tasks.Digits()


def test_an_image_task_keeps_its_contract(digits):
    assert check_task(digits, "a search") is digits
    check_example(digits)
    assert digits.signature == Signature(Field((1, 8, 8)), {"logits": Head("vector", 10)})
    assert dict(digits.splits) == {"train": 1438, "test": 359}
    x, y = batch = digits.batch(torch.arange(7))
    logits = torch.randn(7, 10, generator=torch.Generator().manual_seed(0))
    found = digits.measured(logits, batch)
    assert found == {"loss": float(digits.loss(logits, y)), "accuracy": float((logits.argmax(1) == y).sum()) / 7}
    assert digits.reward_of(logits, batch) == found["accuracy"]
    assert digits.inputs(batch) is x
    assert digits.carry(logits) is None
    assert digits.size(batch) == 7
    assert digits.quantities["accuracy"].text(0.5) == "50.0 %"
    assert digits.quantities["loss"].direction == "min"


def test_a_logit_that_is_not_finite_is_not_right(digits):
    batch = digits.batch(torch.arange(3))
    y = batch[1]
    logits = torch.nn.functional.one_hot(y, 10).float()
    logits[1, 0] = math.nan
    assert digits.measured(logits, batch)["accuracy"] == 2 / 3


def test_a_stream_of_examples_goes_as_the_order_does():
    indices = torch.arange(100, 137)
    stream = Exchangeable(indices)
    timetable = Timetable(stream, 8, 3, "weights")
    for step in (0, 3, 4, 11, 40):
        assert torch.equal(timetable.where(step), batch_indices(indices, 8, step, 3, "weights"))
        assert timetable.locate(step) == divmod(step, epoch_length(37, 8))
    assert [step for step in range(12) if timetable.ends_epoch(step)] == [3, 7, 11]
    assert timetable.total(5) == 20
    assert timetable.total(0) == 0
    assert torch.equal(torch.cat(list(stream.sweep(8))), indices)


class Uneven(Stream):
    """Passes of 2, 3, 2, 3, ... mini-batches."""

    split = "train"

    def __len__(self):
        return 10

    def steps(self, batch_size, epoch, *words):
        return 2 + epoch % 2

    def where(self, batch_size, epoch, position, *words):
        return epoch, position

    def sweep(self, batch_size):
        yield 0, 0


def test_passes_may_have_different_lengths():
    timetable = Timetable(Uneven(), 1)
    assert [timetable.where(step) for step in range(7)] == [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2), (2, 0), (2, 1)]
    assert [step for step in range(10) if timetable.resets(step)] == [0, 2, 5, 7]
    assert [step for step in range(10) if timetable.ends_epoch(step)] == [1, 4, 6, 9]
    assert Timetable(Uneven(), 1).total(4) == 10


def test_a_perplexity_is_no_mean_of_perplexities():
    metric = Ratio(lambda nats, tokens: (nats, tokens), then=math.exp, direction="min")
    measurement = Measurement({"perplexity": metric})
    for nats, tokens in ((10.0, 5), (300.0, 100)):
        measurement.update(nats, tokens)
    assert measurement.compute() == {"perplexity": math.exp(310 / 105)}
    others = [Measurement({"perplexity": metric}) for _ in range(2)]
    others[0].update(10.0, 5)
    others[1].update(300.0, 100)
    together = Measurement({"perplexity": metric})
    together.merge(one.states for one in others)
    assert together.compute() == measurement.compute()
    assert Ratio(lambda a, b: (a, b), then=math.exp, direction="min").of(1e6, 1) == math.inf


def test_a_metric_that_is_no_mean_sees_everything():
    median = Collected(
        lambda outputs, batch: outputs, lambda seen: sorted(n for part in seen for n in part)[2], direction="min"
    )
    measurement = Measurement({"median": median})
    for part in ([5, 1], [4], [2, 3]):
        measurement.update(part, None)
    assert measurement.compute() == {"median": 3.0}
    assert Measurement({"median": median}, every="batch").compute() == {}


def test_a_foreign_metric_says_its_direction():
    class Largest:
        higher_is_better = True

        def __init__(self):
            self.seen = []

        def update(self, value):
            self.seen.append(value)

        def compute(self):
            return torch.tensor(max(self.seen))

    metric = Torchmetric(Largest, lambda outputs, batch: (outputs,))
    assert metric.direction == "max"
    assert metric.compute(metric.merge([metric.update(None, 1.0, 0), metric.update(None, 7.0, 0)])) == 7.0
    with pytest.raises(SpecError, match="does not say whether higher is better"):
        Torchmetric(lambda: object(), lambda outputs, batch: ())


@pytest.mark.parametrize("direction", [None, "higher", "", 1])
def test_a_direction_is_never_guessed(direction):
    with pytest.raises(SpecError, match="direction"):
        Ratio(lambda a, b: (0, 1), direction=direction)


def test_trees_are_taken_apart_and_put_together():
    tree = {"a": (torch.ones(2), None), "b": [torch.arange(3)]}
    structure, leaves = trees.packed(tree)
    again = trees.unpacked(structure, leaves)
    assert trees.alike(tree, again, tolerance=0)
    assert again["a"][1] is None
    assert again["b"][0].data_ptr() != tree["b"][0].data_ptr()
    assert trees.packed(None) == ("null", {})
    assert not trees.alike(tree, {"a": (torch.ones(2), None), "b": [torch.arange(4)]}, tolerance=1)
    with pytest.raises(SpecError, match="tensors in tuples"):
        trees.packed({"a": object()})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Field((3, 0)), "1 up"),
        (lambda: Field((3,), "float16"), "unknown dtype"),
        (lambda: Head("image", 3), "what a head reads"),
        (lambda: Signature(Field((3,)), {}), "at least one head"),
        (lambda: signature_of(object()), "has a signature"),
        (lambda: Signature(Field((3,)), {"a": Head("vector", 2), "b": Head("vector", 3)}).head, "wants several: a, b"),
    ],
)
def test_a_signature_refuses_nonsense(make, message):
    with pytest.raises(SpecError, match=message):
        make()


@pytest.mark.parametrize("given", [range(2, 5), [2, 3, 4], np.array([2, 3, 4], np.int32), (n for n in (2, 3, 4))])
def test_the_indices_of_examples_are_whole_numbers_of_any_kind(given):
    assert next(Exchangeable(given).sweep(3)).tolist() == [2, 3, 4]


@pytest.mark.parametrize("given", [[1.5], "abc", None, 3, [[1]], torch.ones(3), [True], [10**30]])
def test_what_is_no_row_of_whole_numbers_is_no_stream(given):
    with pytest.raises(DataError, match=r"such as range\(100\)"):
        Exchangeable(given)


@pytest.mark.parametrize("parts", [Exchangeable(range(9)), ([0, 1], [2, 3]), None, (Exchangeable(range(9)),)])
def test_parts_are_two_streams(digits, parts, monkeypatch):
    monkeypatch.setattr(nl.tasks.Images, "parts", lambda self, seed, fraction=0.5: parts)
    space = nl.spaces.NASBench201.laptop()
    for make in (nl.searchers.Darts, nl.searchers.SPOS, nl.estimators.Training):
        with pytest.raises(SpecError, match="are two streams, for the weights and for the architecture"):
            make(space, digits)


@pytest.mark.parametrize("share", ["half", None, float("nan"), 0, -1, 2])
def test_a_share_of_the_data_is_one(digits, share):
    text = nl.tasks.LanguageModel.from_text("to be or not to be\n" * 99)
    for task in (digits, text):
        with pytest.raises(SpecError, match=r"data (is the share|must be a number)"):
            task.reduced(share)


class Own(nl.tasks.Task):
    """A regression that a user wrote, without a fault."""

    name = "own"
    objective = "loss"
    signature = Signature(Field((1, 8, 8)), {"value": Head("vector", 1)})

    def parts(self, seed, fraction=0.5):
        return Exchangeable(range(8)), Exchangeable(range(8, 16))

    def stream(self, split):
        return Exchangeable(range(16), split)

    def batch(self, where, *, split="train", augment=None, device="cpu", rows=slice(None), view=None):
        return torch.ones(len(where), 1, 8, 8)[rows], torch.ones(len(where), 1)[rows]

    def loss(self, outputs, batch, *, smoothing=0.0):
        return (outputs - batch[1]).square().mean()

    def metrics(self):
        return {"loss": Mean(lambda outputs, batch: float(self.loss(outputs, batch)), self.size, direction="min")}

    def spec(self):
        return {"task": "own", "fingerprint": "16"}

    def fingerprint(self):
        return "16"


def searched(task, run=None):
    space = nl.spaces.DartsCell(nodes=1, channels=1, cells=1, operations=("none", "skip_connect"))
    with nl.Search(nl.searchers.Darts(space, task, batch_size=2, epochs=1), run=run) as search:
        return next(search)


def test_a_task_of_ones_own_is_searched_for(tmp_path):
    assert searched(Own(), tmp_path / "run").step == 1


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"name": None}, "the name of a task is a string"),
        ({"signature": (1, 8, 8)}, r"is a nl.tasks.Signature\(inputs=..., heads=...\), not"),
        ({"metrics": {}}, r"metrics\(\) of the task 'own' is a method"),
        ({"metrics": lambda self: None}, r"metrics\(\) of the task 'own' is a method that returns a dictionary"),
        ({"batch": lambda self, where, **_: {"x": 1}}, r"a dictionary of x: 1; .* overrides the method `inputs"),
        ({"batch": lambda self, where, **_: (np.ones((len(where), 1, 8, 8)), 1)}, "must be a tensor, not ndarray"),
        ({"batch": lambda self, where, **_: None}, "is None; .* overrides the method `inputs"),
        ({"size": lambda self, batch: -1}, "size of a mini-batch .* must be a whole number from 0"),
        ({"size": lambda self, batch: "many"}, "size of a mini-batch .* must be a whole number from 0"),
        ({"loss": lambda self, outputs, batch: outputs.detach().mean()}, "has no gradient"),
        ({"spec": lambda self: None}, r"its spec\(\) is a dictionary with its name under 'task'"),
        ({"spec": lambda self: {"task": "own"}}, "a text under 'fingerprint'"),
        ({"fingerprint": lambda self: 16}, r"fingerprint\(\) of the task 'own' is a text"),
    ],
)
def test_a_fault_of_a_task_of_ones_own_is_named(fault, message, tmp_path):
    with pytest.raises(SpecError, match=message):
        searched(type("Faulty", (Own,), fault)(), tmp_path / "run")
    assert not (tmp_path / "run").exists() or "loss" in fault  # no run is begun that could not be opened


def test_a_metric_that_fails_over_a_pass_is_named():
    measurement = Measurement({"error": Mean(lambda outputs, batch: None, len, direction="min")})
    with pytest.raises(SpecError, match="the metric 'error' must return one number, and returned None"):
        measurement.update(torch.ones(2, 1), torch.ones(2))


def test_a_task_that_breaks_its_promise_is_named(digits):
    class Liar(nl.tasks.Images):
        @property
        def signature(self):
            return Signature(Field((3, 8, 8)), {"logits": Head("vector", 10)})

    liar = Liar("liar", digits.train, digits.test, digits.class_names)
    with pytest.raises(
        SpecError, match=r"says that the input of an example is \[3, 8, 8\] float32.*first one is \[1, 8, 8\]"
    ):
        check_example(liar)
    with pytest.raises(SpecError, match="needs a task"):
        check_task(digits.train, "a search")
    with pytest.raises(DataError, match="unknown split"):
        digits.stream("valid")


def test_the_mean_of_a_mini_batch_is_what_it_says_to_the_last_bit(digits):
    """A number times 49, and that divided by 49, may be another number."""
    values = [1 / value for value in range(1, 100) if 1 / value * 49 / 49 != 1 / value]
    assert values
    metric = Mean(lambda outputs, batch: outputs, len, direction="max")
    assert [metric.of(value, range(49)) for value in values] == values
    logits = torch.randn(40, 10, generator=torch.Generator().manual_seed(0))
    metric = digits.metrics()["loss"]
    parts = [logits[:20], logits[20:40]], [digits.batch(torch.arange(20)), digits.batch(torch.arange(20, 40))]
    means = [float(digits.loss(*part)) for part in zip(*parts, strict=True)]
    for per, expected in ((1, (means[0] * 20 + means[1] * 20) / 40), (20, (means[0] + means[1]) / 2)):
        measurement = Measurement({"loss": metric.weighed(per)})
        for part in zip(*parts, strict=True):
            measurement.update(*part)
        assert measurement.compute()["loss"] == expected


def test_a_random_mini_batch_is_of_different_examples():
    generator = np.random.default_rng(0)
    found = Exchangeable(torch.arange(5, 25)).sample(20, generator)
    assert sorted(found.tolist()) == list(range(5, 25))
    assert found.tolist() == (5 + np.random.default_rng(0).permutation(20)).tolist()
    assert {Uneven().sample(1, generator) for _ in range(20)} == {(0, 0), (0, 1)}
    with pytest.raises(DataError, match="batch of 21 cannot be filled from 20"):
        Exchangeable(torch.arange(20)).sample(21, generator)


def test_a_task_says_in_one_line_what_it_is(digits):
    def delegated(name):
        if name in ("signature", "objective"):
            return property(lambda self: getattr(digits, name))
        return lambda self, *args, **kwargs: getattr(digits, name)(*args, **kwargs)

    abstract = nl.tasks.Task.__abstractmethods__
    task = type("Ages", (nl.tasks.Task,), {"name": "ages"} | {name: delegated(name) for name in abstract})()
    said = "1,438 train, 359 test examples; [1, 8, 8] float32 -> logits: vector of 10"
    assert repr(task) == str(task) == f"<ages: {said}; objective accuracy, more is better>"
    unfinished = type("Unfinished", (type(task),), {"splits": property(lambda self: 1 / 0)})()
    assert repr(unfinished) == "<ages: a task of class Unfinished>"
    both = Signature({"left": Field((3,)), "right": Field((None,), "int64", 9)}, {"a": Head("sequence", 9)})
    assert str(both) == "left: [3] float32, right: [?] int64 below 9 -> a: sequence of 9"


def test_a_share_of_the_data_that_a_task_ignores_is_warned_of_once(digits):
    fields = {field.name: getattr(digits, field.name) for field in dataclasses.fields(digits)}
    own = nl.tasks.Images(**{**fields, "name": "digits with validation data", "validation": 300})
    cell = nl.spaces.DartsCell(nodes=1, channels=2, cells=3)
    message = "train_portion=0.7 has no effect: .* 'digits with validation data' .* 300 images"
    with pytest.warns(UserWarning, match=message) as caught:
        searcher = nl.searchers.Darts(cell, own, train_portion=0.7, batch_size=8, epochs=1)
    assert caught[0].filename == __file__
    nl.searchers.Darts(cell, own, train_portion=0.7, batch_size=8, epochs=1)  # the second time nothing is said
    nl.searchers.from_spec(searcher.spec(), task=own)
    nl.searchers.Darts(cell, own, batch_size=8, epochs=1)  # the default is nobody's choice
    nl.searchers.Darts(cell, digits, train_portion=0.7, batch_size=8, epochs=1)  # has an effect
    macro = nl.spaces.EnasMacro(layers=2, channels=2)
    with pytest.warns(UserWarning, match="train_portion=0.6 has no effect"):
        nl.searchers.Enas(macro, own, train_portion=0.6, batch_size=8)


def test_the_earlier_name_of_the_split_warns(digits):
    with pytest.warns(nl.errors.NaslabDeprecationWarning, match="split_train_valid"):
        earlier = digits.halves(3, 0.7)
    assert all(map(torch.equal, earlier, digits.split_train_valid(3, 0.7)))
