"""Conversion of user labels to class numbers from 0."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from naslab.errors import DataError, unknown

EXACT = 2.0**53
"""Up to this bound float64 represents every integer exactly."""


def class_numbers(
    *given: tuple[Any, str], class_names: Sequence[str] | None = None
) -> tuple[list[Tensor], tuple[str, ...] | None]:
    """Returns the labels of each split as [N] int64, and the class names if the labels are text (else None).

    Numbers may come from Python, NumPy, torch or pandas, as integers, as floats without a fraction or as booleans. Text
    labels become positions in `class_names`, or in the sorted list of all different labels.

    Args:
        given: pairs of the labels of a split and their name in error texts.
        class_names: class names from the user, if any.
    """
    arrays = [_array(value, name) for value, name in given]
    text = [array.dtype.kind == "U" for array in arrays]
    if not any(text):
        return [torch.from_numpy(array) for array in arrays], None
    if not all(text):
        raise DataError(
            f"{given[text.index(True)][1]} holds text and {given[text.index(False)][1]} numbers: give labels of one "
            "kind"
        )
    known = np.unique(np.concatenate(arrays)).tolist() if class_names is None else [str(name) for name in class_names]
    position = {name: number for number, name in enumerate(known)}
    for array, (_, name) in zip(arrays, given, strict=True):
        strange = next((label for label in array.tolist() if label not in position), None)
        if strange is not None:
            raise DataError(f"{name} holds the label {strange!r}, which is none of class_names: "
                            f"{unknown('class', strange, known)}")  # fmt: skip
    numbers = [torch.tensor([position[label] for label in array.tolist()], dtype=torch.int64) for array in arrays]
    return numbers, tuple(known)


def _array(value: Any, name: str) -> np.ndarray:
    """Returns labels [N] as int64 or as text."""
    array = _plain(value, name)
    if not array.size and array.ndim < 2:
        return np.zeros(0, dtype=np.int64)  # NumPy gives an empty list the dtype float64
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise DataError(
            f"{name} must be [N], one class number an image, not {list(array.shape)}; {_shape_advice(array)}"
        )
    if array.dtype.kind in "OT":  # NumPy's StringDType ("T") may hold missing values, as objects may
        array = _of_objects(array.astype(object), name)
    if array.dtype.kind in "US":
        array = np.char.decode(array, "utf-8", "replace") if array.dtype.kind == "S" else array.astype(str)
        _all_there(array == "", "empty", name)
        return array
    if array.dtype.kind == "f":
        array = array.astype(np.float64, copy=False)  # float16 cannot represent the bound EXACT
        _all_there(~np.isfinite(array), "NaN or infinite", name)
        broken = np.flatnonzero((array != np.round(array)) | (np.abs(array) > EXACT))
        if len(broken):
            raise DataError(
                f"{name} must be whole numbers, the classes counted from 0, and {array[broken[0]]:g}, that of image "
                f"{broken[0]}, is none; numbers on a scale are not classes"
            )
    elif array.dtype.kind not in "iub":
        raise DataError(
            f"{name} must be whole numbers, the classes counted from 0, or text, not {array.dtype}; they are numbered "
            "by np.unique(y, return_inverse=True)[1]"
        )
    if array.dtype.kind == "u" and len(array) and int(array.max()) > np.iinfo(np.int64).max:
        raise DataError(f"{name} must be class numbers from 0; the largest one is {int(array.max())}")
    return array.astype(np.int64)  # a copy


def _plain(value: Any, name: str) -> np.ndarray:
    if isinstance(value, Tensor):
        value = value.detach().cpu()
        return (value.float() if value.dtype == torch.bfloat16 else value).numpy()
    if isinstance(value, list | tuple):
        value = [item.item() if math.prod(getattr(item, "shape", (2,))) == 1 else item for item in value]
        kinds = {isinstance(item, str | bytes) for item in value}
        if len(kinds) > 1:
            value = np.array([*value, None], dtype=object)[:-1]  # else NumPy would turn the numbers into text
    try:
        if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
            raise TypeError("it has masked elements; leave those examples out")
        return np.asarray(value)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} must be a torch tensor or a NumPy array of labels, one an image: {error}") from None


def _of_objects(array: np.ndarray, name: str) -> np.ndarray:
    """Converts an object array, from pandas or a mixed list, whose items must all be text or all be numbers."""
    items = array.tolist()
    _all_there(np.array([_missing(item) for item in items], dtype=bool), "missing", name)
    if all(isinstance(item, str | bytes) for item in items):
        return np.array([item.decode(errors="replace") if isinstance(item, bytes) else item for item in items])
    if all(isinstance(item, int | float | np.number | np.bool_) for item in items):
        return _plain(items, name)
    kinds = sorted({type(item).__name__ for item in items})
    raise DataError(f"{name} must be whole numbers, or text, one label an image; it holds {', '.join(kinds)}")


def _missing(item: Any) -> bool:
    """True for None, NaN and pandas' NA and NaT."""
    return item is None or type(item).__name__ in ("NAType", "NaTType") or (isinstance(item, float) and item != item)


def _all_there(bad: np.ndarray, what: str, name: str) -> None:
    if bad.any():
        raise DataError(
            f"{int(bad.sum())} of {len(bad)} labels in {name} are {what}, the first is that of image "
            f"{int(np.flatnonzero(bad)[0])}; leave out images without a label"
        )


def _shape_advice(array: np.ndarray) -> str:
    if array.ndim == 2 and array.shape[0] == 1:
        return "one row becomes [N] by y.ravel()"
    if array.ndim != 2:
        return "give one label an image"
    one_hot = array.dtype.kind in "biuf" and bool(((array == 0) | (array == 1)).all() and (array.sum(1) == 1).all())
    if one_hot:
        return "one-hot labels become numbers by argmax(1)"
    return "an image has one class here: rows of scores become numbers by argmax(1), several labels an image do not"
