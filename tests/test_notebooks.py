"""What every notebook must be, before it is run (`make notebooks` runs them)."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
CHECK = "# NBVAL_CHECK_OUTPUT"


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.name)
def notebook(request):
    return nbformat.read(request.param, as_version=4)


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_there_are_notebooks():
    assert NOTEBOOKS


def test_checked_cells_have_something_to_be_checked_against(notebook):
    """nbval passes any cell that has no stored output, checked or not."""
    checked = [cell for cell in code(notebook) if CHECK in cell.source]
    assert len(checked) >= 2
    for cell in checked:
        texts = [output.get("text", "") for output in cell.outputs]
        assert any(text.strip() for text in texts), cell.source
        assert cell.execution_count == 1, "nbval refuses an output without one"


def test_nothing_else_is_stored(notebook):
    assert "widgets" not in notebook.metadata
    for cell in code(notebook):
        if CHECK not in cell.source:
            assert not cell.outputs, cell.source
            assert cell.execution_count is None, cell.source


def test_one_idea_one_title(notebook):
    titles = [
        line
        for cell in notebook.cells
        if cell.cell_type == "markdown"
        for line in cell.source.splitlines()
        if line.startswith("# ")
    ]
    assert len(titles) == 1
    assert notebook.cells[0].source.startswith("# ")


def test_every_cell_is_introduced_and_short(notebook):
    for before, cell in zip(notebook.cells, notebook.cells[1:], strict=False):
        if cell.cell_type == "code":
            assert before.cell_type == "markdown", cell.source
            assert len(cell.source.splitlines()) <= 16, cell.source


def test_every_size_is_a_budget(notebook):
    assert "nl.budget(" in code(notebook)[0].source
