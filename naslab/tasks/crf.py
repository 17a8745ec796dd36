"""Linear-chain conditional random fields (Lafferty, McCallum, Pereira, "Conditional Random Fields", ICML 2001).

A sequence of tags y_1 ... y_T has the score

    start[y_1] + sum over t of emission[t, y_t] + sum over t > 1 of transition[y_{t-1}, y_t] + end[y_T]

and the probability exp(score) / Z, where Z sums over all sequences. Here the scores of transitions are one matrix
[K + 2, K]: row j has those from tag j, row K those of the start, row K + 1 those of the end.

Letters in shapes: B sentences, T words of the longest one, K tags.
"""

from __future__ import annotations

import torch
from torch import Tensor

FORBIDDEN = -1e4
"""Score of a forbidden transition: a probability of exactly 0 in float32, and finite, so that no gradient is NaN."""


def constrained(transitions: Tensor, allowed: Tensor) -> Tensor:
    """Returns the scores [K + 2, K] with `FORBIDDEN` where `allowed` is False."""
    return transitions.masked_fill(~allowed, FORBIDDEN)


def negative_log_likelihood(emissions: Tensor, tags: Tensor, mask: Tensor, transitions: Tensor) -> Tensor:
    """Returns -log p(tags) of each sentence, [B], in nats.

    Args:
        emissions: scores of tags, [B, T, K].
        tags: true tags, [B, T] int64; ignored where `mask` is False.
        mask: which positions are words, [B, T] bool; each sentence is at the beginning of its row, and not empty.
        transitions: scores [K + 2, K].
    """
    return _log_partition(emissions, mask, transitions) - _score(emissions, tags, mask, transitions)


def _score(emissions: Tensor, tags: Tensor, mask: Tensor, transitions: Tensor) -> Tensor:
    count = emissions.shape[2]
    tags = tags.where(mask, torch.zeros_like(tags))
    own = emissions.gather(2, tags.unsqueeze(2)).squeeze(2)
    between = transitions[tags[:, :-1], tags[:, 1:]]
    last = tags.gather(1, (mask.sum(1, keepdim=True) - 1)).squeeze(1)
    inner = (own * mask).sum(1) + (between * mask[:, 1:]).sum(1)
    return inner + transitions[count][tags[:, 0]] + transitions[count + 1][last]


def _log_partition(emissions: Tensor, mask: Tensor, transitions: Tensor) -> Tensor:
    """The forward algorithm: alpha[k] = log of the sum over all beginnings of the sentence that end in tag k."""
    count = emissions.shape[2]
    alpha = transitions[count] + emissions[:, 0]
    for t in range(1, emissions.shape[1]):
        following = torch.logsumexp(alpha.unsqueeze(2) + transitions[:count], dim=1) + emissions[:, t]
        alpha = torch.where(mask[:, t : t + 1], following, alpha)
    return torch.logsumexp(alpha + transitions[count + 1], dim=1)


@torch.no_grad()
def best_tags(emissions: Tensor, mask: Tensor, transitions: Tensor) -> Tensor:
    """Returns the most probable tags of each sentence, [B, T] int64, by the Viterbi algorithm; 0 behind its end."""
    count, length = emissions.shape[2], emissions.shape[1]
    best, origins = transitions[count] + emissions[:, 0], []
    stay = torch.arange(count, device=emissions.device).expand(len(emissions), count)
    for t in range(1, length):
        score, origin = (best.unsqueeze(2) + transitions[:count]).max(dim=1)
        inside = mask[:, t : t + 1]
        best = torch.where(inside, score + emissions[:, t], best)
        origins.append(torch.where(inside, origin, stay))  # behind the end a tag comes from itself
    found = [(best + transitions[count + 1]).argmax(1)]
    for origin in reversed(origins):
        found.append(origin.gather(1, found[-1].unsqueeze(1)).squeeze(1))
    return torch.stack(found[::-1], dim=1) * mask
