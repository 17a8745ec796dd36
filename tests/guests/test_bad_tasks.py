"""Tasks that contradict themselves, or that a space or a searcher cannot serve, are refused at once and by name."""

import dataclasses
import json
import math

import pytest
import torch
from torch import nn

import naslab as nl
from naslab.errors import DataError, Diverged, SpecError
from naslab.searchers import gradient
from naslab.tasks import Collected, Exchangeable, Field, Head, Mean, Metric, Ratio, Signature
from naslab.tasks.streams import Stream

SMALL = {"batch_size": 16, "epochs": 1}


@pytest.fixture
def makes(space):
    """All that takes a task, by what it is called: a searcher, a training."""
    tiny = nl.spaces.NASBench201(channels=2, cells=1)
    return {
        "darts": lambda task: nl.searchers.Darts(space, task, **SMALL),
        "spos": lambda task: nl.searchers.SPOS(tiny, task, train_portion=0.5, **SMALL),
        "enas": lambda task: nl.searchers.Enas(nl.spaces.EnasMicro(nodes=2, channels=2, cells=3), task, **SMALL),
        "training": lambda task: nl.estimators.Training(space, task, **SMALL),
        "fit": lambda task: nl.trainers.fit(nn.Sequential(nn.Flatten(), nn.Linear(64, 1)), task, **SMALL),
    }


def changed(guests, **members):
    """A median of ink, but for what is said here."""
    return type("Changed", (guests.MedianInk,), {"name": "changed", **members})()


class Directionless(Metric):
    """Whoever wrote it forgot super().__init__."""

    every = "batch"

    def __init__(self):
        pass

    def update(self, state, outputs, batch):
        return 0.0

    def merge(self, states):
        return 0.0

    def compute(self, state):
        return 0.0


WRONG = {
    "signature": (
        {"signature": Signature(Field((3, 8, 8)), {"ink": Head("vector", 1)})},
        r"task 'changed' says that the input of an example is \[3, 8, 8\] float32.*the first one is \[1, 8, 8\]",
    ),
    "names of inputs": (
        {"signature": Signature({"left": Field((1, 8, 8)), "right": Field((1, 8, 8))}, {"ink": Head("vector", 1)})},
        "takes one tensor, and the task has several: left, right|has the inputs left, right",
    ),
    "objective": ({"objective": "median_eror"}, "the objective of the task 'changed'.*did you mean 'median_error'"),
    "reward": ({"reward": "-median_error"}, "'-median_error', which is not defined for one mini-batch; take '-loss'"),
    "no loss": (
        {"metrics": lambda self: {"median_error": Mean(lambda o, b: 0.0, len, direction="min")}},
        "the metrics of the task 'changed' lack the loss; it has median_error",
    ),
    "no metric": (
        {"metrics": lambda self: {**self.__class__.__mro__[1].metrics(self), "ease": lambda o, b: 1.0}},
        "the metric 'ease' of the task 'changed' must be a naslab.tasks.metrics.Metric, which has a direction",
    ),
    "no direction": (
        {"metrics": lambda self: {**self.__class__.__mro__[1].metrics(self), "ease": Directionless()}},
        r"the metric 'ease' of the task 'changed' has no direction; have Directionless.__init__ call super\(\)",
    ),
}


@pytest.mark.parametrize("where", ["darts", "spos", "enas", "training", "fit"])
@pytest.mark.parametrize("what", WRONG)
def test_a_task_that_contradicts_itself_is_refused_when_something_is_made_of_it(guests, makes, where, what):
    members, message = WRONG[what]
    with pytest.raises(SpecError, match=message):
        makes[where](changed(guests, **members))


def test_a_direction_is_asked_for_when_a_metric_is_made():
    for make in (Mean, Ratio):
        with pytest.raises(SpecError, match=f"this {make.__name__} has none; give direction='max' if more is better"):
            make(*[lambda *_: 0.0] * (2 if make is Mean else 1))
    with pytest.raises(SpecError, match="give direction='max' if more is better, 'min' if less is"):
        Mean(lambda outputs, batch: 0.0, len, direction=None)


def test_metrics_that_change_are_refused(guests, makes):
    class Fickle(guests.MedianInk):
        name = "fickle"
        asked = 0

        def metrics(self):
            type(self).asked += 1
            return {**super().metrics(), f"of call {self.asked}": super().metrics()["loss"]}

    with pytest.raises(SpecError, match=r"the metrics of the task 'fickle' change from one call of metrics\(\)"):
        makes["darts"](Fickle())


