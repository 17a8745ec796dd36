"""Searchers: one file, one paper."""

from __future__ import annotations

from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any

from naslab.errors import SpecError
from naslab.lazy import attach
from naslab.registry import Registry, described, named

if TYPE_CHECKING:
    from naslab.searchers.auto_keras import AutoKeras, AutoKerasHyperparameters
    from naslab.searchers.black_box import BlackBoxSearch
    from naslab.searchers.bohb import BOHB, BOHBHyperparameters
    from naslab.searchers.darts import Darts, DartsHyperparameters
    from naslab.searchers.drnas import DrNAS, DrNASHyperparameters
    from naslab.searchers.en2as import EN2AS, EN2ASHyperparameters
    from naslab.searchers.enas import Enas, EnasHyperparameters
    from naslab.searchers.epnas import EPNAS, EPNASHyperparameters
    from naslab.searchers.fairnas import FairNAS, FairNASHyperparameters
    from naslab.searchers.forecasting import Forecast, forecast
    from naslab.searchers.gdas import GDAS, GDASHyperparameters
    from naslab.searchers.gradient import bilevel
    from naslab.searchers.gradient_search import GradientSearch, GradientSearchHyperparameters
    from naslab.searchers.hurdles import Hurdles, HurdlesHyperparameters
    from naslab.searchers.hyperband import Hyperband, HyperbandHyperparameters
    from naslab.searchers.idarts import IDarts, IDartsHyperparameters
    from naslab.searchers.large_scale_evolution import LargeScaleEvolution, LargeScaleEvolutionHyperparameters
    from naslab.searchers.local_search import LocalSearch, LocalSearchHyperparameters
    from naslab.searchers.milenas import MiLeNAS, MiLeNASHyperparameters
    from naslab.searchers.nas_rl import NasRL, NasRLHyperparameters
    from naslab.searchers.pcdarts import PCDarts, PCDartsHyperparameters
    from naslab.searchers.ppo import PPO, PPOHyperparameters
    from naslab.searchers.proxylessnas import ProxylessNAS, ProxylessNASHyperparameters
    from naslab.searchers.q_learning import QLearning, QLearningHyperparameters
    from naslab.searchers.random_search import RandomSearch, RandomSearchHyperparameters
    from naslab.searchers.rates import Rates, finding_rates, lr_find
    from naslab.searchers.regularized_evolution import RegularizedEvolution, RegularizedEvolutionHyperparameters
    from naslab.searchers.robust_darts import RobustDarts, RobustDartsHyperparameters
    from naslab.searchers.sampler import Sampler, Suggestion, Trial
    from naslab.searchers.sdarts import SmoothDarts, SmoothDartsHyperparameters
    from naslab.searchers.searcher import Stepper
    from naslab.searchers.settings import Act, Count, Mask, Select, Setting, Several, Slider, Switch
    from naslab.searchers.snas import SNAS, SNASHyperparameters
    from naslab.searchers.spos import SPOS, SPOSHyperparameters
    from naslab.searchers.successive_halving import SuccessiveHalving, SuccessiveHalvingHyperparameters
    from naslab.searchers.supernet_searcher import SupernetSearcher
    from naslab.searchers.zero_cost_warm_start import zero_cost_warm_start
    from naslab.snapshot import State


SEARCHERS: Registry[type[SupernetSearcher] | type[Sampler]] = Registry(
    __name__,
    {
        "darts": "Darts",
        "milenas": "MiLeNAS",
        "idarts": "IDarts",
        "snas": "SNAS",
        "gdas": "GDAS",
        "proxylessnas": "ProxylessNAS",
        "pcdarts": "PCDarts",
        "drnas": "DrNAS",
        "sdarts": "SmoothDarts",
        "robust_darts": "RobustDarts",
        "gradient": "GradientSearch",
        "random_search": "RandomSearch",
        "regularized_evolution": "RegularizedEvolution",
        "local_search": "LocalSearch",
        "hurdles": "Hurdles",
        "successive_halving": "SuccessiveHalving",
        "hyperband": "Hyperband",
        "bohb": "BOHB",
        "nas_rl": "NasRL",
        "ppo": "PPO",
        "q_learning": "QLearning",
        "large_scale_evolution": "LargeScaleEvolution",
        "auto_keras": "AutoKeras",
        "epnas": "EPNAS",
        "enas": "Enas",
        "spos": "SPOS",
        "fairnas": "FairNAS",
        "en2as": "EN2AS",
    },
)
"""Name in a run folder -> the class that goes on with it."""


