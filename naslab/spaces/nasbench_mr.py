"""The multi-resolution networks of NAS-Bench-MR (Ding et al. 2022, https://arxiv.org/abs/2103.13253).

A network is HRNet-like: stage s of four has s parallel branches, each at half the resolution of the one before. The
published form is 27 numbers, which are the choices: the channels of the two convolutions of the stem; for each stage
the number of its modules, the number of residual blocks on each branch, and the channels of each branch; the channels
of the head. That is 4^14 * 16^13 = 1.2e24 networks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from naslab.architecture import Architecture, Choice
from naslab.errors import SpecError
from naslab.networks.nasbench_mr import STAGES, Module, NASBenchMRNetwork
from naslab.spaces.fixed_space import FixedSpace
from naslab.spaces.requirements import requirements_of
from naslab.tasks.signature import TaskLike

if TYPE_CHECKING:
    import networkx as nx

PART = "network"
CHANNELS = tuple(range(8, 129, 8))
COUNTS = (1, 2, 3, 4)


def _choices() -> Iterator[Choice]:
    yield Choice("stem/channels_1", CHANNELS)
    yield Choice("stem/channels_2", CHANNELS)
    for stage in range(1, STAGES + 1):
        yield Choice(f"stage_{stage}/modules", COUNTS)
        yield from (Choice(f"stage_{stage}/branch_{branch}/units", COUNTS) for branch in range(1, stage + 1))
        yield from (Choice(f"stage_{stage}/branch_{branch}/channels", CHANNELS) for branch in range(1, stage + 1))
    yield Choice("head/channels", CHANNELS)


CHOICES = tuple(_choices())
FORM = re.compile(rf"\d{{1,3}}((\s+|[_-])\d{{1,3}}){{{len(CHOICES) - 1}}}", re.ASCII)


@dataclass(frozen=True)
class NASBenchMR(FixedSpace):
    """Networks of four stages with parallel branches of different resolution."""

    name: ClassVar[str] = "nasbench_mr"
    reads = frozenset({"image"})

    @classmethod
    def paper(cls) -> NASBenchMR:
        """Returns the space of the benchmark."""
        return cls()

    # --- choices ---------------------------------------------------------------------------------

    def each_choice(self) -> tuple[Choice, ...]:
        return CHOICES

    # --- the published form ----------------------------------------------------------------------

    def parse(self, text: str) -> Architecture:
        """Reads the published numbers. Raises `SpecError` on anything else."""
        if not isinstance(text, str) or not FORM.fullmatch(text.strip()):
            raise SpecError(f"a network is {len(CHOICES)} numbers with spaces, _ or - between them; got {text!r:.200}")
        return self.architecture([int(number) for number in re.findall(r"\d+", text)])

    def format(self, architecture: Architecture) -> str:
        """Returns the published numbers."""
        return " ".join(map(str, self.check(architecture).choices))

    def modules(self, architecture: Architecture) -> list[Module]:
        """Returns the modules of all stages, one after the other; the modules of a stage are equal."""
        numbers = [int(number) for number in self.check(architecture).choices][2:-1]
        modules = []
        for branches in range(1, STAGES + 1):
            count, stage, numbers = numbers[0], numbers[1 : 1 + 2 * branches], numbers[1 + 2 * branches :]
            modules += [Module(tuple(stage[:branches]), tuple(stage[branches:]))] * count
        return modules

    # --- graph and network -----------------------------------------------------------------------

    def graph(self, architecture: Architecture) -> nx.DiGraph:
        """Returns the graph: a node for the blocks of each branch of each module, and edges where branches fuse."""
        import networkx as nx

        architecture = self.check(architecture)
        modules = self.modules(architecture)
        graph = nx.DiGraph()
        stem = architecture.choices[1]
        graph.add_node(f"{PART}/stem", part=PART, label=f"stem {stem}", role="input")
        before = [f"{PART}/stem"]
        for number, module in enumerate(modules, start=1):
            here = []
            for branch, (units, channels) in enumerate(zip(module.units, module.channels, strict=True)):
                node = f"{PART}/{number}/{branch + 1}"
                graph.add_node(node, part=PART, label=f"{units} x {channels}", role="node", op=f"{units}x{channels}")
                # A branch reads itself and its neighbours in resolution, as far as the module before has them.
                for source in range(max(branch - 1, 0), min(branch + 2, len(before))):
                    graph.add_edge(before[source], node)
                here.append(node)
            before = here
        graph.add_node(f"{PART}/head", part=PART, label=f"head {architecture.choices[-1]}", role="output")
        graph.add_edges_from((node, f"{PART}/head") for node in before)
        return graph

    def build(self, architecture: Architecture, task: TaskLike) -> NASBenchMRNetwork:
        """Returns the benchmark's network with its classification head. All sizes are choices, so it takes none."""
        modules = self.modules(architecture)
        first, second, *_, head = (int(number) for number in architecture.choices)
        return NASBenchMRNetwork((first, second), modules, head, *requirements_of(task))
