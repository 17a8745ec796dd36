import math

import numpy as np
import pytest
import torch

import naslab as nl
from naslab.searchers.controller import Controller, make_policy
from naslab.searchers.policies import Recurrent, Weights

SPACES = {
    "tree": None,
    "nasbench201": nl.spaces.NASBench201(),
    "nasbench101": nl.spaces.NASBench101(vertices=4),
    "darts": nl.spaces.DartsCell(nodes=1, operations=("none", "skip_connect", "sep_conv_3x3")),
}


def controller(space, kind="lstm", *, seed=1, units=6, layers=2, reach=1.0):
    policy = make_policy(kind, seed=seed, units=units, layers=layers, reach=reach)
    return Controller(policy, space.next_choice, children=4, learning_rate=0.01)


@pytest.fixture(params=["lstm", "independent"])
def kind(request):
    return request.param


@pytest.fixture(params=SPACES)
def space(request, tree):
    return SPACES[request.param] or tree


def everything(space):
    return [architecture.choices for architecture in space.enumerate()]


def test_probabilities_of_all_architectures_sum_to_one_and_give_the_entropy(space, kind):
    """By the chain rule, the entropy of the whole is the expected sum of the entropies on the way."""
    found = controller(space, kind).evaluate(everything(space))
    p = found.log_probability.detach().double().exp()
    assert len(p) == space.size
    assert p.sum().item() == pytest.approx(1, abs=1e-4)
    whole = -(p * found.log_probability.detach().double()).sum().item()
    assert (p * found.entropy.detach().double()).sum().item() == pytest.approx(whole, rel=1e-4)
    assert whole < 0.98 * math.log(space.size), "too near to uniform to tell anything"


def test_draws_are_as_frequent_as_they_are_likely(tree, kind):
    policy, count = controller(tree, kind), 20_000
    drawn = policy.draw(count, np.random.default_rng(0))
    all_ = everything(tree)
    p = policy.evaluate(all_).log_probability.detach().exp().numpy()
    counts = np.array([drawn.answers.count(choices) for choices in all_])
    assert counts.sum() == count
    chi_square = (((counts - count * p) ** 2) / (count * p)).sum()
    assert chi_square < 60, "the 0.9999 quantile of 25 degrees of freedom is 59"


def test_what_was_drawn_is_evaluated_alike_in_any_company(space, kind):
    policy = controller(space, kind)
    drawn = policy.draw(7, np.random.default_rng(0))
    assert all(space.architecture(choices) for choices in drawn.answers)
    again = policy.evaluate(drawn.answers)
    torch.testing.assert_close(again.log_probability, drawn.log_probability)
    torch.testing.assert_close(again.entropy, drawn.entropy)
    alone = torch.cat([policy.evaluate([choices]).log_probability for choices in drawn.answers])
    torch.testing.assert_close(alone, again.log_probability)


def test_weights_do_not_depend_on_when_they_are_met(tree, kind):
    there, back = everything(tree), everything(tree)[::-1]
    one, other = controller(tree, kind), controller(tree, kind)
    forwards = torch.cat([one.evaluate([choices]).log_probability for choices in there])
    backwards = torch.cat([other.evaluate([choices]).log_probability for choices in back])
    torch.testing.assert_close(forwards, backwards.flip(0), rtol=0, atol=0)
    assert not torch.equal(controller(tree, kind, seed=2).evaluate(there).log_probability, forwards)
    drawn = torch.cat([weight.detach().flatten() for weight in one.policy.weights.met.values()])
    assert 0.8 < drawn.abs().max() <= 1.0


def test_the_lstm_is_torchs(benchmark):
    """The same weights in `torch.nn.LSTM`, fed the embeddings of an architecture."""
    space, units = benchmark.space, 6
    ours, architecture = controller(space), benchmark.at(1234)
    found = ours.evaluate([architecture.choices]).log_probability
    weights = ours.policy.weights
    lstm = torch.nn.LSTM(units, units, 2)
    state = {
        f"{kind}_{part}_l{layer}": weights.met[f"lstm/{layer}/{letter}_{part}"]
        for layer in (0, 1)
        for kind, letter in (("weight", "w"), ("bias", "b"))
        for part in ("ih", "hh")
    }
    lstm.load_state_dict(state)
    steps = list(space.walk(architecture.choices))
    read = [weights("begin", units)]
    read += [weights(f'embedding/{choice.name}/"{option}"', units) for choice, option in steps[:-1]]
    hidden = lstm(torch.stack(read))[0]
    expected = torch.zeros(())
    for h, (choice, option) in zip(hidden, steps, strict=True):
        scores = torch.stack([weights(f'head/{choice.name}/"{each}"', units) @ h for each in choice.options])
        expected = expected + scores.log_softmax(0)[choice.options.index(option)]
    torch.testing.assert_close(found[0], expected)