def by_name(name: object) -> type[SupernetSearcher] | type[Sampler]:
    """The class of searchers that is called so, naslab's or the user's own; `SpecError` if there is none."""
    from naslab.searchers.sampler import Sampler
    from naslab.searchers.supernet_searcher import SupernetSearcher

    return named("searcher", name, SEARCHERS, Sampler, SupernetSearcher)


@described("a searcher")
def from_spec(spec: dict[str, Any], task: Any = None, estimator: Any = None, executor: Executor | None = None) -> Any:
    """What `spec()` described, as it was before its first step: a supernet searcher, a sampler, or its trials; one of
    naslab's, or of the user's own.

    `task` stands in for a task that JSON cannot bring back, such as the user's own arrays; `estimator` for an
    estimator that it cannot, such as the user's own function; `executor` evaluates, if workers of its own are not to.
    """
    from naslab.analysis.memory import available
    from naslab.networks.limits import bounded

    if not isinstance(spec, dict) or "searcher" not in spec:
        raise SpecError(f"expected an object with the key 'searcher', got {spec!r}")
    with bounded(available()):
        return _again(spec, task, estimator, executor)


def _again(spec: dict[str, Any], task: Any, estimator: Any, executor: Executor | None) -> Any:
    from naslab.estimators import from_spec as estimator_from_spec
    from naslab.searchers.black_box import BlackBoxSearch
    from naslab.searchers.sampler import Sampler

    searcher = by_name(spec["searcher"])
    if not issubclass(searcher, Sampler):
        for name, value in (("estimator", estimator), ("executor", executor)):
            if value is not None:
                raise SpecError(f"{name}=... is for samplers; {searcher.name!r} trains on its own task. Leave it out")
        return searcher.from_spec(spec, task)
    sampler = searcher.from_spec(spec)
    if "estimator" not in spec:
        return sampler
    if estimator is None:
        estimator = estimator_from_spec(spec["estimator"], task)
    return BlackBoxSearch(sampler, estimator, spec["budget"], workers=spec.get("workers", 1), executor=executor)


__getattr__, __dir__ = attach(
    __name__,
    deprecated={
        "Draft": "Suggestion",
        "Driven": "Stepper",
        "Knob": "Slider",
        "Proposal": "Trial",
        "Proposer": "Sampler",
        "Trials": "BlackBoxSearch",
        "assisted": "zero_cost_warm_start",
    },
)

__all__ = [
    "BOHB",
    "EN2AS",
    "EPNAS",
    "GDAS",
    "PPO",
    "SEARCHERS",
    "SNAS",
    "SPOS",
    "Act",
    "AutoKeras",
    "AutoKerasHyperparameters",
    "BOHBHyperparameters",
    "BlackBoxSearch",
    "Count",
    "Darts",
    "DartsHyperparameters",
    "DrNAS",
    "DrNASHyperparameters",
    "EN2ASHyperparameters",
    "EPNASHyperparameters",
    "Enas",
    "EnasHyperparameters",
    "FairNAS",
    "FairNASHyperparameters",
    "Forecast",
    "GDASHyperparameters",
    "GradientSearch",
    "GradientSearchHyperparameters",
    "Hurdles",
    "HurdlesHyperparameters",
    "Hyperband",
    "HyperbandHyperparameters",
    "IDarts",
    "IDartsHyperparameters",
    "LargeScaleEvolution",
    "LargeScaleEvolutionHyperparameters",
    "LocalSearch",
    "LocalSearchHyperparameters",
    "Mask",
    "MiLeNAS",
    "MiLeNASHyperparameters",
    "NasRL",
    "NasRLHyperparameters",
    "PCDarts",
    "PCDartsHyperparameters",
    "PPOHyperparameters",
    "ProxylessNAS",
    "ProxylessNASHyperparameters",
    "QLearning",
    "QLearningHyperparameters",
    "RandomSearch",
    "RandomSearchHyperparameters",
    "Rates",
    "RegularizedEvolution",
    "RegularizedEvolutionHyperparameters",
    "RobustDarts",
    "RobustDartsHyperparameters",
    "SNASHyperparameters",
    "SPOSHyperparameters",
    "Sampler",
    "Select",
    "Setting",
    "Several",
    "Slider",
    "SmoothDarts",
    "SmoothDartsHyperparameters",
    "State",
    "Stepper",
    "SuccessiveHalving",
    "SuccessiveHalvingHyperparameters",
    "Suggestion",
    "SupernetSearcher",
    "Switch",
    "Trial",
    "bilevel",
    "by_name",
    "finding_rates",
    "forecast",
    "from_spec",
    "lr_find",
    "zero_cost_warm_start",
]
