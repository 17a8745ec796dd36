"""Trainings of tasks that are no image classification: text that carries a state on, regression, outputs by name."""

import copy
import dataclasses
import importlib.util
import math
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import naslab as nl
from naslab.errors import RunError, SpecError
from naslab.tasks.streams import Timetable
from naslab.trainers import Comparison, Recipe, Score, train
from naslab.trainers.loop import TrainingLoop
from naslab.trainers.processes import Group
from naslab.trainers.report import Epoch, best

_spec = importlib.util.spec_from_file_location("other_tasks", Path(__file__).with_name("other_tasks.py"))
_tasks = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_tasks)
Endless, Numbers, TwoHeads, TwoOutputs = _tasks.Endless, _tasks.Numbers, _tasks.TwoHeads, _tasks.TwoOutputs
line, recurrent, text = _tasks.line, _tasks.recurrent, _tasks.text

LIKE_AWD = {"batch_size": 4, "learning_rate": 1.0, "momentum": 0.0, "weight_decay": 1e-5, "schedule": "constant"}
LIKE_AWD |= {"gradient_clipping": 0.25, "scale_rate": True, "evaluation_batch_size": 2}


def weights(network):
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def same(one, other):
    return all(torch.equal(value, other[name]) for name, value in one.items())


def nats(network, tokens, columns):
    """Summed over a text that is read in columns, a token at a time; and how many tokens were predicted."""
    numbers = torch.from_numpy(np.asarray(tokens)).long()
    height = len(numbers) // columns
    numbers = numbers[: columns * height].view(columns, height)
    state, total = None, 0.0
    with torch.no_grad():
        for place in range(height - 1):
            outputs = network((numbers[:, place : place + 1], state))
            state = outputs["state"]
            log = outputs["logits"][:, 0].double().log_softmax(1)
            total -= float(log.gather(1, numbers[:, place + 1 : place + 2]).sum())
    return total, columns * (height - 1)


def test_a_perplexity_is_that_of_all_tokens_each_with_the_state_before_it():
    task = text()
    network = recurrent(task)
    report = nl.trainers.fit(network, task, epochs=2, **LIKE_AWD)
    for split, bits in (("valid", report.valid), ("test", report.test)):
        total, count = nats(network, task.numbers[split], 2)
        assert report.metrics[f"{split}/loss"] == pytest.approx(total / count, rel=1e-5)
        assert report.metrics[f"{split}/perplexity"] == pytest.approx(math.exp(total / count), rel=1e-5)
        assert bits == pytest.approx(total / count / math.log(2), rel=1e-5)
    assert "test_accuracy" not in repr(report)
    assert f"test_bits_per_character={report.test:.4f} bits" in repr(report)
    assert "test bits_per_character, bits" in str(report)
    with pytest.raises(SpecError, match="has no 'test/accuracy'; it has measured train/loss, train/perplexity"):
        _ = report.test_accuracy


def test_text_is_trained_on_as_a_plain_loop_does():
    """Carried state, a rate scaled by the length, temporal regularisation, clipping, against a loop without naslab."""
    task = text(tar=0.5)
    trained, expected = recurrent(task), recurrent(task)
    report = nl.trainers.fit(trained, task, seed=3, held_out=0.5, **(LIKE_AWD | {"epochs": 2}))
    timetable = Timetable(task.stream("train"), 4, 3, "fit")
    parameters, losses = list(expected.parameters()), []
    for step in range(timetable.total(2)):
        x, y = task.batch(timetable.where(step))
        if step in (0, timetable.total(1)):
            losses.append([0.0, 0])
            state = None
        outputs = expected((x, state))
        state = outputs["state"].detach()
        loss = nn.functional.cross_entropy(outputs["logits"].flatten(0, 1), y.flatten())
        losses[-1][0] += loss.item() * y.numel()
        losses[-1][1] += y.numel()
        change = outputs["raw"][:, 1:] - outputs["raw"][:, :-1]
        total = loss + (0.5 * change.square().mean() if x.shape[1] > 1 else 0.0)
        gradients = torch.autograd.grad(total, parameters)
        norm = torch.stack([gradient.norm() for gradient in gradients]).norm()
        with torch.no_grad():
            for parameter, gradient in zip(parameters, gradients, strict=True):
                clipped = gradient * min(1.0, 0.25 / (float(norm) + 1e-6)) + 1e-5 * parameter
                parameter -= 1.0 * x.shape[1] / 5 * clipped
    assert len({timetable.where(step).length for step in range(timetable.total(2))}) > 1, "chunks of different lengths"
    assert [row.train_loss for row in report.history] == pytest.approx([a / b for a, b in losses], rel=1e-5)
    assert [row.learning_rate for row in report.history] == [1.0, 1.0], "as planned, before it is scaled"
    if report.best_epoch == 2:
        for one, other in zip(trained.parameters(), parameters, strict=True):
            assert torch.allclose(one, other, atol=1e-5)
    else:
        pytest.fail("the second epoch is the better one of this text")


