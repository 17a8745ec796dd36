"""Switches of the optimizations that make a supernet several times faster than the plain sum of its operations."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Optimizations:
    """Each switch changes the time of a step and nothing else: outputs, gradients and statistics agree to rounding.
    `Optimizations(stacked=False)` turns one off; `Optimizations.none()` turns all of them off.

    With a compiler, rounding errors are no larger with all of them than without any. In single precision, on a DARTS
    supernet of 8 channels and 5 cells and 8 images of 32 x 32 (`python -m benchmarks.accuracy`), logits differ from
    those in double precision by 5e-7 (without optimizations 6e-7), gradients of alphas by 5e-7 and of weights by 1.3e-6
    (the same). An exception is a ReLU or a maximum that is decided otherwise, which changes gradients by 1e-4 to 1e-3
    and is about as frequent without optimizations. Without a compiler, or if the number of channels is no multiple of
    4, the normalisation is PyTorch's, which accumulates in single precision: 2.5e-6 for logits, and enough other
    decisions for 1e-3 in gradients; `pixels_together=False` avoids this.
    """

    shared: bool = True
    """Operations without parameters (pooling and its normalisation, the identity, the leading ReLU) are computed once
    for all edges that leave a state."""
    stacked: bool = True
    """The D edges that leave a state read the same pixels: their operations run as one with D times the channels."""
    weighted_norm: bool = True
    """The weight of an operation becomes the scale of its last batch normalisation: a * norm(x) needs no extra pass."""
    pixels_together: bool = True
    """Tensors have the channels-last layout, for which the CPU kernels are fast."""
    pooling_by_convolution: bool = True
    """Average pooling is a depthwise convolution with ones, which has a fast CPU kernel; pooling has none."""
    turned_kernels: bool = True
    """The input gradient of a depthwise convolution is a convolution with the turned kernel (`depthwise.py`)."""
    one_pass: bool = True
    """Normalisation, weighting and summation of the operations are fused into one pass over memory, if there is a
    compiler (`blending.py`). A recurrent cell has an explicit gradient of a whole chunk (`recurrent.py`)."""
    compiled_kernel: bool = True
    """The weight gradient of a depthwise convolution (`depthwise_compiled.py`) and the elementwise part of a recurrent
    cell (`recurrent.c`) are compiled C, if there is a compiler."""
    narrow_strips: bool = True
    """The weight gradient of a wide depthwise kernel is computed in strips of three columns."""
    separate_grids: bool = True
    """A kernel of dilation 2 is an undilated kernel over every second row and column."""

    minimal_filtering: bool = True
    """A 3 x 3 convolution takes 16 products where its definition has 36 (`winograd.py`), if there is a compiler."""
    fused_unit: bool = True
    """ReLU, depthwise and pointwise convolution and the statistics of the result are computed in C image by image,
    while the image is in the cache, forward and backward (`fused.py`). Builds upon `shared`, `stacked`,
    `weighted_norm`, `one_pass` and `compiled_kernel`, and replaces what is done for single convolutions."""
    fused_pools: bool = True
    """Maximum and average pooling and the statistics of both are one pass in C (`pools.c`); with `fused_unit`."""
    running_sum: bool = True
    """The sum of a node so far is one more term of the pass that weights and adds the next edges; with `fused_unit`."""
    fused_projection: bool = True
    """The 1 x 1 convolutions at the inputs of a cell read the nodes of earlier cells without concatenation
    (`projection.py`)."""

    @classmethod
    def none(cls) -> Optimizations:
        """Returns the plain computation, all switches off."""
        return cls(**dict.fromkeys(cls.__dataclass_fields__, False))
