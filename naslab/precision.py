"""Names of floating-point precisions: those of torch's dtypes, and the short ones that many training libraries use."""

from __future__ import annotations

from typing import Any

import torch

from naslab.errors import SpecError

SHORT_NAMES = {"float32": "no", "bfloat16": "bf16", "float16": "fp16"}
"""Name of the dtype -> short name, as in Hugging Face Accelerate's `mixed_precision`. Recipes in run folders hold the
short names."""
FULL_PRECISION = "full_precision"
"""Attribute of a network that is True while it computes in float32 for once."""
_FULL_NAMES = {short: full for full, short in SHORT_NAMES.items()}


def short_name(precision: str) -> str:
    """Returns the short name of a precision; its own name where it has none, as "tf32"."""
    return SHORT_NAMES.get(precision, precision)


def full_name(precision: Any) -> Any:
    """Returns the name of the dtype for a short name, for instance "bfloat16" for "bf16"; anything else as it is."""
    return _FULL_NAMES.get(precision, precision) if isinstance(precision, str) else precision


def check_precision(precision: str, device: torch.device, *, instead: str) -> None:
    """Raises `SpecError` if a GPU can only emulate bfloat16, as those before Ampere (T4, V100), which is slower.

    Args:
        precision: its full name.
        device: where it is to be computed in.
        instead: what to use there, in words.
    """
    if (
        precision == "bfloat16"
        and device.type == "cuda"
        and not torch.cuda.is_bf16_supported(including_emulation=False)
    ):
        raise SpecError(
            f"precision='bfloat16': {torch.cuda.get_device_name(device)} has none; emulating it is slower than "
            f"float32. Use {instead}"
        )