@pytest.mark.parametrize("kind", ["text", "endless"])
def test_a_training_on_text_goes_on_bit_for_bit(tmp_path, kind):
    task = text(Endless) if kind == "endless" else text()
    recipe = Recipe(epochs=3, **LIKE_AWD)
    whole, broken, resumed = (recurrent(task, dropout=0.3, seed=seed) for seed in (0, 0, 9))
    report = nl.trainers.fit(whole, task, recipe=recipe)
    rows = train(broken, task=task, recipe=recipe, seed=0, checkpoint=tmp_path / "fit")
    next(rows)
    assert nl.trainers.fit(resumed, task, recipe=recipe, checkpoint=tmp_path / "fit") == report
    assert same(weights(resumed), weights(whole))
    keys = nl.snapshot.read(tmp_path / "fit").keys()
    assert any(key.startswith("carry/0/") for key in keys) == (kind == "endless")


def test_a_state_that_passes_carry_on_matters_and_is_not_lost(tmp_path):
    anew, on = (nl.trainers.fit(recurrent(task), task, epochs=2, **LIKE_AWD) for task in (text(), text(Endless)))
    assert anew.history[0] == on.history[0]
    assert anew.history[1] != on.history[1]
    task = text(Endless)
    list(train(recurrent(task), task=task, recipe=Recipe(epochs=1, schedule_epochs=2, **LIKE_AWD), seed=0,
               checkpoint=tmp_path / "fit"))  # fmt: skip
    kept = nl.snapshot.read(tmp_path / "fit")
    nl.snapshot.write(tmp_path / "fit", {n: v for n, v in kept.items() if not n.startswith("carry")})
    with pytest.raises(RunError, match="carries a state from epoch to epoch, that of 0 processes; it goes on with as"):
        nl.trainers.fit(recurrent(task), task, epochs=2, schedule_epochs=2, **LIKE_AWD, checkpoint=tmp_path / "fit")


class Threads(Group):
    """Processes that are threads of this one; what they say to each other is as of `Group`."""

    def __init__(self, rank, table, barrier):
        object.__setattr__(self, "rank", rank)
        object.__setattr__(self, "size", len(table))
        object.__setattr__(self, "table", table)
        object.__setattr__(self, "barrier", barrier)

    def gather(self, value):
        self.table[self.rank] = copy.deepcopy(value)
        self.barrier.wait(20)
        found = list(self.table)
        self.barrier.wait(20)
        return found

    def average(self, tensors):
        tensors = list(tensors)
        for tensor, *others in zip(tensors, *self.gather([t.clone() for t in tensors]), strict=True):
            tensor.copy_(torch.stack(others).mean(0))

    def total(self, values, device):
        return [float(sum(each)) for each in zip(*self.gather(values), strict=True)]

    def agree(self, network, *, buffers_only=False):
        """The networks begin alike."""


