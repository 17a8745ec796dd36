"""DARTS against the same algorithm written out with plain torch, and what only DARTS could get wrong."""

import json
import math

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import naslab as nl
from naslab.errors import DataError, Diverged, SpecError
from naslab.networks.batch_norm import frozen_statistics
from naslab.searchers.feed import Taken
from naslab.searchers.gradient import bilevel

OPERATIONS = ("none", "max_pool_3x3", "skip_connect", "sep_conv_3x3")
CELL = nl.spaces.DartsCell(nodes=2, operations=OPERATIONS, channels=4, cells=3)


def make(task, space=CELL, **hyperparameters):
    return nl.searchers.Darts(space, task, **{"batch_size": 16, "epochs": 2, "seed": 1, **hyperparameters})


def test_three_steps_of_first_order_equal_the_algorithm_written_out(digits):
    """Alternating torch.optim steps on a second copy of the supernet, from the paper's Algorithm 1 with xi = 0."""
    ours, plain = make(digits, alpha_lr=0.01, gradient_clipping=0.5), make(digits)
    network, alphas = plain.network, list(plain.alphas.values())
    w_optimizer = torch.optim.SGD(network.parameters(), lr=0.025, momentum=0.9, weight_decay=3e-4)
    a_optimizer = torch.optim.Adam(alphas, lr=0.01, betas=(0.5, 0.999), weight_decay=1e-3)

    def loss(half):
        x, y = plain._batch(half)
        mixture = {part: a.softmax(-1) for part, a in zip(plain.alphas, alphas, strict=True)}
        return torch.nn.functional.cross_entropy(network(x, mixture), y)

    for step in range(3):
        event = ours.advance()
        plain._step = step
        network.train()
        with frozen_statistics(network):
            a_optimizer.zero_grad()
            valid_loss = loss("architecture")
            valid_loss.backward()
        a_optimizer.step()
        w_optimizer.zero_grad()
        train_loss = loss("weights")
        train_loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 0.5)
        w_optimizer.step()
        assert event.valid_loss == pytest.approx(valid_loss.item(), rel=1e-5)
        assert event.train_loss == pytest.approx(train_loss.item(), rel=1e-5)
    for a, b in zip(ours.alphas.values(), alphas, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
    for (name, a), b in zip(ours.network.state_dict().items(), network.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4, msg=name)


@pytest.mark.parametrize("product", ["exact", "finite_difference"])
@pytest.mark.slow
def test_second_order_hands_the_inner_step_over_whole(digits, product, monkeypatch):
    """The gradient that reaches Adam is the one through w' = w - xi (momentum + gradient + decay), in float64."""
    searcher = make(digits, order=2, hessian_product=product, radius=1e-8, w_lr=0.1, w_weight_decay=0.01)
    searcher.advance()  # so that there is momentum
    searcher.network.double()
    for state in searcher._optimizers.sgd.state.values():
        state["momentum_buffer"] = state["momentum_buffer"].double()
    for part, alpha in searcher.alphas.items():
        searcher.alphas[part] = alpha.detach().double().requires_grad_()
    (x, y), (xv, yv) = ((x.double(), y) for x, y in (searcher._batch("weights"), searcher._batch("architecture")))
    alphas = list(searcher.alphas.values())
    mixture = {part: a.softmax(-1) for part, a in searcher.alphas.items()}
    named = dict(searcher.network.named_parameters())
    with frozen_statistics(searcher.network):
        searcher.network.train()
        loss = digits.loss(searcher.network(x, mixture), y)
        grads = torch.autograd.grad(loss, list(named.values()), create_graph=True, allow_unused=True)
        moved = {}
        for (name, w), g in zip(named.items(), grads, strict=True):
            buffer = searcher._optimizers.sgd.state[w]["momentum_buffer"]
            moved[name] = w - 0.1 * (0.9 * buffer + (0 if g is None else g) + 0.01 * w)
        logits = torch.func.functional_call(searcher.network, moved, (xv, mixture))
        expected = torch.autograd.grad(digits.loss(logits, yv), alphas)

    found = []
    monkeypatch.setattr(searcher, "_move_alphas", lambda gradients, rates: found.extend(gradients))
    searcher._alpha_step(Taken((x, y), x), Taken((xv, yv), xv), {"w_lr": 0.1})
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_the_published_radius_is_far_from_the_exact_product_on_a_supernet(digits):
    """The lab shows it; were it untrue, the label would be."""
    searcher = make(digits)
    for _ in range(3):
        searcher.advance()
    x, y = searcher._batch("weights")
    weights, alphas = searcher._weights, list(searcher.alphas.values())
    with frozen_statistics(searcher.network):
        v = bilevel.gradients(searcher.task.loss(searcher._mean_outputs(x), y), weights)
        loss = lambda: searcher.task.loss(searcher._mean_outputs(x), y)  # noqa: E731
        exact = torch.cat(bilevel.exact_product(loss, weights, alphas, v))
        finite = torch.cat(bilevel.finite_difference_product(0.01)(loss, weights, alphas, v))
    assert (finite - exact).norm() > 0.2 * exact.norm()


def test_the_alpha_step_computes_no_weight_gradients(digits):
    """Backward to the alphas alone costs clearly fewer operations than backward to everything."""
    searcher = make(digits)
    x, y = searcher._batch("architecture")

    def flops(freeze):
        loss_of = lambda: digits.loss(searcher._mean_outputs(x), y)  # noqa: E731
        alphas = list(searcher.alphas.values())
        if freeze:
            with bilevel.frozen(searcher._weights):
                loss = loss_of()
                with FlopCounterMode(display=False) as counter:
                    torch.autograd.grad(loss, alphas)
        else:
            loss = loss_of()
            with FlopCounterMode(display=False) as counter:
                torch.autograd.grad(loss, [*alphas, *searcher._weights], allow_unused=True)
        return counter.get_total_flops()

    assert flops(freeze=True) < 0.7 * flops(freeze=False)
    seen = []
    original = bilevel.frozen

    def spy(weights):
        seen.append(len(weights))
        return original(weights)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("naslab.searchers.gradient.objective.frozen", spy)
        searcher.advance()
    assert seen == [len(searcher._weights)]
    assert all(w.requires_grad for w in searcher._weights)


def test_the_two_halves_never_meet(digits):
    searcher = make(digits)
    weights, architecture = (set(feed.stream.indices.tolist()) for feed in searcher._feeds.values())
    assert not weights & architecture
    assert len(weights) + len(architecture) == len(digits.train)


def test_each_step_draws_from_both_halves_with_fresh_augmentation(digits, monkeypatch):
    searcher, batch, drawn = make(digits), digits.batch, []

    def spy(task, indices, *, augment, **options):
        drawn.append((set(indices.tolist()), augment.initial_seed()))
        return batch(indices, augment=augment, **options)

    monkeypatch.setattr(searcher, "_must_fit", lambda: None)
    monkeypatch.setattr(type(digits), "batch", spy)
    searcher.advance(), searcher.advance()
    weights, architecture = (set(feed.stream.indices.tolist()) for feed in searcher._feeds.values())
    assert [indices <= weights for indices, _ in drawn] == [True, False, True, False]
    assert [indices <= architecture for indices, _ in drawn] == [False, True, False, True]
    assert not drawn[0][0] & drawn[2][0], "an epoch visits an image once"
    assert len({seed for _, seed in drawn}) == 4


def test_cosine_runs_from_the_start_to_the_minimum_and_restarts_from_a_set_value(digits):
    searcher = make(digits, epochs=10, w_lr=0.1, w_lr_min=0.01)
    expected = [0.01 + 0.09 * (1 + math.cos(math.pi * e / 10)) / 2 for e in range(10)]
    assert [searcher._value_at("w_lr", e) for e in range(10)] == pytest.approx(expected)
    searcher._step = searcher._timetable.total(5)
    searcher.set("w_lr", 0.5)
    assert searcher._value_at("w_lr", 5) == pytest.approx(0.5)
    assert searcher._value_at("w_lr", 10) == pytest.approx(0.01)
    assert all(searcher._value_at("w_lr", e) > searcher._value_at("w_lr", e + 1) for e in range(5, 10))


def test_figures_of_an_event(digits):
    searcher = make(digits, alpha_scale=0.0)
    one_hot = {part: torch.from_numpy(w) for part, w in CELL.one_hot(searcher.best).items()}
    x, y = searcher._batch("architecture")
    with frozen_statistics(searcher.network), torch.no_grad():
        searcher.network.train()
        mixture = digits.loss(searcher._mean_outputs(x), y).item()
        derived = digits.loss(searcher.network(x, one_hot), y).item()
    event = searcher.advance()
    assert event.valid_loss == pytest.approx(mixture, rel=1e-5)
    assert event.discretisation_gap == pytest.approx(derived - mixture, rel=1e-4, abs=1e-5)
    assert event.entropy == pytest.approx(math.log(4), abs=1e-4)
    assert set(event.probabilities) == {"normal", "reduce"}
    for rows in event.probabilities.values():
        assert rows.shape == (5, 4)
        np.testing.assert_allclose(rows.sum(axis=1), 1, atol=1e-6)
    assert 0 <= event.train_accuracy <= 1
    assert event.epoch == 0


@pytest.mark.slow
def test_it_learns(digits):
    searcher = make(digits, batch_size=32, epochs=3, w_lr=0.1, alpha_lr=0.01)
    events = [searcher.advance() for _ in range(45)]
    late = np.mean([e.valid_accuracy for e in events[-10:]])
    assert late > 0.6, "chance is 0.1"
    assert events[-1].entropy < events[0].entropy


@pytest.mark.slow
def test_eigenvalue_equals_the_full_hessian(digits):
    searcher = make(digits)
    searcher.advance()
    value = searcher.measure("alpha_hessian_eigenvalue")
    x, y = searcher._batch("architecture")
    shapes = [a.shape for a in searcher.alphas.values()]
    sizes = [s.numel() for s in shapes]

    def loss(flat):
        parts = [p.view(s).softmax(-1) for p, s in zip(flat.split(sizes), shapes, strict=True)]
        return digits.loss(searcher.network(x, dict(zip(searcher.alphas, parts, strict=True))), y)

    flat = torch.cat([a.detach().reshape(-1) for a in searcher.alphas.values()])
    with frozen_statistics(searcher.network):
        hessian = torch.autograd.functional.hessian(loss, flat)
    values = torch.linalg.eigvalsh((hessian + hessian.T) / 2)
    expected = values[values.abs().argmax()].item()
    assert value == pytest.approx(expected, rel=1e-2)


def test_a_batch_larger_than_the_data_is_refused(digits):
    with pytest.raises(DataError, match="batch_size=719 or less"):
        make(digits, batch_size=5000)


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ({"order": 3}, "order must be 1 or 2"),
        ({"hessian_product": "magic"}, "finite_difference, exact"),
        ({"train_portion": 1.0}, "both halves need data"),
        ({"w_momentum": 1.0}, r"in \[0, 1\)"),
        ({"epochs": 2.5}, "whole number"),
        ({"w_lr": "0.1"}, "w_lr must be a number, not '0.1'"),
        ({"device": "gpu"}, "there is no device 'gpu'; give 'cpu'"),
    ],
)
def test_bad_hyperparameters(digits, bad, says):
    with pytest.raises(SpecError, match=says):
        make(digits, **bad)


