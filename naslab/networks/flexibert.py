"""Transformer encoders with different kinds of layers (FlexiBERT, Tuli et al. 2023, https://arxiv.org/abs/2205.11656).

    x <- norm(embedding + position)
    in each layer:  x <- norm(x + mix(x));  x <- norm(x + feed_forward(x))
    mean over positions, linear

Layers mix positions in one of three ways, each split into heads:
- SA, self-attention, whose scores are the scaled dot product q k / sqrt(d) (SDP) or q W k with a learnt W (WMA);
- LT, a fixed linear transform of positions and features: the real part of a Fourier transform (DFT; Lee-Thorp et al.
  2021, https://arxiv.org/abs/2105.03824) or a cosine transform (DCT);
- DSC, span-based dynamic convolution (Jiang et al. 2020, https://arxiv.org/abs/2008.02496) of kernel 5 or 9.

Differences: transforms are scaled to preserve norms; the classifier reads the mean over positions, not the first
token; no dropout.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from naslab.errors import SpecError
from naslab.networks import sizes
from naslab.networks.heads import Outputs, head_for
from naslab.networks.recurrent_recipe import tokens


class Layer(NamedTuple):
    """Description of one layer; its fields have the published names."""

    operation_type: str
    operation_parameter: str | int
    num_operation_heads: int
    feed_forward_dimension: int
    num_feed_forward: int
    """Number of hidden layers of the feed-forward network."""


def split(x: Tensor, heads: int) -> Tensor:
    """[B, T, D] -> [B, heads, T, D / heads]."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def join(x: Tensor) -> Tensor:
    """[B, heads, T, D / heads] -> [B, T, D]."""
    return x.transpose(1, 2).flatten(2)


class SelfAttention(nn.Module):
    """Multi-head self-attention: [B, T, D] -> the same shape; scores are q W k if `weighted`, else q k / sqrt(d)."""

    def __init__(self, size: int, heads: int, weighted: bool) -> None:
        super().__init__()
        self.heads, self.query_key_value, self.output = heads, nn.Linear(size, 3 * size), nn.Linear(size, size)
        width = size // heads
        # W begins as the identity / sqrt(d): at the start, the scores equal scaled dot products
        self.weight = nn.Parameter(torch.eye(width).repeat(heads, 1, 1) / math.sqrt(width)) if weighted else None

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (split(part, self.heads) for part in self.query_key_value(x).chunk(3, dim=-1))
        if self.weight is None:
            mixed = functional.scaled_dot_product_attention(query, key, value)
        else:
            scores = torch.einsum("bhtd,hde,bhse->bhts", query, self.weight, key)
            mixed = scores.softmax(dim=-1) @ value
        return self.output(join(mixed))


class LinearTransform(nn.Module):
    """Fixed transform and a learnt projection of its output: [B, T, D] -> the same shape."""

    def __init__(self, size: int, heads: int, kind: str) -> None:
        super().__init__()
        self.heads, self.kind, self.output = heads, kind, nn.Linear(size, size)

    def forward(self, x: Tensor) -> Tensor:
        parts = split(x, self.heads)
        if self.kind == "DFT":
            mixed = torch.fft.fft2(parts, norm="ortho").real
        else:
            mixed = cosines(parts.shape[-2], x) @ parts @ cosines(parts.shape[-1], x).T
        return self.output(join(mixed))


def cosines(size: int, like: Tensor) -> Tensor:
    """Returns the matrix [size, size] of the orthogonal DCT-II, with the device and dtype of the tensor `like`."""
    steps = torch.arange(size, device=like.device, dtype=like.dtype)
    matrix = torch.cos(math.pi / size * (steps + 0.5) * steps[:, None]) * math.sqrt(2 / size)
    return torch.cat([matrix[:1] / math.sqrt(2), matrix[1:]])  # row 0 is constant, and of norm sqrt(2) before scaling


