import pytest

import naslab as nl

CELL = dict(nodes=2, operations=("none", "max_pool_3x3", "skip_connect", "sep_conv_3x3"), channels=4, cells=3)
SMALL = dict(batch_size=16, epochs=2)


@pytest.fixture(scope="session")
def digits():
    return nl.tasks.Digits()


@pytest.fixture(params=["darts first order", "darts second order", "darts exact", "darts on nasbench201"])
def make(request, digits):
    """A function from a seed and hyperparameters to a fresh searcher: every searcher there is, small."""
    cell = nl.spaces.DartsCell(**CELL)
    makers = {
        "darts first order": lambda **h: nl.searchers.Darts(cell, digits, **{**SMALL, **h}),
        "darts second order": lambda **h: nl.searchers.Darts(cell, digits, **{**SMALL, "order": 2, **h}),
        "darts exact": lambda **h: nl.searchers.Darts(
            cell, digits, **{**SMALL, "order": 2, "hessian_product": "exact", **h}
        ),
        "darts on nasbench201": lambda **h: nl.searchers.Darts(
            nl.spaces.NASBench201(channels=4, cells=1), digits, **{**SMALL, **h}
        ),
    }
    return makers[request.param]
