"""Trees: tensors nested in tuples, lists, dictionaries and named tuples, as the batches and outputs of tasks.

naslab passes such trees from a task to a network and back, and does not depend on their structure.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree

from naslab.errors import SpecError


def tree_map(change: Callable[[Tensor], Any], tree: Any) -> Any:
    """Returns the same structure with `change` applied to each tensor; other leaves stay as they are."""
    if isinstance(tree, Tensor):  # the common case, fifty times faster
        return change(tree)
    return _pytree.tree_map(lambda leaf: change(leaf) if isinstance(leaf, Tensor) else leaf, tree)


def tensors(tree: Any) -> list[Tensor]:
    """Returns the tensors in a tree, from left to right."""
    if isinstance(tree, Tensor):
        return [tree]
    return [leaf for leaf in _pytree.tree_leaves(tree) if isinstance(leaf, Tensor)]


def detached(tree: Any) -> Any:
    """Returns the tree with each tensor detached from the graph of its computation."""
    return tree_map(Tensor.detach, tree)


def copied(tree: Any) -> Any:
    """Returns the tree with a detached copy of each tensor."""
    return tree_map(lambda tensor: tensor.detach().clone(), tree)


def floated(tree: Any) -> Any:
    """Returns the tree with floating-point tensors as float32, so that losses are computed in full precision."""
    return tree_map(lambda tensor: tensor.float() if tensor.is_floating_point() else tensor, tree)


def moved(tree: Any, device: str | torch.device) -> Any:
    """Returns the tree with its tensors on a device."""
    return tree_map(lambda tensor: tensor.to(device), tree)


def alike(one: Any, other: Any, *, tolerance: float) -> bool:
    """True if two trees have the same structure, and tensors that agree up to `tolerance` times the largest value."""
    left, right = tensors(one), tensors(other)
    if _pytree.tree_structure(one) != _pytree.tree_structure(other) or len(left) != len(right):
        return False
    for a, b in zip(left, right, strict=True):
        if a.shape != b.shape:
            return False
        if a.numel() and not torch.allclose(
            a.double(), b.double(), rtol=0, atol=tolerance * float(b.double().nan_to_num(0, 0, 0).abs().max()),
            equal_nan=True,
        ):  # fmt: skip
            return False
    return True


def described(tree: Any) -> str:
    """Returns the structure of a tree in words, for an error."""
    if isinstance(tree, Tensor):
        return f"a tensor {list(tree.shape)}"
    if isinstance(tree, Mapping):
        inside = ", ".join(f"{name!s:.40}: {described(one)}" for name, one in list(tree.items())[:8])
        return f"a dictionary of {inside}" if tree else "an empty dictionary"
    if isinstance(tree, tuple | list):
        kind = type(tree).__name__
        return f"a {kind} of {', '.join(map(described, tree[:8]))}" if tree else f"an empty {kind}"
    return f"{tree!r:.60}" if tree is None or isinstance(tree, int | float | str) else f"a {type(tree).__name__}"


def packed(tree: Any) -> tuple[str, dict[str, Tensor]]:
    """Returns a tree as JSON of its structure and copies of its tensors by number, for a snapshot.

    Raises:
        SpecError: it holds anything but tensors and None in tuples, lists and dictionaries with text keys.
    """
    found: dict[str, Tensor] = {}

    def shape(part: Any) -> Any:
        if part is None:
            return None
        if isinstance(part, Tensor):
            found[str(len(found))] = part.detach().clone()
            return len(found) - 1
        if type(part) in (tuple, list):
            return [type(part).__name__, [shape(one) for one in part]]
        if isinstance(part, Mapping) and all(isinstance(name, str) for name in part):
            return ["dict", {name: shape(one) for name, one in part.items()}]
        raise SpecError(
            f"what is carried from one mini-batch to the next is tensors in tuples, lists or dictionaries, not "
            f"{type(part).__name__}; give plain ones from the task's carry()"
        )

    return json.dumps(shape(tree)), found


def unpacked(structure: str, leaves: Mapping[str, Tensor], device: str | torch.device = "cpu") -> Any:
    """Returns the tree that `packed` took apart, on a device."""

    def build(part: Any) -> Any:
        if part is None:
            return None
        if isinstance(part, int):
            return leaves[str(part)].to(device, copy=True)
        kind, parts = part
        if kind == "dict":
            return {name: build(one) for name, one in parts.items()}
        return (tuple if kind == "tuple" else list)(build(one) for one in parts)

    return build(json.loads(structure))
