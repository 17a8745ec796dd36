"""Steering of the architecture in gradient-based search: forbidden operations and edges, and changes to alphas.

    mask/<part>   {"2": ["skip_connect"]}: on row 2 of the part, as in `probabilities`, that operation has weight 0;
                  the others share its weight, and it is not derived there
    forbidden     ["skip_connect"]: the same on every edge that has the operation, in every part
    edges/<part>  ["2"]: all operations of row 2 have weight 0, and the edge is not derived
    nudge, put, reset, restore   change alphas, once

A forbidden alpha does not change, and neither do its moments of Adam, weight decay included: when it is allowed again,
it is what it was to the last bit. In the computation minus infinity takes its place, so that a softmax gives it exactly
0, with no gradient.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from naslab.errors import SpecError, listed, real, unknown
from naslab.searchers.gradient.optimizers import Optimizers
from naslab.searchers.settings import Act, Mask, Setting, Several
from naslab.spaces.weight_sharing import candidates, edge_operations
from naslab.transfer import to_device

FORBIDDEN = "forbidden"
"""Name of the setting that forbids operations on all edges."""
NONE = "none"
"""Operation that stands for the absence of an edge, in spaces that have one."""


class Masks:
    """The settings that forbid operations and edges, and the masks that follow from them.

    Args:
        space: a `naslab.spaces.Mixable`. Operations that an edge does not have are forbidden there from the start.
        entering: part -> for each node, the rows of the edges that enter it.
        device: device of the masks.
        compete: whether the edges into a node are weighed against each other, so that at least one must be allowed.
    """

    def __init__(
        self, space: Any, entering: Mapping[str, Sequence[Sequence[int]]], device: torch.device, *, compete: bool
    ) -> None:
        self._space, self._entering, self._device, self._compete = space, entering, device, compete
        self._has = candidates(space)
        self.settings: dict[str, Setting] = {
            FORBIDDEN: Several(
                options=tuple(space.operations), description="Operations that are forbidden on every edge."
            )
        }
        for part, rows in edge_operations(space).items():
            named = {str(row): operations for row, operations in enumerate(rows)}
            self.settings[f"mask/{part}"] = Mask(
                options=named, what="edge", description=f"Operations that are forbidden on edges of {part}, by row."
            )
            self.settings[f"edges/{part}"] = Several(
                options=tuple(named), description=f"Edges of {part} that are left out, by row."
            )
        self._allowed: dict[str, tuple[Tensor, Tensor]] = {}
        """Part with a forbidden operation -> the allowed ones, [E, O] bool, on the device and on the CPU."""
        self._settle()

    @property
    def values(self) -> dict[str, Any]:
        """Name -> value of each setting that forbids something."""
        return {name: setting.value for name, setting in self.settings.items() if setting.active}

    def _matrix(self, part: str, values: Mapping[str, Any]) -> np.ndarray:
        """Returns the operations of a part that are allowed, [E, O] bool, under values of the settings."""
        allowed = self._has[part].copy()
        for row, operations in values.get(f"mask/{part}", {}).items():
            for operation in operations:
                allowed[int(row), self._space.operations.index(operation)] = False
        for operation in values.get(FORBIDDEN, []):
            allowed[:, self._space.operations.index(operation)] = False
        for row in values.get(f"edges/{part}", []):
            allowed[int(row)] = False
        return allowed

    def check(self, name: str, value: Any) -> Any:
        """Returns the value as JSON.

        Raises:
            SpecError: the setting refuses the value, an edge or node would have no operation left, or the space could
                only derive an architecture with a forbidden operation.
        """
        value = self.settings[name].check(name, value)
        values, part = {**self.values, name: value}, name.partition("/")[2]
        allowed = {one: self._matrix(one, values) for one in self._has}
        for one in [part] if part in self._has else self._has:
            self._check_left(name, one, allowed[one], values)
        # A space may have to take something on every edge. So derive once, with equal strengths for all operations that
        # are allowed: if a forbidden one is taken even then, it would be taken always.
        ranked = {one: self._ranked(np.ones(matrix.shape, np.float32), matrix) for one, matrix in allowed.items()}
        kept = self._space.one_hot(self._space.discretize(ranked))
        for one in [part] if part in self._has else self._has:
            wrong = [(row, column) for row, column in np.argwhere(kept[one] > 0) if ranked[one][row, column] < 0]
            if wrong:
                row, column = wrong[0]
                raise SpecError(
                    f"{name}: nothing would be left to derive: a cell of {self._space.name!r} would have to take the "
                    f"forbidden {self._space.operations[column]!r} on edge {row} of {one!r}; forbid less there"
                )
        return value

    def _check_left(self, name: str, part: str, allowed: np.ndarray, values: Mapping[str, Any]) -> None:
        """Raises `SpecError` if an edge that is not left out, or a node, would have no operation left."""
        dropped = {int(row) for row in values.get(f"edges/{part}", [])}
        for row in np.flatnonzero(~allowed.any(axis=1)):
            if row not in dropped and self._has[part][row].any():
                forbidden = ", ".join(self.operations_of(part, int(row)))
                raise SpecError(
                    f"{name}: nothing would be left of edge {row} of {part!r}, all of whose operations would be "
                    f"forbidden ({forbidden}); an edge keeps at least one. To leave it "
                    f"out, set('edges/{part}', [{str(row)!r}])"
                )
        if self._compete:
            for rows in self._entering[part]:
                if not allowed[list(rows)].any():
                    raise SpecError(
                        f"{name}: nothing would be left of the node that the edges {_rows(rows)} of {part!r} enter; "
                        "leave an operation on one of them"
                    )

    def apply_setting(self, name: str, value: Any) -> None:
        setting: Any = self.settings[name]
        self.settings[name] = type(setting)(
            value=value, options=setting.options, description=setting.description, **_kind_of_mask(setting)
        )
        self._settle()

    def _settle(self) -> None:
        values = self.values
        found = {part: self._matrix(part, values) for part in self._has}
        here = {part: torch.from_numpy(matrix) for part, matrix in found.items() if not matrix.all()}
        there = to_device(here, self._device)
        self._allowed = {part: (there[part], here[part]) for part in here}

    def operations_of(self, part: str, row: int) -> tuple[str, ...]:
        """Returns the operations that an edge has, forbidden or not."""
        return tuple(name for name, there in zip(self._space.operations, self._has[part][row], strict=True) if there)

    # --- use in the computation ------------------------------------------------------------------

    def allowed(self, part: str, *, on_host: bool = False) -> Tensor | None:
        """Returns the allowed operations of a part, [E, O] bool, or None if nothing is forbidden.

        Args:
            part: the part.
            on_host: True for a tensor on the CPU instead of the device.
        """
        return self._allowed[part][on_host] if part in self._allowed else None

    def _beside(self, part: str, tensor: Tensor) -> Tensor | None:
        """Returns the allowed operations of a part where the tensor is: on the device or on the CPU."""
        return self.allowed(part, on_host=tensor.device.type == "cpu")

    def masked_alphas(self, part: str, alpha: Tensor, *, together: bool) -> Tensor:
        """Returns the alphas [E, O] with minus infinity for forbidden operations.

        A softmax of nothing but minus infinities is NaN. So an edge without any allowed operation keeps its alphas if
        it has a softmax of its own; `masked_weights` then sets all of its weights to 0.

        Args:
            part: the part.
            alpha: its alphas, [E, O].
            together: True if the edges into a node share a softmax, in which the other edges are left.
        """
        if (allowed := self._beside(part, alpha)) is None:
            return alpha
        left = allowed if together else allowed | ~allowed.any(dim=1, keepdim=True)
        return alpha.masked_fill(~left, -torch.inf)

    def masked_weights(self, part: str, weights: Tensor) -> Tensor:
        """Returns the weights [E, O] with 0 for forbidden operations; the others are not rescaled."""
        allowed = self._beside(part, weights)
        return weights if allowed is None else torch.where(allowed, weights, torch.zeros_like(weights))

    def masked_edge_logits(self, part: str, logits: Tensor) -> Tensor:
        """Returns the logits of the edges, [E], with minus infinity for edges without an allowed operation."""
        allowed = self._beside(part, logits)
        return logits if allowed is None else logits.masked_fill(~allowed.any(dim=1), -torch.inf)

    def ranked(self, part: str, strengths: np.ndarray) -> np.ndarray:
        """Returns the strengths [E, O] for the derivation, with -1, below all others, for forbidden operations."""
        allowed = self.allowed(part, on_host=True)
        return strengths if allowed is None else self._ranked(strengths, allowed.numpy())

    def _ranked(self, strengths: np.ndarray, allowed: np.ndarray) -> np.ndarray:
        found = np.where(allowed, strengths, np.float32(-1))
        if NONE in self._space.operations:  # an edge that is left out
            found[~allowed.any(axis=1), self._space.operations.index(NONE)] = 0
        return found

    def frozen_entries(self, alphas: Mapping[str, Tensor], edges: Mapping[str, Tensor]) -> list[Tensor | None]:
        """Returns for each tensor that the architecture learns a mask of the entries that must not change, or None."""
        of_alphas = [None if (a := self.allowed(part)) is None else ~a for part in alphas]
        of_edges = [None if (a := self.allowed(part)) is None else ~a.any(dim=1) for part in edges]
        return [*of_alphas, *of_edges]

    # --- state -----------------------------------------------------------------------------------

    def state(self) -> dict[str, str]:
        return {"masks": json.dumps(self.values)} if self.values else {}

    def load(self, state: Mapping[str, Any]) -> None:
        values = json.loads(str(state.get("masks", "{}")))
        for name, setting in self.settings.items():
            now = values.get(name, {} if isinstance(setting, Mask) else [])
            if now != setting.value:
                self.apply_setting(name, now)


def _kind_of_mask(setting: Setting) -> dict[str, Any]:
    return {"what": setting.what} if isinstance(setting, Mask) else {}


def _rows(rows: Sequence[int]) -> str:
    return ", ".join(map(str, rows))


# --- acts ------------------------------------------------------------------------------------------

LARGEST = float(torch.finfo(torch.float32).max)
"""Largest magnitude of an alpha."""
MOMENTS = ("exp_avg", "exp_avg_sq", "step")
"""Keys of Adam's state for a tensor: the running means of the gradient and of its square, and the count of steps."""


