"""What CONTRIBUTING.md shows as code runs, one block after the other, as a reader would type it."""

import re
from pathlib import Path

import pytest

TEXT = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")


def blocks():
    """(heading, code) of every block of Python."""
    found = []
    for section in re.split(r"^(?=## )", TEXT, flags=re.MULTILINE):
        heading = section.partition("\n")[0].removeprefix("## ")
        found += [(heading, code) for code in re.findall(r"^```python\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)]
    return found


def test_every_block_runs():
    names = {"__name__": "contributing"}
    for heading, code in blocks():
        exec(compile(code, f"CONTRIBUTING.md, {heading}", "exec"), names)
    case = names["TestInk"]
    for check in filter(lambda name: name.startswith("test_"), dir(case)):
        getattr(case(), check)()
    headings = [heading for heading, _ in blocks()]
    assert headings == [
        "Add a task",
        "Add a task",
        "Add a task",
        "Add a metric",
        "Add a setting",
        "Add a view",
        "Add a view",
    ]


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:naslab|tests|benchmarks|widgets)/[\w/.]+)`", TEXT))))
def test_every_path_is_there(path):
    assert (Path(__file__).parents[1] / path).exists()
