"""Tabular benchmarks: results of trained architectures, of a whole search space or a part of it, held in memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from naslab.errors import SpecError
from naslab.lazy import attach
from naslab.registry import Registry, described, named

if TYPE_CHECKING:
    from naslab.benchmarks.benchmark import Benchmark
    from naslab.benchmarks.curves import Curve
    from naslab.benchmarks.ec_nas import ECNAS, ECNASRecord
    from naslab.benchmarks.hw_nas_bench import HWNASBench, HWNASBenchRecord
    from naslab.benchmarks.nasbench101 import NASBench101, NASBench101Record
    from naslab.benchmarks.nasbench201 import NASBench201, NASBench201Record
    from naslab.benchmarks.nasbench_bert import NASBenchBERT, NASBenchBERTRecord
    from naslab.benchmarks.nasbench_macro import NASBenchMacro, NASBenchMacroRecord
    from naslab.benchmarks.nasbench_mr import NASBenchMR, NASBenchMRRecord
    from naslab.benchmarks.nasbench_nlp import NASBenchNLP, NASBenchNLPRecord
    from naslab.benchmarks.nats_bench import NATSBench, NATSBenchRecord
    from naslab.benchmarks.own import OwnTable, OwnTableRecord, from_csv

__getattr__, __dir__ = attach(__name__)


_BUNDLED = {
    "ec_nas": "ECNAS",
    "nasbench201": "NASBench201",
    "nasbench_bert": "NASBenchBERT",
    "nasbench_mr": "NASBenchMR",
    "nasbench_macro": "NASBenchMacro",
    "nasbench_nlp": "NASBenchNLP",
}
BUNDLED: Registry[type[Benchmark]] = Registry(__name__, _BUNDLED)
"""Benchmarks whose data comes with naslab."""
BENCHMARKS: Registry[type[Benchmark]] = Registry(
    __name__,
    _BUNDLED
    | {
        "hw_nas_bench": "HWNASBench",
        "nasbench101": "NASBench101",
        "nats_bench": "NATSBench",
        "own_table": "OwnTable",
    },
)
"""All benchmarks: the bundled ones, and those read from official files or your own tables, given by a path."""

__all__ = [
    "BENCHMARKS",
    "BUNDLED",
    "ECNAS",
    "Benchmark",
    "Curve",
    "ECNASRecord",
    "HWNASBench",
    "HWNASBenchRecord",
    "NASBench101",
    "NASBench101Record",
    "NASBench201",
    "NASBench201Record",
    "NASBenchBERT",
    "NASBenchBERTRecord",
    "NASBenchMR",
    "NASBenchMRRecord",
    "NASBenchMacro",
    "NASBenchMacroRecord",
    "NASBenchNLP",
    "NASBenchNLPRecord",
    "NATSBench",
    "NATSBenchRecord",
    "OwnTable",
    "OwnTableRecord",
    "from_csv",
    "from_spec",
]


@described("a benchmark")
def from_spec(spec: Mapping[str, Any]) -> Benchmark:
    """Returns the benchmark that `benchmark.spec()` describes. Raises `SpecError` for any other input."""
    from naslab.benchmarks.benchmark import Benchmark
    from naslab.benchmarks.own import OwnTable, as_recorded

    if not isinstance(spec, Mapping) or "benchmark" not in spec:
        raise SpecError(
            f"expected an object with the key 'benchmark', one of {', '.join(BENCHMARKS)}; got {spec!r:.200}"
        )
    name = spec["benchmark"]
    benchmark = named("benchmark", name, BENCHMARKS, Benchmark)
    given = {key: value for key, value in spec.items() if key != "benchmark"}
    try:
        return benchmark(**(as_recorded(given) if name == OwnTable.name else given))
    except TypeError as error:
        raise SpecError(f"benchmark {name!r}: {error}; given: {spec!r:.200}") from None
