"""Networks built from an architecture, and supernets that share the weights of many."""

from typing import TYPE_CHECKING

from naslab.lazy import attach

if TYPE_CHECKING:
    from naslab.networks.cost import Cost, cost, parameters
    from naslab.networks.darts import DartsNetwork
    from naslab.networks.darts_supernet import DartsSupernet
    from naslab.networks.genotype import DARTS_V1, DARTS_V2, Genotype
    from naslab.networks.lstm import LSTMLanguageModel
    from naslab.networks.nasbench201 import NASBench201Network, NASBench201Supernet
    from naslab.networks.recurrent_cell import Dropouts, RecurrentCellNetwork
    from naslab.networks.recurrent_genotype import (
        RECURRENT_ENAS,
        RECURRENT_ENAS_CORRECTED,
        RECURRENT_V1,
        RECURRENT_V2,
        RecurrentGenotype,
    )
    from naslab.networks.recurrent_shared import RecurrentSharedTaggers, RecurrentSharedWeights
    from naslab.networks.recurrent_supernet import RecurrentSupernet
    from naslab.networks.recurrent_tagger import RecurrentTagger, RecurrentTaggerSupernet

__getattr__, __dir__ = attach(__name__)


__all__ = [
    "DARTS_V1",
    "DARTS_V2",
    "RECURRENT_ENAS",
    "RECURRENT_ENAS_CORRECTED",
    "RECURRENT_V1",
    "RECURRENT_V2",
    "Cost",
    "DartsNetwork",
    "DartsSupernet",
    "Dropouts",
    "Genotype",
    "LSTMLanguageModel",
    "NASBench201Network",
    "NASBench201Supernet",
    "RecurrentCellNetwork",
    "RecurrentGenotype",
    "RecurrentSharedTaggers",
    "RecurrentSharedWeights",
    "RecurrentSupernet",
    "RecurrentTagger",
    "RecurrentTaggerSupernet",
    "cost",
    "parameters",
]
