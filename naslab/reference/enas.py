"""A plain ENAS: efficient neural architecture search (Pham et al. 2018, https://arxiv.org/abs/1802.03268, Sec. 2.2).

    each epoch:
        1. for each training mini-batch:  sample a child;  w <- w - SGD(grad_w L(child, mini-batch))
        2. for each m validation mini-batches:  sample a child for each;  its reward R is its accuracy with weights w
               b     <- an exponential moving average of the rewards
               theta <- Adam, up  1/m  sum over k of  (R_k - b) grad log P(child_k; theta) + bonus grad entropy_k
        3. sample some children; the best of them on validation data is the present result

All children share the weights w, so that none is trained from scratch. The scores z of the controller are bounded by
c tanh(z), so that no decision becomes certain. Skip connections, which need a penalty (Sec. 3.2), are left out.
"""

import torch

from naslab.reference.controller import write


def enas(
    space, policy, weights, loss, accuracy, score, epochs, rng, children=20, rate=1e-3, bonus=1e-4, c=1.5, derived=10
):
    """Trains weights and policy in place; yields the best child of each epoch, a tuple of decisions.

    Args:
        space, policy: search space and controller; see `naslab.reference.controller`.
        weights: list of all shared parameters.
        loss: (child, training mini-batch) -> loss at the present weights.
        accuracy: (child, validation mini-batch) -> number, at the present weights.
        score: child -> number, more is better, that ranks children at the end of an epoch.
        epochs: for each, (training mini-batches, validation mini-batches, learning rate of the weights).
        rng: `numpy.random.Generator`, the only source of randomness.
    """
    sgd = torch.optim.SGD(weights, momentum=0.9, nesterov=True, weight_decay=5e-4)
    adam = torch.optim.Adam(policy.parameters(), lr=rate)
    total = weight = 0.0  # b = total / weight, an average without a bias towards its initial value

    def new_child():
        return write(space, lambda decisions, choice: c * torch.tanh(policy(decisions, choice)), rng)

    for training, validation, w_rate in epochs:
        for batch in training:
            child, _, _ = new_child()
            sgd.zero_grad()  # gradients become None, and SGD skips the weights that this child does not use
            loss(child, batch).backward()
            torch.nn.utils.clip_grad_norm_(weights, 5.0)
            sgd.param_groups[0]["lr"] = w_rate
            sgd.step()
        terms = []
        for batch in validation:
            child, log_probability, entropy = new_child()
            reward = accuracy(child, batch)
            total, weight = 0.99 * total + reward, 0.99 * weight + 1
            terms.append((reward - total / weight) * log_probability + bonus * entropy)
            if len(terms) == children:
                adam.zero_grad()
                (-torch.stack(terms).mean()).backward()
                adam.step()
                terms = []
        yield max([new_child()[0] for _ in range(derived)], key=score)
