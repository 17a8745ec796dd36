"""Regularized evolution (Real, Aggarwal, Huang & Le 2019, https://arxiv.org/abs/1802.01548, Alg. 1).

    population <- P random architectures
    repeat: parent <- fittest of S drawn at random from the population, with replacement
            child  <- mutate(parent);  add child;  remove the *oldest*

A plain version of this loop: `naslab.reference.evolution`.

The first ones may be given instead, `first=...`: what is known to be good, or what looks good at no cost (AREA, see
`naslab.searchers.assisted`).

Differences from the paper:
- No identity mutation, so that a child is never its parent again.
- An architecture that could not be evaluated does not join the population.
- A mutation changes any choice alike. That of the authors of NAS-Bench-201 (https://github.com/D-X-Y/AutoDL-Projects,
  exps/NATS-algos/regularized_ea.py) draws a node first: `mutation="node_first"`. With 100 queries it finds cells that
  are 0.03 to 0.13 points worse there.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from naslab.architecture import Architecture, Option
from naslab.errors import SpecError, among, unknown, whole
from naslab.fields import settle
from naslab.randomness import uniforms
from naslab.searchers.beginning import choices_of
from naslab.searchers.searcher import Draft, Proposal, Proposer
from naslab.searchers.settings import Act, Setting, Slider
from naslab.searchers.signatures import attribute_docstrings

MUTATIONS = {"choice": "mutate", "node_first": "mutate_node_first"}
"""Name of a mutation -> the method of a space."""


@dataclass(frozen=True, kw_only=True)
class RegularizedEvolutionHyperparameters:
    """Defaults are those of the paper's large-scale search (section 3.4: P = 100, S = 25)."""

    population: int = 100
    """How many architectures are alive."""
    sample: int = 25
    """How many are drawn for a tournament, whose fittest becomes the parent."""
    first: tuple[tuple[Option, ...], ...] = ()
    """Architectures, or their choices, that the population begins with; random ones follow until it is complete."""
    mutation: str = "choice"
    """What is drawn to be changed: "choice", any choice alike, or "node_first", a node and then one of its choices (the
    authors of NAS-Bench-201; there the edge into node 1 is changed three times as often as one into node 3)."""

    def __post_init__(self) -> None:
        settle(self)
        for name in ("population", "sample"):
            object.__setattr__(self, name, whole(name, getattr(self, name), 1, sys.maxsize))
        if self.sample > self.population:
            raise SpecError(f"sample must be at most the population, {self.population}, not {self.sample}")
        object.__setattr__(self, "first", choices_of(self.first, self.population))
        if not among(self.mutation, MUTATIONS):
            raise SpecError(unknown("mutation", self.mutation, MUTATIONS))


class Member(NamedTuple):
    """An architecture that is alive; the fitter of two is the greater, of equals the younger."""

    fitness: float
    number: int
    """Of its proposal."""
    architecture: Architecture


