"""The networks of published genotypes, by the number of their parameters."""

import re

import pytest
import torch
from published_genotypes import PUBLISHED

from naslab.networks.cost import parameters
from naslab.networks.darts import DartsNetwork
from naslab.networks.genotype import Genotype


@pytest.mark.parametrize("kind", ["mild", "moderate", "aggressive"])
def test_a_network_with_all_edges_is_the_one_without_its_none(kind):
    """SNAS publishes each cell twice, with all edges and with two a node; "none" adds zeros, so that the networks are
    the same, parameter by parameter. (The reduction cell of the aggressive one has nodes that are all zeros.)"""
    two, every = (Genotype.parse(PUBLISHED["snas", f"SNAS_{kind}{form}"]) for form in ("", "_edge_all"))
    networks = [DartsNetwork(one, (1, 8, 8), 3, channels=2, cells=3).double().eval() for one in (two, every)]
    assert parameters(networks[0]) == parameters(networks[1])
    where = {}
    for part in ("normal", "reduce"):
        of_two = [(i, *entry) for i, node in enumerate(two.nodes(part)) for entry in node]
        of_all = [(i, *entry) for i, node in enumerate(every.nodes(part)) for entry in node]
        where[part] = {of_all.index(edge): position for position, edge in enumerate(of_two)}
        assert {edge[1] for edge in set(of_all) - set(of_two)} == {"none"}
    state = networks[0].state_dict()
    for cell in networks[1].cells:
        assert len(cell.operations) == 14
    given = {}
    for name in networks[1].state_dict():
        if found := re.match(r"cells\.(\d)\.operations\.(\d+)\.(.*)", name):
            part = "reduce" if int(found[1]) in (1, 2) else "normal"
            given[name] = state[f"cells.{found[1]}.operations.{where[part][int(found[2])]}.{found[3]}"]
        else:
            given[name] = state[name]
    networks[1].load_state_dict(given)
    x = torch.randn(2, 1, 8, 8, dtype=torch.float64)
    torch.testing.assert_close(networks[1](x), networks[0](x), rtol=0, atol=1e-12)


PAPER = {
    "DARTS_V1": (3_645_840, 3_169_414),
    "DARTS_V2": (3_825_768, 3_349_342),
    "NASNet": (4_288_944, 3_830_950),
    "AmoebaNet": (3_603_072, 3_145_078),
}
"""Parameters with and without the auxiliary head at 36 channels and 20 cells for 10 classes, counted with the authors'
code."""


@pytest.mark.parametrize("name", PAPER)
def test_parameters_of_the_authors_networks(name):
    with torch.device("meta"):
        genotype = Genotype.parse(PUBLISHED["darts", name])
        network = DartsNetwork(genotype, (3, 32, 32), 10, channels=36, cells=20, auxiliary=True)
    counted = parameters(network)
    assert (counted, counted - parameters(network.auxiliary_head)) == PAPER[name]  # type: ignore[arg-type]


IMAGENET = {
    "DARTS_V1": (5_771_208, 4_510_432),
    "DARTS_V2": (5_979_528, 4_718_752),
    "NASNet": (6_800_520, 5_564_320),
    "AmoebaNet": (5_863_560, 4_627_360),
}
"""The same of their networks for ImageNet: 48 channels, 14 cells, 1000 classes, 224 x 224 pixels."""


@pytest.mark.parametrize("name", IMAGENET)
def test_parameters_of_the_authors_networks_for_imagenet(name):
    with torch.device("meta"):
        genotype, sizes = Genotype.parse(PUBLISHED["darts", name]), {"channels": 48, "cells": 14, "stem": "imagenet"}
        network = DartsNetwork(genotype, (3, 224, 224), 1000, auxiliary=True, **sizes)
    counted = parameters(network)
    assert (counted, counted - parameters(network.auxiliary_head)) == IMAGENET[name]  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["GDAS_V1", "SETN", "PNASNet"])
def test_networks_of_the_nested_form(name):
    network = DartsNetwork(Genotype.parse(PUBLISHED["autodl", name]), (1, 8, 8), 3, channels=2, cells=3)
    assert network(torch.randn(2, 1, 8, 8)).shape == (2, 3)
