"""The recurrent cells of DARTS (Liu, Simonyan and Yang 2019, "DARTS: Differentiable Architecture Search",
https://arxiv.org/abs/1806.09055, Sec. 2.1, 2.4, 3.1.2 and A.1.2).

A cell reads the input x_t and the last output h_{t-1}. State 0 is a gated mixture of the two; node i = 1 to N reads one
earlier state, j, through one function f:

    c_0, u_0 = [x_t ; h_{t-1}] W_0     s_0 = h_{t-1} + sigmoid(c_0) (tanh(u_0) - h_{t-1})
    c, u = s_j W_i                     s_i = s_j + sigmoid(c) (f(u) - s_j),   f: tanh, relu, sigmoid or identity

and h_t is the mean of all nodes. An architecture is j and f of each node: N! 4^N cells, 2.6e9 with 8 nodes.

The search, as published:

    the supernet computes all functions on all N (N + 1) / 2 edges (`naslab.networks.recurrent_supernet`)
    each row of alphas is a softmax over none, tanh, relu, sigmoid, identity
    for each step: the alphas descend the validation loss of a chunk of the validation text (Adam),
                   then the weights descend the training loss of a chunk of the training text (SGD)
    each node keeps the edge whose best function, none excluded, has the largest probability, with that function

`none` has its share of the softmax but is never kept. The search uses 300 units; the found cell is trained from scratch
with 850 (`space.build(architecture, task, hidden=850, dropout_e=0.1)`), without batch normalisation.

Differences from the authors' code: in second order the virtual step moves all weights. In theirs the matrix that the
embedding and the decoder share stays where it is, because a copy of the old one is loaded over the moved one. An edge
that a mixture marks as unused (`naslab.networks.mixture`) is not computed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from naslab.architecture import Architecture, Choice
from naslab.errors import SpecError, unknown
from naslab.networks import sizes
from naslab.networks.genotype_text import MAX_NODES
from naslab.networks.recurrent_cell import Dropouts, RecurrentCellNetwork, words_of
from naslab.networks.recurrent_genotype import RecurrentGenotype
from naslab.networks.recurrent_shared import RecurrentSharedTaggers, RecurrentSharedWeights
from naslab.networks.recurrent_supernet import PART, RECURRENT_OPERATIONS, RecurrentSupernet, row
from naslab.networks.recurrent_tagger import RecurrentTagger, RecurrentTaggerSupernet, sizes_of, tags_words
from naslab.spaces.fixed_space import FixedSpace
from naslab.spaces.weight_sharing import weight_matrices
from naslab.tasks.signature import signature_of

if TYPE_CHECKING:
    import networkx as nx

INPUT, LAST, OUTPUT = f"{PART}/x_{{t}}", f"{PART}/h_{{t-1}}", f"{PART}/h_{{t}}"
RATES = tuple(field.name for field in fields(Dropouts))
BUILD_ANY = (
    "Any genotype can be built without a space: nl.networks.RecurrentCellNetwork(nl.networks.RecurrentGenotype.parse("
    "text), task.signature.inputs.vocabulary, hidden=850, dropouts=nl.networks.Dropouts(dropout_e=0.1))"
)


@dataclass(frozen=True)
class RecurrentCell(FixedSpace):
    """Recurrent cells whose nodes read one state each.

    `"none"` takes part in the mixture of the supernet but is never kept.
    """

    name: ClassVar[str] = "recurrent_cell"
    reads: ClassVar[frozenset[str] | None] = frozenset({"tokens", "characters"})
    gives: ClassVar[frozenset[str]] = frozenset({"sequence"})

    nodes: int = 8
    """Number of nodes of a cell, state 0 not counted."""
    operations: tuple[str, ...] = RECURRENT_OPERATIONS
    """Candidate functions, in the order of the columns of the mixture weights."""
    hidden: int = 300
    """Units of the embedding and of all states, in the supernet and by default in a built network."""
    dropouts: tuple[float, ...] = (0.75, 0.75, 0.25, 0.2, 0.0)
    """Default dropout rates, in the order of `Dropouts`: of outputs, of x, of h, of embeddings, of words."""

    def __post_init__(self) -> None:
        super().__post_init__()
        sizes.positives(self, "nodes", "hidden")
        if self.nodes > MAX_NODES:
            raise SpecError(f"a cell has at most {MAX_NODES} nodes, not {self.nodes}")
        object.__setattr__(self, "operations", sizes.operations(self.operations, RECURRENT_OPERATIONS))
        if not self.kept_operations:
            raise SpecError("operations must hold at least one besides 'none', or there is nothing to keep")
        if not isinstance(self.dropouts, list | tuple) or len(self.dropouts) != len(RATES):
            raise SpecError(f"dropouts must be {len(RATES)} rates ({', '.join(RATES)}), not {self.dropouts!r:.200}")
        object.__setattr__(self, "dropouts", tuple(asdict(Dropouts(*self.dropouts)).values()))

    @classmethod
    def paper(cls) -> RecurrentCell:
        """Returns the space of the paper's search on Penn Treebank (build the cell with hidden=850, dropout_e=0.1)."""
        return cls()

    @classmethod
    def laptop(cls) -> RecurrentCell:
        """Returns a space that can be searched interactively on two CPU cores, on a text of characters.

        A step with 32 sequences of 32 characters takes about a fifth of a second. There is no dropout, because a search
        of that length does not overfit.
        """
        return cls(hidden=64, dropouts=(0.0,) * len(RATES))

    @cached_property
    def kept_operations(self) -> tuple[str, ...]:
        """Functions that an architecture may hold: all but `"none"`."""
        return tuple(operation for operation in self.operations if operation != "none")

    # --- choices ---------------------------------------------------------------------------------

    def each_choice(self) -> Iterable[Choice]:
        choices = []
        for node in range(1, self.nodes + 1):
            choices.append(Choice(f"{PART}/{node}/input", tuple(range(node))))
            choices.append(Choice(f"{PART}/{node}/op", self.kept_operations))
        return choices

    def entries(self, architecture: Architecture) -> list[tuple[str, int]]:
        """Returns (function, state that it reads) of each node, as in a genotype."""
        choices = self.check(architecture).choices
        return [(str(function), int(source)) for source, function in zip(choices[::2], choices[1::2], strict=True)]

    # --- the published form ----------------------------------------------------------------------

    def genotype(self, architecture: Architecture) -> RecurrentGenotype:
        """Returns the published form; its `str` is the published text."""
        return RecurrentGenotype(tuple(self.entries(architecture)), tuple(range(1, self.nodes + 1)))

    def from_genotype(self, genotype: Any) -> Architecture:
        """Returns the architecture of a genotype, which is anything that `RecurrentGenotype.parse` reads.

        Raises `SpecError` if this space does not hold it.
        """
        genotype = RecurrentGenotype.parse(genotype)
        if len(genotype.recurrent) != self.nodes or set(genotype.concat) != set(range(1, self.nodes + 1)):
            raise self._not_here(
                f"expected {self.nodes} nodes, and the mean of all of them; got {len(genotype.recurrent)} and the mean "
                f"of {list(genotype.concat)}"
            )
        for node, (function, _) in enumerate(genotype.recurrent, start=1):
            if function not in self.kept_operations:
                raise self._not_here(f"node {node}: {unknown('function', function, self.kept_operations)}")
        return self.architecture([choice for function, source in genotype.recurrent for choice in (source, function)])

    def parse(self, text: Any, *, which: str | int | None = None) -> Architecture:
        """Reads the published text `Genotype(recurrent=[('relu', 0), ...], concat=range(1, 9))`.

        Args:
            text: the text, or anything else that `RecurrentGenotype.parse` reads.
            which: where a text holds several, the name of one, "DARTS_V2", or its number (-1 the last).
        """
        return self.from_genotype(RecurrentGenotype.parse(text, which=which))

    def format(self, architecture: Architecture) -> str:
        """Returns the published text."""
        return str(self.genotype(architecture))

    def _not_here(self, why: str) -> SpecError:
        return SpecError(f"{self.name}: {why}. {BUILD_ANY}")

    # --- the supernet ----------------------------------------------------------------------------

    def edges(self) -> dict[str, int]:
        """Returns the number of edges of the densest cell, N (N + 1) / 2."""
        return {PART: row(self.nodes + 1, 0)}

    def discretize(self, weights: Mapping[str, np.ndarray]) -> Architecture:
        """Returns the cell that keeps for each node its strongest edge (Liu et al. 2019, Sec. 2.4).

        The strength of an edge is the largest weight of its functions, `"none"` excluded; that function is kept. The
        earlier edge and the earlier function win ties.
        """
        columns = [self.operations.index(operation) for operation in self.kept_operations]
        matrix = weight_matrices(weights, self.edges(), len(self.operations))[PART]
        choices = []
        for node in range(1, self.nodes + 1):
            kept = matrix[row(node, 0) : row(node + 1, 0), columns]
            source = int(kept.max(axis=1).argmax())
            choices += [source, self.kept_operations[kept[source].argmax()]]
        return self.architecture(choices)

    def one_hot(self, architecture: Architecture) -> dict[str, np.ndarray]:
        matrix = np.zeros((self.edges()[PART], len(self.operations)), dtype=np.float32)
        for node, (function, source) in enumerate(self.entries(architecture), start=1):
            matrix[row(node, source), self.operations.index(function)] = 1
        return {PART: matrix}

    # --- graphs ----------------------------------------------------------------------------------

    def graph(self, architecture: Architecture) -> nx.DiGraph:
        graph = self._nodes_and_outputs()
        for node, (function, source) in enumerate(self.entries(architecture), start=1):
            graph.add_edge(f"{PART}/{source}", f"{PART}/{node}", op=function, row=row(node, source))
        return graph

    def supergraph(self) -> nx.DiGraph:
        graph = self._nodes_and_outputs()
        for node in range(1, self.nodes + 1):
            for source in range(node):
                graph.add_edge(f"{PART}/{source}", f"{PART}/{node}", row=row(node, source))
        return graph

    def _nodes_and_outputs(self) -> nx.DiGraph:
        """Returns the graph of all nodes and of the fixed edges, into state 0 and to the output."""
        import networkx as nx

        graph = nx.DiGraph()
        for name in (INPUT, LAST):
            graph.add_node(name, part=PART, label=name.removeprefix(f"{PART}/"), role="input")
        for state in range(self.nodes + 1):
            graph.add_node(f"{PART}/{state}", part=PART, label=str(state), role="node")
        graph.add_node(OUTPUT, part=PART, label=OUTPUT.removeprefix(f"{PART}/"), role="output")
        graph.add_edges_from((name, f"{PART}/0") for name in (INPUT, LAST))
        graph.add_edges_from((f"{PART}/{node}", OUTPUT) for node in range(1, self.nodes + 1))
        return graph

    # --- networks --------------------------------------------------------------------------------

    def build(
        self, architecture: Architecture, task: Any, *, hidden: int | None = None, **rates: float
    ) -> RecurrentCellNetwork | RecurrentTagger:
        """Returns the language model of a cell, with random weights; for a task such as `nl.tasks.Entities` its tagger
        in both directions.

        Args:
            task: predicts the next word at each position, as `nl.tasks.LanguageModel` does, or a tag of each word.
            hidden: number of units; 850 in the paper.
            **rates: dropout, dropout_x, dropout_h, dropout_i, dropout_e, which override the space's; the paper's cells
                are trained with dropout_e=0.1.
        """
        signature, genotype = signature_of(task), self.genotype(architecture)
        sized: dict[str, Any] = self._sized(hidden, rates)
        if tags_words(signature):
            return RecurrentTagger(genotype, sizes_of(signature), **sized)
        return RecurrentCellNetwork(genotype, words_of(signature), **sized)

    def supernet(
        self, task: Any, *, hidden: int | None = None, **rates: float
    ) -> RecurrentSupernet | RecurrentTaggerSupernet:
        """Returns the supernet of all cells; arguments as for `build`."""
        signature = signature_of(task)
        sized: dict[str, Any] = self._sized(hidden, rates)
        if tags_words(signature):
            return RecurrentTaggerSupernet(self.operations, self.nodes, sizes_of(signature), **sized)
        return RecurrentSupernet(self.operations, self.nodes, words_of(signature), **sized)

    def shared_weights(
        self, task: Any, *, hidden: int | None = None, **rates: float
    ) -> RecurrentSharedWeights | RecurrentSharedTaggers:
        """Returns a network with the weights of all cells, which computes one at a time (ENAS); arguments as for
        `build`."""
        signature = signature_of(task)
        sized: dict[str, Any] = self._sized(hidden, rates)
        if tags_words(signature):
            return RecurrentSharedTaggers(self.nodes, self.kept_operations, sizes_of(signature), **sized)
        return RecurrentSharedWeights(self.nodes, self.kept_operations, words_of(signature), **sized)

    def layers_of(self, architecture: Architecture) -> RecurrentGenotype:
        """Returns the genotype, the second argument of the shared network."""
        return self.genotype(architecture)

    def _sized(self, hidden: int | None, rates: Mapping[str, Any]) -> dict[str, Any]:
        return {"hidden": self.hidden if hidden is None else hidden, "dropouts": self._rates(rates)}

    def _rates(self, changed: Mapping[str, Any]) -> Dropouts:
        """Returns the space's dropout rates, with some of them replaced."""
        if wrong := next((name for name in changed if name not in RATES), None):
            raise SpecError(f"{self.name}: {unknown('argument', wrong, ('hidden', *RATES))}")
        return Dropouts(**{**dict(zip(RATES, self.dropouts, strict=True)), **changed})
