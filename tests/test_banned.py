"""Nothing in the package can be made to run what it reads: the calls that could are banned from the source."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted([*ROOT.glob("naslab/**/*.py"), *ROOT.glob("widgets/**/*.py")])

BANNED_MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "shelve", "marshal", "jsonpickle"}
BANNED_NAMES = {"eval", "exec"}
BANNED_CALLS = {
    "joblib.load": "runs pickles",
    "yaml.load": "makes any object; yaml.safe_load does not",
    "yaml.unsafe_load": "makes any object; yaml.safe_load does not",
    "yaml.full_load": "makes objects; yaml.safe_load does not",
    "pandas.read_pickle": "runs pickles",
    "pandas.eval": "runs code",
    "builtins.eval": "runs code",
    "builtins.exec": "runs code",
    "torch.serialization.load": "torch.load(..., weights_only=True) instead",
}
CODE = "naslab/notebook_code.py"
"""It is given bytes from a child process of this very process, and reads nothing."""
ALLOWED = {
    CODE: ["import pickle", "import cloudpickle"],
    # The cases pickle an object that they have just made, to see whether it survives; they read no bytes of others.
    "naslab/testing/estimator.py": ["import pickle", "import cloudpickle"],
    "naslab/testing/metric.py": ["import pickle"],
    "naslab/testing/space_choices.py": ["import pickle"],
    "naslab/testing/space_masks.py": ["import pickle"],
    "naslab/testing/task.py": ["import pickle", "import cloudpickle"],
}
"""Module -> what it alone may do."""
WITH_LITERAL = {"torch.load": ("weights_only", True), "numpy.load": ("allow_pickle", False)}
"""Calls allowed only with this keyword written out."""


def violations(source):
    """What is banned in a module's text, as `line: what`."""
    tree, found = ast.parse(source), []
    names = {}  # as it is called here -> what it is

    def dotted(node):
        """`np.load` -> "numpy.load"; None for anything that is not names and dots."""
        if isinstance(node, ast.Name):
            return names.get(node.id, node.id)
        if isinstance(node, ast.Attribute) and (before := dotted(node.value)):
            return f"{before}.{node.attr}"
        return None

    def banned_module(name):
        return bool(BANNED_MODULES & set(name.split(".")))

    for node in ast.walk(tree):  # imports first: a call may stand above the import that it uses
        if isinstance(node, ast.Import):
            for alias in node.names:
                names[alias.asname or alias.name.split(".")[0]] = (
                    alias.name if alias.asname else alias.name.split(".")[0]
                )
                if banned_module(alias.name):
                    found.append(f"{node.lineno}: import {alias.name}")
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                whole = f"{node.module or ''}.{alias.name}"
                names[alias.asname or alias.name] = whole
                if banned_module(whole):
                    found.append(f"{node.lineno}: from {node.module} import {alias.name}")
    called = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called.add(id(node.func))
            name = dotted(node.func)
            if name in WITH_LITERAL:
                keyword, value = WITH_LITERAL[name]
                given = {k.arg: k.value for k in node.keywords}
                literal = given.get(keyword)
                if not (isinstance(literal, ast.Constant) and literal.value is value):
                    found.append(f"{node.lineno}: {name} without {keyword}={value}")
            elif name in ("__import__", "importlib.import_module"):
                word = node.args[0] if node.args else None
                if isinstance(word, ast.Constant) and banned_module(str(word.value)):
                    found.append(f"{node.lineno}: import of {word.value}")
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute):
            name = dotted(node)
            if isinstance(node, ast.Name) and node.id in BANNED_NAMES:
                found.append(f"{node.lineno}: {node.id}")
            elif name in BANNED_CALLS:
                found.append(f"{node.lineno}: {name} ({BANNED_CALLS[name]})")
            elif name in WITH_LITERAL and id(node) not in called:
                found.append(f"{node.lineno}: {name} handed on, where its arguments are not seen")
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_package_uses_nothing_banned(path):
    found = [said.split(": ", 1)[1] for said in violations(path.read_text())]
    assert sorted(found) == sorted(ALLOWED.get(path.relative_to(ROOT).as_posix(), []))


def test_what_runs_what_it_reads_reads_only_what_the_pipe_to_a_child_process_gives_it():
    tree = ast.parse((ROOT / CODE).read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not imported & {"os", "pathlib", "socket", "mmap", "tempfile", "urllib", "multiprocessing"}
    called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert "open" not in called
    users = [path for path in SOURCES if "notebook_code import" in path.read_text()]
    assert [path.relative_to(ROOT).as_posix() for path in users] == [
        "naslab/estimators/worker_process.py",
        "naslab/estimators/workers.py",
        "naslab/trainers/processes.py",
    ]


def test_the_package_is_found():
    assert ROOT / "naslab" / "snapshot.py" in SOURCES
    assert any("naslab_widgets" in path.parts for path in SOURCES)


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "import pickle as p",
        "from pickle import loads",
        "import torch.package, dill",
        "import cloudpickle",
        "from joblib.externals import cloudpickle",
        "import importlib; importlib.import_module('pickle')",
        "__import__('dill')",
        "import joblib; joblib.load(path)",
        "from joblib import load; load(path)",
        "from joblib import load as read; read(path)",
        "eval('1')",
        "run = eval",
        "import builtins; builtins.exec('1')",
        "exec('1')",
        "import yaml; yaml.load(text, Loader=yaml.Loader)",
        "from yaml import load; load(text)",
        "import torch; torch.load(path)",
        "import torch; torch.load(path, weights_only=False)",
        "import torch; torch.load(path, weights_only=flag)",
        "import torch; torch.load(path, **options)",
        "import torch as t; t.load(path)",
        "from torch import load; load(path)",
        "import torch; read = torch.load",
        "import torch; torch.serialization.load(path)",
        "import numpy as np; np.load(path, allow_pickle=True)",
        "import numpy as np; np.load(path)",
        "import numpy; numpy.load(path, allow_pickle=flag)",
        "def late():\n    np.load(path)\nimport numpy as np",
    ],
)
def test_each_banned_thing_is_caught(source):
    assert violations(source)


@pytest.mark.parametrize(
    "source",
    [
        "import torch; torch.load(path, weights_only=True)",
        "import numpy as np; np.load(path, allow_pickle=False)",
        "import json; json.load(file)",
        "from safetensors.torch import load; load(data)",
        "import yaml; yaml.safe_load(text)",
        "network.eval()",
        "'eval(x)'",
    ],
)
def test_what_is_harmless_is_not(source):
    assert violations(source) == []