def shared_out(task, recipe, networks, epochs):
    """The trainings of several threads after so many epochs."""
    table, barrier = [None] * len(networks), threading.Barrier(len(networks))

    def work(rank):
        loop = TrainingLoop(networks[rank], task, recipe, 0, Threads(rank, table, barrier), torch.device("cpu"))
        for _ in range(epochs):
            loop.advance()
        return loop

    with ThreadPoolExecutor(len(networks)) as pool:
        return list(pool.map(work, range(len(networks))))


class Weighted(Numbers):
    """Only examples with a positive first number count, so that parts of a mini-batch are of different sizes."""

    def counted(self, batch):
        return batch[0][:, 0] > 0


@pytest.mark.parametrize(
    ("task", "make", "recipe"),
    [
        (text(), lambda: recurrent(text()), Recipe(epochs=2, **LIKE_AWD)),
        (text(Endless), lambda: recurrent(text()), Recipe(epochs=2, **LIKE_AWD)),
        (Weighted.drawn(), line, Recipe(epochs=2, batch_size=12, learning_rate=0.3, held_out=0.25, scale_rate=True)),
    ],
    ids=["text", "endless", "unequal"],
)
def test_a_mini_batch_that_is_shared_out_is_the_same_mini_batch(task, make, recipe):
    one, two, three = make(), make(), make()
    (alone,) = shared_out(task, recipe, [one], 2)
    first, second = shared_out(task, recipe, [two, three], 2)
    assert first.history == second.history
    for row, other in zip(alone.history, first.history, strict=True):
        assert row.metrics.keys() == other.metrics.keys()
        assert list(other.metrics.values()) == pytest.approx(list(row.metrics.values()), rel=1e-4)
    assert same(weights(two), weights(three))
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-5)
    assert not same(weights(one), weights(make()))


@pytest.mark.slow
def test_two_processes_carry_the_state_of_their_own_columns():
    one, two = recurrent(text()), recurrent(text())
    alone = nl.trainers.fit(one, text(), epochs=2, **LIKE_AWD)
    together = nl.trainers.fit(two, text(), epochs=2, **LIKE_AWD, processes=2, threads=1)
    for first, second in zip(alone.history, together.history, strict=True):
        assert first.metrics.keys() == second.metrics.keys()
        assert list(second.metrics.values()) == pytest.approx(list(first.metrics.values()), rel=1e-4)
    for first, second in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.allclose(first, second, atol=1e-5)


def test_a_task_whose_objective_is_to_be_small_keeps_the_epoch_with_the_least():
    task, network = Numbers.drawn(), line()
    report = nl.trainers.fit(network, task, epochs=8, batch_size=6, held_out=0.25, learning_rate=0.4, momentum=0.0,
                             schedule="constant")  # fmt: skip
    errors = [row.metrics["valid/error"] for row in report.history]
    assert report.best_epoch == errors.index(min(errors)) + 1 != len(errors)
    x, y = task.x[36:], task.y[36:]
    with torch.no_grad():
        assert report.valid == pytest.approx(float((network(x) - y).abs().mean()), rel=1e-5) == min(errors)
    assert report.quantities["error"].text(report.valid).endswith(" m")
    assert f"valid_error={report.valid:.4f} m" in repr(report)
    assert report.history[0].valid_accuracy is report.history[0].test_loss is None
    with pytest.raises(SpecError, match="no 'test/error'"):
        _ = report.test
    stopped = nl.trainers.fit(line(), task, epochs=8, batch_size=6, held_out=0.25, learning_rate=0.4, momentum=0.0,
                              schedule="constant", patience=1)  # fmt: skip
    assert stopped.epochs == stopped.best_epoch + 1


