"""Train a network from the weights it has: `fit(network, task, epochs=5, seed=0)`.

    for each epoch, for each mini-batch:
        learning rate <- warm-up, then cosine
        outputs       <- network(inputs of the mini-batch, and for texts the hidden state after the one before)
        loss          <- loss of the task (+ 0.4 x loss of the auxiliary head, if any; + regularisation of the task)
        gradient      <- averaged over the processes, clipped
        weights       <- SGD or Adam, or averaged SGD from some epoch on
    after each epoch: the task's metrics on the held-out and on the test data; checkpoint

A loss or gradient that is NaN or infinite ends the training with `Diverged`; the checkpoint of the previous epoch
stays.

All random numbers are functions of (seed, purpose, step), so that a training resumes from its checkpoint bit for bit,
and the global random generators are left unchanged.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

import torch
from torch import nn
from tqdm.auto import tqdm

from naslab.architecture import Architecture
from naslab.errors import SpecError, whole
from naslab.immutable import FrozenDict
from naslab.out_of_memory import within_memory
from naslab.paths import check_writable, path_of
from naslab.progress import interactive
from naslab.tasks.checks import check_task
from naslab.tasks.task import Task
from naslab.threads import torch_threads
from naslab.torch_state import default_torch_state, each_in_default_torch_state
from naslab.trainers.checkpoint import Checkpoint
from naslab.trainers.loop import TrainingLoop
from naslab.trainers.processes import check_number, join, spread
from naslab.trainers.recipe import Recipe
from naslab.trainers.report import Epoch, Report


@default_torch_state()
def fit(
    network: nn.Module,
    task: Any,
    *,
    recipe: Recipe | None = None,
    seed: int = 0,
    device: str | torch.device | None = None,
    processes: int = 1,
    threads: int | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    test: bool = True,
    progress: bool | None = None,
    **hyperparameters: Any,
) -> Report:
    """Train the network in place, and test it. Afterwards it is in evaluation mode, on the device, even if the training
    was interrupted or failed.

    Args:
        network: maps the inputs of the task to its outputs. For images, [B, C, H, W] -> logits [B, K]; in training mode
            it may return the pair (logits, auxiliary logits).
        task: data, loss and metrics, for instance `naslab.tasks.FashionMNIST()`.
        recipe: hyperparameters; `Recipe()` by default.
        seed: seed of the order of the data, augmentation and drop path. Training starts from the network's weights.
        device: by default the GPU if there is one, else the CPU.
        processes: number of processes that share each mini-batch, with one GPU each if there are GPUs; they are started
            by this call, and end with it. In a script started by `torchrun` leave it at 1: the training joins the
            existing group, and every process gets the same report.
        threads: CPU threads of this training, in each process; None: torch's setting (divided among `processes`).
        checkpoint: file that is written after every epoch. If it exists, the training resumes from it, with results
            equal bit for bit to those without interruption. A checkpoint after fewer epochs can be continued too, if
            the learning rate is constant or scheduled over `schedule_epochs`. The network must be the same except for
            its weights: the same modules, computing the same function in evaluation mode. Processes on several
            machines need a shared disk.
        test: whether to evaluate on the test data after each epoch, if the task has any.
        progress: whether to show a progress bar; by default only in notebooks and terminals.
        hyperparameters: changes to the recipe, by name: `epochs=20, learning_rate=0.1`.

    Raises:
        Diverged: a loss or gradient was not finite.
        OutOfMemory: the memory is too small; the error names a batch size that fits.
        RunError: the checkpoint is damaged, or belongs to another training.
    """
    if isinstance(network, Architecture):
        raise SpecError(
            "fit trains a network, and this is the architecture of one; build it first: "
            "fit(space.build(architecture, task), task)"
        )
    if not isinstance(network, nn.Module):
        raise SpecError(f"fit trains a network, a torch.nn.Module, not {type(network).__name__}")
    _check_weights(network)
    check_kinds(task, recipe)
    recipe = (recipe if recipe is not None else Recipe()).but(**hyperparameters)
    processes, seed = whole("processes", processes, 1), whole("seed", seed)
    if checkpoint is not None:
        checkpoint = path_of("the checkpoint", checkpoint)
    start = time.perf_counter()
    history: list[Epoch] = []
    job = partial(train, task=task, recipe=recipe, seed=seed, device=device, checkpoint=checkpoint, test=test)
    with ExitStack() as stack:
        stack.callback(network.eval)  # also after an interrupt, or if the training diverges
        group = join(device)
        if processes > 1:
            if group.size > 1:
                raise SpecError(
                    f"this process is one of {group.size} that train together; leave processes at 1 in such a script"
                )
            check_number(device, processes)
            cuda = group.device(device).type == "cuda"
            if cuda and processes > torch.cuda.device_count():
                raise SpecError(f"processes={processes} need a GPU each, and there are {torch.cuda.device_count()}")
            _check_share(recipe, processes)
            epochs = spread(job, network, processes, cuda=cuda, threads=threads)
        else:
            stack.enter_context(torch_threads(threads))
            epochs = job(network)
        shown = (interactive() if progress is None else progress) and group.rank == 0
        bar = stack.enter_context(tqdm(total=recipe.epochs, unit="epoch", disable=not shown))
        for row in epochs:
            history.append(row)
            bar.update()
            judged = ("valid", "test") if f"test/{task.objective}" not in row.metrics else ("test",)
            shown_of = {f"{split}_{task.objective}": row.metrics.get(f"{split}/{task.objective}") for split in judged}
            said = {name: f"{value:.3f}" for name, value in shown_of.items() if value is not None}
            bar.set_postfix({"loss": f"{row.train_loss:.3f}", **said})
    return Report(
        history=tuple(history),
        parameters=sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad),
        recipe=recipe,
        seed=seed,
        objective=task.objective,
        quantities=FrozenDict(task.quantities),
        notes=tuple(task.notes),
        seconds=time.perf_counter() - start,
    )


@each_in_default_torch_state
def train(
    network: nn.Module,
    *,
    task: Any,
    recipe: Recipe,
    seed: int,
    device: str | torch.device | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    test: bool = True,
) -> Iterator[Epoch]:
    """Run the training and yield each epoch; epochs that the checkpoint already holds come first."""
    group = join(device)
    _check_share(recipe, group.size)
    training = TrainingLoop(network, task, recipe, seed, group, group.device(device), test=test)
    kept = None if checkpoint is None else Checkpoint(path_of("the checkpoint", checkpoint), training)
    if kept is not None:
        if kept.exists():
            kept.read()
        if not training.finished and group.rank == 0:
            check_writable("the checkpoint", kept.path)
    yield from training.history
    while not training.finished:
        epoch = f"epoch {len(training.history) + 1} of a training"
        within_memory(training.advance, training.device, training.smaller_batch, what=epoch)
        if kept is not None:
            kept.write()
        yield training.history[-1]
    training.end()


def _check_weights(network: nn.Module) -> None:
    """Raise an error for weights that no recipe can train."""
    for tensor in (*network.parameters(), *network.buffers()):
        if tensor.is_meta:
            raise SpecError(
                "the network was made on torch's meta device, where weights have shapes and no numbers; make it "
                "outside `with torch.device('meta')`, and without torch.set_default_device('meta')"
            )
        if tensor.is_inference():
            raise SpecError(
                "the network was made inside torch.inference_mode(), and its weights can never be trained; make it "
                "outside (torch.no_grad() does no harm)"
            )


def check_kinds(task: Any, recipe: Any) -> Task:
    """Returns the task; raises an error for a wrong type of task or recipe."""
    if not isinstance(task, Task):
        raise SpecError(
            f"the task must be one of naslab.tasks, not {type(task).__name__}; of your own data "
            "naslab.tasks.Images.from_arrays(x, y) makes one, and a class of your own that extends naslab.tasks.Task"
        )
    if recipe is not None and not isinstance(recipe, Recipe):
        raise SpecError(f"the recipe must be a Recipe, not {type(recipe).__name__}; write Recipe(epochs=5), say")
    return check_task(task, "a training")


def _check_share(recipe: Recipe, size: int) -> None:
    if recipe.batch_size % size:
        raise SpecError(
            f"a batch of {recipe.batch_size} cannot be shared evenly by {size} processes; "
            f"take batch_size={recipe.batch_size // size * size or size}"
        )
