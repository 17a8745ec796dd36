"""A search of trials that shows everything a live view can show, at no cost: for tests, and for the cells they run."""

import time

import numpy as np

import naslab as nl
from naslab.estimators import Score
from naslab.searchers import RandomSearchHyperparameters, Sampler, Suggestion

FOUNDERS, EPOCHS = 20, 10


class EveryDetail(Sampler):
    """Tournaments with hurdles and a policy: a sampler that has all the details there are, and no other merit."""

    name = "everything"
    Hyperparameters = RandomSearchHyperparameters

    def begin(self):
        self.alive, self.hurdles, self.again = [], [], None
        self.scores, self.policy = [], np.zeros((6, 5))

    def propose(self):
        if self.again is not None:
            (number, architecture, epochs), self.again = self.again, None
            return Suggestion(architecture, "promotion", (), epochs, candidate=number, begins_from=number)
        if len(self.alive) < FOUNDERS:
            return Suggestion(self.space.sample(self.rng), "random", (), EPOCHS)
        chosen = [self.alive[i] for i in self.rng.integers(len(self.alive), size=6)]
        _, number, architecture = max(chosen, key=lambda member: member[0])
        return Suggestion(self.space.mutate(architecture, self.rng), "mutation", (number,), EPOCHS)

    def learn(self, trial, fitness, metrics):
        if fitness is None:
            return
        self.alive = [*self.alive, (fitness, trial.candidate, trial.architecture)][-50:]
        self.scores.append(fitness)
        for row, (choice, value) in enumerate(self.space.walk(trial.architecture.choices)):
            self.policy[row, choice.options.index(value)] += 0.002 * (fitness - 80)
        stage = round(trial.fidelity / EPOCHS) - 1
        if stage < len(self.hurdles) and fitness > self.hurdles[stage]:
            self.again = trial.candidate, trial.architecture, trial.fidelity + EPOCHS
        if len(self.scores) in (60, 160):
            self.hurdles.append(float(np.mean([member[0] for member in self.alive])))
        if self.hurdles and len(self.scores) % 20 == 0:
            self.hurdles[0] += 0.15

    def algorithm_state(self):
        alive = [[fitness, number, list(each.choices)] for fitness, number, each in self.alive]
        again = self.again and [self.again[0], list(self.again[1].choices), self.again[2]]
        return [alive, self.hurdles, again, self.scores, self.policy.tolist()]

    def load_algorithm_state(self, state):
        alive, self.hurdles, again, self.scores, policy = state
        self.alive = [(fitness, number, self.space.architecture(choices)) for fitness, number, choices in alive]
        self.again = again and (again[0], self.space.architecture(again[1]), again[2])
        self.policy = np.array(policy)

    @property
    def shares(self):
        odds = np.exp(self.policy)
        return odds / odds.sum(axis=1, keepdims=True)

    @property
    def diagnostics(self):
        return {
            "hurdles": list(self.hurdles),
            "baseline": float(np.mean(self.scores[-20:])) if self.scores else 0.0,
            "entropy": float(-(self.shares * np.log(self.shares)).sum(axis=1).mean()),
            "q/first layer": self.policy[0].tolist(),
        }

    @property
    def probabilities(self):
        return {choice.name: row for choice, row in zip(self.space.fixed_choices, self.shares, strict=True)}


class Curves:
    """Accuracy on its way to what the table says; every 23rd cell cannot be evaluated."""

    name, keeps_weights = "curves", False

    def __init__(self, benchmark, seconds=0.0):
        self.benchmark, self.space, self.seconds = benchmark, benchmark.space, seconds

    def __call__(self, architecture):
        return self.train(architecture)

    def train(self, architecture, *, fidelity=None, begin=None, keep=None):
        time.sleep(self.seconds)
        number = self.benchmark.index(architecture)
        if number % 23 == 0:
            raise MemoryError("the network does not fit")
        fitness = float(self.benchmark.column()[number]) - 30 * float(np.exp(-(fidelity or 200) / 12))
        return Score(fitness, {"parameters": float(self.benchmark.column("parameters")[number])})

    def spec(self):
        return {"estimator": self.name}

    def fingerprint(self):
        return "curves"


def searching(budget=400, seconds=0.0, seed=1):
    """The search."""
    table = nl.benchmarks.NASBench201("cifar10")
    return nl.Search(EveryDetail(table.space, seed=seed), estimator=Curves(table, seconds), budget=budget)
