"""Searches with shared weights of what is no image: texts with a state that is carried, dictionaries of outputs."""

import importlib.util
import math
from pathlib import Path

import pytest
import torch
from torch import nn

import naslab as nl
from naslab import snapshot
from naslab.errors import SpecError
from naslab.events import Measured
from naslab.searchers import gradient as g
from naslab.searchers.darts import RECURRENT
from naslab.searchers.gradient.bilevel import InnerStep
from naslab.searchers.gradient.history import EpochHistory

_spec = importlib.util.spec_from_file_location("other_tasks", Path(__file__).with_name("other_tasks.py"))
other_tasks = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(other_tasks)

SPACE = other_tasks.Ladder()
SIZES = dict(epochs=2, batch_size=8)
ONE_SHOT = dict(population=3, generations=2, parents=2, crossovers=1, mutations=1, valid_images=8)
ONE_SHOT |= dict(recalibration_images=4, batch_norm="recalibrated")
ENAS = dict(epochs=2, train_portion=0.5, controller_steps=2, children=2, derived=2, derived_images=8, units=4)
SEARCHES = {
    "darts": ("darts", dict(order=1)),
    "second order": ("darts", dict(order=2, inner_clip=True, scale_rate=True, gradient_clipping=0.05)),
    "gdas": ("gdas", {}),
    "single level": ("gradient", dict(level=g.SingleLevel())),
    "reinforce": ("gradient", dict(sampling=g.Reinforce())),
    "milenas": ("milenas", dict(patience=1)),
    "warm-up": ("gradient", dict(warmup=0.5)),
    "spos": ("spos", ONE_SHOT),
    "fairnas": ("fairnas", ONE_SHOT),
    "enas": ("enas", ENAS),
}


@pytest.fixture(scope="module")
def text():
    return other_tasks.text()


@pytest.fixture(scope="module")
def pairs():
    return other_tasks.Pairs()


def make(name, task, **changed):
    searcher, given = SEARCHES[name]
    if "valid" in task.splits:  # a share of the training data would have no effect, and be warned of
        given = {key: value for key, value in given.items() if key != "train_portion"}
    return nl.searchers.SEARCHERS[searcher](SPACE, task, seed=3, **{**SIZES, **given, **changed})


@pytest.mark.parametrize("kind", ["text", "pairs"])
@pytest.mark.parametrize("name", SEARCHES)
def test_any_state_is_all_of_it(name, kind, request, tmp_path):
    """What a fresh searcher does from a snapshot in the middle of a pass is what the first one does, bit for bit, with
    dropout and whatever the global generator stands at.
    """
    task = request.getfixturevalue(kind)
    first = make(name, task)
    for _ in range(3):
        first.advance()
    state = first.state_dict()
    assert snapshot.digest(state) == snapshot.digest(first.state_dict())
    left = [first.advance() for _ in range(min(first.total, 12) - 3)]
    torch.manual_seed(7)
    again = make(name, task)
    snapshot.write(tmp_path / "state", state)
    again.load_state_dict(snapshot.read(tmp_path / "state"))
    assert [again.advance() for _ in left] == left
    assert snapshot.digest(again.state_dict()) == snapshot.digest(first.state_dict())


@pytest.mark.parametrize("name", ["darts", "second order", "spos"])
def test_a_run_goes_on_goes_back_and_forks_with_what_is_carried(name, text, tmp_path):
    whole = nl.Search(make(name, text))
    expected = [next(whole) for _ in range(9)]
    run = nl.Search(make(name, text), run=tmp_path / "run", snapshot_every=4)
    for _ in range(6):
        next(run)
    run.close()
    run = nl.Search.open(tmp_path / "run", task=text)
    assert [next(run) for _ in range(3)] == expected[6:]
    fork = run.fork(tmp_path / "fork", step=5)
    assert [next(fork) for _ in range(4)] == expected[5:]
    run.rewind(2)
    assert [next(run) for _ in range(7)] == expected[2:]
    run.close(), fork.close()


class Spy:
    """What a network was called with and what it gave."""

    def __init__(self, network):
        self.calls = []
        network.register_forward_hook(lambda module, given, outputs: self.calls.append((given[0], outputs)))

    def of(self, tokens):
        return [(state, outputs) for (seen, state), outputs in self.calls if torch.equal(seen, tokens)]


@pytest.mark.parametrize(("order", "calls"), [(1, (1, 2)), (2, (4, 2))])
def test_a_step_reads_a_state_once_and_writes_it_once(order, calls, text, monkeypatch):
    """Every look at a mini-batch begins with the state that the step before left, in each stream its own."""
    search = make("darts", text, order=order, epochs=3)
    monkeypatch.setattr(search, "_must_fit", lambda: None)
    spy, expected = Spy(search.network), {"weights": None, "architecture": None}
    ends = 0
    for step in range(search.total):
        spy.calls.clear()
        taken = {name: feed.batch(step)[0] for name, feed in search._feeds.items()}
        resets = {name: feed.timetable.resets(step) for name, feed in search._feeds.items()}
        search.advance()
        for (name, tokens), many in zip(taken.items(), calls, strict=True):
            looks = spy.of(tokens)
            assert len(looks) == many
            for state, _ in looks:
                if resets[name]:
                    assert state is None
                else:
                    assert torch.equal(state, expected[name])
            ends += resets[name]
        # the weights step comes last; the validation outputs that count are those before the gap's
        expected = {
            "weights": spy.of(taken["weights"])[-1][1].state.detach(),
            "architecture": spy.of(taken["architecture"])[0][1].state.detach(),
        }
    assert ends >= 5, "each stream begins anew some times"


