"""The controller of ENAS: bounded decisions, the pull on skips, the baseline, the gradient."""

import itertools
import math

import pytest
import torch

import naslab as nl
from naslab.architecture import Choice
from naslab.errors import SpecError
from naslab.events import Evaluated
from naslab.searchers.controller import make_policy
from naslab.searchers.enas_controller import Flattened, is_operation, judge, objective
from naslab.searchers.enas_hyperparameters import MICRO
from naslab.searchers.policies import unroll
from naslab.spaces import EnasMacro, EnasMicro

SPACE = EnasMacro(layers=4, channels=4)
CELLS = EnasMicro(nodes=2, channels=2, cells=3)
SMALL = dict(epochs=4, batch_size=256, train_portion=0.5, controller_steps=2, children=3, derived=3, units=6)
EPOCH = 2 + 6


def searcher(digits, space=SPACE, **given):
    return nl.searchers.Enas(space, digits, **{**SMALL, **given})


def flattened(kind="lstm", *, temperature=1.0, tanh_constant=1.5, seed=0, reach=0.1):
    policy = make_policy(kind, seed=seed, units=6, layers=1, reach=reach)
    return Flattened(policy, temperature=temperature, tanh_constant=tanh_constant)


def everything(space):
    return list(itertools.product(*(choice.options for choice in space.fixed_choices)))


# --- the controller --------------------------------------------------------------------------------


@pytest.mark.parametrize(("temperature", "constant"), [(1.0, 1.5), (5.0, 2.5), (2.0, 0.0)])
def test_scores_are_flattened(temperature, constant):
    policy = flattened("independent", temperature=temperature, tanh_constant=constant)
    seen = {}

    def decide(position, choice, rows, log):
        seen[choice.name] = log[0].exp()
        return [0]

    unroll(policy, SPACE.next_choice, 1, decide)
    scores = {name: weight.detach().clone() for name, weight in policy.weights.met.items()}
    for weight in policy.weights.met.values():
        weight.data.mul_(40)
    unroll(policy, SPACE.next_choice, 1, decide)

    def flat(z):
        return constant * math.tanh(z / temperature) if constant else z / temperature

    for name, found in seen.items():
        z = (40 * next(score for key, score in scores.items() if f"/{name}/" in key)).tolist()
        if "from" in name:
            z = [-(z[1] - z[0]), z[1] - z[0]]
        odds = [math.exp(flat(each)) for each in z]
        assert found.tolist() == pytest.approx([each / sum(odds) for each in odds], rel=1e-4)


def test_decisions_between_operations_have_a_tighter_bound():
    """The authors' search for cells: scores of inputs stay within 1.1, of operations within 1.1 / 2.5."""
    policy = make_policy("independent", seed=0, units=6, layers=1, reach=100.0)
    policy = Flattened(policy, temperature=1.0, tanh_constant=MICRO["tanh_constant"], op_tanh_reduce=2.5)
    odds = {True: [], False: []}

    def decide(position, choice, rows, log):
        odds["/op_" in choice.name].append((log.max() - log.min()).item())
        return [0]

    unroll(policy, CELLS.next_choice, 1, decide)
    for operation, bound in ((True, 1.1 / 2.5), (False, 1.1)):
        assert max(odds[operation]) == pytest.approx(2 * bound, rel=1e-3)
    assert {is_operation(choice) for choice in CELLS.fixed_choices} == {True, False}
    names = ("chain/3/op", "op_0", "normal/2/op_1"), ("chain/3/from_1", "normal/2/input_0", "drop", "top_1", "op_x")
    for expected, each in zip((True, False), names, strict=True):
        assert all(is_operation(Choice(name, (0, 1))) is expected for name in each)


def test_skips_are_pulled_by_the_divergence_of_the_closed_form():
    policy = flattened("independent")
    children = everything(SPACE)[::9973]
    judge(policy, SPACE.next_choice, children, 0.4)
    for weight in policy.weights.met.values():
        weight.data.zero_()
    of_one = 0.5 * math.log(0.5 / 0.4) + 0.5 * math.log(0.5 / 0.6)
    found = judge(policy, SPACE.next_choice, children, 0.4).skip_divergence
    assert found.tolist() == pytest.approx([(1 + 2 + 3) / 3 * of_one] * len(children), rel=1e-5)

    name = next(name for name in policy.weights.met if "chain/4/from_2" in name)
    policy.weights.met[name].data.copy_(torch.tensor([0.0, 0.7]))
    p = 1 / (1 + math.exp(-2 * 1.5 * math.tanh(0.7)))
    other = p * math.log(p / 0.4) + (1 - p) * math.log((1 - p) / 0.6)
    found = judge(policy, SPACE.next_choice, children, 0.4).skip_divergence
    assert found.tolist() == pytest.approx([(5 * of_one + other) / 3] * len(children), rel=1e-5)


