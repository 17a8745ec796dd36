"""Checks of the sizes of networks, made before anything is built. All raise `SpecError`."""

from __future__ import annotations

from collections.abc import Collection

from naslab.errors import SpecError, real, unknown, whole

LARGEST = 1_000_000
"""Upper limit of any size of a network: cells, channels, words, ..."""


def positive(name: str, value: object) -> int:
    """Returns the value as an int if it is a whole number from 1 to `LARGEST`."""
    try:
        number = whole(name, value, 1)
    except SpecError:
        raise SpecError(f"{name} must be a whole number of at least 1, not {value!r:.200}") from None
    if number > LARGEST:
        raise SpecError(f"{name} must be at most {LARGEST:,}, not {number:,}")
    return number


def positives(thing: object, *names: str) -> None:
    """Check that these fields of an object are whole numbers of at least 1, and replace them by ints."""
    for name in names:
        object.__setattr__(thing, name, positive(name, getattr(thing, name)))


def probability(name: str, value: object) -> float:
    """Returns the value if it is in [0, 1)."""
    try:
        number = real(name, value)
    except SpecError:
        number = -1.0
    if not 0 <= number < 1:
        raise SpecError(f"{name} must be a number from 0 to below 1, not {value!r:.200}")
    return number


def image(input_shape: tuple[int, ...], reductions: int) -> tuple[int, int, int]:
    """Returns (C, H, W) if the shape is that of an image, large enough to be halved `reductions` times."""
    if len(input_shape) != 3:
        raise SpecError(f"this network reads images of shape (channels, height, width), not {tuple(input_shape)}")
    channels, height, width = (
        positive(name, size) for name, size in zip(("image channels", "height", "width"), input_shape, strict=True)
    )
    if min(height, width) < 2**reductions:
        raise SpecError(
            f"an image of {height} x {width} is too small to be halved {reductions} times; "
            f"use images of at least {2**reductions} x {2**reductions}, or fewer cells"
        )
    return channels, height, width


def several(name: str, values: object) -> tuple[int, ...]:
    """Returns the values if they are one or more different whole numbers of at least 1."""
    listed = values.tolist() if getattr(values, "ndim", None) == 1 else values  # type: ignore[attr-defined]
    if not isinstance(listed, list | tuple) or not listed:
        raise SpecError(f"{name} must be a list of different whole numbers of at least 1, not {values!r}")
    numbers = tuple(positive(f"each of {name}", value) for value in listed)
    if len(set(numbers)) != len(numbers):
        raise SpecError(f"{name} must be a list of different whole numbers of at least 1, not {values!r}")
    return numbers


def operations(values: object, known: Collection[str]) -> tuple[str, ...]:
    """Returns the names if they are different and all known."""
    if not isinstance(values, list | tuple):
        raise SpecError(f"operations must be a list of names, not {values!r}")
    for value in values:
        one_of("operation", value, known)
    if len(set(values)) != len(values):
        raise SpecError(f"an operation is named twice: {', '.join(values)}")
    return tuple(values)


def one_of(name: str, value: object, options: Collection[str]) -> str:
    """Returns the value if it is one of the options."""
    if not isinstance(value, str) or value not in options:
        raise SpecError(unknown(name, value, options))
    return value
