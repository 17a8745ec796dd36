"""Configurations are read as published, and every kind of layer computes what it is called after."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.fft import dctn

import naslab as nl
from naslab.errors import SpecError
from naslab.networks.flexibert import Layer, LinearTransform, SelfAttention, SpanConvolution, feed_forward
from naslab.tasks import Field, Head, Signature

LAYER = dict(
    operation_type="SA",
    operation_parameter="WMA",
    num_operation_heads=2,
    feed_forward_dimension=512,
    num_feed_forward=3,
)


def config(*layers, size=128):
    return {"hidden_size": size, "nas_config": {"encoder_layers": list(layers)}}


@pytest.fixture(scope="module")
def space():
    return nl.spaces.FlexiBERT()


def test_the_published_number_of_encoders(space):
    assert space.size == 10_621_440


def test_round_trip(space):
    rng = np.random.default_rng(0)
    for _ in range(50):
        architecture = space.sample(rng)
        assert space.from_config(space.config(architecture)) == architecture


def test_weighted_attention_begins_as_the_scaled_product():
    torch.manual_seed(0)
    plain, weighted = SelfAttention(8, 2, weighted=False), SelfAttention(8, 2, weighted=True)
    weighted.load_state_dict(plain.state_dict(), strict=False)
    x = torch.randn(3, 5, 8)
    torch.testing.assert_close(weighted(x), plain(x))


def test_attention_against_torch_s_own():
    torch.manual_seed(0)
    ours, theirs = SelfAttention(8, 2, weighted=False), torch.nn.MultiheadAttention(8, 2, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(ours.query_key_value.weight)
        theirs.in_proj_bias.copy_(ours.query_key_value.bias)
        theirs.out_proj.load_state_dict(ours.output.state_dict())
    x = torch.randn(3, 5, 8)
    torch.testing.assert_close(ours(x), theirs(x, x, x)[0])


@pytest.mark.parametrize("kind", ["DFT", "DCT"])
def test_transforms_against_numpy_and_scipy(kind):
    layer = LinearTransform(8, 2, kind)
    layer.output = torch.nn.Identity()
    x = np.random.default_rng(0).normal(size=(3, 5, 8))
    heads = [x[..., :4], x[..., 4:]]
    if kind == "DFT":
        expected = [np.fft.fft2(head, norm="ortho").real for head in heads]
    else:
        expected = [dctn(head, axes=(1, 2), norm="ortho") for head in heads]
    came = layer(torch.tensor(x))
    np.testing.assert_allclose(came.numpy(), np.concatenate(expected, axis=-1), atol=1e-12)


def test_a_span_convolution_reaches_as_far_as_its_kernel():
    torch.manual_seed(0)
    layer = SpanConvolution(8, 2, 5).double()
    x = torch.randn(1, 11, 8, dtype=torch.double)
    moved = x.clone()
    moved[0, 5] += 1.0
    changed = (layer(x) - layer(moved)).abs().sum(dim=(0, 2)) > 1e-9
    assert changed.nonzero().flatten().tolist() == [3, 4, 5, 6, 7]


def test_feed_forward_networks_have_so_many_hidden_layers():
    for hidden in (1, 3):
        linear = [m for m in feed_forward(Layer("SA", "SDP", 2, 16, hidden), 8) if isinstance(m, torch.nn.Linear)]
        assert [m.out_features for m in linear] == [16] * hidden + [8]


def test_tokens_or_rows(space):
    architecture = space.from_config(config(LAYER, {**LAYER, "operation_type": "DSC", "operation_parameter": 9}))
    words = SimpleNamespace(input_shape=(6,), classes=3, vocabulary=20)
    assert space.build(architecture, words, shrink=8)(torch.randint(20, (2, 6))).shape == (2, 3)
    images = SimpleNamespace(input_shape=(1, 8, 8), classes=3)
    assert space.build(architecture, images, shrink=8)(torch.randn(2, 1, 8, 8)).shape == (2, 3)
    values = Signature(Field((6,)), {"level": Head("vector", 2)})
    assert space.build(architecture, values, shrink=8)(torch.randn(3, 6)).shape == (3, 2)
    with pytest.raises(SpecError, match="the length of a sequence must be a whole number of at least 1, not None"):
        space.build(architecture, Signature(Field((None,)), {"level": Head("vector", 2)}))
    with pytest.raises(SpecError, match="heads"):
        space.build(architecture, images, shrink=128)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "expected an object"),
        ({}, "expected an object"),
        (config(), "unknown option 0"),
        (config(LAYER), "unknown option 1"),
        (config(LAYER, LAYER, size=64), "unknown option 64"),
        (config(LAYER, {}), "expected an object"),
        (config(LAYER, {**LAYER, "operation_parameter": "DFT"}), "unknown option 'DFT'"),
        (config(LAYER, {**LAYER, "operation_type": "FFT"}), "unknown option 'FFT'"),
    ],
)
def test_what_is_no_configuration(space, given, message):
    with pytest.raises(SpecError, match=message):
        space.from_config(given)
