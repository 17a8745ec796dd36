"""What makes a supernet several times faster than the sum of its operations written out, one switch each."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Optimizations:
    """Every switch changes the time of a step and nothing else: outputs, gradients and statistics are the same but for
    rounding. `Optimizations(stacked=False)` turns one off; `Optimizations.none()` all of them.

    Rounding is no greater with all of them than without any, where there is a compiler. In single precision, on a DARTS
    supernet of 8 channels and 5 cells and 8 images of 32 x 32 (`python -m benchmarks.accuracy`), logits are 5e-7 off
    those in double precision (without optimizations 6e-7), gradients of alphas 5e-7 and of weights 1.3e-6 (the same),
    except where a ReLU or a maximum is decided otherwise, which costs 1e-4 to 1e-3 at once and is about as frequent
    without optimizations. Without a compiler, or with channels that no four divide, the normalisation is PyTorch's,
    which adds up in single precision: 2.5e-6 for logits, and decisions enough for 1e-3 in gradients;
    `pixels_together=False` avoids it.
    """

    shared: bool = True
    """Pooling, its normalisation, the identity and the leading ReLU have no parameters: one result serves every edge
    that leaves a state."""
    stacked: bool = True
    """The D edges that leave a state read the same pixels: their operations run as one with D times the channels."""
    weighted_norm: bool = True
    """The weight of an operation is the scale of its last batch normalisation: a * norm(x) costs no pass of its own."""
    pixels_together: bool = True
    """The channels of a pixel lie side by side in memory, as the fast kernels of a CPU want them."""
    pooling_by_convolution: bool = True
    """The average of pixels is a depthwise convolution with ones, which has a fast kernel; pooling has none."""
    turned_kernels: bool = True
    """The input gradient of a depthwise convolution is a convolution with the turned kernel (`depthwise.py`)."""
    one_pass: bool = True
    """Normalising, weighing and adding up the operations is one pass over memory instead of one each, where there is a
    compiler (`blending.py`). In a recurrent cell: the gradient of a whole chunk is written by hand (`recurrent.py`)."""
    compiled_kernel: bool = True
    """The weight gradient of a depthwise convolution is forty lines of C, where there is a compiler
    (`depthwise_compiled.py`); and so is what is elementwise in a recurrent cell (`recurrent.c`)."""
    narrow_strips: bool = True
    """The weight gradient of a wide depthwise kernel is that of kernels three wide, side by side."""
    separate_grids: bool = True
    """A kernel of dilation 2 is an ordinary kernel over every second row and column."""

    @classmethod
    def none(cls) -> Optimizations:
        """All of them off."""
        return cls(**dict.fromkeys(cls.__dataclass_fields__, False))
