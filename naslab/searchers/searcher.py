"""The interface that `naslab.Search` drives.

A *supernet searcher* owns shared weights and moves by mini-batches (`SupernetSearcher`). A *sampler*, which evaluates
nothing and speaks ask and tell, is its sibling (`Sampler`); with an estimator it makes steps
(`naslab.searchers.black_box`). `naslab.Search` drives whatever is `Stepper`, and knows of runs, snapshots and steering,
so that a searcher knows of none of them.
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
    """What `naslab.Search` drives: moves by steps, one event each, and has a state that is the whole truth."""

    @property
    def space(self) -> Space: ...

    @property
    def step(self) -> int:
        """Steps finished so far."""
        ...

    @property
    def total(self) -> int:
        """Steps in the whole search."""
        ...

    @property
    def task(self) -> Any:
        """What is trained on, if anything."""
        ...

    def fingerprint(self) -> str:
        """Hex checksum of what the steps are judged by (data, an estimator); it must be the same when a run goes on."""
        ...

    def advance(self) -> Event:
        """Do one step."""
        ...

    def repeat(self, logged: Event) -> Event:
        """Do the step again that the event tells of; the event that comes of it is to be the same."""
        ...

    waited: float
    """Seconds of the last step that doing it again does without."""

    def beside(self) -> Sequence[Event]:
        """What is to be said beside the last step: `Phase`s that began with it, what was measured after it."""
        ...

    @property
    def best(self) -> Architecture: ...

    @property
    def metrics(self) -> Mapping[str, Quantity]:
        """What is known of the numbers in its events, by name, in the order in which they are shown."""
        ...

    @property
    def settings(self) -> Mapping[str, Setting]: ...

    def in_force(self, name: str) -> Any: ...

    def check_setting(self, name: str, value: Any) -> Any: ...

    def set(self, name: str, value: Any) -> None: ...

    def apply_setting(self, name: str, value: Any) -> None: ...

    def aged(self, name: str, value: Any, step: int) -> Any:
        """What a value of a setting would be by now that was put into force before this step."""
        ...

    def planned(self, values: Mapping[str, Any]) -> int:
        """Steps in the whole search, were these values of settings put into force now."""
        ...

    @property
    def end_of_epoch(self) -> int:
        """The step with which the epoch ends that the next step is in; `SpecError` where there are none."""
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
        """A context manager, to be held by whoever moves it."""
        ...

    def keep_states_in(self, blobs: Blobs) -> None:
        """Keep states besides the events there, from here on."""
        ...

    def keep_in(self, store: Path) -> None:
        """Keep what is dear to do again in this folder, from here on."""
        ...

    def take_trainings(self, other: Stepper) -> None:
        """Take along what another has kept so, which this goes on from."""
        ...

    def check_workers(self, workers: int) -> int:
        """The number of candidates to be evaluated at once, if there can be so many."""
        ...

    def close(self) -> None:
        """Let go of what it holds besides memory."""
        ...
