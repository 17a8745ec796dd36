"""Genotypes as they were published, and the forms in which they are written."""

import re
from collections import namedtuple
from pathlib import Path

from hypothesis import strategies as st

from naslab.networks.genotype import DARTS_V2, GENOTYPE_OPERATIONS
from naslab.networks.genotype_text import written

FIXTURES = Path(__file__).parent / "fixtures"
DARTS, SNAS, AUTODL = ((FIXTURES / f"genotypes_{name}.txt").read_text() for name in ("darts", "snas", "autodl"))
PUBLISHED = {
    (file, one.name): one.text
    for file, text in (("darts", DARTS), ("snas", SNAS), ("autodl", AUTODL))
    for one in written(text)
    if one.name not in ("tried", "genotype")
}
"""(file, name) -> the genotype as published."""
PUBLISHED_V2 = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), "
    "('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)], "
    "normal_concat=[2, 3, 4, 5], reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), "
    "('max_pool_3x3', 1), ('max_pool_3x3', 0), ('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], "
    "reduce_concat=[2, 3, 4, 5])"
)
NORMAL, REDUCE = (re.findall(rf"{part}=(\[.*?\])", PUBLISHED_V2)[0] for part in ("normal", "reduce"))


@st.composite
def cells(draw, all_edges=None):
    """A cell of two edges a node, or of all, with the concatenation: what nothing reads, and perhaps more."""
    nodes = draw(st.integers(1, 5))
    if draw(st.booleans()) if all_edges is None else all_edges:
        sources = [draw(st.permutations(range(2 + node))) for node in range(nodes)]
    else:
        sources = [draw(st.tuples(*[st.integers(0, 1 + node)] * 2)) for node in range(nodes)]
    operations = st.sampled_from(list(GENOTYPE_OPERATIONS))
    edges = tuple((draw(operations), source) for read in sources for source in read)
    read = {source for _, source in edges}
    concat = [state for state in range(2, 2 + nodes) if state not in read or draw(st.booleans())]
    return edges, tuple(draw(st.permutations(concat)))


def nested(text, brackets="[]", pairs="()"):
    """The text with its entries node by node."""
    for flat in (NORMAL, REDUCE):
        entries = re.findall(r"\(('\w+'), (\d)\)", flat)
        written = [f"{pairs[0]}{operation}, {source}{pairs[1]}" for operation, source in entries]
        nodes = [f"{brackets[0]}{a}, {b}{brackets[1]}" for a, b in zip(written[::2], written[1::2], strict=True)]
        text = text.replace(flat, f"[{', '.join(nodes)}]")
    return text


NAMED = namedtuple("NAMED", "normal normal_concat reduce reduce_concat")
SIX = namedtuple("SIX", "normal normal_concat reduce reduce_concat connectN connects", defaults=(None, None))
V2 = DARTS_V2.normal, (2, 3, 4, 5), DARTS_V2.reduce, (2, 3, 4, 5)
