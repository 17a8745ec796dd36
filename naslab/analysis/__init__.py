"""Numbers about searches and what they search."""

from naslab.analysis.landscape import Landscape, landscape
from naslab.analysis.memory import StepMemory, step_memory
from naslab.analysis.oracle import Oracle, oracle
from naslab.analysis.pareto import Pareto, hypervolume, pareto
from naslab.analysis.ranking import Ranking
from naslab.analysis.steps import Bought, Steps, what_each_trick_buys

__all__ = [
    "Bought",
    "Landscape",
    "Oracle",
    "Pareto",
    "Ranking",
    "StepMemory",
    "Steps",
    "hypervolume",
    "landscape",
    "oracle",
    "pareto",
    "step_memory",
    "what_each_trick_buys",
]
