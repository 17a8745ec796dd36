import gc
from contextlib import contextmanager

import pytest
import torch
from hypothesis import settings

settings.register_profile("naslab", deadline=None)  # how long an example takes is the machine's affair
settings.load_profile("naslab")


def pytest_collection_finish():
    """The million objects of torch and of the tests stay: garbage collections need not look at them."""
    gc.collect()
    gc.freeze()


def torch_settings():
    return (
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.get_default_dtype(),
        torch.empty(0).device.type,
        torch.is_autocast_enabled("cpu"),
    )


@contextmanager
def _disturbed_torch(*, inference=True):
    """Inside, every setting of torch that changes what code computes is another than in a fresh process.

    Whatever runs inside must leave them so.
    """
    calm = torch_settings()
    with torch.inference_mode(inference), torch.autocast("cpu", torch.bfloat16):
        torch.set_grad_enabled(False)
        torch.set_default_dtype(torch.float64)
        torch.set_default_device("meta")
        try:
            yield
            assert torch_settings() == (False, inference, torch.float64, "meta", True)
        finally:
            torch.set_default_device(None)
            torch.set_default_dtype(torch.float32)
            torch.set_grad_enabled(True)
    assert torch_settings() == calm


@pytest.fixture(scope="session")
def disturbed_torch():
    return _disturbed_torch
