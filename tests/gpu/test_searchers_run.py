"""Every searcher with a supernet takes its steps on the device, and says there what it says on the CPU."""

import itertools
import math

import numpy as np
import pytest
import torch

import naslab as nl
from naslab.errors import SpecError
from naslab.searchers import gradient as g
from naslab.searchers.gradient.parts import Parts

SUPERNETS = [
    name
    for name, searcher in nl.searchers.SEARCHERS.items()
    if issubclass(searcher, nl.searchers.supernet_searcher.SupernetSearcher)
]
ENAS = {"controller_steps": 2, "children": 2, "derived": 2, "units": 5}
MIXINGS = [g.Softmax(), g.JointSoftmax(), g.Sigmoid()]
SAMPLINGS = [g.FullMixture(), g.Concrete(), g.StraightThrough(), g.BinaryGates(), g.Reinforce(), g.Dirichlet()]
CHANNELS = [g.PartialChannels(one_in=1), g.PartialChannels(one_in=2)]
REGULARIZERS = [(), (g.SkipDropout(), g.Entropy()), (g.Perturbation(), g.Resource(weight=0.1))]


def losses(event):
    return {name: value for name, value in event.metrics.items() if name.endswith("/loss")}


def test_all_are_here():
    assert len(SUPERNETS) == 15


@pytest.mark.parametrize("name", SUPERNETS)
def test_three_steps(name, device, digits, cells):
    space = nl.spaces.EnasMacro(layers=4, channels=4) if name == "enas" else cells["nasbench201"]
    search = nl.searchers.SEARCHERS[name](
        space, digits, device=device, batch_size=16, epochs=2, **(ENAS if name == "enas" else {})
    )
    for _ in range(3):
        assert all(map(math.isfinite, losses(search.advance()).values()))
    network = search.network if hasattr(search, "network") else search.weights.network
    assert {weight.device.type for weight in (*network.parameters(), *network.buffers())} == {device}


@pytest.mark.parametrize("space", ["nasbench201", "darts"])
@pytest.mark.parametrize(
    "order", [{"order": 2}, {"order": 2, "hessian_product": "exact"}], ids=["finite difference", "exact"]
)
def test_second_order_takes_its_steps(space, order, device, darts):
    search = darts(device, space, **order)
    assert all(math.isfinite(search.advance().train_loss) for _ in range(2))


def combinations():
    """Every legal choice of parts, the two supernets in turns."""
    spaces = itertools.cycle(["nasbench201", "darts"])
    for mixing, sampling, channels, regularizers in itertools.product(MIXINGS, SAMPLINGS, CHANNELS, REGULARIZERS):
        parts = {"mixing": mixing, "sampling": sampling, "channels": channels, "regularizers": regularizers}
        try:
            Parts(**parts, level=g.Bilevel())
        except SpecError:
            continue
        names = [*(type(part).__name__ for part in (mixing, sampling, *regularizers)), f"1 in {channels.one_in}"]
        yield pytest.param(parts, space := next(spaces), id=" ".join([*names, space]))


@pytest.mark.parametrize(("parts", "space"), list(combinations()))
def test_every_combination_of_parts(parts, space, device, darts):
    search = darts(device, space, searcher="GradientSearch", **parts)
    for _ in range(3):
        event = search.advance()
        assert all(map(math.isfinite, losses(event).values()))
        assert all(np.isfinite(p).all() for p in event.probabilities.values())


def test_the_search_is_that_of_the_cpu(quick_device, darts, without_tf32):
    """Weights at the start, order, augmentation and halves are drawn on the CPU; what remains is rounding."""
    there, here = darts(quick_device), darts("cpu")
    for _ in range(5):
        ours, theirs = there.advance(), here.advance()
        assert ours.train_loss == pytest.approx(theirs.train_loss, rel=1e-4)
        for part, expected in theirs.probabilities.items():
            np.testing.assert_allclose(ours.probabilities[part], expected, atol=1e-5)


@pytest.mark.parametrize("name", ["PCDarts", "IDarts", "MiLeNAS", "GDAS", "SNAS", "ProxylessNAS"])
def test_so_is_that_of_its_relatives(name, device, darts, without_tf32):
    """Gumbel noise and gates are drawn on the CPU, too. Dirichlet and dropout are not, and DrNAS is another search."""
    there, here = darts(device, searcher=name), darts("cpu", searcher=name)
    for _ in range(2):
        assert there.advance().train_loss == pytest.approx(here.advance().train_loss, rel=1e-3)


@pytest.mark.parametrize("precision", ["tf32", "bfloat16"])
def test_other_precisions_are_near_and_not_the_same(precision, device, darts):
    rounded, exact = darts(device, precision=precision), darts(device)
    for _ in range(3):
        ours, theirs = rounded.advance(), exact.advance()
        assert ours.train_loss == pytest.approx(theirs.train_loss, rel=0.05)
    if device == "cuda" or precision != "tf32":
        assert ours.train_loss != theirs.train_loss


@pytest.mark.parametrize("precision", ["tf32", "bfloat16"])
def test_the_finite_difference_stays_in_float32(precision, device, darts, monkeypatch):
    """What a searcher has asked torch for while it takes the difference."""
    from naslab.searchers.gradient import objective

    seen = []
    products = dict(objective.PRODUCTS)

    def watched(radius):
        product = products["finite_difference"](radius)

        def take(loss, *given):
            def watching():
                outputs = loss()
                seen.append(torch.backends.cudnn.conv.fp32_precision)
                return outputs

            return product(watching, *given)

        return take

    monkeypatch.setattr(objective, "PRODUCTS", {**products, "finite_difference": watched})
    darts(device, order=2, precision=precision).advance()
    assert len(seen) == 2
    assert device == "cpu" or set(seen) == {"ieee"}


@pytest.mark.parametrize("product", ["finite_difference", "exact"])
@pytest.mark.parametrize("space", ["nasbench201", "darts"])
def test_gradients_of_second_order_point_where_those_of_the_cpu_do(product, space, device, digits, cells, without_tf32):
    from naslab.analysis.steps import Steps
    from naslab.networks.batch_norm import frozen_statistics
    from naslab.searchers.gradient.bilevel import PRODUCTS, InnerStep, unrolled_gradients

    def gradient(where):
        with nl.seeded(2, "supernet"):
            network = cells[space].supernet(digits).to(where)
        x, y = digits.batch(torch.arange(32), device=where)
        steps = Steps(network, cells[space].edges(), len(cells[space].operations), x, y)
        inner = InnerStep(xi=0.025, weight_decay=3e-4, momentum=[None] * len(steps.weights))
        with frozen_statistics(network):
            found = unrolled_gradients(
                train_loss=steps.loss,
                valid_loss=steps.loss,
                weights=steps.weights,
                alphas=list(steps.alphas.values()),
                step=inner,
                product=PRODUCTS[product](0.01),
            )
        return torch.cat([each.flatten().cpu() for each in found.gradients])

    assert torch.nn.functional.cosine_similarity(gradient(device), gradient("cpu"), dim=0) > 0.999