def test_outputs_by_name_with_a_loss_each():
    task, network, start = TwoHeads.drawn(), TwoOutputs(), TwoOutputs()
    report = nl.trainers.fit(network, task, epochs=1, batch_size=48, learning_rate=0.1, momentum=0.0, weight_decay=0.0,
                             gradient_clipping=0.0)  # fmt: skip
    task.loss(start(task.x), task.batch(torch.arange(48))).backward()
    for one, other in zip(network.parameters(), start.parameters(), strict=True):
        assert torch.allclose(one, other - 0.1 * other.grad, atol=1e-6)
    row = report.history[0]
    assert row.metrics.keys() == {"train/loss", "train/value_loss", "train/sign_accuracy"}
    with torch.no_grad():
        value, sign = map(float, task.losses(start(task.x), task.batch(torch.arange(48))))
    assert row.train_loss == pytest.approx(value + sign, rel=1e-5)
    assert row.metrics["train/value_loss"] == pytest.approx(value, rel=1e-5)
    assert "train sign_accuracy, %" in str(report)
    longer = nl.trainers.fit(TwoOutputs(), task, epochs=6, batch_size=8, held_out=0.25, learning_rate=0.1)
    assert longer.valid > 0.6


# --- averaged SGD ---------------------------------------------------------------------------------------------------

NOISY = {"batch_size": 6, "learning_rate": 0.5, "momentum": 0.0, "weight_decay": 0.01, "gradient_clipping": 0.0}
NOISY |= {"schedule": "constant", "held_out": 0.25, "nonmonotone_interval": 2}


def plainly(task, epochs, n):
    """NT-ASGD as its authors wrote it: the optimizers are torch's, the rule and the swapping are theirs."""
    network, losses, switched, kept = line(), [], None, None
    optimizer = torch.optim.SGD(network.parameters(), lr=0.5, weight_decay=0.01)
    timetable = Timetable(task.parts(0, 0.75)[0], 6, 0, "fit")
    x, y = task.x[36:], task.y[36:]
    for epoch in range(epochs):
        for step in range(6 * epoch, 6 * epoch + 6):
            batch = task.batch(timetable.where(step))
            optimizer.zero_grad()
            task.loss(network(batch[0]), batch).backward()
            optimizer.step()
        before = weights(network)
        if switched is not None:
            for parameter in network.parameters():
                parameter.data = optimizer.state[parameter]["ax"].clone()
        with torch.no_grad():
            loss, error = float(task.loss(network(x), (x, y))), float((network(x) - y).abs().mean())
        if kept is None or error < kept[0]:
            kept = error, weights(network)
        network.load_state_dict(before)
        if switched is None and len(losses) > n and loss > min(losses[:-n]):
            switched = epoch
            optimizer = torch.optim.ASGD(network.parameters(), lr=0.5, t0=0, lambd=0.0, weight_decay=0.01)
        losses.append(loss)
    return losses, switched, kept[1]


def test_averaged_sgd_takes_over_when_the_loss_stops_falling():
    task, network = Numbers.drawn(seed=4), line()
    losses, switched, kept = plainly(task, 12, 2)
    assert switched is not None
    assert 3 <= switched < 8
    report = nl.trainers.fit(network, task, epochs=12, **NOISY)
    assert [row.valid_loss for row in report.history] == pytest.approx(losses, rel=1e-6)
    for name, value in network.state_dict().items():
        assert torch.allclose(value, kept[name], atol=1e-6)
    assert report.best_epoch > switched + 1, "averages are better"
    without = nl.trainers.fit(line(), task, epochs=12, **(NOISY | {"nonmonotone_interval": 0}))
    assert without.history[: switched + 1] == report.history[: switched + 1]
    assert without.history[-1] != report.history[-1]


@pytest.mark.parametrize("broken_off", [1, 5, 9])
def test_averaged_sgd_goes_on_bit_for_bit(tmp_path, broken_off):
    """Before it takes over, just when it does, and later."""
    task, recipe, whole, resumed = Numbers.drawn(seed=4), Recipe(epochs=12, **NOISY), line(), line(9)
    report = nl.trainers.fit(whole, task, recipe=recipe)
    rows = train(line(), task=task, recipe=recipe, seed=0, checkpoint=tmp_path / "fit")
    for _ in range(broken_off):
        next(rows)
    assert nl.trainers.fit(resumed, task, recipe=recipe, checkpoint=tmp_path / "fit") == report
    assert same(weights(resumed), weights(whole))