def test_numpy_numbers_are_numbers(digits):
    searcher = make(digits, seed=np.int64(3), batch_size=np.int64(8), w_lr=np.float32(0.5))
    assert json.loads(json.dumps(searcher.spec()))["hyperparameters"]["batch_size"] == 8
    assert searcher.check_setting("w_lr", np.float32(0.25)) == 0.25


def test_a_rate_below_the_minimum_stays_where_it_was_set(digits):
    searcher = make(digits, epochs=10, w_lr_min=1e-3)
    searcher.set("w_lr", 1e-5)
    assert [searcher._value_at("w_lr", epoch) for epoch in range(10)] == [1e-5] * 10


def test_something_else_than_a_task_is_refused():
    with pytest.raises(SpecError, match="darts needs a task, such as"):
        nl.searchers.Darts(CELL, "fashion")  # type: ignore[arg-type]


def test_a_space_without_supernet_is_refused(digits):
    class SingleLevel(nl.spaces.Space):
        name = "single"
        next_choice = build = graph = lambda *_: None

    with pytest.raises(SpecError, match="'single' has none"):
        nl.searchers.Darts(SingleLevel(), digits)


def test_divergence_is_said_and_names_the_knob(digits):
    searcher = make(digits)
    with torch.no_grad():
        searcher._weights[0][0] = float("nan")
    with pytest.raises(Diverged, match=r"step 1: .* no longer finite .*rewind.* lower w_lr"):
        searcher.advance()


@pytest.mark.gpu
def test_on_cuda(digits):
    searcher = make(digits, device="cuda")
    assert np.isfinite(searcher.advance().train_loss)
