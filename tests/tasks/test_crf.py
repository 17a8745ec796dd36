"""The conditional random field against the sum over all sequences of tags."""

import itertools

import pytest
import torch

from naslab.tasks import crf, tags


@pytest.fixture
def given():
    draw = torch.Generator().manual_seed(0)
    emissions = torch.randn(32, 5, 3, generator=draw, dtype=torch.float64)
    transitions = torch.randn(5, 3, generator=draw, dtype=torch.float64)
    lengths = torch.arange(32) % 5 + 1
    return emissions, torch.arange(5) < lengths.unsqueeze(1), transitions, lengths.tolist()


def score(emissions, transitions, path):
    found = transitions[3, path[0]] + transitions[4, path[-1]] + sum(emissions[t, k] for t, k in enumerate(path))
    return found + sum(transitions[a, b] for a, b in itertools.pairwise(path))


def test_the_likelihood_is_that_of_all_sequences_counted_one_by_one(given):
    emissions, mask, transitions, lengths = given
    labels = torch.randint(3, (32, 5), generator=torch.Generator().manual_seed(2)).where(mask, torch.tensor(9))
    found = crf.negative_log_likelihood(emissions, labels, mask, transitions)
    best = crf.best_tags(emissions, mask, transitions)
    for row, length in enumerate(lengths):
        paths = list(itertools.product(range(3), repeat=length))
        scores = torch.stack([score(emissions[row], transitions, path) for path in paths])
        own = score(emissions[row], transitions, labels[row, :length].tolist())
        assert found[row] == pytest.approx(float(torch.logsumexp(scores, 0) - own), rel=1e-12)
        assert tuple(best[row, :length].tolist()) == paths[int(scores.argmax())]
        assert not best[row, length:].any()


def test_what_is_behind_the_end_changes_nothing(given):
    emissions, mask, transitions, _ = given
    labels = torch.zeros(32, 5, dtype=torch.int64)
    other = torch.where(mask.unsqueeze(2), emissions, torch.full_like(emissions, 1e3))
    for some in (emissions, other):
        some.requires_grad_()
    one, two = (crf.negative_log_likelihood(some, labels, mask, transitions) for some in (emissions, other))
    assert torch.equal(one, two)
    assert torch.equal(crf.best_tags(emissions, mask, transitions), crf.best_tags(other, mask, transitions))
    (gradient,) = torch.autograd.grad(two.sum(), other)
    assert not gradient[~mask].any()


def test_gradients_are_exact(given):
    emissions, mask, transitions, _ = given
    emissions, mask = emissions[:5], mask[:5]
    labels = torch.tensor([[0, 2, 1, 1, 0]] * 5)
    inputs = emissions.requires_grad_(), transitions.requires_grad_()
    assert torch.autograd.gradcheck(lambda e, t: crf.negative_log_likelihood(e, labels, mask, t), inputs)


def test_forbidden_transitions_are_never_taken_and_get_no_gradient():
    known = ("O", "B-a", "I-a", "B-b", "I-b")
    allowed = tags.allowed(known)
    draw = torch.Generator().manual_seed(1)
    raw = torch.randn(7, 5, generator=draw, requires_grad=True)
    emissions = 5 * torch.randn(50, 6, 5, generator=draw)
    mask = torch.ones(50, 6, dtype=torch.bool)
    transitions = crf.constrained(raw, allowed)
    best = crf.best_tags(emissions, mask, transitions)
    assert all(tags.first_violation([known[k] for k in row], "BIO") is None for row in best.tolist())
    free = emissions.argmax(2).tolist()
    assert any(tags.first_violation([known[k] for k in row], "BIO") is not None for row in free)
    loss = crf.negative_log_likelihood(emissions, best, mask, transitions).sum()
    (gradient,) = torch.autograd.grad(loss, raw)
    assert torch.isfinite(gradient).all()
    assert not gradient[~allowed].any()
    assert gradient[allowed].any()
