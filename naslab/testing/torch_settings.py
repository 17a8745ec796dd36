"""A process in which every setting of torch that changes what code computes is another than in a fresh one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def torch_settings() -> tuple[bool, bool, torch.dtype, str, bool]:
    """Gradients, inference mode, default dtype, default device, autocast."""
    return (
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.get_default_dtype(),
        torch.empty(0).device.type,
        torch.is_autocast_enabled("cpu"),
    )


@contextmanager
def disturbed_torch(*, inference: bool = True) -> Iterator[None]:
    """Inside, gradients are off, and the default dtype, the default device and autocast are others than usual.

    Whatever runs inside must leave them so.
    """
    calm = torch_settings()
    with torch.inference_mode(inference), torch.autocast("cpu", torch.bfloat16):
        torch.set_grad_enabled(False)
        torch.set_default_dtype(torch.float64)
        torch.set_default_device("meta")
        try:
            yield
            came, expected = torch_settings(), (False, inference, torch.float64, "meta", True)
            assert came == expected, f"settings of torch were changed, and not put back: {came}, expected {expected}"
        finally:
            torch.set_default_device(None)
            torch.set_default_dtype(torch.float32)
            torch.set_grad_enabled(True)
    assert torch_settings() == calm, f"settings of torch are {torch_settings()} afterwards, expected {calm}"