def test_what_is_carried_makes_a_difference(text):
    search, other = make("darts", text), make("darts", text)
    for each in (search, other):
        each.advance()
    state = search.state_dict()
    assert torch.is_tensor(state["carry/weights/0"])
    other.load_state_dict({**state, "carry/weights/0": state["carry/weights/0"] + 0.5})
    assert other.advance().train_loss != search.advance().train_loss


def test_dropout_is_drawn_by_seed_and_step_and_is_off_where_a_child_is_judged(pairs):
    search = make("darts", pairs)
    child = SPACE.architecture(["relu", "identity"])
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    event = search.advance()
    assert torch.equal(torch.random.get_rng_state(), before), "the global generator is left alone"
    assert search.measure_child(child) == search.measure_child(child)
    assert search.network.dropout.training
    weights = SPACE.layers_of(child)
    search.network.eval()
    batch = pairs.batch(search._feeds["architecture"].stream.indices)
    with torch.no_grad():
        alone = pairs.metrics()["error"].of(search.network(pairs.inputs(batch), weights), batch)
    assert search.score(child) == pytest.approx(alone, rel=1e-6)
    undropped = nl.searchers.Darts(other_tasks.Ladder(rate=0.0), pairs, seed=3, **SIZES).advance()
    assert undropped.train_loss != event.train_loss


def test_metrics_are_those_of_the_task(pairs):
    search = nl.Search(make("darts", pairs))
    events = list(search)
    names = {"loss", "error"}
    assert {f"{half}/{name}" for half in ("train", "valid") for name in names} <= events[0].metrics.keys()
    assert "train/worst" not in events[0].metrics
    assert {name for name in events[0].metrics if name.startswith("count/")} == {
        f"count/{name}" for name in SPACE.operations
    }
    assert search.metrics["valid/error"].unit == "m"
    assert search.metrics["child/worst"].direction == "min"
    measured = [event for event in search.events if isinstance(event, Measured)]
    assert [(event.step, event.name) for event in measured] == [(4, "child/worst"), (8, "child/worst")]
    best = search.searcher.best
    assert measured[-1].value == search.searcher.measure_child(best, metrics=["worst"])["worst"]
    with pytest.raises(SpecError, match=r"metric 'accuracy'"):
        search.searcher.accuracy(best)


def test_less_is_better_where_the_task_says_so(pairs):
    spos = make("spos", pairs)
    judged = [event for event in (spos.advance() for _ in range(spos.total)) if event.kind == "evaluated"]
    for event in judged:
        assert event.values["error"] == -event.fitness > 0
        assert event.objectives[0].direction == "min"
    least = min(judged, key=lambda event: event.values["error"])
    assert spos.best == least.architecture
    assert judged[-1].best_fitness == least.fitness
    assert spos.score(least.architecture, batch_norm="recalibrated", examples=8) == least.values["error"]


def test_a_controller_is_paid_by_the_reward_of_the_task(text):
    enas = make("enas", text)
    events = [enas.advance() for _ in range(enas.total)]
    judged = [event for event in events if event.kind == "evaluated"]
    assert text.reward == "-loss"
    assert all(event.fitness == -event.values["loss"] == -event.details["valid_loss"] for event in judged)
    assert {event.epoch for event in events if event.kind == "child_trained"} == {0, 1}
    assert enas.best in SPACE


def test_the_epoch_with_the_least_error_is_kept(pairs):
    history = EpochHistory([g.SizeTracking(patience=1)], pairs)
    assert history.watched == "error"
    found = [g.SizeTracking(patience=1).stop([{"fitness": -e} for e in errors]) for errors in ([2, 1], [2, 1, 3])]
    assert found == [None, 1]


def test_a_perplexity_over_an_epoch_is_not_the_mean_of_perplexities(text):
    words = other_tasks.text()
    search = nl.searchers.MiLeNAS(SPACE, words, seed=0, **SIZES)
    history = search._history
    events = []
    while not history.records:
        events.append(search.advance())
    sizes = [words.size(search._feeds["architecture"].batch(step)) for step in range(len(events))]
    nats = sum(size * event.valid_loss for size, event in zip(sizes, events, strict=True)) / sum(sizes)
    record = history.records[0]
    assert record["valid_bits_per_character"] == pytest.approx(nats / math.log(2), rel=1e-6)
    assert record["fitness"] == -record["valid_bits_per_character"]
    assert search.by_size[0].value == record["valid_bits_per_character"]