def test_metrics_that_change_later_lose_no_step(guests, space, tmp_path):
    late = []

    class Fickle(guests.MedianInk):
        name = "fickle later"

        def metrics(self):
            found = super().metrics()
            return {**found, "late": found["loss"]} if late else found

    expected = list(nl.Search(nl.searchers.Darts(space, Fickle(), **SMALL)))
    with nl.Search(nl.searchers.Darts(space, Fickle(), **SMALL), run=tmp_path / "run") as search:
        next(search)
        late.append(1)
        with pytest.raises(SpecError, match=r"step 2 has the metrics 'train/late'.*not among those that"):
            next(search)
        assert search.step == 1
        late.clear()
        assert list(search) == expected[1:]


# --- what cannot serve it ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["darts", "spos", "enas", "training"])
def test_a_head_that_the_space_cannot_feed(guests, makes, where):
    task = changed(guests, signature=Signature(Field((1, 8, 8)), {"boxes": Head("pyramid", 4)}))
    with pytest.raises(SpecError, match=r"the head 'boxes' of the task reads a pyramid, and networks of the space"):
        makes[where](task)
    with pytest.raises(SpecError, match=r"the head 'boxes' of the task reads a pyramid, and networks of the space"):
        nl.spaces.NASBench201().build(nl.spaces.NASBench201().sample(0), task)


def test_a_comparison_for_such_a_head_trains_nothing(guests, space):
    task = changed(guests, signature=Signature(Field((1, 8, 8)), {"boxes": Head("pyramid", 4)}))
    with pytest.raises(SpecError, match="the head 'boxes' of the task reads a pyramid"):
        nl.trainers.compare({"a": [space.sample(0)]}, space, task, **SMALL)


def test_an_input_that_the_space_cannot_read(guests):
    def row(self, batch, carry=None):
        return batch[0].flatten(1)

    task = changed(guests, signature=Signature(Field((64,)), {"ink": Head("vector", 1)}), inputs=row)
    refused = r"\[64\] float32 \(row\), and networks of the space .* read image; .* such as NASBenchNLP or FlexiBERT"
    for space in (nl.spaces.DartsCell.laptop(), nl.spaces.NASBench201.laptop()):
        for make in (nl.searchers.Darts, nl.estimators.Training):
            with pytest.raises(SpecError, match=refused):
                make(space, task, **SMALL)
    training = nl.estimators.Training(nl.spaces.NASBenchNLP.laptop(), task, held_out=0.25, **SMALL)
    (event,) = nl.Search(nl.searchers.RandomSearch(training.space, seed=0), estimator=training, budget=1)
    assert event.fitness is not None, event.message


@pytest.mark.parametrize("name", nl.spaces.SPACES)
def test_a_space_reads_what_it_says(name):
    """And nothing else: a kind that is missing in `reads` is refused, one in it is built for and computed."""
    fields = {"image": Field((3, 32, 32)), "tokens": Field((12,), "int64", 20), "row": Field((12,))}
    cls = nl.spaces.SPACES[name]
    space = cls.laptop() if hasattr(cls, "laptop") else cls()
    for kind, field in fields.items():
        signature = Signature(field, {reads: Head(reads, 20) for reads in space.gives})
        if kind not in space.reads:
            with pytest.raises(SpecError, match=rf"\({kind}\), and networks of the space .* read .* another task"):
                space.check_task(signature)
            continue
        batch = torch.randint(20, (2, 12)) if kind == "tokens" else torch.rand(2, *field.shape)
        found = space.build(space.sample(0), signature).eval()(batch)
        assert (found[0] if isinstance(found, tuple) else found).shape[-1] == 20


def test_a_supernet_that_is_not_there(guest):
    chain = nl.spaces.NASNetCell.laptop() if hasattr(nl.spaces.NASNetCell, "laptop") else nl.spaces.NASNetCell()
    with pytest.raises(SpecError, match=r"darts needs a space.*'nasnet"):
        nl.searchers.Darts(chain, guest, **SMALL)
    with pytest.raises(SpecError, match="needs a space with shared weights"):
        nl.searchers.SPOS(chain, guest, **SMALL)