def acts(
    alphas: Mapping[str, Tensor],
    masks: Masks,
    operations: Sequence[str],
    optimizers: Optimizers,
    start: Callable[[], Mapping[str, Tensor]],
) -> dict[str, Act]:
    """Returns name -> act, for the acts that change alphas.

    Args:
        alphas: part -> alphas, [E, O].
        masks: the forbidden operations.
        operations: names of the O operations.
        optimizers: holds Adam, whose moments of a part `reset` clears and `restore` sets.
        start: returns part -> the alphas that the search began with.
    """

    def checked(part: Any) -> Tensor:
        if not isinstance(part, str) or part not in alphas:
            raise SpecError(unknown("part", part, alphas))
        return alphas[part]

    def memory(part: str) -> dict[str, Any]:
        moments = optimizers.adam.state.get(alphas[part], {})
        return {
            "alpha": alphas[part].detach().tolist(),
            **{key: moments[key].tolist() for key in MOMENTS if key in moments},
        }

    def nudge(part: Any, row: Any, operation: Any, by: Any) -> Callable[[], Any]:
        alpha = checked(part)
        number = int(row) if isinstance(row, str) and row.isdecimal() else row
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < len(alpha):
            raise SpecError(f"nudge: row is one of the rows of {part!r}, 0 to {len(alpha) - 1}, not {row!r:.100}")
        if operation not in operations:
            raise SpecError(f"nudge: {unknown('operation', operation, operations)}")
        if operation not in (has := masks.operations_of(part, number)):
            raise SpecError(f"nudge: edge {number} of {part!r} has no operation {operation!r}; it has {', '.join(has)}")
        column, step = list(operations).index(operation), _finite("nudge: by", by)
        if (allowed := masks.allowed(part, on_host=True)) is not None and not bool(allowed[number, column]):
            raise SpecError(
                f"nudge: {operation!r} is forbidden on edge {number} of {part!r}, so its alpha cannot change; allow it "
                f"first, by set('mask/{part}', ...) or set('edges/{part}', ...)"
            )

        def do() -> Any:
            before = float(alpha.detach()[number, column])
            if not math.isfinite(before + step) or abs(before + step) > LARGEST:
                raise SpecError(
                    f"nudge: {before:g} plus {step:g} is more than float32 can hold; take a smaller by, or put(...)"
                )
            with torch.no_grad():
                alpha[number, column] += step
            return before

        return do

    def put(part: Any, row: Any, operation: Any, to: Any) -> Callable[[], Any]:
        move, alpha = nudge(part, row, operation, 0.0), alphas[part]  # the same checks, and the value before
        value = _finite("put: to", to)

        def do() -> Any:
            before = move()
            with torch.no_grad():
                alpha[int(row), list(operations).index(operation)] = value
            return before

        return do

    def reset(part: Any) -> Callable[[], Any]:
        alpha = checked(part)

        def do() -> Any:
            before = memory(part)
            with torch.no_grad():
                alpha.copy_(start()[part])
            optimizers.adam.state.pop(alpha, None)
            return before

        return do

    def restore(part: Any, to: Any) -> Callable[[], Any]:
        alpha = checked(part)
        keys = {"alpha", *MOMENTS}
        if not isinstance(to, Mapping) or "alpha" not in to or not set(to) <= keys:
            raise SpecError(
                f"restore: to is the `before` of a reset or restore, with {', '.join(sorted(keys))}, not {to!r:.100}"
            )
        if len(to) not in (1, len(keys)):
            raise SpecError(
                f"restore: to has {', '.join(sorted(to))}; give either alpha alone, with which Adam starts anew, or "
                f"all of {', '.join(sorted(keys))}"
            )
        tensors = {key: _tensor(key, value, () if key == "step" else alpha.shape) for key, value in to.items()}
        for key in ("exp_avg_sq", "step"):
            if key in tensors and bool((tensors[key] < 0).any()):
                raise SpecError(f"restore: {key} is never negative; it was {to[key]!r:.100}")

        def do() -> Any:
            before = memory(part)
            with torch.no_grad():
                alpha.copy_(tensors["alpha"])
            optimizers.adam.state.pop(alpha, None)
            if moments := {key: tensor for key, tensor in tensors.items() if key != "alpha"}:
                for key, tensor in moments.items():
                    optimizers.adam.state[alpha][key] = tensor if key == "step" else tensor.to(alpha.device)
            return before

        return do

    which = {"part": f"one of {', '.join(alphas)}", "row": "number of the edge", "operation": "name of the operation"}
    return {
        "nudge": Act(
            description="Add a number to one alpha.",
            arguments={**which, "by": "the number to add"},
            inverse="put(part, row, operation, to=before)",
            prepare=nudge,
            undo=lambda arguments, before: ("put", {**_which(arguments), "to": before}),
        ),
        "put": Act(
            description="Give one alpha a value.",
            arguments={**which, "to": "the value"},
            inverse="put(part, row, operation, to=before)",
            prepare=put,
            undo=lambda arguments, before: ("put", {**_which(arguments), "to": before}),
        ),
        "reset": Act(
            description="Set the alphas of a part to their initial values, and clear Adam's moments of them.",
            arguments={"part": which["part"]},
            inverse="restore(part, to=before)",
            prepare=reset,
            undo=lambda arguments, before: ("restore", {"part": arguments["part"], "to": before}),
        ),
        "restore": Act(
            description="Set the alphas of a part, and Adam's moments of them, to the values that they had.",
            arguments={"part": which["part"], "to": "the `before` of a reset or restore"},
            inverse="restore(part, to=before)",
            prepare=restore,
            undo=lambda arguments, before: ("restore", {"part": arguments["part"], "to": before}),
        ),
    }


def _which(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the arguments that say which alpha an act changed."""
    return {name: arguments[name] for name in ("part", "row", "operation")}


def _finite(what: str, value: Any) -> float:
    """Returns the number. Raises `SpecError` if float32 cannot hold it."""
    number = real(what, value)
    if not abs(number) <= LARGEST:
        raise SpecError(f"{what} must be a finite number, up to {LARGEST:.3g}, not {value!r:.100}")
    return number


def _tensor(name: str, value: Any, shape: Sequence[int]) -> Tensor:
    """Returns the numbers as float32. Raises `SpecError` if they are not finite numbers of this shape."""
    try:
        found = torch.tensor(value, dtype=torch.float32) if listed(value) or not shape else None
    except (TypeError, ValueError, RuntimeError):
        found = None
    if found is None or tuple(found.shape) != tuple(shape) or not bool(torch.isfinite(found).all()):
        raise SpecError(f"restore: {name} must be finite numbers of the shape {tuple(shape)}, not {value!r:.100}")
    return found
