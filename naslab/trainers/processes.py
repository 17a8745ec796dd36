"""Data-parallel training in several processes: the process group, its collective operations, and its start.

A training takes part in a group of processes in one of three ways: the script was started by `torchrun`,
which says so in the environment; the script made a `torch.distributed` group of its own; or
`fit(..., processes=2)` starts the others itself, which works from a notebook too.
"""

from __future__ import annotations

import atexit
import copy
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.multiprocessing.spawn import ProcessException, start_processes

from naslab import errors
from naslab.device import named_device, usable_device
from naslab.errors import NaslabError, RunError, SpecError
from naslab.notebook_code import packed, unpacked


@dataclass(frozen=True)
class Group:
    """The processes that share a training, seen from one of them. A group of one process communicates nothing."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    """Rank among the processes of this machine; also the index of the GPU."""

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor by its mean over the processes, in one all-reduce."""
        if self.size == 1:
            return
        tensors = list(tensors)
        flat = torch.cat([tensor.detach().reshape(-1).float() for tensor in tensors])
        dist.all_reduce(flat)
        flat /= self.size
        for tensor, part in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.detach().copy_(part.view_as(tensor))

    def total(self, values: list[float], device: torch.device) -> list[float]:
        """Returns each number summed over the processes."""
        if self.size == 1:
            return values
        tensor = torch.tensor(values, dtype=torch.float64, device=device)
        dist.all_reduce(tensor)
        return tensor.tolist()

    def gather(self, value: Any) -> list[Any]:
        """Returns the values of all processes, by rank. A value must be picklable and hold no tensors on a GPU."""
        if self.size == 1:
            return [value]
        found: list[Any] = [None] * self.size
        dist.all_gather_object(found, value)
        return found

    def agree(self, network: nn.Module, *, buffers_only: bool = False) -> None:
        """Copy the weights and buffers, or the buffers only, of rank 0 to every process."""
        if self.size > 1:
            for tensor in (*(() if buffers_only else network.parameters()), *network.buffers()):
                dist.broadcast(tensor.detach(), src=0)

    def wait(self) -> None:
        """Barrier: return when all processes have called it."""
        if self.size > 1:
            dist.barrier()

    def device(self, wished: str | torch.device | None) -> torch.device:
        """Returns the device of this process: its own GPU if there are any, else the CPU."""
        check_number(wished, self.size)
        device = usable_device(wished)
        return usable_device(f"cuda:{self.local_rank}") if device.type == "cuda" and self.size > 1 else device


def check_number(device: str | torch.device | None, size: int) -> None:
    """Raises `SpecError` if one GPU is named for several processes, each of which has one of its own."""
    if size > 1 and device is not None and (named := named_device(device)).type == "cuda" and named.index is not None:
        raise SpecError(
            f"device={str(device)!r} names one GPU, and {size} processes take one each, from cuda:0 on; say "
            "device='cuda', and choose which ones by CUDA_VISIBLE_DEVICES before Python starts"
        )


def join(device: str | torch.device | None) -> Group:
    """Returns the group of this process; joins the one that `torchrun`'s environment variables describe, if any."""
    if not dist.is_available():
        return Group()
    if not dist.is_initialized():
        if int(os.environ.get("WORLD_SIZE", 1)) == 1 or "RANK" not in os.environ:
            return Group()
        _enter(usable_device(device).type == "cuda", _local_rank(int(os.environ["RANK"])))
        atexit.register(_leave)
    return Group(dist.get_rank(), dist.get_world_size(), _local_rank(dist.get_rank()))


def _local_rank(rank: int) -> int:
    return int(os.environ.get("LOCAL_RANK", rank % max(1, torch.cuda.device_count())))


def _enter(cuda: bool, local_rank: int, **options: Any) -> None:
    """Join a group, on GPUs with one of its own for this process: NCCL would have to guess which it is, and warns."""
    if cuda:
        torch.cuda.set_device(local_rank)
        dist.init_process_group("nccl", device_id=torch.device("cuda", local_rank), **options)
    else:
        dist.init_process_group("gloo", **options)


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


Job = Callable[[nn.Module], Iterator[Any]]
"""A training as a picklable function of the network, which yields its progress."""


