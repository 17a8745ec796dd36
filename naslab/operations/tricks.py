"""What makes a supernet several times faster than the sum of its operations written out, one switch a trick."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Tricks:
    """Every switch changes the time of a step and nothing else: outputs, gradients and statistics are the same but for
    rounding. `Tricks(stacked=False)` turns one off; `Tricks.none()` all of them."""

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
    compiler (`blending.py`)."""
    compiled_kernel: bool = True
    """The weight gradient of a depthwise convolution is forty lines of C, where there is a compiler
    (`depthwise_compiled.py`)."""
    narrow_strips: bool = True
    """The weight gradient of a wide depthwise kernel is that of kernels three wide, side by side."""
    separate_grids: bool = True
    """A kernel of dilation 2 is an ordinary kernel over every second row and column."""

    @classmethod
    def none(cls) -> Tricks:
        """All of them off."""
        return cls(**dict.fromkeys(cls.__dataclass_fields__, False))
