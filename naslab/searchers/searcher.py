"""The interface between search algorithms and `naslab.Search`.

Two kinds of searchers implement it. A `SupernetSearcher` owns shared weights, and a step is a mini-batch. A `Sampler`
proposes architectures and evaluates none; `BlackBoxSearch` joins it with an estimator, and a step is an evaluation.
`naslab.Search` adds run folders, snapshots and steering, so that no searcher has to know of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from naslab.architecture import Architecture
from naslab.blobs import Blobs
from naslab.events import Event
from naslab.quantities import Quantity
from naslab.searchers.settings import Act, Setting
from naslab.snapshot import State
from naslab.spaces.space import Space


class Stepper(Protocol):
    """A search algorithm that advances by steps, with one event each. Its `state_dict` determines all later steps."""

    @property
    def space(self) -> Space: ...

    @property
    def step(self) -> int:
        """Number of steps finished so far."""
        ...

    @property
    def total(self) -> int:
        """Number of steps in the whole search."""
        ...

    @property
    def task(self) -> Any:
        """Task that networks are trained on; None if nothing is trained."""
        ...

    def fingerprint(self) -> str:
        """Returns a hex checksum of the data or the estimator; a run is only resumed with the same one."""
        ...

    def advance(self) -> Event:
        """Does one step and returns its event."""
        ...

    def repeat(self, logged: Event) -> Event:
        """Repeats the step of a logged event, with its measured values; returns an equal event."""
        ...

    waited: float
    """Seconds of the last step that `repeat` saves, such as an evaluation."""

    def beside(self) -> Sequence[Event]:
        """Returns further events of the last step: a `Phase` that began with it, measurements after it."""
        ...

    @property
    def best(self) -> Architecture: ...

    @property
    def metrics(self) -> Mapping[str, Quantity]:
        """Name -> direction and unit of each metric in the events, in the order of display."""
        ...

    @property
    def settings(self) -> Mapping[str, Setting]: ...

    def in_force(self, name: str) -> Any: ...

    def check_setting(self, name: str, value: Any) -> Any: ...

    def set(self, name: str, value: Any) -> None: ...

    def apply_setting(self, name: str, value: Any) -> None: ...

    def aged(self, name: str, value: Any, step: int) -> Any:
        """Returns what a value that was set before step `step` has become by now, where a schedule changes it."""
        ...

    def planned(self, values: Mapping[str, Any]) -> int:
        """Returns the number of steps in the whole search if these settings had these values now."""
        ...

    @property
    def end_of_epoch(self) -> int:
        """Last step of the epoch that the next step belongs to; `SpecError` if there are no epochs."""
        ...

    @property
    def acts(self) -> Mapping[str, Act]: ...

    def check_act(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]: ...

    def act(self, name: str, arguments: Mapping[str, Any]) -> Any: ...

    def measure(self, name: str) -> float: ...

    def spec(self) -> dict[str, Any]: ...

    def state_dict(self) -> State: ...

    def load_state_dict(self, state: State) -> None: ...

    @property
    def alone(self) -> Any:
        """Lock that the thread which advances the search holds."""
        ...

    def keep_states_in(self, blobs: Blobs) -> None:
        """From now on, keeps large states that events refer to in `blobs`."""
        ...

    def keep_in(self, store: Path) -> None:
        """From now on, keeps results that are expensive to recompute, such as trained weights, in this folder."""
        ...

    def take_trainings(self, other: Stepper) -> None:
        """Copies what another search kept by `keep_in`; this one is its continuation or its fork."""
        ...

    def check_workers(self, workers: int) -> int:
        """Returns the number of candidates to evaluate at once; `SpecError` if that many are not possible."""
        ...

    def close(self) -> None:
        """Releases resources other than memory, such as worker processes."""
        ...
