import gc

import pytest
import torch
from hypothesis import settings

from naslab.testing import torch_settings

settings.register_profile("naslab", deadline=None)  # how long an example takes is the machine's affair
settings.load_profile("naslab")


def pytest_collection_modifyitems(items):
    """Skips what needs a GPU where there is none."""
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason="needs CUDA"))


def pytest_collection_finish():
    """The million objects of torch and of the tests stay: garbage collections need not look at them."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def disturbed_torch():
    """Every setting of torch that changes what code computes is another than in a fresh process."""
    return torch_settings.disturbed_torch
