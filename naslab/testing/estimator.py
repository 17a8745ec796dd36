"""What every estimator promises: one fitness for an architecture, in any process, that can be written down."""

from __future__ import annotations

import functools
import json
import math
import pickle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cloudpickle
import torch

from naslab.architecture import Architecture
from naslab.estimators import CheckpointRef, Estimator, Learning, Trainable, UnknownFidelity, from_spec, objectives_of
from naslab.estimators.estimator import with_current_names
from naslab.estimators.evaluation import Outcome, evaluate
from naslab.randomness import numpy_generator
from naslab.runs import Search
from naslab.searchers import RandomSearch
from naslab.spaces import Space
from naslab.testing.case import Case, needs, refused, skip


class EstimatorCase(Case):
    """Checks of an estimator.

        class TestMyEstimator(EstimatorCase):
            def make(self):
                return MyEstimator(MySpace())

    `make` gives the estimator. A subclass may also say `space`, if the estimator serves any; `other`, an estimator that
    gives another fitness; `task`, if the data cannot be found from its spec; `remade = False`, if the estimator itself
    must be handed over again, and `repeatable = False`, if it measures something, such as a latency.

    One that trains for as long as it is asked to (`Trainable`) is asked for `fidelities`, and for `unknown_fidelity`,
    if there is one that it must refuse.
    """

    remade = True
    """Whether the estimator can be made again from its spec."""
    repeatable = True
    """Whether the same architecture has the same fitness every time."""
    fidelities: tuple[float, float] = (1, 2)
    """Two lengths of training, in epochs, the shorter first."""
    unknown_fidelity: float | None = None
    """A length of training that is refused."""

    def make(self) -> Any:
        """The estimator."""
        raise NotImplementedError("make() gives the estimator to be checked: def make(self): return MyEstimator(space)")

    def space(self) -> Space:
        """Whose architectures are scored."""
        assert self.scorer.space is not None, "the estimator serves any space: say in space() which one is to be used"
        return self.scorer.space

    def other(self) -> Any:
        """An estimator of the same kind that gives another fitness; None: its fingerprint is not compared."""
        return None

    def task(self) -> Any:
        """What `from_spec` is given for the data."""
        return getattr(self.scorer, "task", None)

    @functools.cached_property
    def scorer(self) -> Any:
        """What `make` gives, made once for each check."""
        return with_current_names(self.make())

    @property
    def subject(self) -> Any:
        return self.scorer

    def architectures(self, count: int = 2) -> list[Architecture]:
        """The same every time."""
        rng = numpy_generator("architectures")
        return [self.space().sample(rng) for _ in range(count)]

    def scored(self, architecture: Architecture, estimator: Any = None) -> Outcome:
        """What comes of an architecture, which must be done."""
        outcome = evaluate(estimator or self.scorer, architecture)
        assert outcome.status == "done", f"{architecture} has the status {outcome.status!r}: {outcome.message}"
        assert outcome.fitness is not None, f"{architecture} has no fitness: {outcome.message}"
        return outcome

    def check_same(self, came: Outcome, expected: Outcome, what: str) -> None:
        """Two outcomes have the same fitness, and the same value of each objective."""
        if self.repeatable:
            assert came.fitness == expected.fitness, (
                f"{what}: the fitness is {came.fitness}, expected {expected.fitness}"
            )
            assert came.values == expected.values, f"{what}: the values are {came.values}, expected {expected.values}"
        names, wanted = list(came.values), list(expected.values)
        assert names == wanted, f"{what}: the values have the names {names}, expected {wanted}"

    # --- scores ----------------------------------------------------------------------------------------------

    def test_it_scores_what_it_says(self) -> None:
        estimator = self.scorer
        assert isinstance(estimator, Estimator), (
            f"make() gave {estimator!r:.200}; expected a naslab.estimators.Estimator, which has space, __call__(...), "
            "spec() and fingerprint()"
        )
        objectives = objectives_of(estimator)
        for architecture in self.architectures():
            outcome = self.scored(architecture)
            fitness = outcome.fitness or 0.0
            assert math.isfinite(fitness), f"the fitness of {architecture} is {fitness}, expected a finite number"
            first = (outcome.objectives or objectives)[0]
            value = outcome.values.get(first.name, fitness)
            assert math.isclose(first.sign * value, fitness, rel_tol=1e-9), (
                f"the fitness is {fitness}, and the value of {first.name!r} ({first.direction}) is {value}"
            )
            wrong = {name: one for name, one in outcome.metrics.items() if not math.isfinite(one)}
            assert not wrong, f"the metrics {wrong} of {architecture} are not finite"

    def test_the_same_architecture_has_the_same_fitness(self) -> None:
        architecture = self.architectures(1)[0]
        torch.manual_seed(1)
        world = torch.get_rng_state()
        expected = self.scored(architecture)
        assert torch.equal(torch.get_rng_state(), world), (
            "scoring drew from torch's global generator; draw inside naslab.randomness.seeded(seed, ...)"
        )
        torch.manual_seed(2)
        self.check_same(self.scored(architecture), expected, "asked again, after torch.manual_seed(2)")
        self.check_same(self.scored(architecture, self.make()), expected, "asked of another estimator of the same kind")

    def test_an_architecture_of_another_space_is_refused(self) -> None:
        if self.scorer.space is None:
            skip("the estimator scores architectures of any space")
        choices = self.architectures(1)[0].choices
        with refused("an architecture of another space (begin with self.space.check(architecture))"):
            self.scorer(Architecture("elsewhere", choices))

    def test_a_search_is_done_with_it(self) -> None:
        search = Search(RandomSearch(self.space(), seed=1), estimator=self.scorer, budget=2)
        for event in search:
            assert event.status == "done", f"a candidate of a search has the status {event.status!r}: {event.message}"  # type: ignore[attr-defined]
        assert search.best in self.space(), f"the best of the search, {search.best}, is not in the space"

    # --- found again -----------------------------------------------------------------------------------------

    def test_it_is_made_again_from_its_spec(self) -> None:
        estimator = self.scorer
        spec = json.loads(json.dumps(estimator.spec()))
        assert isinstance(spec.get("estimator"), str), f"spec() lacks its name under 'estimator': {spec!r:.300}"
        if not self.remade:
            with refused("from_spec of what is not kept (remade = False)"):
                from_spec(spec, self.task())
            return
        again = from_spec(spec, self.task())
        one, other = json.loads(json.dumps(again.spec())), spec
        assert one == other, f"made again from its spec it has another, {one}, expected {other}"
        one, other = again.fingerprint(), estimator.fingerprint()
        assert one == other, f"made again its fingerprint is {one!r}, expected {other!r}"
        architecture = self.architectures(1)[0]
        self.check_same(self.scored(architecture, again), self.scored(architecture), "made again from its spec")

    def test_the_fingerprint_is_that_of_what_it_scores(self) -> None:
        one, again = self.scorer.fingerprint(), self.make().fingerprint()
        assert isinstance(one, str), f"fingerprint() gives {one!r:.100}, expected a text"
        assert one == again, f"fingerprint() gives {one!r}, and of the same estimator once more {again!r}"
        if (other := self.other()) is not None:
            assert other.fingerprint() != one, f"an estimator that scores otherwise has the same fingerprint, {one!r}"

    def test_it_travels_to_workers(self) -> None:
        again = pickle.loads(cloudpickle.dumps(self.scorer))  # noqa: S301
        one, other = again.fingerprint(), self.scorer.fingerprint()
        assert one == other, f"after it was pickled its fingerprint is {one!r}, expected {other!r}"
        architecture = self.architectures(1)[0]
        self.check_same(self.scored(architecture, again), self.scored(architecture), "after it was pickled")

    # --- trainings that go on --------------------------------------------------------------------------------

    @needs(Trainable)
    def test_a_training_goes_on_where_it_was_left(self) -> None:
        estimator = self.scorer
        short, whole = self.fidelities
        one, other = self.architectures(2)
        for fidelity in self.fidelities:
            try:
                estimator.check_fidelity(fidelity)
            except UnknownFidelity as error:
                raise AssertionError(f"check_fidelity({fidelity}) refuses (say other `fidelities`): {error}") from error
        with TemporaryDirectory(prefix="naslab-testing-", ignore_cleanup_errors=True) as folder:
            kept = Path(folder) / "short" if estimator.keeps_weights else None
            grown = Path(folder) / "whole" if estimator.keeps_weights else None
            estimator.train(one, fidelity=short, keep=kept)
            before = None if kept is None else kept.is_file() and kept.read_bytes()
            assert before is not False, f"train(..., keep={kept}) left nothing there, although keeps_weights is True"
            begin = CheckpointRef(one, short, kept)
            came = estimator.train(one, fidelity=whole, begin=begin, keep=grown).fitness
            expected = estimator.train(one, fidelity=whole).fitness
            assert came == expected or not self.repeatable, (
                f"trained for {short} epochs, and on to {whole}, the fitness is {came}; at once it is {expected}"
            )
            if kept is not None and grown is not None:
                assert kept.read_bytes() == before, "a training that goes on changed the file that it began with"
                again = estimator.train(one, fidelity=whole, begin=begin, keep=grown).fitness
                assert again == expected or not self.repeatable, (
                    f"with the finished training in `keep` the fitness is {again}, expected {expected}"
                )
            heir = estimator.train(other, fidelity=short, begin=begin, keep=None).fitness
            assert math.isfinite(heir), f"an architecture that inherits weights has the fitness {heir}"

    @needs(Trainable)
    def test_a_training_that_is_not_to_be_had_is_refused(self) -> None:
        if self.unknown_fidelity is None:
            skip("unknown_fidelity is None")
        with refused(f"check_fidelity({self.unknown_fidelity})", error=UnknownFidelity):
            self.scorer.check_fidelity(self.unknown_fidelity)

    @needs(Learning)
    def test_what_it_has_heard_is_a_value(self) -> None:
        nothing = self.scorer.with_state(())
        start, heard = json.dumps(nothing.state_dict()), nothing
        for architecture in self.architectures():
            before = json.dumps(heard.state_dict())
            new = heard.update(self.scored(architecture, heard).metrics)
            assert json.dumps(heard.state_dict()) == before, (
                "update(metrics) changed the estimator; give another that knows more"
            )
            heard = new
        told = json.loads(json.dumps(heard.state_dict()))
        again = json.loads(json.dumps(nothing.with_state(told).state_dict()))
        assert again == told, (
            f"with_state(state_dict()) makes an estimator with the state {again!r:.200}, not {told!r:.200}"
        )
        assert json.dumps(heard.with_state(()).state_dict()) == start, "with_state(()) does not forget everything"
