"""Networks built from an architecture, and supernets that share weights."""

from naslab.networks.cost import Cost, cost, parameters
from naslab.networks.darts import DartsNetwork
from naslab.networks.darts_supernet import DartsSupernet
from naslab.networks.genotype import DARTS_V1, DARTS_V2, Genotype
from naslab.networks.nasbench201 import NASBench201Network, NASBench201Supernet

__all__ = [
    "DARTS_V1",
    "DARTS_V2",
    "Cost",
    "DartsNetwork",
    "DartsSupernet",
    "Genotype",
    "NASBench201Network",
    "NASBench201Supernet",
    "cost",
    "parameters",
]
