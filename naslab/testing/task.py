"""What every task promises: batches as functions of where they are, a loss that is a mean, metrics that add up."""

from __future__ import annotations

import functools
import json
import math
import pickle
from collections.abc import Mapping
from typing import Any

import cloudpickle
import torch
from torch import Tensor, nn

from naslab.errors import DataError, SpecError
from naslab.modes import evaluation_mode
from naslab.networks.heads import head_for, outputs_of
from naslab.randomness import seeded
from naslab.spaces import RecurrentCell
from naslab.tasks import Exchangeable, Stream, Task, from_spec
from naslab.tasks.checks import check_example, check_task, parts_of
from naslab.tasks.task import LOSS
from naslab.testing.case import Case, refused, skip
from naslab.testing.metric import check_merging, check_quantity, check_states_of
from naslab.trainers import fit
from naslab.trees import alike, described, tensors


class TaskCase(Case):
    """Checks of a task, and of its metrics.

        class TestMyTask(TaskCase):
            def make(self):
                return MyTask(examples=64)

    `make` gives the task with little data. A subclass may also say `network`, where heads read something else than a
    vector, or inputs have no fixed shape; `other`, a task with other data; `remade = False`, if a run must be given the
    data again; and `batch_size`.
    """

    batch_size = 6
    remade = True
    """Whether the data can be found again from the spec alone."""

    def make(self) -> Any:
        """The task."""
        raise NotImplementedError("make() gives the task to be checked: def make(self): return MyTask()")

    def other(self) -> Any:
        """The same kind of task with other data; None: its fingerprint is not compared."""
        return None

    def network(self) -> nn.Module:
        """A network for the task, without batch normalisation, so that examples do not depend on one another."""
        signature = self.task.signature
        with seeded(0):
            if not isinstance(signature.inputs, Mapping):
                shape, reads = signature.inputs.shape, {head.reads for head in signature.heads.values()}
                if signature.inputs.kind == "tokens" and reads == {"sequence"}:
                    space = RecurrentCell(nodes=2, hidden=6)
                    return space.build(space.sample(0), self.task)
                if None not in shape and signature.inputs.dtype == "float32" and reads == {"vector"}:
                    return nn.Sequential(nn.Flatten(), head_for(math.prod(shape), outputs_of(signature)))  # type: ignore[arg-type]
        raise NotImplementedError(f"say in network() what network the task can judge; its signature is {signature}")

    @functools.cached_property
    def task(self) -> Any:
        """What `make` gives, made once for each check."""
        return self.make()

    def batches(self, count: int = 3) -> list[Any]:
        """Mini-batches of the first part of the training data, the last of them with fewer rows."""
        stream = self.parts()[0]
        count = max(1, min(count, stream.steps(self.batch_size, 0, 0, "testing")))
        where = [stream.where(self.batch_size, 0, position, 0, "testing") for position in range(count)]
        found = [self.task.batch(one, split=stream.split) for one in where]
        return [*found[:-1], self.task.batch(where[-1], split=stream.split, rows=slice(self.batch_size // 2))]

    def parts(self, seed: int = 0) -> tuple[Stream, Stream]:
        """The streams for the weights and for the architecture."""
        return parts_of(self.task, seed, 0.5, self.batch_size)

    def judged(self) -> list[tuple[Any, Any]]:
        """Outputs of the network with the batch that they are judged by."""
        network = self.network()
        with evaluation_mode(network), torch.no_grad():
            return [(network(self.task.inputs(batch)), batch) for batch in self.batches()]

    # --- the task as a whole ---------------------------------------------------------------------------------

    def test_it_contradicts_itself_nowhere(self) -> None:
        task = self.task
        assert isinstance(task, Task), f"make() gave {task!r:.200}; expected a naslab.tasks.Task"
        for what, check in (
            ("check_task", lambda: check_task(task, "the case")),
            ("an example", lambda: check_example(task)),
        ):
            try:
                check()
            except SpecError as error:
                raise AssertionError(f"{what}: {error}") from error

    def test_it_is_found_again_from_its_spec(self) -> None:
        task = self.task
        spec = json.loads(json.dumps(task.spec()))
        assert isinstance(spec.get("task"), str), f"spec() lacks the name of the task under 'task': {spec!r:.300}"
        assert spec.get("fingerprint") == task.fingerprint(), (
            f"spec() has {spec.get('fingerprint')!r} under 'fingerprint', expected {task.fingerprint()!r}"
        )
        if not self.remade:
            with refused("from_spec of data that is not kept (remade = False)", error=DataError):
                from_spec(spec)
            return
        again = from_spec(spec)
        assert type(again) is type(task), f"the spec makes a {type(again).__name__}, expected {type(task).__name__}"
        assert again.spec() == task.spec(), f"made again from its spec it has another, {again.spec()}"
        self.check_alike(again.example(3), task.example(3), "the example of a task that is made again from its spec")

    def test_the_fingerprint_is_that_of_the_data(self) -> None:
        one, again = self.task.fingerprint(), self.make().fingerprint()
        assert isinstance(one, str), f"fingerprint() gives {one!r:.100}, expected a text"
        assert one == again, f"fingerprint() gives {one!r}, and of the same data once more {again!r}"
        if (other := self.other()) is not None:
            assert other.fingerprint() != one, (
                f"fingerprint() of other data is the same, {one!r}: take the data into it"
            )

    def test_it_travels_to_other_processes(self) -> None:
        again = pickle.loads(cloudpickle.dumps(self.task))  # noqa: S301
        one, other = again.fingerprint(), self.task.fingerprint()
        assert one == other, f"after it was pickled its fingerprint is {one!r}, expected {other!r}"
        self.check_alike(again.example(3), self.task.example(3), "the example of a task that was pickled")

    # --- data ------------------------------------------------------------------------------------------------

    def check_alike(self, came: Any, expected: Any, what: str) -> None:
        """Two trees of tensors are equal bit for bit."""
        assert alike(came, expected, tolerance=0), (
            f"{what} is {described(came)}, and differs from {described(expected)}"
        )

    def test_splits_are_streams_that_give_everything_once(self) -> None:
        for split, length in self.task.splits.items():
            stream = self.task.stream(split)
            assert isinstance(stream, Stream), f"stream({split!r}) gave {stream!r:.200}, expected a naslab.tasks Stream"
            assert stream.split == split, f"stream({split!r}) says that it is of the split {stream.split!r}"
            assert length > 0, f"the split {split!r} is empty"
            seen = sum(self.task.size(self.task.batch(where, split=split)) for where in stream.sweep(self.batch_size))
            assert stream.carries or seen == length, (
                f"a sweep over the split {split!r} gives {seen} {self.task.units}, and its length is {length}"
            )

    def test_the_parts_are_seeded_and_have_nothing_in_common(self) -> None:
        one, other = self.parts()
        for first, again in zip((one, other), self.parts(), strict=True):
            where = [stream.where(self.batch_size, 0, 0, 0, "testing") for stream in (first, again)]
            batches = [self.task.batch(each, split=first.split) for each in where]
            self.check_alike(batches[1], batches[0], "the first mini-batch of parts(0), asked for again,")
        if "valid" in self.task.splits:
            own = self.task.stream("valid").split
            assert other.split == own, (
                f"the task has validation data of its own, stream('valid') of the split {own!r}, and the second of its "
                f"parts is of the split {other.split!r}, from which its mini-batches would be read: return "
                f"stream('valid') there, or Exchangeable(indices, {own!r}); if it has none, have stream('valid') raise "
                "DataError"
            )
        if isinstance(one, Exchangeable) and isinstance(other, Exchangeable) and one.split == other.split:
            both = set(one.indices.tolist()) & set(other.indices.tolist())
            assert not both, (
                f"the examples {sorted(both)[:8]} are in both parts: weights and architecture would share them"
            )
            assert len(set(one.indices.tolist())) == len(one), "an example is in the first part twice"

    def test_a_mini_batch_is_a_function_of_where_it_is(self) -> None:
        stream, task = self.parts()[0], self.task
        steps = stream.steps(self.batch_size, 0, 0, "testing")
        assert steps >= 1, f"a pass of mini-batches of {self.batch_size} has {steps} steps"
        positions = sorted({0, steps - 1})
        world = torch.get_rng_state()
        forwards = [
            task.batch(stream.where(self.batch_size, 0, at, 0, "testing"), split=stream.split) for at in positions
        ]
        kept = [[tensor.clone() for tensor in tensors(batch)] for batch in forwards]
        assert torch.equal(torch.get_rng_state(), world), (
            "a mini-batch drew from torch's global generator; use `augment`"
        )
        for batch in forwards:
            for tensor in tensors(batch):
                tensor.zero_()
        for at, expected in list(zip(positions, kept, strict=True))[::-1]:
            batch = task.batch(stream.where(self.batch_size, 0, at, 0, "testing"), split=stream.split)
            self.check_alike(
                tensors(batch), expected, f"mini-batch {at} of a pass, made again after it was overwritten,"
            )

    def test_processes_that_share_a_mini_batch_see_what_one_would(self) -> None:
        stream, task = self.parts()[0], self.task
        where = stream.where(self.batch_size, 0, 0, 0, "testing")

        def made(rows: slice) -> Any:
            return task.batch(where, split=stream.split, augment=torch.Generator().manual_seed(5), rows=rows)

        whole, every = made(slice(None)), [slice(rank, None, 2) for rank in range(2)]
        shared = [made(rows) for rows in every]
        sizes, size = [task.size(part) for part in shared], task.size(whole)
        assert sum(sizes) == size, f"a mini-batch has the size {size}, and every other row of it the sizes {sizes}"
        for rows, part in zip(every, shared, strict=True):
            for expected, came in zip(tensors(whole), tensors(part), strict=True):
                wanted = [expected[rows], *([expected[:, rows]] if expected.ndim > 1 else [])]
                assert any(one.shape == came.shape and torch.equal(one, came) for one in wanted), (
                    f"the rows {rows.start}::2 of a mini-batch, {tuple(came.shape)}, are not those of the whole, "
                    f"{tuple(expected.shape)}: draw what is random for all of it, and take the rows then"
                )

    # --- loss and metrics ------------------------------------------------------------------------------------

    def test_the_loss_is_a_mean_with_a_gradient(self) -> None:
        task, network = self.task, self.network()
        stream = self.parts()[0]
        where = stream.where(self.batch_size, 0, 0, 0, "testing")
        cut = self.batch_size // 3
        losses, shapes = [], []
        with evaluation_mode(network):
            for rows in (slice(None), slice(cut), slice(cut, None)):
                batch = task.batch(where, split=stream.split, rows=rows)
                outputs = network(task.inputs(batch))
                shapes.append(f"outputs {described(outputs)}, batch {described(batch)}")
                loss = task.loss(outputs, batch)
                assert isinstance(loss, Tensor), f"the loss is {loss!r:.100}, expected a tensor"
                assert loss.ndim == 0, f"the loss has the shape {tuple(loss.shape)}, expected one number"
                assert torch.isfinite(loss), f"the loss of an untrained network is {float(loss.detach())}"
                losses.append((float(loss.detach()), task.size(batch)))
        (whole, size), *parts = losses
        expected = sum(one * weight for one, weight in parts) / size
        assert math.isclose(whole, expected, rel_tol=1e-3, abs_tol=1e-6), (
            f"the loss of a mini-batch is {whole}, and its parts of the sizes {[weight for _, weight in parts]} give "
            f"{expected}: the loss is to be the mean over what size() counts, or shapes broadcast: {shapes[0]}"
        )
        batch = task.batch(where, split=stream.split)
        outputs = network(task.inputs(batch))
        task.loss(outputs, batch, smoothing=0.1).backward()
        moved = any(one.grad is not None and bool(one.grad.any()) for one in network.parameters())
        assert moved, "the loss moves no weight: its gradient is nothing, or zero everywhere"
        carried = [tensor for tensor in tensors(task.carry(outputs)) if tensor.requires_grad]
        assert not carried, "carry() gives tensors with a gradient; detach them"

    def test_its_metrics_add_up(self) -> None:
        judged = self.judged()
        if len(judged) < 3:
            skip(f"the data has no three mini-batches of {self.batch_size}")
        for name, metric in self.task.metrics().items():
            check_quantity(metric, f"the metric {name!r}")
            check_states_of(metric, judged, f"the metric {name!r}")
            check_merging(metric, judged, f"the metric {name!r}")

    def test_the_metrics_of_a_mini_batch_hold_its_loss_and_its_reward(self) -> None:
        task = self.task
        outputs, batch = self.judged()[0]
        measured = task.measured(outputs, batch)
        names = [name for name, metric in task.metrics().items() if metric.every == "batch"]
        assert list(measured) == names, f"measured() has {list(measured)}, expected {names}"
        with torch.no_grad():
            loss = float(task.loss(outputs, batch))
        came = measured[LOSS]
        assert math.isclose(came, loss, rel_tol=1e-4, abs_tol=1e-6), f"the metric 'loss' is {came}, and loss() {loss}"
        reward = task.reward_of(outputs, batch)
        assert math.isfinite(reward), f"the reward of a mini-batch, {task.reward!r}, is {reward}"
        sign = 1 if task.metrics()[task.objective].direction == "max" else -1
        fitness = task.fitness_of(0.5)
        assert fitness == 0.5 * sign, f"the fitness of {task.objective} = 0.5 is {fitness}, expected {0.5 * sign}"

    def test_a_network_is_trained(self) -> None:
        report = fit(self.network(), self.task, epochs=1, batch_size=self.batch_size, held_out=0.25)
        for name, value in report.metrics.items():
            assert isinstance(value, float), f"{name} after an epoch is {value!r:.100}, expected a float"
        loss = report.history[-1].train_loss
        assert math.isfinite(loss), f"the training loss after an epoch is {loss}"
