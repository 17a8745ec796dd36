"""The spec of a searcher with shared weights: what it was made with, as JSON, and such a searcher made of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from naslab import spaces, tasks
from naslab.searchers.hyperparameters import hyperparameters_from_spec
from naslab.spaces.space import Space


def spec_of(searcher: Any, space: Space, hyperparameters: Mapping[str, Any], **execution: Any) -> dict[str, Any]:
    """JSON of a searcher with a task, a seed, a device and threads.

    Args:
        space: the space that it was made with.
        hyperparameters: as JSON.
        execution: further keyword arguments of its class that say how it computes.
    """
    return {
        "searcher": searcher.name,
        "space": space.spec(),
        "task": searcher.task.spec(),
        "seed": searcher.seed,
        "device": str(searcher.device),
        "threads": searcher.threads,
        **execution,
        "hyperparameters": dict(hyperparameters),
    }


def made_from(cls: Any, spec: Mapping[str, Any], task: Any, *, device: str, **execution: Any) -> Any:
    """The searcher of a class that `spec_of` described.

    Args:
        task: stands in for one that JSON cannot bring back.
        device: where it computes here (`naslab.device.kept_device`).
        execution: further keyword arguments of the class.
    """
    return cls(
        spaces.from_spec(spec["space"]),
        tasks.from_spec(spec["task"], task),
        seed=spec["seed"],
        device=device,
        threads=spec["threads"],
        **execution,
        **hyperparameters_from_spec(cls.Hyperparameters, spec["hyperparameters"]),
    )