def test_the_divergence_is_zero_at_the_prior_only():
    policy = flattened("independent", tanh_constant=0.0)
    children = everything(SPACE)[:1]
    judge(policy, SPACE.next_choice, children, 0.4)
    for name, weight in policy.weights.met.items():
        weight.data.zero_()
        if "from" in name:
            weight.data[1] = 0.5 * math.log(0.4 / 0.6)
    at_prior = judge(policy, SPACE.next_choice, children, 0.4).skip_divergence
    assert at_prior.item() == pytest.approx(0.0, abs=1e-6)
    assert judge(policy, SPACE.next_choice, children, 0.3).skip_divergence.item() > 0.01


def test_the_penalty_of_the_authors_code_is_least_elsewhere():
    """There the KL is that of sigmoid(q), and skips are drawn from sigmoid(2 q): with a prior of 0.4 the penalty is
    least at 0.3077, and pulls a quarter as hard."""
    policy = flattened("independent", tanh_constant=0.0)
    children = everything(SPACE)[:1]
    judge(policy, SPACE.next_choice, children, 0.4)

    def penalty(q: float, kind: str) -> float:
        for name, weight in policy.weights.met.items():
            weight.data.zero_()
            if "from" in name:
                weight.data[1] = q
        judged = judge(policy, SPACE.next_choice, children, 0.4, kind).skip_divergence
        return judged.item() / ((1 + 2 + 3) / 3)

    q = math.log(0.4 / 0.6)
    drawn = 1 / (1 + math.exp(-2 * q))
    assert drawn == pytest.approx(0.3077, abs=1e-4)
    assert penalty(q, "score") == pytest.approx(0.0, abs=1e-6)
    for other in (q - 1.0, q + 0.7):
        p = 1 / (1 + math.exp(-other))
        by_hand = p * math.log(p / 0.4) + (1 - p) * math.log((1 - p) / 0.6)
        assert penalty(other, "score") == pytest.approx(by_hand, rel=1e-4)
        assert penalty(other, "drawn") == pytest.approx(penalty(2 * other, "score"), rel=1e-4)


@pytest.mark.slow
def test_where_the_penalty_of_the_authors_code_rules_skips_go_to_its_least(digits, monkeypatch):
    rewarding(monkeypatch, lambda child: 0.5)
    given = {"controller_lr": 0.05, "controller_steps": 40, "skip_weight": 4.0, "skip_penalty": "score"}
    search = controller_phase(searcher(digits, **given))
    *_, last = (search.advance() for _ in range(120))
    found = [chances[1] for name, chances in last.probabilities.items() if "from" in name]
    assert found == pytest.approx([0.3077] * len(found), abs=0.03)
    with pytest.raises(SpecError, match='skip_penalty must be "drawn" or "score"'):
        searcher(digits, skip_penalty="both")


def test_the_gradient_is_that_of_the_expected_reward():
    """Over all 72 children of two layers, exactly: E[R grad log P] = grad E[R]; and entropy and KL beside it."""
    space = EnasMacro(layers=2)
    policy, children = flattened(seed=3, reach=0.5), everything(space)
    rewards = torch.rand(len(children), generator=torch.Generator().manual_seed(0))
    judged = judge(policy, space.next_choice, children, 0.4)
    weights = list(policy.weights.met.values())
    probability = judged.log_probability.exp()
    assert probability.sum().item() == pytest.approx(1.0, rel=1e-5)
    expected = torch.autograd.grad((probability * rewards).sum(), weights, retain_graph=True, allow_unused=True)

    scaled = len(children) * probability.detach() * rewards
    goal = objective(judged, scaled, entropy_weight=0.0, skip_weight=0.0)
    found = torch.autograd.grad(goal, weights, retain_graph=True, allow_unused=True)
    for one, other in zip(found, expected, strict=True):
        assert (one is None) == (other is None)
        assert one is None or torch.allclose(one, other, atol=1e-6)
    pulled = objective(judged, scaled, entropy_weight=0.5, skip_weight=2.0) - goal
    assert pulled.item() == pytest.approx(0.5 * judged.entropy.mean().item() - 2 * judged.skip_divergence.mean().item())


def rewarding(monkeypatch, reward):
    monkeypatch.setattr(nl.searchers.Enas, "_judged", lambda self, child, chosen: (reward(child), 0.0))


def controller_phase(search):
    """Epochs without steps of the weights, on which the rewards do not depend."""
    search._ends = [epoch * search._controller_steps for epoch in range(1, search.hyperparameters.epochs + 1)]
    return search


