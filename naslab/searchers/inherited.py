"""What shared weights, as they are, make of one child: its accuracy, by one of three kinds of normalisation."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from naslab.errors import SpecError, whole
from naslab.networks.batch_norm import enough_to_normalise, normalised
from naslab.tasks import Images

IMAGES = 512
"""To judge a child on, if nothing else is said and there are as many."""


def inherited_accuracy(
    network: nn.Module,
    logits: Callable[[Tensor], Tensor],
    task: Images,
    train: Tensor,
    valid: Tensor,
    *,
    batch_norm: str,
    images: int | None,
    batch_size: int,
    device: torch.device,
) -> float:
    """Accuracy in [0, 1] of a child. Changes nothing, and is the same whenever it is asked for.

    An image whose logits are not all finite is not classified rightly.

    Args:
        network: with the shared weights.
        logits: of the child: images [B, C, H, W] -> [B, classes].
        task: what the images are from.
        train: [n] int64, training images that the weights see; as many of them as are judged recalibrate.
        valid: [n] int64, training images that the weights do not see, in a fixed order.
        batch_norm: see `naslab.networks.batch_norm.BATCH_NORM`.
        images: how many of the first of `valid`.
        batch_size: at most so many at once, in parts as equal as can be.
        device: of the network.
    """
    advice = "judge by images=2 or more, in mini-batches of 2 or more (batch_size), or by batch_norm='kept'"
    many = min(IMAGES, len(valid)) if images is None else whole("images", images, 1)
    if many > len(valid):
        raise SpecError(f"images={many} is more than the {len(valid)} validation images; give at most so many")

    def batches(of: Tensor) -> list[Tensor]:
        chosen = of[:many]
        return list(chosen.tensor_split(-(-len(chosen) // batch_size)))

    looked_at = (task.batch(part, device=device)[0] for part in batches(train))
    right = 0
    with enough_to_normalise(1, advice), normalised(network, batch_norm, logits, looked_at):
        for part in batches(valid):
            x, y = task.batch(part, device=device)
            found = logits(x)
            right += int(((found.argmax(dim=1) == y) & found.isfinite().all(dim=1)).sum())
    return right / many
