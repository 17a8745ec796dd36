"""What the sizes of a network must satisfy, checked before anything is built."""

from __future__ import annotations

from collections.abc import Collection

from naslab.errors import SpecError, real, unknown, whole

LARGEST = 1_000_000
"""Upper limit of any size of a network: cells, channels, words, ..."""


def positive(name: str, value: object) -> int:
    """The value if it is a whole number of at least 1, and no larger than a size of a network can be."""
    try:
        number = whole(name, value, 1)
    except SpecError:
        raise SpecError(f"{name} must be a whole number of at least 1, not {value!r:.200}") from None
    if number > LARGEST:
        raise SpecError(f"{name} must be at most {LARGEST:,}, not {number:,}")
    return number


def positives(thing: object, *names: str) -> None:
    """Refuse a thing with a field, among these, that is not a whole number of at least 1; they are ints afterwards."""
    for name in names:
        object.__setattr__(thing, name, positive(name, getattr(thing, name)))


def probability(name: str, value: object) -> float:
    """The value if it is in [0, 1)."""
    try:
        number = real(name, value)
    except SpecError:
        number = -1.0
    if not 0 <= number < 1:
        raise SpecError(f"{name} must be a number from 0 to below 1, not {value!r:.200}")
    return number


def image(input_shape: tuple[int, ...], reductions: int) -> tuple[int, int, int]:
    """(C, H, W) if the shape is an image's and every one of the reductions, each of which halves it, has something
    to halve."""
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
    """The values if they are different whole numbers of at least 1, and there are any."""
    listed = values.tolist() if getattr(values, "ndim", None) == 1 else values  # type: ignore[attr-defined]
    if not isinstance(listed, list | tuple) or not listed:
        raise SpecError(f"{name} must be a list of different whole numbers of at least 1, not {values!r}")
    numbers = tuple(positive(f"each of {name}", value) for value in listed)
    if len(set(numbers)) != len(numbers):
        raise SpecError(f"{name} must be a list of different whole numbers of at least 1, not {values!r}")
    return numbers


def operations(values: object, known: Collection[str]) -> tuple[str, ...]:
    """The names if they are different operations that are known."""
    if not isinstance(values, list | tuple):
        raise SpecError(f"operations must be a list of names, not {values!r}")
    for value in values:
        one_of("operation", value, known)
    if len(set(values)) != len(values):
        raise SpecError(f"an operation is named twice: {', '.join(values)}")
    return tuple(values)


def one_of(name: str, value: object, options: Collection[str]) -> str:
    """The value if it is one of the options."""
    if not isinstance(value, str) or value not in options:
        raise SpecError(unknown(name, value, options))
    return value
