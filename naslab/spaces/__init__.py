"""Search spaces, one per file, and their registry by name."""

from __future__ import annotations

import dataclasses
from collections import ChainMap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from naslab.errors import SpecError, unknown
from naslab.lazy import attach
from naslab.registry import Registry, described, named

if TYPE_CHECKING:
    from naslab.spaces.chain_skips import ChainSkips
    from naslab.spaces.darts_cell import DartsCell, DartsCellAllEdges
    from naslab.spaces.enas_macro import EnasMacro
    from naslab.spaces.enas_micro import EnasMicro
    from naslab.spaces.fixed_space import FixedSpace
    from naslab.spaces.flexibert import FlexiBERT
    from naslab.spaces.hierarchical import Hierarchical
    from naslab.spaces.large_scale_evolution import LargeScaleEvolutionSpace
    from naslab.spaces.metaqnn import MetaQNN
    from naslab.spaces.mnasnet import MnasNet
    from naslab.spaces.mobile_chain import MobileChain
    from naslab.spaces.nasbench101 import NASBench101
    from naslab.spaces.nasbench201 import NASBench201
    from naslab.spaces.nasbench_macro import NASBenchMacro
    from naslab.spaces.nasbench_mr import NASBenchMR
    from naslab.spaces.nasbench_nlp import NASBenchNLP
    from naslab.spaces.nasnet_cell import NASNetCell
    from naslab.spaces.network_morphism import NetworkMorphism
    from naslab.spaces.recurrent_cell import RecurrentCell
    from naslab.spaces.space import Space
    from naslab.spaces.subset import Subset
    from naslab.spaces.weight_sharing import DrawnSupernet, Mixable, Shared, Supernet, SupernetSpace
    from naslab.spaces.without import Without
    from naslab.tasks.signature import TaskLike


SPACES: Registry[type[Space]] = Registry(
    __name__,
    {
        "darts_cell": "DartsCell",
        "darts_cell_all_edges": "DartsCellAllEdges",
        "nasbench101": "NASBench101",
        "nasbench201": "NASBench201",
        "nasbench_macro": "NASBenchMacro",
        "nasbench_mr": "NASBenchMR",
        "nasbench_nlp": "NASBenchNLP",
        "recurrent_cell": "RecurrentCell",
        "flexibert": "FlexiBERT",
        "segments": "MnasNet",
        "mobile_chain": "MobileChain",
        "enas_macro": "EnasMacro",
        "enas_micro": "EnasMicro",
        "nasnet_cell": "NASNetCell",
        "chain": "MetaQNN",
        "chain_skips": "ChainSkips",
        "hierarchical": "Hierarchical",
        "evolving": "LargeScaleEvolutionSpace",
        "morphing": "NetworkMorphism",
    },
)
"""Name in a spec -> class; all can be made without arguments."""
_OF_OTHERS: Registry[type[Space]] = Registry(__name__, {"listed": "Subset", "without": "Without"})
"""Spaces that are made from another one."""

__getattr__, __dir__ = attach(
    __name__,
    deprecated={
        "Chain": "MetaQNN",
        "Evolving": "LargeScaleEvolutionSpace",
        "Listed": "Subset",
        "Morphing": "NetworkMorphism",
        "Segments": "MnasNet",
        "Shaped": "TaskLike",
    },
)

__all__ = [
    "SPACES",
    "ChainSkips",
    "DartsCell",
    "DartsCellAllEdges",
    "DrawnSupernet",
    "EnasMacro",
    "EnasMicro",
    "FixedSpace",
    "FlexiBERT",
    "Hierarchical",
    "LargeScaleEvolutionSpace",
    "MetaQNN",
    "Mixable",
    "MnasNet",
    "MobileChain",
    "NASBench101",
    "NASBench201",
    "NASBenchMR",
    "NASBenchMacro",
    "NASBenchNLP",
    "NASNetCell",
    "NetworkMorphism",
    "RecurrentCell",
    "Shared",
    "Space",
    "Subset",
    "Supernet",
    "SupernetSpace",
    "TaskLike",
    "Without",
    "class_of",
    "from_spec",
]


def class_of(name: object) -> type[Space]:
    """Returns the class of spaces of this name, naslab's or the user's. Raises `SpecError` if there is none."""
    from naslab.spaces.space import Space

    return named("space", name, ChainMap(_OF_OTHERS, SPACES), Space)


@described("a space")
def from_spec(spec: Mapping[str, Any]) -> Space:
    """Returns the space that `space.spec()` describes. Parameters that are left out have their defaults.

    Raises:
        SpecError: if the spec describes no space, whatever it is.
    """
    from naslab.spaces.without import Without

    if not isinstance(spec, Mapping) or "space" not in spec:
        raise SpecError(f"expected an object with the key 'space', one of {', '.join(SPACES)}; got {spec!r:.200}")
    name = spec["space"]
    if name == Without.name:
        return from_spec(spec["of"]).without(spec["forbidden"])
    space = class_of(name)
    parameters = {key: value for key, value in spec.items() if key != "space"}
    known = [field.name for field in dataclasses.fields(space)]  # type: ignore[arg-type]
    for key in parameters:
        if key not in known:
            raise SpecError(f"{name}: {unknown('parameter', key, known)}")
    return space(**parameters)