class SpanConvolution(nn.Module):
    """Span-based dynamic convolution: [B, T, D] -> the same shape.

    Each position weights its neighbours by a kernel computed from itself and the span around it.
    """

    def __init__(self, size: int, heads: int, kernel: int) -> None:
        super().__init__()
        self.heads, self.kernel = heads, kernel
        self.query, self.value, self.output = (nn.Linear(size, size) for _ in range(3))
        self.span = nn.Sequential(
            nn.Conv1d(size, size, kernel, padding=kernel // 2, groups=size), nn.Conv1d(size, size, 1)
        )
        self.weights = nn.Linear(size, heads * kernel)

    def forward(self, x: Tensor) -> Tensor:
        span = self.span(x.transpose(1, 2)).transpose(1, 2)
        kernels = self.weights(self.query(x) * span).unflatten(-1, (self.heads, self.kernel)).softmax(dim=-1)
        around = functional.pad(self.value(x), (0, 0, self.kernel // 2, self.kernel // 2))
        windows = around.unfold(1, self.kernel, 1).unflatten(2, (self.heads, -1))  # [B, T, heads, D / heads, kernel]
        return self.output(torch.einsum("bthdk,bthk->bthd", windows, kernels).flatten(2))


def mixing(layer: Layer, size: int) -> nn.Module:
    """Returns the module that mixes the positions in a layer."""
    heads, parameter = layer.num_operation_heads, layer.operation_parameter
    if size % heads:
        raise SpecError(f"a hidden size of {size} cannot be split into {heads} heads")
    if layer.operation_type == "SA":
        return SelfAttention(size, heads, weighted=parameter == "WMA")
    if layer.operation_type == "LT":
        return LinearTransform(size, heads, str(parameter))
    return SpanConvolution(size, heads, int(parameter))


def feed_forward(layer: Layer, size: int) -> nn.Sequential:
    """Returns the feed-forward network of a layer: [B, T, D] -> the same shape."""
    widths = [size, *[layer.feed_forward_dimension] * layer.num_feed_forward]
    hidden = [step for before, after in itertools.pairwise(widths) for step in (nn.Linear(before, after), nn.GELU())]
    return nn.Sequential(*hidden, nn.Linear(widths[-1], size))


class EncoderLayer(nn.Module):
    """One post-norm encoder layer: [B, T, D] -> the same shape."""

    def __init__(self, layer: Layer, size: int) -> None:
        super().__init__()
        self.mix, self.feed_forward = mixing(layer, size), feed_forward(layer, size)
        self.norms = nn.ModuleList([nn.LayerNorm(size), nn.LayerNorm(size)])

    def forward(self, x: Tensor) -> Tensor:
        x = self.norms[0](x + self.mix(x))
        return self.norms[1](x + self.feed_forward(x))


class FlexiBERTNetwork(nn.Module):
    """Classifies a sequence of tokens or of measured values, or an image as the sequence of its rows.

    Args:
        layers: descriptions of the layers, first to last.
        size: D, the hidden size.
        input_shape: (positions,) of tokens or values, or (channels, height, width) of an image.
        classes: number of classes, or the heads of a task (`naslab.networks.heads`).
        vocabulary: number of different tokens; None for values and images.
    """

    def __init__(
        self, layers: Sequence[Layer], size: int, input_shape: tuple[int, ...], classes: Outputs, vocabulary: int | None
    ) -> None:
        super().__init__()
        self.embedding = tokens(input_shape, vocabulary, sizes.positive("hidden size", size))
        length = input_shape[0] if len(input_shape) == 1 else input_shape[1]
        self.position = nn.Parameter(torch.randn(sizes.positive("the length of a sequence", length), size) * 0.02)
        self.norm = nn.LayerNorm(size)
        self.layers = nn.Sequential(*(EncoderLayer(layer, size) for layer in layers))
        self.classifier = head_for(size, classes)

    def forward(self, x: Tensor) -> Tensor:
        """[B, T] tokens, [B, T] values or [B, C, H, W] -> logits [B, classes]."""
        x = self.embedding(x)
        return self.classifier(self.layers(self.norm(x + self.position[: x.shape[1]])).mean(dim=1))