def test_what_a_stranger_s_supernet_cannot_do(guest):
    @dataclasses.dataclass(frozen=True)
    class Foreign(nl.spaces.NASBench201):
        """A supernet of somebody else's, which has neither partial channels nor skip connections to drop."""

        name = "foreign"

        def supernet(self, task):
            return Other()

    class Other(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(1, 1)

        def forward(self, inputs, weights):
            raise AssertionError("it is not asked")

    for options, message in (
        ({"channels": gradient.PartialChannels(one_in=2)}, "the supernet of 'foreign' has no partial channels"),
        ({"regularizers": (gradient.SkipDropout(),)}, "(?i)skip"),
    ):
        with pytest.raises(SpecError, match=message):
            nl.searchers.GradientSearch(Foreign(channels=2, cells=1), guest, **options, **SMALL)


# --- outputs and losses -----------------------------------------------------------------------------------------------


OUTPUTS = {
    "a name that is not there": (
        lambda self, outputs, batch, smoothing=0.0: outputs["inc"].mean(),
        r"the loss of the task 'changed' cannot be computed from the outputs of the network, a tensor \[\d+, 1\]: "
        r"\w+Error: .*By the task's signature a network of a space returns the numbers of its only head",
    ),
    "not a scalar": (
        lambda self, outputs, batch, smoothing=0.0: (outputs - batch[1]).square(),
        r"the loss of the task 'changed' must be a tensor without axes.*it is a tensor \[\d+, 1\]",
    ),
    "a float": (
        lambda self, outputs, batch, smoothing=0.0: float((outputs.detach() - batch[1]).square().mean()),
        "must be a tensor without axes.*it is ",
    ),
    "another shape": (
        lambda self, outputs, batch, smoothing=0.0: (outputs - torch.zeros(7, 7)).mean(),
        r"cannot be computed from the outputs of the network, a tensor \[\d+, 1\]: RuntimeError",
    ),
}


@pytest.mark.parametrize("where", ["darts", "spos", "training", "fit"])
@pytest.mark.parametrize("what", OUTPUTS)
def test_outputs_that_the_task_cannot_judge(guests, makes, space, where, what):
    loss, message = OUTPUTS[what]
    task = changed(guests, loss=loss)
    with pytest.raises(SpecError, match=message):
        made = makes[where](task)
        if where == "training":  # it is no candidate's fault: the search stops at the first
            next(nl.Search(nl.searchers.RandomSearch(space), estimator=made, budget=5))
        else:
            made.advance()


def test_a_network_without_the_heads_of_the_task(guests):
    task = guests.DigitAndInk()
    with pytest.raises(SpecError, match=r"outputs of the network, a tensor \[16, 10\].*a dictionary with digit, ink"):
        nl.trainers.fit(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), task, **SMALL)


def test_a_metric_that_cannot_be_computed_is_named(guests, space):
    def metrics(self):
        found = self.__class__.__mro__[1].metrics(self)
        return {**found, "ease": Mean(lambda outputs, batch: outputs["ease"], self.size, direction="max")}

    with pytest.raises(SpecError, match="the metric 'ease' of the task 'changed' cannot be computed"):
        nl.searchers.Darts(space, changed(guests, metrics=metrics), **SMALL).advance()


def test_a_metric_that_is_a_vector_is_blamed_and_not_the_network(guests, space):
    def metrics(self, **more):
        return {**self.__class__.__mro__[1].metrics(self), **more}

    def errors(outputs, batch):
        return (outputs - batch[1]).abs().flatten()

    said = r"the metric 'ease' must return one number, and returned a tensor \[(16|8)\]: take its mean"
    for ease in (
        Mean(errors, len, direction="min"),
        Ratio(lambda outputs, batch: (errors(outputs, batch), 1), direction="min"),
        Collected(errors, lambda seen: torch.cat(list(seen))[:8], direction="min", every="batch"),
    ):
        task = changed(guests, metrics=lambda self, ease=ease: metrics(self, ease=ease))
        with pytest.raises(SpecError, match=said):
            nl.searchers.Darts(space, task, **SMALL).advance()
        with pytest.raises(SpecError, match=said):
            nl.trainers.fit(nn.Sequential(nn.Flatten(), nn.Linear(64, 1)), task, **SMALL)


# --- numbers ----------------------------------------------------------------------------------------------------------


def unknown_at(guests, **members):
    """A task whose objective is not a number."""
    return changed(guests, metrics=lambda self: {
        **self.__class__.__mro__[1].metrics(self),
        "median_error": Mean(lambda outputs, batch: math.nan, self.size, direction="min"),
    }, **members)  # fmt: skip


