"""Names of floating-point precisions: those of torch's dtypes, and the short ones that many training libraries use."""

from __future__ import annotations

from typing import Any

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
