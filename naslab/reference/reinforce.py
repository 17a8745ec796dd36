"""A plain REINFORCE over architectures (Williams 1992; Zoph & Le 2017, https://arxiv.org/abs/1611.01578, Sec. 3.2).

    repeat:
        sample m architectures a_1 ... a_m from the policy;  R_k <- their rewards
        theta <- Adam, up  1/m  sum over k of  (R_k - b) d log P(a_k; theta) / d theta
        b     <- an exponential moving average of the rewards

The expected reward cannot be differentiated through the sampling of an architecture, but its gradient is the
expectation of R d log P. Subtracting b, which does not depend on the sample, keeps the expectation and reduces the
variance.
"""

import torch

from naslab.reference.controller import write


def reinforce(space, policy, reward, rng, steps, children=8, rate=6e-4, entropy_weight=0.0, momentum=0.95):
    """Trains the policy in place; returns all architectures, each with its reward.

    Args:
        space: has `next_choice(decisions)`, as `naslab.spaces.Space`.
        policy: see `naslab.reference.controller`.
        reward: tuple of decisions -> number, more is better.
        rng: `numpy.random.Generator`, the only source of randomness.
        steps: number of batches of m children; the first batch only sets the baseline.
        children: m, number of children in a batch.
        rate: learning rate of Adam.
        entropy_weight: bonus for each nat of the policy's entropy, which keeps it exploring.
        momentum: momentum of the moving average b.
    """
    adam = torch.optim.Adam(policy.parameters(), lr=rate)
    history, total, weight = [], 0.0, 0.0  # b = total / weight, without bias to its start
    for _ in range(steps):
        written = [write(space, policy, rng) for _ in range(children)]
        rewards = [reward(decisions) for decisions, _, _ in written]
        if weight > 0:
            advantages = [r - total / weight for r in rewards]
            terms = [a * log_p + entropy_weight * h for a, (_, log_p, h) in zip(advantages, written, strict=True)]
            adam.zero_grad()
            (-torch.stack(terms).mean()).backward()
            adam.step()
        for r in rewards:
            total, weight = momentum * total + r, momentum * weight + 1
        history += [(decisions, r) for (decisions, _, _), r in zip(written, rewards, strict=True)]
    return history