def test_a_short_chunk_moves_the_weights_less(text):
    """Plain SGD: what a step changes is the rate times the gradient, whatever the rate."""
    moved, state = {}, {}
    for scaled in (False, True):
        search = make("darts", text, w_momentum=0.0, w_weight_decay=0.0, scale_rate=scaled, alpha_lr=1e-9)
        steps = [step for step in range(search.total) if text.size(search._feeds["weights"].batch(step)) < 8 * 6]
        short = steps[0]
        for _ in range(short):
            search.advance()
        if scaled:  # the same weights before the step
            search.load_state_dict(state)
        state = search.state_dict()
        search.advance()
        after = search.state_dict()
        moved[scaled] = after["network/second.weight"] - state["network/second.weight"]
        share = text.size(search._feeds["weights"].batch(short)) / (8 * 6)
    assert share < 1
    torch.testing.assert_close(moved[True], share * moved[False], rtol=1e-3, atol=1e-8)


def test_a_step_of_the_weights_is_regularised_and_that_of_the_alphas_is_not():
    free, tied = (make("darts", other_tasks.text(tar=tar)) for tar in (0.0, 50.0))
    for search in (free, tied):
        search.advance()
    for part, alpha in free.alphas.items():
        assert torch.equal(alpha, tied.alphas[part]), "the first step of the alphas"
    assert not torch.equal(free.network.second.weight, tied.network.second.weight)


def test_the_inner_step_is_clipped_and_moves_a_tied_matrix():
    layer, head = nn.Embedding(3, 2).double(), nn.Linear(2, 3, bias=False).double()
    head.weight = layer.weight
    network = nn.ModuleList([layer, head])
    weights = list(network.parameters())
    assert len(weights) == 1
    gradients = [torch.full_like(weights[0], 2.0)]
    step = InnerStep(xi=0.5, weight_decay=0.1, momentum=[None], clip=1.0)
    downhill, share = step.clipped(gradients)
    norm = 2 * math.sqrt(6)
    assert share == pytest.approx(1 / norm, rel=1e-5)
    (moved,) = step.move(weights, downhill)
    expected = weights[0] - 0.5 * (2 / norm + 0.1 * weights[0])
    torch.testing.assert_close(moved, expected, rtol=1e-6, atol=1e-6)
    assert InnerStep(xi=0.5, weight_decay=0.1, momentum=[None], clip=100.0).clipped(gradients)[1] == 1


def test_the_published_search_for_recurrent_cells_is_named():
    text = other_tasks.text(bptt=6)
    space = nl.spaces.RecurrentCell(nodes=2, hidden=8)
    search = nl.searchers.Darts(space, text, **{**RECURRENT, "batch_size": 8, "epochs": 1, "order": 2})
    adam, sgd = search._optimizers.adam.param_groups[0], search._optimizers.sgd.param_groups[0]
    assert (adam["betas"], adam["lr"], adam["weight_decay"]) == ((0.9, 0.999), 3e-3, 1e-3)
    assert (sgd["momentum"], sgd["weight_decay"]) == (0.0, 5e-7)
    event = search.advance()
    assert event.settings["w_lr"] == 20
    assert math.isfinite(event.train_loss)
    before = search.network.embedding.detach().clone()
    search.advance()
    assert not torch.equal(search.network.embedding, before)


def test_a_space_that_cannot_serve_the_task_says_so_at_once(text, pairs):
    with pytest.raises(SpecError, match="sequence"):
        nl.searchers.Darts(nl.spaces.DartsCell.laptop(), text)
    with pytest.raises(SpecError, match=r"networks of the space .enas_micro. read image"):
        nl.searchers.SPOS(nl.spaces.EnasMicro.laptop(), pairs, batch_size=8)
    with pytest.raises(SpecError, match="darts needs a task"):
        nl.searchers.Darts(SPACE, object())
    for make in (nl.estimators.Training, nl.estimators.ZeroCost, nl.estimators.Resources):
        with pytest.raises(SpecError, match="reads a sequence, and networks of the space 'nasbench201' give a vector"):
            make(nl.spaces.NASBench201.laptop(), text)


def test_a_batch_that_is_too_large_names_what_is_too_short(text):
    valid = text.splits["valid"]
    with pytest.raises(nl.errors.DataError, match=f"the valid text has {valid} tokens, too few for {valid} columns"):
        nl.searchers.Darts(SPACE, text, batch_size=valid)


def test_memory_and_time_are_measured_on_examples_of_the_task(text, pairs):
    for task in (text, pairs):
        search = make("darts", task)
        assert search.measure("step_memory") > 0
        assert math.isfinite(search.measure("alpha_hessian_eigenvalue"))
        memory = nl.analysis.step_memory(search.network, SPACE.edges(), 3, task, batch_size=8)
        assert memory.total > 0
        assert "8 examples" in str(memory)
        probed = nl.searchers.Darts(SPACE, task, threads="probe", **SIZES)
        assert probed.threads >= 1
