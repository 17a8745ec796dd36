"""Acts of the user on an evolving population: kill and revive members, protect and release them, add architectures.

Without such acts, nothing here draws a random number, and nothing of it is in the state of the search.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from naslab.architecture import Architecture
from naslab.errors import SpecError, whole
from naslab.searchers.sampler import Sampler, Suggestion
from naslab.searchers.settings import Act, Undoing


class Tended(Sampler):
    """Base class of evolutionary samplers, whose members in `self._alive` the user can act on.

    A member is a tuple with a `number`, a `fitness`, and the `architecture` last. A subclass proposes added
    architectures (`_next_added`), never removes a member in `_protected`, and stores `_interventions` in its state.
    """

    Member: ClassVar[Callable[..., Any]]
    """Named tuple of a member."""
    mortal: ClassVar[int] = 1
    """Minimum number of unprotected members, so that one can make room for a child."""
    _alive: Any
    """The population, a list or a deque."""

    def begin(self) -> None:
        self._protected: set[int] = set()
        """Numbers of the members that are never removed, by age or by fitness."""
        self._taken_out: dict[int, tuple[int, Any]] = {}
        """Number of a member that the user killed -> its position, and the member."""

    def _next_added(self, *about: Any) -> Suggestion | None:
        """Returns the suggestion of the oldest added architecture that is not proposed yet; None if there is none.

        Args:
            about: further fields of the suggestion, `parents` and `fidelity`.
        """
        return Suggestion(self._added.pop(0), "added", *about) if self._added else None

    @property
    def protected(self) -> frozenset[int]:
        """Numbers of the members that are protected from removal."""
        return frozenset(self._protected)

    @property
    def killed(self) -> tuple[int, ...]:
        """Numbers of the members that the user killed, and that can be revived."""
        return tuple(self._taken_out)

    @property
    def _full(self) -> bool:
        """Whether the population is full."""
        return len(self._alive) >= self.hyperparameters.population

    # --- acts ----------------------------------------------------------------------------------------

    @property
    def acts(self) -> Mapping[str, Act]:
        candidate = {"candidate": "number of a member of the population"}
        return {
            **super().acts,
            "kill": Act(
                description="Take a member out of the population; its place is filled by what is proposed next.",
                arguments=candidate,
                inverse="revive(candidate)",
                prepare=self._kill,
                undo=lambda arguments, before: ("revive", dict(arguments)),
            ),
            "revive": Act(
                description="Bring back a member that was killed.",
                arguments=candidate,
                inverse="kill(candidate)",
                prepare=self._revive,
                undo=lambda arguments, before: ("kill", dict(arguments)),
            ),
            "protect": Act(
                description="Keep a member from making room for a child.",
                arguments=candidate,
                inverse="release(candidate)",
                prepare=self._protect,
                undo=lambda arguments, before: ("release", _changed(arguments, not before)),
            ),
            "release": Act(
                description="Let a member make room for a child again.",
                arguments=candidate,
                inverse="protect(candidate)",
                prepare=self._release,
                undo=lambda arguments, before: ("protect", _changed(arguments, bool(before))),
            ),
        }

    def _place(self, candidate: Any) -> int:
        """Returns the position of a member in the population; `SpecError` if it is no member."""
        number = whole("candidate", candidate, 1)
        numbers = [member.number for member in self._alive]
        if number not in numbers:
            raise SpecError(f"candidate {number} is not in the population; there are {', '.join(map(str, numbers))}")
        return numbers.index(number)

    def _kill(self, candidate: Any) -> Callable[[], Any]:
        place = self._place(candidate)

        def do() -> Any:
            member = self._alive[place]
            self._taken_out[member.number] = place, member
            self._protected.discard(member.number)
            del self._alive[place]
            return {"place": place, "fitness": member.fitness, "choices": list(member.architecture.choices)}

        return do

    def _revive(self, candidate: Any) -> Callable[[], Any]:
        number = whole("candidate", candidate, 1)
        if number not in self._taken_out:
            raise SpecError(f"candidate {number} was not killed; there are {list(self._taken_out) or 'none'}")
        if self._full:
            raise SpecError(f"the population has {len(self._alive)} members again, as many as it may; kill one first")

        def do() -> Any:
            # back to its old position, for age is the order in the population
            place, member = self._taken_out.pop(number)
            self._alive.insert(min(place, len(self._alive)), member)
            return None

        return do

    def _protect(self, candidate: Any) -> Callable[[], Any]:
        number = self._alive[self._place(candidate)].number
        if number not in self._protected and len(self._protected) + self.mortal >= self.hyperparameters.population:
            raise SpecError(
                f"all but {self.mortal} are protected: one must be able to make room for a child; release another first"
            )

        def do() -> Any:
            before = number in self._protected
            self._protected.add(number)
            return before

        return do

    def _release(self, candidate: Any) -> Callable[[], Any]:
        number = self._alive[self._place(candidate)].number

        def do() -> Any:
            before = number in self._protected
            self._protected.discard(number)
            return before

        return do

    @property
    def ask_proposes_added(self) -> bool:
        """False: `propose` takes added architectures itself, when the population is ready for a child."""
        return False

    def undo_added(self, architecture: Architecture) -> Undoing:
        """Returns the act that removes it from the population."""
        for member in reversed(self._alive):
            if member.architecture == architecture:
                return "kill", {"candidate": member.number}
        raise SpecError(
            "it was proposed, and is no member of the population: it is being evaluated, or it has failed, or died"
        )

    # --- state ---------------------------------------------------------------------------------------

    def _record(self, member: Any) -> list[Any]:
        """Returns a member as JSON."""
        return [*member[:-1], member.architecture.choices]

    def _member(self, record: Any) -> Any:
        """Returns the member of a record."""
        *fields, choices = record
        return self.Member(*fields, Architecture(self.space.name, tuple(choices)))

    def _interventions(self) -> list[Any]:
        """Returns the effects of the user's acts as JSON; [] if there are none."""
        if not (self._protected or self._taken_out):
            return []
        killed = [[place, self._record(member)] for place, member in self._taken_out.values()]
        return [sorted(self._protected), killed, []]  # the third held added architectures in an earlier version

    def _load_interventions(self, record: Any) -> None:
        """Restores what `_interventions` returned."""
        protected, killed, added = record or ([], [], [])
        self._protected = set(protected)
        members = [(place, self._member(record)) for place, record in killed]
        self._taken_out = {member.number: (place, member) for place, member in members}
        self._added.extend(Architecture(self.space.name, tuple(choices)) for choices in added)


def _changed(arguments: Mapping[str, Any], changed: bool) -> dict[str, Any]:
    """Returns the arguments of the inverse act; `SpecError` if there is nothing to undo."""
    if not changed:
        raise SpecError(f"the act changed nothing about candidate {arguments['candidate']}; there is nothing to undo")
    return dict(arguments)
