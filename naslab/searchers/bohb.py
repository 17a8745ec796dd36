"""BOHB (Falkner, Klein & Hutter 2018, https://arxiv.org/abs/1807.01774, Alg. 2): Hyperband whose new candidates come
from a model of the good candidates so far, a tree-structured Parzen estimator (Bergstra et al. 2011).

    D_b <- what is known after b epochs, b the longest training that N_min + 2 candidates have had
    with probability rho, or if there is no such b: a random candidate
    else: l <- density of the best q |D_b|, but of N_min at least;  g <- density of the others, N_min at least
          draw N_s candidates from l, its bandwidths times b_w;  take the one with the greatest l / g

A density is a mean of kernels, one around each candidate a: the product over the choices of x of

    1 - lambda              where a and x agree,
    lambda / (options - 1)  where they do not,            (Aitchison & Aitken 1976)
    1 / options             where a was not asked

Differences from the paper:
- All choices are treated as categorical, numbers too.
- The bandwidth of a choice is lambda = (1 - sum of p^2) n^(-1 / (4 + d)), p the shares of the options among the n
  candidates and d their choices, but at most (options - 1) / options, where a kernel is flat. The rule in the authors'
  program was made for continuous variables, and can exceed 1.
- A choice that a candidate was not asked counts as evenly spread, where the authors' program draws a value for it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from naslab.architecture import Architecture, Choice, Option
from naslab.errors import SpecError, real, whole
from naslab.fields import settle
from naslab.searchers.rungs import Halving, Rung, fitting, hyperband
from naslab.searchers.sampler import Trial


@dataclass(frozen=True, kw_only=True)
class BOHBHyperparameters:
    """Defaults are the paper's (section 4.1 and its appendix), but for `most`, which is Hyperband's here."""

    most: int = 9
    """Epochs of the longest training, Hyperband's R."""
    eta: int = 3
    """One in `eta` candidates goes on to the next rung."""
    least: int = 1
    """Epochs of the shortest training."""
    good: float = 0.15
    """Fraction of the candidates that count as good, the paper's q."""
    samples: int = 64
    """Number of candidates drawn from the model, of which the best is taken; the paper's N_s."""
    random_fraction: float = 1 / 3
    """Fraction of new candidates that are random, the paper's rho."""
    bandwidth_factor: float = 3.0
    """Factor on the bandwidths of the kernels that candidates are drawn from, the paper's b_w."""
    least_bandwidth: float = 1e-3
    """Minimum bandwidth, so that other options stay possible where all good candidates agree."""

    def __post_init__(self) -> None:
        settle(self)
        for name, least in (("most", 1), ("eta", 2), ("least", 1), ("samples", 1)):
            object.__setattr__(self, name, whole(name, getattr(self, name), least))
        if self.least > self.most:
            raise SpecError(f"the shortest training, {self.least} epochs, is longer than the longest, {self.most}")
        for name, low, high in (
            ("good", 0.0, 1.0),
            ("random_fraction", 0.0, 1.0),
            ("bandwidth_factor", 0.0, math.inf),
            ("least_bandwidth", 0.0, 1.0),
        ):
            value = real(name, getattr(self, name))
            if not low <= value <= high or (name != "random_fraction" and not 0 < value < high):
                raise SpecError(f"{name} must be between {low:g} and {high:g}, not {value!r}")
            object.__setattr__(self, name, value)


class Density:
    """A mean of kernels, one around each of some architectures.

    Args:
        answers: for each architecture, name of every choice -> option that was chosen.
        least: minimum bandwidth.
    """

    def __init__(self, answers: Sequence[Mapping[str, Option]], least: float) -> None:
        self.answers, self._least = answers, least
        names = dict.fromkeys(name for one in answers for name in one)
        self._chosen = {name: np.array([one.get(name) for one in answers], dtype=object) for name in names}
        self._bandwidths: dict[Choice, float] = {}
        self._shrink = len(answers) ** (-1 / (4 + max(map(len, answers))))

    def bandwidth(self, choice: Choice) -> float:
        """Bandwidth lambda of a choice."""
        if choice not in self._bandwidths:
            asked = [value for value in self._chosen.get(choice.name, ()) if value is not None]
            flat = 1 - 1 / len(choice.options)  # at this bandwidth, a kernel is the uniform distribution
            even = 1 - sum((asked.count(option) / len(asked)) ** 2 for option in choice.options) if asked else flat
            self._bandwidths[choice] = min(max(even * self._shrink, self._least), flat)
        return self._bandwidths[choice]

    def log(self, drawn: Sequence[tuple[Choice, Option]]) -> float:
        """Logarithm of the density at an architecture.

        Args:
            drawn: choices of the architecture, each with the option that was chosen.
        """
        # logarithms, since a product over a thousand choices would underflow
        kernels = np.zeros(len(self.answers))
        for choice, value in drawn:
            options = len(choice.options)
            chosen = self._chosen.get(choice.name)
            if options == 1:
                continue
            if chosen is None:
                kernels -= math.log(options)
                continue
            width = self.bandwidth(choice)
            known = np.where(chosen == value, 1 - width, width / (options - 1))
            kernels += np.log(np.where(chosen == None, 1 / options, known))  # noqa: E711  # for each element
        return float(np.logaddexp.reduce(kernels)) - math.log(len(kernels))


