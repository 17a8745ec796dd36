"""A tensor that says it is on a GPU and is computed on the CPU: what `pretended_cuda.PretendedCuda` is made of.

C++ sees a CPU tensor, Python one on "cuda:0". Every operation of the dispatcher comes through `dispatched`, which knows
by the types of its arguments what a GPU would have done: refuse, because two devices are mixed; wait for the GPU,
because the host reads from it or copies pageable memory to it; or launch kernels.

The rules of waiting, read in PyTorch's source:

    Copy.cu                       a copy between host and device with non_blocking=False is followed by a wait
    Scalar.cu                     `item`, `bool`, `float`, `int` of a tensor copy one number to the host and wait
    python_variable_indexing.cpp  a list as an index becomes a CPU tensor, which is copied to the device as above
    Nonzero.cu                    the size of `nonzero`, and so of a boolean index, is read by the host
"""

from __future__ import annotations

import functools
import sys
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import return_and_correct_aliasing

aten = torch.ops.aten
GPU = torch.device("cuda", 0)
PACKAGE, HERE = Path(__file__).parents[1], Path(__file__).parent
UNTOLD = (HERE, PACKAGE / "transfer.py")
"""Where waiting is done for others, so that it is not named as a place."""

INDEXING = (
    aten.index.Tensor,
    aten._unsafe_index.Tensor,
    aten.index_put.default,
    aten.index_put_.default,
    aten._index_put_impl_.default,
)
WAITING = (
    aten.nonzero.default,
    aten.masked_select.default,
    aten.equal.default,
    aten.is_nonzero.default,
    aten.bincount.default,
    aten._unique2.default,
    aten.unique_dim.default,
    aten.unique_consecutive.default,
    aten.repeat_interleave.Tensor,
)
"""Operations whose result, or its size, the host reads."""
JOINING = (aten.cat.default, aten.stack.default)
"""Operations that refuse even a number, a tensor without axes, of another device."""


class Mixed(RuntimeError):
    """An operation got tensors, or a generator, of two devices."""


class Ledger:
    """What a GPU would have been asked for."""

    def __init__(self) -> None:
        self.waits: Counter[tuple[str, str]] = Counter()
        """(why, place in naslab) -> how often the host waited."""
        self.launches: Counter[str] = Counter()
        """Operation -> how often it launched a kernel, or several."""

    def wait(self, why: str) -> None:
        self.waits[why, place()] += 1


class _Thread(threading.local):
    """What the dispatcher has to know about the call that it is in."""

    ledger: Ledger | None = None
    functions: Sequence[Any] = ()
    """Functions of torch under way that were called with a pretended tensor, outermost first."""
    generator: torch.device | None = None
    """Device of the generator of that call; the dispatcher makes a new object of it, which no longer knows."""
    leaving = False
    """True while a tensor is copied to the host on request."""


current = _Thread()


def place() -> str:
    """Returns the innermost line of naslab under way, as "networks/mixture.py:54 as_mixture"; else of its caller."""
    frame, other = sys._getframe(1), "?"
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if PACKAGE in path.parents and not {path, path.parent}.intersection(UNTOLD):
            return f"{path.relative_to(PACKAGE)}:{frame.f_lineno} {frame.f_code.co_name}"
        if other == "?" and "torch" not in path.parts and path.parent != HERE:
            other = f"{path.name}:{frame.f_lineno} {frame.f_code.co_name}"
        frame = frame.f_back
    return other


def is_gpu(device: Any) -> bool:
    return device is not None and torch.device(device).type == "cuda"


class PretendedTensor(Tensor):
    """A tensor on the pretended GPU; `held` has its numbers."""

    held: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @staticmethod
    def __new__(cls, held: Tensor) -> PretendedTensor:
        made = Tensor._make_wrapper_subclass(
            cls,
            held.size(),
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            layout=held.layout,
            device=torch.device("cpu"),
        )
        made.held = held
        return made

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        return dispatched(func, args, kwargs or {})

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return GPU

    @property
    def is_cuda(self) -> bool:  # type: ignore[override]
        return True

    @property
    def is_cpu(self) -> bool:  # type: ignore[override]
        return False

    def get_device(self) -> int:
        return 0

    def untyped_storage(self) -> torch.UntypedStorage:
        return self.held.untyped_storage()

    def data_ptr(self) -> int:
        return self.held.data_ptr()

    def __deepcopy__(self, memo: dict[int, Any]) -> PretendedTensor:
        if id(self) not in memo:
            copied = PretendedTensor(self.held.clone()).requires_grad_(self.requires_grad)
            for name in self.__dict__.keys() - {"held"}:
                setattr(copied, name, self.__dict__[name])
            memo[id(self)] = copied
        return memo[id(self)]

    def __repr__(self, *, tensor_contents: object = None) -> str:
        return f"PretendedTensor({self.held!r})"


