"""Ways of sampling against closed forms, chi-square and loops."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch.testing import assert_close

from naslab.errors import SpecError
from naslab.randomness import seeded, torch_generator
from naslab.searchers.gradient.mixing import Simplexes
from naslab.searchers.gradient.sampling import (
    BinaryGates,
    Concrete,
    Dirichlet,
    Drawn,
    FullMixture,
    Reinforce,
    StraightThrough,
    concentration,
    gumbel,
)

EDGES, OPERATIONS = 3, 4
EACH = Simplexes()
TOGETHER = Simplexes([[0, 1], [2]])
HARD = [StraightThrough(), BinaryGates(), Reinforce()]
sampled = pytest.mark.parametrize("sampling", HARD, ids=lambda s: type(s).__name__)
both = pytest.mark.parametrize("simplexes", [EACH, TOGETHER], ids=["each edge", "a node together"])


def logits(dtype=torch.float32):
    return torch.randn(EDGES, OPERATIONS, generator=torch_generator("alpha")).to(dtype).requires_grad_()


def draw(sampling, alpha, simplexes=EACH, number=0, half="architecture", temperature=1.0):
    noise = torch_generator("noise", number)
    return sampling.draw(alpha, simplexes, noise, {"temperature": temperature}, half)


@sampled
@both
@pytest.mark.slow
def test_what_is_chosen_follows_the_distribution(sampling, simplexes):
    """Marginals of 1,000 draws against softmax(alpha), by chi-square; in the step of the weights."""
    alpha = logits().detach()
    counts = sum(draw(sampling, alpha, simplexes, n, "weights", 0.5).weights for n in range(1000)).numpy()
    expected = simplexes.weights(alpha).numpy() * 1000
    for rows in simplexes.groups or [[0], [1], [2]]:
        assert counts[rows].sum() == 1000
        assert (
            stats.chisquare(counts[rows].ravel(), expected[rows].ravel() * (1000 / expected[rows].sum())).pvalue > 1e-3
        )


@both
def test_a_cold_concrete_sample_is_the_one_hot_draw_and_a_hot_one_uniform(simplexes):
    alpha = logits()
    for number in range(20):
        hard = draw(StraightThrough(), alpha, simplexes, number).weights
        assert_close(draw(Concrete(), alpha, simplexes, number, temperature=1e-3).weights, hard, rtol=0, atol=1e-3)
    hot = draw(Concrete(), alpha, simplexes, temperature=1e6).weights.detach()
    assert_close(hot, simplexes.weights(torch.zeros_like(hot)), rtol=1e-4, atol=1e-5)


def test_the_concrete_sample_is_the_papers_equation():
    alpha = logits()
    noise = gumbel(alpha, torch_generator("noise", 0))
    p = alpha.detach().double().exp() / alpha.detach().double().exp().sum(dim=1, keepdim=True)
    powers = torch.exp((p.log() + noise.double()) / 0.7)
    ours = draw(Concrete(), alpha, temperature=0.7).weights.detach().double()
    assert_close(ours, powers / powers.sum(dim=1, keepdim=True), rtol=1e-4, atol=1e-6)


def test_gumbel_numbers_are_gumbel():
    drawn = gumbel(torch.empty(20000), torch_generator("gumbel")).numpy()
    assert stats.kstest(drawn, "gumbel_r").pvalue > 1e-3


def test_straight_through_takes_the_gradient_of_the_soft_sample_at_the_chosen_operation():
    """h = one-hot forward; backward dL/dalpha_i = dL/dw_c * s_c (d_ci - s_i) / t, with no other term."""
    alpha, downstream, t = logits(torch.float64), torch.randn(EDGES, OPERATIONS, dtype=torch.float64), 2.0
    drawn = draw(StraightThrough(), alpha, temperature=t)
    assert set(drawn.weights.detach().unique().tolist()) == {0.0, 1.0}
    assert torch.equal(drawn.used, drawn.weights == 1)
    (ours,) = torch.autograd.grad((drawn.weights * downstream).sum(), alpha)
    noise = gumbel(alpha, torch_generator("noise", 0))
    s = ((alpha.detach().log_softmax(1) + noise) / t).softmax(1)
    for edge in range(EDGES):
        c = int(drawn.weights[edge].argmax())
        for i in range(OPERATIONS):
            expected = downstream[edge, c] * s[edge, c] * (float(c == i) - s[edge, i]) / t
            assert float(ours[edge, i]) == pytest.approx(float(expected), rel=1e-9)


def test_binary_gates_take_the_papers_gradient():
    """Cai et al. 2019, Eq. 4, over the two paths that were drawn, by loops."""
    alpha, downstream = logits(torch.float64), torch.randn(EDGES, OPERATIONS, dtype=torch.float64)
    for number in range(5):
        drawn = draw(BinaryGates(), alpha, number=number)
        assert drawn.weights.sum(dim=1).tolist() == [1.0] * EDGES
        assert drawn.used.sum(dim=1).tolist() == [2] * EDGES
        assert not (drawn.weights[~drawn.used] != 0).any()
        (ours,) = torch.autograd.grad((drawn.weights * downstream).sum(), alpha)
        for edge in range(EDGES):
            two = drawn.used[edge].nonzero().flatten().tolist()
            p = dict(zip(two, alpha.detach()[edge, two].softmax(0).tolist(), strict=True))
            for i in range(OPERATIONS):
                expected = sum(float(downstream[edge, j]) * p[j] * ((i == j) - p[i]) for j in two) if i in two else 0.0
                assert float(ours[edge, i]) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_binary_gates_open_the_better_of_two_as_often_as_it_deserves():
    alpha = torch.tensor([[2.0, 0.0]])
    opened = sum(draw(BinaryGates(), alpha, number=n).weights[0, 0].item() for n in range(2000))
    assert stats.binomtest(round(opened), 2000, torch.tensor([2.0, 0.0]).softmax(0)[0].item()).pvalue > 1e-3


@both
def test_after_a_step_the_other_paths_keep_their_probability(simplexes):
    before = logits().detach()
    drawn = draw(BinaryGates(), before, simplexes)
    after = before + drawn.used * torch.randn(before.shape, generator=torch_generator("step"))
    rescaled = BinaryGates().rescaled(before, after, drawn, simplexes)
    old, new = simplexes.weights(before), simplexes.weights(rescaled)
    assert_close(new[~drawn.used], old[~drawn.used])
    assert (new[drawn.used] - old[drawn.used]).abs().max() > 0.01
    assert torch.equal(rescaled[~drawn.used], before[~drawn.used])


def test_the_score_is_the_gradient_of_the_log_probability():
    alpha = logits(torch.float64)
    drawn = draw(Reinforce(), alpha)
    assert not drawn.weights.requires_grad
    p = alpha.detach().softmax(1)
    assert drawn.log_probability.item() == pytest.approx(float(p[drawn.weights == 1].log().sum()))
    (ours,) = torch.autograd.grad(drawn.log_probability, alpha)
    assert_close(ours, drawn.weights - p)


def test_reinforce_is_unbiased():
    """The mean of 1,000 estimates of the gradient of E[reward] against the exact one."""
    alpha, rewards = torch.zeros(1, 3, requires_grad=True), torch.tensor([[1.0, 0.2, 0.5]])
    estimates = []
    for number in range(1000):
        drawn = draw(Reinforce(), alpha, number=number)
        reward = float((drawn.weights * rewards).sum())
        estimates.append(torch.autograd.grad((reward - 0.5) * drawn.log_probability, alpha)[0].numpy()[0])
    (exact,) = torch.autograd.grad((alpha.softmax(1) * rewards).sum(), alpha)
    error = np.std(estimates, axis=0) / np.sqrt(len(estimates))
    assert (np.abs(np.mean(estimates, axis=0) - exact.numpy()[0]) < 4 * error).all()


def test_the_dirichlet_goes_along_torchs_path():
    alpha, downstream = logits(), torch.randn(EDGES, OPERATIONS)
    drawn = draw(Dirichlet(), alpha)
    (ours,) = torch.autograd.grad((drawn.weights * downstream).sum(), alpha)
    again = alpha.detach().clone().requires_grad_()
    with seeded("dirichlet", torch_generator("noise", 0).initial_seed()):
        theirs = torch.distributions.Dirichlet(torch.nn.functional.elu(again) + 1).rsample()
    assert torch.equal(drawn.weights, theirs)
    assert torch.equal(ours, torch.autograd.grad((theirs * downstream).sum(), again)[0])
    assert ours.abs().max() > 0


def test_the_dirichlets_mean_is_what_the_search_is_judged_by():
    alpha = logits().detach()
    drawn = torch.stack([draw(Dirichlet(), alpha, number=n).weights for n in range(500)])
    error = drawn.std(dim=0) / len(drawn) ** 0.5
    assert ((drawn.mean(dim=0) - Dirichlet().mean(alpha, EACH)).abs() < 4.5 * error).all()


def test_a_concentration_stays_positive():
    alpha = torch.tensor([[-500.0, 0.0, 3.0]])
    assert concentration(alpha).tolist() == [[pytest.approx(1e-6), 1.0, 4.0]]
    assert torch.isfinite(draw(Dirichlet(), alpha).weights).all()
    assert torch.isfinite(draw(Dirichlet(), alpha - 1000).weights).all()


def test_without_sampling_there_is_the_mixture():
    alpha = logits()
    assert torch.equal(draw(FullMixture(), alpha).weights, alpha.softmax(1))
    assert draw(FullMixture(), alpha).used is None


@sampled
def test_draws_differ_from_step_to_step_and_not_from_call_to_call(sampling):
    alpha = torch.zeros(20, 4)
    assert torch.equal(draw(sampling, alpha).weights, draw(sampling, alpha).weights)
    assert not torch.equal(draw(sampling, alpha).weights, draw(sampling, alpha, number=1).weights)


def test_edges_are_weighed():
    weighed = Drawn(torch.ones(2, 3), torch.ones(2, 3, dtype=torch.bool)).with_edges(torch.tensor([0.25, 2.0]))
    assert weighed.weights.tolist() == [[0.25] * 3, [2.0] * 3]


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf"), 1e-5, "cold", True])
@pytest.mark.parametrize("cls", [Concrete, StraightThrough])
def test_a_temperature_of_zero_is_refused(cls, value):
    for name in ("temperature", "temperature_end"):
        with pytest.raises(SpecError, match=name):
            cls(**{name: value})
