"""A plain regularized evolution (Real, Aggarwal, Huang & Le 2019, https://arxiv.org/abs/1802.01548, Alg. 1).

    population <- P random architectures
    until N architectures have been evaluated:
        parent <- the fittest of S members, drawn at random with replacement
        child  <- parent with one choice changed
        the child joins the population, and the *oldest* member leaves it
    return the fittest architecture ever seen

Members are removed by age, not by fitness: an architecture persists only if its children are fit, too, when they are
trained anew.
"""

from collections import deque


def evolution(space, fitness, rng, budget, population=100, sample=25):
    """Returns all architectures in the order of evaluation, each with its fitness.

    Args:
        space: has `sample(rng)` and `mutate(architecture, rng)`, as `naslab.spaces.Space`.
        fitness: architecture -> number, more is better.
        rng: `numpy.random.Generator`; all randomness is drawn from it.
        budget: N, number of evaluations.
        population: P, number of members.
        sample: S, number of members in a tournament.
    """
    history = []
    alive = deque(maxlen=population)  # positions in the history; a full deque drops its oldest entry

    def utility(number):
        return history[number][1], number  # of equally fit members the younger

    while len(history) < budget:
        if len(alive) < population:
            child = space.sample(rng)
        else:
            tournament = [alive[int(rng.random() * population)] for _ in range(sample)]
            parent, _ = history[max(tournament, key=utility)]
            child = space.mutate(parent, rng)
        alive.append(len(history))
        history.append((child, fitness(child)))
    return history


def fittest(history):
    """Returns the fittest architecture of a history."""
    return max(history, key=lambda member: member[1])[0]
