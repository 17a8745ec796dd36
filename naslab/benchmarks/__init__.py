"""Benchmarks: spaces whose architectures have all been trained, as tables in memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from naslab.benchmarks.benchmark import Benchmark
from naslab.benchmarks.nasbench201 import NASBench201, NASBench201Record
from naslab.benchmarks.nasbench_macro import NASBenchMacro, NASBenchMacroRecord
from naslab.errors import SpecError, unknown

BENCHMARKS: dict[str, type[Benchmark]] = {NASBench201.name: NASBench201, NASBenchMacro.name: NASBenchMacro}

__all__ = [
    "BENCHMARKS",
    "Benchmark",
    "NASBench201",
    "NASBench201Record",
    "NASBenchMacro",
    "NASBenchMacroRecord",
    "from_spec",
]


def from_spec(spec: Mapping[str, Any]) -> Benchmark:
    """The benchmark that `benchmark.spec()` describes. Raises `SpecError`, and nothing else, on anything else."""
    if not isinstance(spec, Mapping) or "benchmark" not in spec:
        raise SpecError(
            f"expected an object with the key 'benchmark', one of {', '.join(BENCHMARKS)}; got {spec!r:.200}"
        )
    name = spec["benchmark"]
    if not isinstance(name, str) or name not in BENCHMARKS:
        raise SpecError(unknown("benchmark", name, BENCHMARKS))
    try:
        return BENCHMARKS[name](**{key: value for key, value in spec.items() if key != "benchmark"})
    except TypeError as error:
        raise SpecError(f"benchmark {name!r}: {error}; given: {spec!r:.200}") from None