def test_an_objective_that_is_no_number_is_a_gap_in_a_step(guests, space, tmp_path):
    with nl.Search(nl.searchers.Darts(space, unknown_at(guests), **SMALL), run=tmp_path / "run") as search:
        event = next(search)
        assert math.isnan(event.metrics["valid/median_error"])
    kept = nl.runs.read(tmp_path / "run").events()[-1].event
    assert "valid/median_error" not in kept.metrics or math.isnan(kept.metrics["valid/median_error"])


def test_an_objective_that_is_no_number_fails_a_candidate(guests, space):
    estimator = nl.estimators.Training(space, unknown_at(guests), **SMALL)
    event = next(nl.Search(nl.searchers.RandomSearch(space), estimator=estimator, budget=2))
    assert event.status == "failed"
    assert event.fitness is None
    assert event.message


def test_an_objective_that_is_no_number_judges_no_child(guests):
    task = unknown_at(guests)
    tiny = nl.spaces.NASBench201(channels=2, cells=1)
    options = {"train_portion": 0.5, "valid_images": 16, "recalibration_images": 16, "population": 4, "parents": 2}
    search = nl.Search(nl.searchers.SPOS(tiny, task, **SMALL, **options, crossovers=1, mutations=1, generations=1))
    while search.step < search.searcher.training_steps:
        next(search)
    with pytest.raises(Diverged, match="median_error"):
        next(search)
    assert search.step == search.searcher.training_steps


# --- streams ----------------------------------------------------------------------------------------------------------


class Empty(Stream):
    """It says that it has examples, and has no mini-batch of them."""

    split = "train"

    def __len__(self):
        return 96

    def steps(self, batch_size, epoch, *words):
        return 0

    def where(self, batch_size, epoch, position, *words):
        raise AssertionError("there is none")

    def sweep(self, batch_size):
        return iter([torch.arange(4)])


@pytest.mark.parametrize("where", ["darts", "spos", "enas", "training", "fit"])
def test_a_stream_without_a_mini_batch(guests, makes, where):
    task = changed(
        guests,
        parts=lambda self, seed, fraction=0.5: (Empty(), Exchangeable(torch.arange(48))),
        stream=lambda self, split: Empty() if split == "train" else self.__class__.__mro__[1].stream(self, split),
    )
    with pytest.raises(DataError, match="has no mini-batch of 16; take a smaller batch_size, or more data"):
        makes[where](task)


def test_a_stream_that_does_not_refuse_a_split_in_words(guests):
    def stream(self, split):
        return Exchangeable(range({"train": 96}[split]), split)

    with pytest.raises(SpecError, match=r"stream\('valid'\) of the task 'changed' raises KeyError: 'valid'; expected"):
        changed(guests, stream=stream).splits  # noqa: B018


# --- runs -------------------------------------------------------------------------------------------------------------


def test_a_task_that_a_run_cannot_make_again_is_handed_over(guests, space, tmp_path):
    class Bare(guests.MedianInk):
        name = "bare"
        from_spec = nl.tasks.Task.from_spec

    with nl.Search(nl.searchers.Darts(space, Bare(), **SMALL), run=tmp_path / "run") as search:
        next(search)
    with pytest.raises(DataError, match=r"make the task again and pass it, Search.open\(path, task=...\)"):
        nl.Search.open(tmp_path / "run")
    with nl.Search.open(tmp_path / "run", task=Bare()) as search:
        next(search)


def test_another_task_is_named_as_such(guests, space, tmp_path):
    training = nl.estimators.Training(space, guests.MedianInk(), **SMALL)
    nl.Search(nl.searchers.RandomSearch(space), estimator=training, budget=1, run=tmp_path / "run").close()
    with pytest.raises(
        DataError, match=r"made with the task 'median_ink', and task=\.\.\. is the task 'digit_and_ink'"
    ):
        nl.Search.open(tmp_path / "run", task=guests.DigitAndInk())


def test_a_spec_of_a_class_that_is_not_defined(guest):
    spec = json.loads(json.dumps({**guest.spec(), "task": "nobody_s"}))
    with pytest.raises(SpecError, match=r"unknown task 'nobody_s'.*run the code that defines its class first"):
        nl.tasks.from_spec(spec)