def spread(job: Job, network: nn.Module, size: int, *, cuda: bool, threads: int | None) -> Iterator[Any]:
    """Run the job in `size` new processes; yield what rank 0 yields, and load its weights into `network`.

    The processes are spawned, not forked, since forks break threads and CUDA. In a script the call must therefore stand
    under `if __name__ == "__main__":`. The network, the task and their classes may be defined in a notebook
    (`naslab.notebook_code`).
    """
    work = packed((job, _without_tensors(network)))
    spawn = torch.multiprocessing.get_context("spawn")
    said = spawn.SimpleQueue()
    threads = threads if threads is not None else max(1, torch.get_num_threads() // size)
    with tempfile.TemporaryDirectory(prefix="naslab-") as folder:
        rendezvous = (Path(folder) / "rendezvous").as_uri()
        context: Any = start_processes(
            _child,
            (size, rendezvous, cuda, threads, said, work),
            nprocs=size,
            join=False,
            start_method="spawn",
        )
        weights: dict[str, np.ndarray] | None = None
        begun = False
        try:
            running = True
            while running or not said.empty():
                while not said.empty():
                    kind, content = said.get()
                    if kind == "error":
                        name, message = content
                        raise getattr(errors, name, RunError)(message)
                    if kind == "ready":
                        begun = True
                    elif kind == "weights":
                        weights = content
                    else:
                        yield content
                running = running and not _ended(context, said, begun)
        finally:
            for process in context.processes:
                if process.is_alive():
                    process.terminate()
                process.join()
    if weights is None:
        raise RunError("the processes of this training ended without a result; see what they wrote")
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            tensor.copy_(torch.from_numpy(weights[name]))


def _ended(context: Any, said: Any, begun: bool) -> bool:
    """Wait briefly; True if all processes have ended without error. A reported error takes precedence over a crash."""
    try:
        return context.join(timeout=0.05)
    except ProcessException as error:
        if not said.empty():
            return True
        if not begun:
            raise RunError(
                f"the processes of this training could not be started ({error}); what they wrote says why. In a "
                'script, fit(..., processes=...) may stand only under `if __name__ == "__main__":`, for each of them '
                "imports the script"
            ) from error
        raise RunError(f"a process of this training failed: {error}") from error


def _child(rank: int, size: int, rendezvous: str, cuda: bool, threads: int, said: Any, work: bytes) -> None:
    if rank == 0:
        said.put(("ready", None))
    torch.set_num_threads(threads)
    os.environ["LOCAL_RANK"] = str(rank)
    _enter(cuda, rank, init_method=rendezvous, rank=rank, world_size=size)
    try:
        job, network = _read(work)
        network = _with_tensors(network)
        for word in job(network):
            if rank == 0:
                said.put(("word", word))
        if rank == 0:
            said.put(("weights", {name: tensor.cpu().numpy() for name, tensor in network.state_dict().items()}))
    except NaslabError as error:
        said.put(("error", (type(error).__name__, str(error))))
        raise SystemExit(1) from None
    finally:
        _leave()


def _read(work: bytes) -> tuple[Job, nn.Module]:
    try:
        return unpacked(work)
    except Exception as error:  # the pickle refers to something that this process cannot import
        raise SpecError(
            f"the network or the task cannot be read by another process ({type(error).__name__}: {error}); put your "
            "own classes into this notebook or script, or into a file that can be imported, or train in this process, "
            "processes=1"
        ) from error


@dataclass(frozen=True, eq=False)
class _Array:
    """A tensor as a NumPy array, to be sent to another process. torch sends each tensor through shared
    memory with its own file descriptor, and a network may exceed the limit on those; arrays go through the pipe."""

    values: np.ndarray[Any, Any]
    parameter: bool
    requires_grad: bool


def _without_tensors(network: nn.Module) -> nn.Module:
    """Returns a copy of the network with arrays in place of parameters and buffers. It can only be pickled."""
    known = {}
    for tensor in (*network.parameters(), *network.buffers()):
        array = tensor.detach().cpu().numpy()
        known[id(tensor)] = _Array(array, isinstance(tensor, nn.Parameter), tensor.requires_grad)
    return copy.deepcopy(network, known)  # entries of the memo count as already copied


def _with_tensors(network: nn.Module) -> nn.Module:
    """Inverse of `_without_tensors`; tensors that were shared between modules are shared again."""
    made: dict[int, Tensor] = {}
    for module in network.modules():
        slots: list[dict[str, Any]] = [module.__dict__["_parameters"], module.__dict__["_buffers"]]
        for values in slots:
            for name, sent in values.items():
                if isinstance(sent, _Array):
                    if id(sent) not in made:
                        tensor = torch.from_numpy(sent.values.copy())
                        made[id(sent)] = nn.Parameter(tensor, sent.requires_grad) if sent.parameter else tensor
                    values[name] = made[id(sent)]
    return network