def test_a_skip_connection_is_decided_by_its_two_anchors(tree):
    """sigmoid(v . tanh(W_there h_1 + W_here h_3)), computed again from a plain LSTM that stops at the third layer."""
    units, weights = 6, Weights(1.0, 5)
    policy = Recurrent(weights, units=units, layers=1)
    ours = Controller(policy, tree.next_choice, children=1, learning_rate=0.1)
    prefix = (3, "a", "b", "a")
    yes = ours.evaluate([(*prefix, 1, 1.0), (*prefix, 0), (2, "a", "a")]).log_probability
    w_ih, w_hh, b_ih, b_hh = policy.cell(0)
    h = c = torch.zeros(units)
    states, read = [], weights("begin", units)
    names = ["depth/3", 'tree/1/op/"a"', 'tree/2/op/"b"', 'tree/3/op/"a"', None]
    for name in names:
        i, f, g, o = (w_ih @ read + b_ih + w_hh @ h + b_hh).chunk(4)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        states.append(h)
        read = weights(f"embedding/{name}", units) if name else read
    there, here = states[1], states[4]  # the last steps of layer 1 and of layer 3
    mixed = weights("skip/there", units, units) @ there + weights("skip/here", units, units) @ here
    joined = (weights("skip/v", units) @ mixed.tanh()).sigmoid()
    read = there  # what was joined is read next
    i, f, g, o = (w_ih @ read + b_ih + w_hh @ h + b_hh).chunk(4)
    h = o.sigmoid() * (f.sigmoid() * c + i.sigmoid() * g.tanh()).tanh()
    gains = torch.stack([weights(f"head/tree/3/gain/{gain}", units) @ h for gain in (0.5, 1.0)]).log_softmax(0)
    difference = (joined.log() + gains[1]) - (1 - joined).log()
    torch.testing.assert_close(yes[0] - yes[1], difference)


def test_the_steps_are_adams(tree):
    ours, given = controller(tree), everything(tree)[:5]
    ours.evaluate(given)  # meets the weights
    theirs = {name: w.detach().clone().requires_grad_() for name, w in ours.policy.weights.met.items()}
    twin = controller(tree)
    twin.policy.weights.met.update(theirs)
    adam = torch.optim.Adam(theirs.values(), lr=0.01, maximize=True)
    for _ in range(3):
        assert ours.ascend(ours.evaluate(given).log_probability.sum())
        adam.zero_grad()
        twin.evaluate(given).log_probability.sum().backward()
        adam.step()
    for name, weight in theirs.items():
        torch.testing.assert_close(ours.policy.weights.met[name], weight)


@pytest.mark.parametrize("objective", [float("nan"), float("inf")])
def test_a_step_that_is_not_finite_is_left_out(tree, objective):
    ours = controller(tree)
    before = ours.evaluate(everything(tree)).log_probability.detach()
    assert not ours.ascend(ours.evaluate(everything(tree)).log_probability.sum() * objective)
    assert (ours.skipped, ours.updates) == (1, 0)
    torch.testing.assert_close(ours.evaluate(everything(tree)).log_probability.detach(), before, rtol=0, atol=0)


def test_the_likeliest_path(tree, kind):
    ours = controller(tree, kind)
    greedy = ours.greedy
    assert "depth" in greedy
    for distribution in greedy.values():
        assert distribution.sum() == pytest.approx(1, abs=1e-5)
    p = ours.evaluate(everything(tree)).log_probability.detach().exp().numpy()
    starts = np.array([choices[0] for choices in everything(tree)])
    np.testing.assert_allclose(greedy["depth"], [p[starts == d].sum() for d in (1, 2, 3)], rtol=1e-4)
