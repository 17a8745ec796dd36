"""Batch normalisation that is as accurate in channels-last layout as in the default one.

In channels-last layout PyTorch accumulates the pixels of a mini-batch in single precision on a CPU. The error grows
with their number, to ten times and more of that in the default layout, and with it the number of ReLUs and maxima in a
network that are decided otherwise than in exact arithmetic. The kernel of `blending.py` accumulates in double precision
in the same time.
"""

from __future__ import annotations

from torch import Tensor, nn

from naslab.operations import blending


class BatchNorm2d(nn.BatchNorm2d):
    """PyTorch's module, computed by the kernel of `blending.py` in training on the CPU in channels-last layout."""

    def forward(self, input: Tensor) -> Tensor:
        """Returns the input [B, C, H, W] normalised, and if affine scaled and shifted."""
        if not self.training or not blending.fits([input]):
            return super().forward(input)
        scale = input.new_ones(input.shape[1]) if self.weight is None else self.weight.to(input)
        bias = None if self.bias is None else self.bias.to(input)
        (output,), mean, variance = blending.blended(self.eps, 1, [input], scale[None], bias=bias)
        if self.track_running_stats:
            self._move(mean[0], variance[0])
        return output

    def _move(self, mean: Tensor, variance: Tensor) -> None:
        """Update the running statistics by those [C] of a mini-batch; the variance is unbiased, as in PyTorch."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        # without a momentum PyTorch keeps the cumulative average
        momentum = 1 / self.num_batches_tracked.item() if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean), momentum)
        self.running_var.lerp_(variance.to(self.running_var), momentum)