@pytest.mark.slow
def test_what_is_rewarded_becomes_likelier(digits, monkeypatch):
    rewarding(monkeypatch, lambda child: float(child.choices[1] == "sep_conv_3x3"))
    search = controller_phase(searcher(digits, controller_lr=0.02, children=10, controller_steps=40, skip_weight=0.0))
    first, *_, last = (search.advance().probabilities["chain/2/op"] for _ in range(400))
    option = SPACE.fixed_choices[1].options.index("sep_conv_3x3")
    assert first[option] == pytest.approx(1 / 6, abs=0.05)
    assert last[option] > 0.5
    assert search.best.choices[1] == "sep_conv_3x3"


@pytest.mark.slow
def test_what_is_rewarded_in_a_cell_becomes_likelier(digits, monkeypatch):
    """An input and an operation, each up to the bound of its scores."""
    rewarding(monkeypatch, lambda child: 0.5 * (child.choices[4] == 2) + 0.5 * (child.choices[6] == "max_pool_3x3"))
    given = dict(controller_lr=0.02, children=10, controller_steps=40, tanh_constant=2.0, op_tanh_reduce=2.0)
    search = controller_phase(searcher(digits, space=CELLS, **given))
    *_, last = (search.advance() for _ in range(400))
    assert [choice.name for choice in CELLS.fixed_choices[4:7:2]] == ["normal/1/input_0", "normal/1/op_0"]
    assert last.probabilities["normal/1/input_0"][2] > 0.6
    found = last.probabilities["normal/1/op_0"][CELLS.fixed_choices[6].options.index("max_pool_3x3")]
    assert 0.3 < found < math.exp(1) / (math.exp(1) + 4 * math.exp(-1)) + 1e-3


@pytest.mark.parametrize("prior", [0.25, 0.7])
@pytest.mark.slow
def test_skips_go_to_their_prior(digits, monkeypatch, prior):
    rewarding(monkeypatch, lambda child: 0.5)
    search = controller_phase(searcher(digits, controller_lr=0.02, controller_steps=60, skip_prior=prior))
    *_, last = (search.advance() for _ in range(180))
    for name, found in last.probabilities.items():
        if "from" in name:
            assert found[1] == pytest.approx(prior, abs=0.03)
    assert last.details["skip_divergence"] < 0.01


def test_the_baseline_is_a_moving_average_of_the_rewards(digits):
    search = searcher(digits, baseline_momentum=0.9)
    rewards = []
    for _ in range(2 * EPOCH):
        event = search.advance()
        if isinstance(event, Evaluated):
            rewards.append(event.fitness)
            weights = [0.9**age for age in range(len(rewards))][::-1]
            expected = sum(w * r for w, r in zip(weights, rewards, strict=True)) / sum(weights)
            assert event.details["baseline"] == pytest.approx(expected)
            assert event.details["reward"] == event.fitness
    assert len(rewards) == 12


def test_a_reward_is_held_against_the_baseline_that_has_heard_it(digits, monkeypatch):
    """As in the authors' code, where the reward waits for the baseline: the first one is worth nothing."""
    momentum, rewards, held = 0.5, iter([0.8, 0.2, 0.4]), []
    rewarding(monkeypatch, lambda child: next(rewards))
    search = controller_phase(searcher(digits, baseline_momentum=momentum))
    monkeypatch.setattr(search, "_improve", lambda: held.extend(advantage for _, advantage in search._told))
    for _ in range(3):
        search.advance()
    averages = [0.8, (0.5 * 0.8 + 0.2) / 1.5, (0.25 * 0.8 + 0.5 * 0.2 + 0.4) / 1.75]
    assert held == pytest.approx([r - b for r, b in zip([0.8, 0.2, 0.4], averages, strict=True)])


def test_a_collapsed_controller_is_stated(digits):
    search = searcher(digits, tanh_constant=0.0, temperature=1e-3, reach=1.0)
    *_, last = (search.advance() for _ in range(EPOCH))
    assert last.details["collapsed"] == 1.0
    assert last.details["entropy"] < 0.1
    search = searcher(digits)
    *_, last = (search.advance() for _ in range(EPOCH))
    assert last.details["collapsed"] == 0.0


def test_a_step_of_the_controller_that_is_not_finite_is_left_out(digits, monkeypatch):
    rewarding(monkeypatch, lambda child: float("inf"))
    search = controller_phase(searcher(digits))
    *_, last = (search.advance() for _ in range(3))
    assert (last.details["skipped"], last.details["updates"]) == (1.0, 0.0)
    assert all(math.isfinite(p) for each in last.probabilities.values() for p in each)
