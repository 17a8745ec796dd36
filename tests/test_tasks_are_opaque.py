"""Above the tasks nobody asks which task it is: what is needed of one stands in its contract (`naslab.tasks.task`)."""

import ast
from pathlib import Path

import pytest

import naslab as nl
from naslab.tasks.task import Task

ROOT = Path(__file__).parents[1]
SOURCES = sorted(
    path
    for path in (*ROOT.glob("naslab/**/*.py"), *ROOT.glob("widgets/**/*.py"))
    if not {ROOT / "naslab/tasks", ROOT / "naslab/testing"} & set(path.parents)  # testing looks at tasks on purpose
)
CONTRACT = {"task", "checks", "signature", "streams", "measurement", "metrics", "sequence", "order", "splits"}
"""Modules of `naslab.tasks` that anybody may import from."""
PUBLIC = {"Task", "check_task", "from_spec"}
"""Names of `naslab.tasks` itself that anybody may import."""
LOOKS = {"isinstance", "issubclass", "hasattr", "getattr", "type", "callable"}


def concrete():
    """Names of the classes that are tasks."""

    def below(cls):
        return {cls.__name__}.union(*map(below, cls.__subclasses__()))

    made = {name for name in dir(nl.tasks) if isinstance(getattr(nl.tasks, name), type) and name != "Task"}
    return (made & below(Task)) | {"ImageClassification", "Images", "LanguageModel", "TokenPrediction"}


CONCRETE = concrete()


def is_task(node):
    """Whether an expression is called a task: `task`, `self.task`, `search.searcher.task`."""
    return (isinstance(node, ast.Name) and node.id in ("task", "_task")) or (
        isinstance(node, ast.Attribute) and node.attr in ("task", "_task")
    )


def violations(source):
    """What is asked of a task that its contract does not say, as `line: what`."""
    found, tree = [], ast.parse(source)
    named = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr == "__name__"}
    for node in ast.walk(tree):
        if id(node) in named:  # what an error calls it
            continue
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("naslab.tasks"):
            module = node.module.removeprefix("naslab.tasks").strip(".")
            for alias in node.names:
                allowed = module in CONTRACT or (not module and alias.name in PUBLIC | CONTRACT)
                if not allowed or alias.name in CONCRETE:
                    found.append(f"{node.lineno}: from {node.module} import {alias.name}")
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("naslab.tasks.") and alias.name.split(".")[2] not in CONTRACT:
                    found.append(f"{node.lineno}: import {alias.name}")
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in LOOKS and node.args:
            name = node.func.id
            kinds = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
            kinds |= {each.attr for each in ast.walk(node) if isinstance(each, ast.Attribute)}
            if name in ("isinstance", "issubclass"):
                if CONCRETE & kinds or (is_task(node.args[0]) and not kinds & {"Task", "str"}):
                    found.append(f"{node.lineno}: {ast.unparse(node)}")
            elif is_task(node.args[0]) or (name == "callable" and any(map(is_task, ast.walk(node.args[0])))):
                found.append(f"{node.lineno}: {ast.unparse(node)}")
    return found


def test_nobody_asks_which_task_it_is():
    assert len(SOURCES) > 200
    found = {str(path.relative_to(ROOT)): violations(path.read_text()) for path in SOURCES}
    assert {path: seen for path, seen in found.items() if seen} == {}


@pytest.mark.parametrize(
    "source",
    [
        "from naslab.tasks import Images",
        "from naslab.tasks.images import Images as Pictures",
        "import naslab.tasks.images",
        "isinstance(task, Images)",
        "isinstance(self.task, (nl.tasks.Digits, int))",
        "isinstance(task, TaskLike)",
        "hasattr(task, 'batch')",
        "getattr(self.task, 'vocabulary', None)",
        "callable(getattr(task, 'batch', None))",
        "type(task) is str",
        "from naslab.tasks.language_model import LanguageModel",
    ],
)
def test_asking_is_seen(source):
    assert violations(source)


@pytest.mark.parametrize(
    "source",
    [
        "isinstance(task, Task)",
        "from naslab.tasks.task import Task, check_task",
        "getattr(space, 'task')",
        "task.loss(o, b)",
    ],
)
def test_the_contract_may_be_used(source):
    assert violations(source) == []
