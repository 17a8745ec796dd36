"""A step follows from (seed, step) and the state alone: the same search again, from any state, in any process."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from typing import Any

import torch

from naslab.errors import SpecError
from naslab.estimators import Function
from naslab.events import Event
from naslab.searchers import BlackBoxSearch, Sampler, Slider, SupernetSearcher, forecast, from_spec, lr_find
from naslab.searchers.shared_weights import WeightSharing
from naslab.snapshot import State
from naslab.spaces import Space
from naslab.testing.case import Case, check_events, check_states, refused, skip
from naslab.testing.examples import Checksum
from naslab.testing.torch_settings import disturbed_torch


class SearcherChecks(Case):
    """What a case of a searcher can say, and what its checks have in common."""

    other: Mapping[str, Any] = {}
    """Hyperparameters with other values than their defaults."""
    nonsense: tuple[Mapping[str, Any], ...] = ({"seed": -1}, {"seed": True}, {"seed": "one"})
    """What is refused when a searcher is made."""
    change: tuple[str, Any] | None = None
    """A setting and another value for it; None: the first slider, doubled."""
    deterministic = False
    """Whether searches of all seeds are the same."""
    budget = 40
    """Candidates of a search that evaluates those of a sampler."""
    steps: int | None = None
    """Steps that show all that the searcher does, 3 or more. None: 20 candidates, 7 steps of weight sharing, or 3 of
    other searchers."""

    variant = ""
    """Name of the searcher that `make` gives, where instances of a class are of several."""

    def make(self, **given: Any) -> Any:
        """A fresh searcher with this seed, and these hyperparameters."""
        raise NotImplementedError(
            "make(**given) gives the searcher to be checked: def make(self, **given): return MySearcher(space, **given)"
        )

    def estimator(self, space: Space) -> Any:
        """What candidates of a searcher that proposes are worth."""
        return Checksum(space)

    def begun(self, **given: Any) -> Any:
        """A fresh search that moves by steps: the searcher itself, or with the estimator."""
        searcher = self.make(**given)
        assert isinstance(searcher, Sampler | SupernetSearcher), (
            f"make() gave {searcher!r:.200}; expected a naslab.searchers.Sampler or SupernetSearcher"
        )
        if isinstance(searcher, Sampler):
            return BlackBoxSearch(searcher, self.estimator(searcher.space), self.budget)
        return searcher

    def count(self, searcher: Any) -> int:
        """Steps that show all that the searcher does."""
        if self.steps is not None:
            return max(3, self.steps)
        return 20 if isinstance(searcher, BlackBoxSearch) else 7 if isinstance(searcher, WeightSharing) else 3

    def straight(self) -> tuple[list[Event], State]:
        """The first steps of the seed 3, and the state after them: done once for all checks of a class, and for each
        `variant`.
        """
        known = vars(type(self)).get("_straight")
        if known is None:
            setattr(type(self), "_straight", known := {})  # noqa: B010
        if self.variant not in known:
            searcher = self.begun(seed=3)
            known[self.variant] = advanced(searcher, self.count(searcher)), searcher.state_dict()
        return known[self.variant]

    def changed(self, searcher: Any) -> tuple[str, Any] | None:
        """A setting and another value for it."""
        if self.change is not None:
            return self.change
        for name, setting in searcher.settings.items():
            if isinstance(setting, Slider) and (value := doubled(setting)) != setting.value:
                return name, value
        return None


def doubled(setting: Slider) -> float:
    """Twice the value of a slider, as far as it goes."""
    return min(setting.high, setting.value * 2)


def advanced(searcher: Any, steps: int) -> list[Event]:
    """Returns the events of the next steps."""
    return [searcher.advance() for _ in range(steps)]


class ReplayChecks(SearcherChecks):
    """Checks that a search is repeated bit for bit."""

    def test_same_seed_same_search_however_torch_is_set(self) -> None:
        expected, state = self.straight()
        with disturbed_torch():
            other = self.begun(seed=3)
            came = advanced(other, len(expected))
            check_events(came, expected, "with other settings of torch (default dtype and device, autocast)")
            check_states(other.state_dict(), state, "with other settings of torch")

    def test_another_seed_another_search(self) -> None:
        if self.deterministic:
            skip("the searcher is deterministic")
        one, other = self.begun(seed=3), self.begun(seed=4)
        steps = self.count(one)
        assert any(one.advance() != other.advance() for _ in range(steps)), (
            f"the seeds 3 and 4 give the same first {steps} steps; draw from (seed, what for, step), or from self.rng"
        )

    def test_the_world_does_not_leak_in_or_out(self) -> None:
        torch.manual_seed(1)
        one = self.begun(seed=3)
        world, threads = torch.get_rng_state(), torch.get_num_threads()
        first = one.advance()
        assert torch.equal(torch.get_rng_state(), world), (
            "a step drew from torch's global generator; give a generator, or draw inside naslab.randomness.seeded(...)"
        )
        now = torch.get_num_threads()
        assert now == threads, f"a step left torch with {now} threads, expected {threads}, as before"
        torch.manual_seed(2)
        check_events([self.begun(seed=3).advance()], [first], "after torch.manual_seed(2)")

    def test_state_is_the_whole_truth(self) -> None:
        """A fresh searcher with the state of another does what that one does next, from the start and on the way."""
        straight = self.begun(seed=3)
        steps = self.count(straight)
        if changed := self.changed(straight):
            straight.set(*changed)
        starts = sorted({0, min(2, steps), min(9, steps)})
        states, events = {0: straight.state_dict()}, []
        for step in sorted({*starts, *(start + steps for start in starts)})[1:]:
            events += advanced(straight, step - len(events))
            states[step] = straight.state_dict()
        for start in starts:
            resumed = self.begun(seed=3)
            resumed.load_state_dict(states[start])
            assert resumed.step == start, f"a state after {start} steps makes a searcher after {resumed.step} steps"
            came, expected = advanced(resumed, steps), events[start : start + steps]
            check_events(came, expected, f"from the state after {start} steps")
            check_states(resumed.state_dict(), states[start + steps], f"{steps} steps after the state of step {start}")
            best = expected[-1].best  # type: ignore[attr-defined]
            assert best is None or resumed.best == best, f"best is {resumed.best}, and {best} in the last event"

    def test_state_is_a_copy(self) -> None:
        searcher = self.begun(seed=3)
        searcher.advance()
        state = searcher.state_dict()
        before = {name: value.clone() if isinstance(value, torch.Tensor) else value for name, value in state.items()}
        searcher.advance()
        check_states(state, before, "a state that was taken before the last step (copy tensors in state_dict)")

    def test_loading_forgets_what_was_there(self) -> None:
        """A searcher that has moved on goes back to the very start, momentum and all."""
        searcher = self.begun(seed=3)
        start = searcher.state_dict()
        expected = advanced(searcher, self.count(searcher))
        searcher.load_state_dict(start)
        check_events(advanced(searcher, len(expected)), expected, "after load_state_dict of the state at the start")

    def test_a_step_that_is_done_again_is_the_same(self) -> None:
        again = self.begun(seed=3)
        logged, state = self.straight()
        check_events([again.repeat(event) for event in logged], logged, "repeat(event)")
        check_states(again.state_dict(), state, "after repeat(event) of each step")

    def test_spec_through_json(self) -> None:
        searcher = self.begun(seed=3, **self.other)
        spec = json.loads(json.dumps(searcher.spec()))
        if isinstance(searcher, BlackBoxSearch):
            again = from_spec(spec, estimator=searcher.estimator if isinstance(searcher.estimator, Function) else None)
        else:
            again = from_spec(spec, searcher.task)
        assert again.spec() == searcher.spec(), f"made again from its spec it has another, {again.spec()}, not {spec}"
        assert again.total == searcher.total, f"made again it has {again.total} steps, expected {searcher.total}"
        one, other = again.fingerprint(), searcher.fingerprint()
        assert one == other, f"made again its fingerprint is {one}, expected {other}"
        check_events([again.advance()], [searcher.advance()], "made again from its spec")

    def test_a_forecast_and_a_range_test_change_nothing(self) -> None:
        """Time, memory and rates are tried on a copy: every bit of the search is what it would have been."""
        straight, tried = self.begun(seed=3), self.begun(seed=3)
        steps = self.count(straight)
        if changed := self.changed(straight):
            straight.set(*changed)
            tried.set(*changed)
        if isinstance(tried, BlackBoxSearch):
            check_events([tried.advance()], [straight.advance()], "the first step")
        before, world, threads = tried.state_dict(), torch.get_rng_state(), torch.get_num_threads()
        found = forecast(tried, steps=1, threads=False)
        parts = sum(part.count for part in found.parts)
        assert found.steps == tried.total - tried.step == parts, (
            f"forecast counts {found.steps} steps, and {parts} in its parts; {tried.total - tried.step} are left"
        )
        assert found.total > 0, f"forecast says that {found.steps} steps take {found.total} seconds"
        for name in {name for stretch in getattr(tried, "ahead", list)() for name in stretch.moves}:
            losses = lr_find(tried, name, steps=2).losses
            assert len(losses) == 2, f"lr_find over 2 steps of {name!r} gave {len(losses)} losses"
        check_states(tried.state_dict(), before, "after forecast and lr_find")
        assert torch.equal(torch.get_rng_state(), world), "forecast or lr_find drew from torch's global generator"
        now = torch.get_num_threads()
        assert now == threads, f"forecast or lr_find left torch with {now} threads, expected {threads}"
        check_events(advanced(tried, steps), advanced(straight, steps), "after forecast and lr_find")
        check_states(tried.state_dict(), straight.state_dict(), "some steps after forecast and lr_find")

    # --- what is refused -------------------------------------------------------------------------------------

    def test_unknown_hyperparameters_are_named(self) -> None:
        name = next(iter(self.other), None)
        takes_any = any(one.kind is one.VAR_KEYWORD for one in inspect.signature(self.make).parameters.values())
        if name is None and not takes_any:
            skip("make() takes no hyperparameters")
        wrong = f"{name or 'alpha_lr'}x"
        said = f"did you mean '{name}'" if name else f"unknown hyperparameter '{wrong}'"
        with refused(f"the hyperparameter {wrong!r}", said):
            self.make(**{wrong: 0.1})

    def test_nonsense_is_refused_when_made(self) -> None:
        for bad in self.nonsense:
            with refused(f"a searcher with {bad}"):
                self.make(**bad)

    def test_what_cannot_be_measured_is_said(self) -> None:
        with refused("measure('happiness')", "cannot measure 'happiness'", error=SpecError):
            self.begun().measure("happiness")
