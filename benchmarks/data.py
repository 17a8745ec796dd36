"""The share of a search step that waits for its images: augmented on tensors, in batches, in the same thread."""

from __future__ import annotations

import statistics
import time
from typing import Any

import naslab as nl
from naslab.randomness import torch_generator
from naslab.threads import torch_threads

MUST = 0.05
"""At most so much of a step."""


def share(batch: int = 32, rounds: int = 15) -> dict[str, Any]:
    """Of a first-order step of `DartsCell.laptop()` on Fashion-MNIST, the smallest search that there is."""
    task = nl.tasks.FashionMNIST()
    search = nl.searchers.Darts(nl.spaces.DartsCell.laptop(), task, batch_size=batch, epochs=1)
    steps, loads = [], []
    indices = task.split_train_valid(0, 0.5)[0]
    with torch_threads(1):
        for number in range(rounds + 1):
            start = time.perf_counter()
            search.advance()
            middle = time.perf_counter()
            for half in ("weights", "architecture"):
                task.batch(indices[number * batch : (number + 1) * batch], augment=torch_generator(number, half))
            steps.append(middle - start)
            loads.append(time.perf_counter() - middle)
    step, load = statistics.median(steps[1:]), statistics.median(loads[1:])
    return {"batch": batch, "step_milliseconds": 1e3 * step, "load_milliseconds": 1e3 * load, "share": load / step}