class RegularizedEvolution(Proposer):
    """Aging evolution on any space."""

    name = "regularized_evolution"
    Hyperparameters = RegularizedEvolutionHyperparameters

    def begin(self) -> None:
        self._sample: int = self.hyperparameters.sample
        self._first = [self.space.architecture(choices) for choices in self.hyperparameters.first]
        self._alive: deque[Member] = deque(maxlen=self.hyperparameters.population)
        self._protected: set[int] = set()
        """Numbers of members that do not die of age."""
        self._killed: dict[int, tuple[int, Member]] = {}
        """Number of a member that was killed by hand -> its place, and the member."""
        self._added: list[Architecture] = []
        """What is to be proposed next, given by hand."""

    def propose(self) -> Draft:
        alive = self._alive
        size = len(alive)
        if self._added:
            return Draft(self._added.pop(0), "added")
        if self.asked < len(self._first):
            return Draft(self._first[self.asked], "first")
        if size < self.hyperparameters.population:
            return Draft(self.space.sample(self.rng), "random")
        parent = max([alive[int(u * size)] for u in uniforms(self.rng, self._sample)])
        mutate = getattr(self.space, MUTATIONS[self.hyperparameters.mutation])
        return Draft(mutate(parent.architecture, self.rng), "mutation", (parent.number,))

    def learn(self, proposal: Proposal, fitness: float | None, figures: Mapping[str, float]) -> None:
        if fitness is not None:
            if self._protected and len(self._alive) == self._alive.maxlen:
                oldest = next(member for member in self._alive if member.number not in self._protected)
                self._alive.remove(oldest)
            self._alive.append(Member(fitness, proposal.number, proposal.architecture))  # a full deque drops its oldest

    @property
    def population(self) -> tuple[Member, ...]:
        """Who is alive, the oldest first."""
        return tuple(self._alive)

    @property
    def settings(self) -> Mapping[str, Setting]:
        about = attribute_docstrings(RegularizedEvolutionHyperparameters)["sample"]
        most = self.hyperparameters.population
        sample = Slider(value=self._sample, low=1, high=most, log=False, whole=True, description=about)
        return {"sample": sample, **super().settings}

    def put(self, name: str, value: Any) -> None:
        if name == "sample":
            self._sample = round(value)
        else:
            super().put(name, value)

    # --- what a hand may do ------------------------------------------------------------------------

    @property
    def acts(self) -> Mapping[str, Act]:
        candidate = {"candidate": "number of a member of the population"}
        kill = "Take a member out of the population; its place is filled by what is proposed next."
        protect = "Keep a member from dying of age."
        add = {"architecture": "its choices, in order or by name"}
        return {
            "kill": Act(description=kill, arguments=candidate, inverse="revive(candidate)", prepare=self._kill),
            "revive": Act(
                description="Bring back a member that was killed.",
                arguments=candidate,
                inverse="kill(candidate)",
                prepare=self._revive,
            ),
            "protect": Act(
                description=protect, arguments=candidate, inverse="release(candidate)", prepare=self._protect
            ),
            "release": Act(
                description="Let a member die of age again.",
                arguments=candidate,
                inverse="protect(candidate)",
                prepare=self._release,
            ),
            "add": Act(
                description="Propose this architecture next.",
                arguments=add,
                inverse="kill(candidate), once it is a member",
                prepare=self._add,
            ),
        }

    def _place(self, candidate: Any) -> int:
        """Where in the population a member is."""
        number = whole("candidate", candidate, 1)
        numbers = [member.number for member in self._alive]
        if number not in numbers:
            raise SpecError(f"candidate {number} is not in the population; there are {', '.join(map(str, numbers))}")
        return numbers.index(number)

    def _kill(self, candidate: Any) -> Callable[[], Any]:
        place = self._place(candidate)

        def do() -> Any:
            member = self._alive[place]
            self._killed[member.number] = place, member
            self._protected.discard(member.number)
            del self._alive[place]
            return {"place": place, "fitness": member.fitness, "choices": list(member.architecture.choices)}

        return do

    def _revive(self, candidate: Any) -> Callable[[], Any]:
        number = whole("candidate", candidate, 1)
        if number not in self._killed:
            raise SpecError(f"candidate {number} was not killed; there are {list(self._killed) or 'none'}")
        if len(self._alive) == self._alive.maxlen:
            raise SpecError(f"the population has {len(self._alive)} members again, as many as it may; kill one first")

        def do() -> Any:
            place, member = self._killed.pop(number)
            self._alive.insert(min(place, len(self._alive)), member)
            return None

        return do

    def _protect(self, candidate: Any) -> Callable[[], Any]:
        number = self._alive[self._place(candidate)].number
        if number not in self._protected and len(self._protected) + 1 >= self.hyperparameters.population:
            raise SpecError("all but one are protected: somebody must make room for a child; release another first")

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

    def _add(self, architecture: Any) -> Callable[[], Any]:
        made = self.space.architecture(architecture)
        if not self.space.allows(made):
            raise SpecError("this architecture holds what the mask forbids; free it first, by set('mask', ...)")

        def do() -> Any:
            self._added.append(made)
            return None

        return do

    # --- memory --------------------------------------------------------------------------------------

    def memory(self) -> Any:
        alive = [[member.fitness, member.number, member.architecture.choices] for member in self._alive]
        if not (self._protected or self._killed or self._added):
            return [self._sample, alive]
        killed = [[place, [*member[:2], member.architecture.choices]] for place, member in self._killed.values()]
        return [self._sample, alive, sorted(self._protected), killed, [one.choices for one in self._added]]

    def remember(self, memory: Any) -> None:
        self._sample, alive, *done = memory
        protected, killed, added = done or ([], [], [])
        name = self.space.name
        self._protected = set(protected)
        self._killed = {
            one[1]: (place, Member(one[0], one[1], Architecture(name, tuple(one[2])))) for place, one in killed
        }
        self._added = [Architecture(name, tuple(choices)) for choices in added]
        self._alive.clear()
        self._alive.extend(
            Member(fitness, number, Architecture(self.space.name, tuple(choices))) for fitness, number, choices in alive
        )