def dispatched(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Returns what an operation gives, on the pretended GPU if a GPU had computed it there.

    Raises:
        Mixed: it has arguments of two devices.
    """
    tensors = tensors_in((args, kwargs))
    pretended = [tensor for tensor in tensors if isinstance(tensor, PretendedTensor)]
    there = _lands_on_gpu(func, args, kwargs, bool(pretended), bool(tensors))
    # A formula of a gradient makes tensors on the device that C++ sees, which is the CPU: nothing is known about these.
    if torch._C._current_graph_task_id() == -1:
        _must_not_mix(func, args, kwargs, tensors, pretended, there)
        if pretended or there:
            _count_waits(func, args, kwargs, pretended, there)
    plain_args, plain_kwargs = _mapped(_held, (tuple(args), dict(kwargs)))
    if is_gpu(plain_kwargs.get("device")):
        plain_kwargs["device"] = torch.device("cpu")
    if plain_kwargs.get("pin_memory"):
        plain_kwargs["pin_memory"] = False
    found = func(*plain_args, **plain_kwargs)
    if not there:
        return found
    if current.ledger is not None and not _only_a_view(func):
        current.ledger.launches[str(func)] += 1
    known = {id(tensor.held): tensor for tensor in pretended}

    def wrap(out: Tensor) -> Tensor:
        return known[id(out)] if id(out) in known else PretendedTensor(out)

    wrapped = _mapped(wrap, found)
    return return_and_correct_aliasing(func, args, kwargs, wrapped) if pretended else wrapped


def tensors_in(value: Any) -> list[Tensor]:
    """Returns the tensors of arguments; a third of the time of `torch.utils._pytree`, for a hundred thousand calls."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, Mapping):
        value = value.values()
    elif not isinstance(value, tuple | list):
        return []
    return [tensor for part in value for tensor in tensors_in(part)]


def _mapped(change: Callable[[Tensor], Tensor], value: Any) -> Any:
    """Returns arguments or results with every tensor changed."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, dict):
        return {name: _mapped(change, part) for name, part in value.items()}
    if isinstance(value, tuple | list) and not isinstance(value, torch.Size):
        return type(value)(_mapped(change, part) for part in value)
    return value


def _held(tensor: Tensor) -> Tensor:
    return tensor.held if isinstance(tensor, PretendedTensor) else tensor


@functools.cache
def _only_a_view(func: Any) -> bool:
    """Returns True if an operation launches nothing: its result is a view of an argument, or is not filled."""
    aliases = any(out.alias_info is not None and not out.alias_info.is_write for out in func._schema.returns)
    return aliases or func.__name__.split(".")[0] in ("empty", "empty_like", "empty_strided", "new_empty")


def _lands_on_gpu(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], pretended: bool, any_tensor: bool) -> bool:
    """Returns True if the result of an operation is on the GPU."""
    device = kwargs.get("device")
    if func is aten._local_scalar_dense.default:
        return False
    if func is aten._to_copy.default:
        if device is not None and torch.device(device).type == "meta":
            return False
        # C++ code that changes a dtype names the device that it sees, the CPU; a request from Python is `leaving`
        return is_gpu(device) or (pretended and not current.leaving)
    if func is aten.copy_.default or func in INDEXING:
        in_backward = torch._C._current_graph_task_id() != -1
        return isinstance(args[0], PretendedTensor) or (pretended and in_backward)
    if device is None:
        # what a function of a pretended tensor makes of nothing is on that tensor's device
        return pretended or (not any_tensor and bool(current.functions))
    if torch.device(device).type == "cpu":
        return pretended or (not any_tensor and bool(current.functions))
    return is_gpu(device)


def _must_not_mix(
    func: Any,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    tensors: Sequence[Tensor],
    pretended: Sequence[Tensor],
    there: bool,
) -> None:
    """Raises `Mixed` where CUDA refuses arguments of two devices."""
    drawn_from = current.generator if kwargs.get("generator") is not None else None
    if drawn_from is not None and is_gpu(drawn_from) != there:
        raise Mixed(f"{func} on {'cuda' if there else 'cpu'} has a generator on {drawn_from.type}, at {place()}")
    if func in INDEXING:
        if not isinstance(args[0], PretendedTensor) and any(isinstance(i, PretendedTensor) for i in args[1]):
            raise Mixed(f"{func}: a tensor on the CPU has an index on cuda:0, at {place()}")
        return
    if not pretended or func in (aten.copy_.default, aten._to_copy.default):
        return
    least = 0 if func in JOINING else 1  # elsewhere a CPU tensor without axes is as good as a number
    wrong = [tensor for tensor in tensors if not isinstance(tensor, PretendedTensor) and tensor.dim() >= least]
    if wrong:
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in wrong)
        raise Mixed(f"{func}: of its tensors, those of shape {shapes} are on the CPU, others on cuda:0, at {place()}")


def _count_waits(
    func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], pretended: Sequence[Tensor], there: bool
) -> None:
    """Notes in the ledger that the host waits for this operation, if it does."""
    if (ledger := current.ledger) is None:
        return
    inside = current.functions[-1] if current.functions else None
    if func is aten._local_scalar_dense.default:
        # On the CPU, `one_hot` compares its argument with the number of classes; on a GPU it does not look.
        if inside is not torch.nn.functional.one_hot:
            ledger.wait("a number read (item)")
    elif func in WAITING:
        ledger.wait(f"a size or an answer read ({func.__name__})")
    elif func is aten.copy_.default:
        source, blocking = args[1], not (len(args) > 2 and args[2]) and not kwargs.get("non_blocking")
        # `x[...] = 3.0` arrives as a copy of a CPU tensor without axes, which a GPU fills in without a copy
        filled = inside is Tensor.__setitem__ and source.dim() == 0
        if isinstance(source, PretendedTensor) != there and blocking and not filled:
            ledger.wait("a copy to the device" if there else "a copy to the host")
    elif func is aten._to_copy.default:
        if isinstance(args[0], PretendedTensor) != there and not kwargs.get("non_blocking"):
            ledger.wait("a copy to the device" if there else "a copy to the host")
    elif func in INDEXING and there:
        for index in args[1]:
            if index is not None and not isinstance(index, PretendedTensor):
                ledger.wait("an index copied to the device")
            if index is not None and index.dtype in (torch.bool, torch.uint8):
                ledger.wait("the size of a boolean index read")
