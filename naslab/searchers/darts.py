"""DARTS: differentiable architecture search (Liu, Simonyan & Yang 2019, https://arxiv.org/abs/1806.09055, Alg. 1).

    relax the choice on each edge to a softmax over the operations, with logits alpha
    repeat, a mini-batch of each half of the training data at a time:
        1. alpha <- alpha - Adam(d L_val(w - xi grad_w L_train(w, alpha), alpha) / d alpha)
           (xi = 0: first order; xi = learning rate of w: second order)
        2. w <- w - SGD(grad_w L_train(w, alpha))
    derive: on each edge the strongest operation, on each node the two strongest edges

A plain version of this loop is `naslab.reference.darts`. Here a step calls these functions of
`naslab.searchers.gradient` and `naslab.searchers.feed`, in this order:

    GradientSearcher.advance                      one step; returns its event
      Feed.take                                   a mini-batch of each half of the training data:
        Feed.batch                                taken from the task, in the order of the epoch
      GradientSearcher._alpha_step                1. the architecture
        Bilevel.gradients                         gradient of the alphas: of the loss below (order 1), or
          unrolled_gradients                      order 2: of that loss at w', and a correction
            GradientSearcher._draw                weights of the operations:
              FullMixture.draw                    softmax of the alphas
            GradientSearcher._forward             outputs of the supernet with these weights
            GradientSearcher._objective           loss of the outputs
            InnerStep.move                        order 2: w', the weights after one step of SGD
            finite_difference_product             order 2: the correction, from the losses at w + e v and w - e v
        GradientSearcher._discretisation_gap      loss of the derived architecture minus that of the mixture
        Optimizers.move_alphas                    step of Adam
      GradientSearcher._weight_step               2. the weights
        GradientSearcher._draw                    weights of the operations, from the new alphas
        GradientSearcher._forward                 outputs of the supernet
        Optimizers.move_weights                   step of SGD, after clipping of the gradient
      Deriving._derived                           the architecture that would be derived now

Differences from the paper and its code:
- The Hessian product of second order can be computed in two ways, `hessian_product="finite_difference"` (the paper's)
  and `"exact"`; `bilevel` says how far apart they are.
- After the evaluation at w', the weights get their own values back to the last bit; adding and subtracting a step, as
  the authors' code does, leaves rounding errors.
- Running statistics of batch normalisation are updated in the step of the weights alone, not in the alpha step.
- Validation mini-batches run through the shuffled half once an epoch; the authors' code shuffles anew for each.

On texts, for recurrent cells (`RECURRENT`; Sec. 3.2 and A.1.2; quark0/darts, rnn/train_search.py and rnn/architect.py):
- Each of the two texts has a hidden state of its own, which is carried from chunk to chunk and begins at zero with each
  pass over that text. In the authors' code both begin anew with each pass over the training text. There a validation
  chunk begins at the same position as the training chunk, modulo the length of the validation text, and the state goes
  on from the end of that text to its beginning.
- In second order the matrix that is embedding and decoder at once moves with the other weights, in the inner step and
  in the finite differences. In the authors' code it stays where it is: the decoder's copy, not moved, overwrites it.
- The inner gradient and that of the unrolled validation loss are clipped, and the mixed product is scaled by as much as
  the former was (`inner_clip`), never up. The authors' code multiplies it by limit / norm also where that is above 1,
  and nothing was clipped; its first published version did not scale it at all.
- The inner step is down the loss alone; the regularisation of the text (AR, TAR) is for the step of the weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from naslab.searchers.gradient import Bilevel, GradientSearcher, Parts, Training

RECURRENT: Mapping[str, Any] = MappingProxyType(
    {
        "batch_size": 256,
        "w_lr": 20.0,
        "w_lr_min": 20.0,
        "scale_rate": True,
        "w_momentum": 0.0,
        "w_weight_decay": 5e-7,
        "gradient_clipping": 0.25,
        "alpha_lr": 3e-3,
        "alpha_beta1": 0.9,
        "inner_clip": True,
    }
)
"""Where the authors' search for recurrent cells on Penn Treebank (`rnn/train_search.py`) differs from the defaults:
`Darts(nl.spaces.RecurrentCell.paper(), text, **RECURRENT)`, with `order=2` for the second order."""


@dataclass(frozen=True, kw_only=True)
class DartsHyperparameters(Training):
    """Defaults are those of the paper's search on CIFAR-10 (section A.1.1)."""

    order: int = 1
    """Order of the gradient. 1: the weights are constants (xi = 0); 2: it goes through one step of them."""
    hessian_product: str = "finite_difference"
    """Second order only: "finite_difference", the paper's Eq. 8, or "exact", double backward."""
    radius: float = 0.01
    """Length of the finite-difference step in weight space (the paper's epsilon is radius / |v|)."""
    inner_clip: bool = False
    """Second order only: whether the gradients of the weights inside it are clipped to `gradient_clipping` too."""


class Darts(GradientSearcher):
    """DARTS of first or second order on any space with a supernet."""

    name = "darts"
    Hyperparameters = DartsHyperparameters

    @classmethod
    def compose(cls, hyper: DartsHyperparameters) -> Parts:
        level = Bilevel(
            order=hyper.order,
            hessian_product=hyper.hessian_product,
            radius=hyper.radius,
            inner_clip=hyper.inner_clip,
        )
        return Parts(level=level)
