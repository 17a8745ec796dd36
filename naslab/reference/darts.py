"""A plain DARTS: differentiable architecture search (Liu et al. 2019, https://arxiv.org/abs/1806.09055, Alg. 1).

    for each pair of mini-batches, one of training data and one of validation data:
        1. alpha <- alpha - Adam(grad_alpha L_valid(w - xi grad_w L_train(w, alpha), alpha))
        2. w     <- w - SGD(grad_w L_train(w, alpha))

with xi = 0 (order 1) or xi = the learning rate of w (order 2). Step 1 of second order is, by Eq. 7 and 8,

    w' = w - xi (grad_w L_train(w, alpha) + decay w + momentum),   v = grad_w' L_valid(w', alpha),   e = 0.01 / |v|
    grad_alpha L_valid(w', alpha) - xi (grad_alpha L_train(w + e v, alpha) - grad_alpha L_train(w - e v, alpha)) / 2e
"""

import torch
from torch.autograd import grad


def darts(loss, weights, alphas, batches, order=1, alpha_rate=3e-4, momentum=0.9, decay=3e-4, clip=5.0):
    """Trains weights and alphas in place.

    Args:
        loss: (mini-batch, {cell: [E, O] weights of the operations}) -> loss of the supernet, at its present weights.
        weights: list of the parameters of the supernet.
        alphas: {cell: [E, O] logits of O operations on E edges}, of which the strongest make the cell in the end.
        batches: for each step (training mini-batch, validation mini-batch, learning rate of the weights).
    """
    a, sgd = list(alphas.values()), torch.optim.SGD(weights, momentum=momentum, weight_decay=decay)
    adam = torch.optim.Adam(a, lr=alpha_rate, betas=(0.5, 0.999), weight_decay=1e-3)

    def relaxed(batch):
        return loss(batch, {cell: alpha.softmax(dim=-1) for cell, alpha in alphas.items()})

    def assign(values):
        for w, value in zip(weights, values, strict=True):
            w.data.copy_(value)

    for train, valid, xi in batches:
        if order == 1:
            found = grad(relaxed(valid), a)
        else:
            own = [w.detach().clone() for w in weights]
            buffer = [momentum * sgd.state[w].get("momentum_buffer", torch.zeros_like(w)) for w in weights]
            slopes = grad(relaxed(train), weights)
            assign([w - xi * (g + decay * w + m) for w, g, m in zip(own, slopes, buffer, strict=True)])
            both = grad(relaxed(valid), a + weights)  # at w', the weights after a step of SGD
            direct, v = both[: len(a)], both[len(a) :]
            e = 0.01 / sum(x.pow(2).sum() for x in v) ** 0.5
            assign([w + e * x for w, x in zip(own, v, strict=True)])  # Eq. 8: second derivatives by differences
            plus = grad(relaxed(train), a)
            assign([w - e * x for w, x in zip(own, v, strict=True)])
            minus = grad(relaxed(train), a)
            assign(own)  # the saved copy: adding e v back would leave rounding errors
            found = [d - xi * ((p - m) / (2 * e)) for d, p, m in zip(direct, plus, minus, strict=True)]
        for alpha, gradient in zip(a, found, strict=True):
            alpha.grad = gradient
        adam.step()  # 1. the architecture
        sgd.zero_grad()
        relaxed(train).backward()
        torch.nn.utils.clip_grad_norm_(weights, clip)
        sgd.param_groups[0]["lr"] = xi
        sgd.step()  # 2. the weights