def test_averaging_needs_sgd_and_something_to_judge_by():
    with pytest.raises(SpecError, match="averages SGD, and the optimizer is 'adam'"):
        Recipe(optimizer="adam", nonmonotone_interval=5)
    with pytest.raises(SpecError, match=r"nonmonotone_interval=2 needs held-out data.*held_out=0.1"):
        nl.trainers.fit(line(), Numbers.drawn(), **(NOISY | {"held_out": 0.0}))
    assert not Recipe(nonmonotone_interval=2).averages_after([3, 2, 2.5])
    assert Recipe(nonmonotone_interval=2).averages_after([3, 4, 2.5, 3.5])
    assert not Recipe(nonmonotone_interval=3).averages_after([3, 4, 2.5, 3.5])
    assert Recipe(nonmonotone_interval=2).averages_after([3, 4, 2.5, 3.5, 0, 0, 0]), "and it stays so"


def test_the_published_retraining_of_a_recurrent_cell():
    recipe = Recipe.recurrent()
    assert dataclasses.asdict(recipe) == dataclasses.asdict(Recipe()) | {
        "epochs": 8000,
        "batch_size": 64,
        "evaluation_batch_size": 10,
        "learning_rate": 20.0,
        "momentum": 0.0,
        "weight_decay": 8e-7,
        "schedule": "constant",
        "scale_rate": True,
        "gradient_clipping": 0.25,
        "nonmonotone_interval": 5,
    }
    assert Recipe.recurrent("wikitext2", epochs=3) == recipe.but(weight_decay=5e-7, epochs=3)
    with pytest.raises(SpecError, match="did you mean 'penn_treebank'"):
        Recipe.recurrent("penn_treebanks")


def test_nan_is_the_worst_value_of_an_objective():
    history = [Epoch(epoch=n + 1, learning_rate=0.1, metrics={"valid/x": value, "train/loss": 1.0})
               for n, value in enumerate([math.nan, 2.0, 3.0, 2.0, 3.0, math.inf])]  # fmt: skip
    assert best(history[:5], "x", "min").epoch == 2
    assert best(history[:5], "x", "max").epoch == 3
    assert best(history, "x", "min").epoch == 2
    assert best(history[:1], "x", "min").epoch == 1
    assert best(history, "y", "min").epoch == 6, "not held out: the last one"


def test_epochs_of_images_may_be_made_by_their_earlier_names():
    row = Epoch(epoch=1, learning_rate=0.1, train_loss=2.0, train_accuracy=0.5, valid_accuracy=None, test_loss=1.0)
    assert row.metrics == {"train/loss": 2.0, "train/accuracy": 0.5, "test/loss": 1.0}
    assert (row.train_loss, row.train_accuracy, row.valid_accuracy, row.test_loss) == (2.0, 0.5, None, 1.0)
    assert row == Epoch(epoch=1, learning_rate=0.1, metrics=row.metrics) == Epoch(**row.to_json())
    with pytest.raises(TypeError, match="has no 'train_lost'"):
        Epoch(epoch=1, learning_rate=0.1, train_lost=2.0)


# --- comparisons ----------------------------------------------------------------------------------------------------


def test_a_comparison_shows_the_objective_in_its_own_unit_and_direction():
    architecture = [nl.spaces.NASBench201().at(number) for number in range(4)]
    scores = tuple(
        Score(group=group, architecture=architecture[place], seed=seed, value=value + seed / 100, parameters=10)
        for group, place, value in (("found", 0, 1.2), ("found", 1, 1.3), ("random", 2, 1.7), ("random", 3, 1.8))
        for seed in range(2)
    )
    comparison = Comparison(scores, nl.estimators.Objective("error", "min", "m"), "valid")
    assert comparison.what == "held-out error, m"
    lines = repr(comparison).splitlines()
    assert "held-out error m" in lines[0]
    assert "1.26" in lines[1], "not in per cent"
    assert "found - random: -0.50, better with probability 1.00" in repr(comparison)
    assert "less is better" in comparison._repr_html_()
    assert comparison.welch("found", "random").difference == pytest.approx(-0.5)