class BOHB(Halving):
    """BOHB on any space."""

    name = "bohb"
    Hyperparameters = BOHBHyperparameters

    def begin(self) -> None:
        super().begin()
        given = self.hyperparameters
        self._brackets = hyperband(given.most, given.eta, given.least)
        self._known: dict[float, list[tuple[float, Mapping[str, Option]]]] = {}
        """Epochs -> (fitness, answers) of the candidates evaluated after that many, in the order of evaluation."""

    def rungs(self, bracket: int) -> Sequence[Rung]:
        return self._brackets[bracket % len(self._brackets)]

    def adapted_hyperparameters(self, known: Collection[float]) -> dict[str, Any]:
        return fitting(known, self.hyperparameters.eta, self.given_values)

    def draw(self) -> tuple[Architecture, str]:
        model = self.model
        if model is None or self.rng.random() < self.hyperparameters.random_fraction:
            return super().draw()
        good, bad = model
        best, best_ratio = None, -math.inf
        for _ in range(self.hyperparameters.samples):
            drawn = self._draw_from(good)
            ratio = good.log(drawn) - bad.log(drawn)  # log(l / g), which rises with the expected improvement
            if best is None or ratio > best_ratio:
                best, best_ratio = drawn, ratio
        assert best is not None
        return Architecture(self.space.name, tuple(value for _, value in best)), "model"

    @property
    def model(self) -> tuple[Density, Density] | None:
        """Densities of the good and of the other candidates; None while too few have been evaluated."""
        for epochs in sorted(self._known, reverse=True):  # the longest training with enough results
            known = self._known[epochs]
            least = 1 + max(len(answers) for _, answers in known)  # N_min, one more than the number of choices
            if len(known) < least + 2:
                continue
            ranked = [answers for _, answers in sorted(known, key=lambda one: -one[0])]
            # the two may overlap while there are few candidates, as in the paper
            good = max(least, int(self.hyperparameters.good * len(known)))
            others = max(least, len(known) - good)
            width = self.hyperparameters.least_bandwidth
            return Density(ranked[:good], width), Density(ranked[-others:], width)
        return None

    def _draw_from(self, good: Density) -> list[tuple[Choice, Option]]:
        """Draws an architecture from a widened kernel; returns its choices, each with the option that was chosen."""
        around = good.answers[int(self.rng.integers(len(good.answers)))]
        drawn: list[tuple[Choice, Option]] = []
        taken: tuple[Option, ...] = ()
        while (choice := self.space.next_choice(taken)) is not None:
            value, options = around.get(choice.name), choice.options
            others = [option for option in options if option != value]
            flat = len(others) / len(options)
            width = min(good.bandwidth(choice) * self.hyperparameters.bandwidth_factor, flat)
            if value not in options or self.rng.random() < width:
                value = others[int(self.rng.integers(len(others)))]
            assert value is not None
            drawn.append((choice, value))
            taken = (*taken, value)
        return drawn

    def learn(self, trial: Trial, fitness: float | None, metrics: Mapping[str, float]) -> None:
        super().learn(trial, fitness, metrics)
        if fitness is not None:
            assert trial.fidelity is not None
            self._known.setdefault(trial.fidelity, []).append((fitness, self.space.answers(trial.architecture)))

    def algorithm_state(self) -> Any:
        known = [
            [epochs, [[fitness, list(answers.values())] for fitness, answers in told]]
            for epochs, told in self._known.items()
        ]
        return [super().algorithm_state(), known]

    def load_algorithm_state(self, state: Any) -> None:
        halving, known = state
        super().load_algorithm_state(halving)
        name = self.space.name
        self._known = {
            epochs: [(fitness, self.space.answers(Architecture(name, tuple(choices)))) for fitness, choices in told]
            for epochs, told in known
        }
