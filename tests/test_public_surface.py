"""All public names, in `public_surface.txt`: who adds, renames or removes one changes that file, knowingly.

python tests/test_public_surface.py > tests/public_surface.txt
"""

import ast
import inspect
import sys
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import pytest

import naslab
import naslab_widgets
from naslab_widgets import figures

FILE = Path(__file__).with_name("public_surface.txt")
MODULES = [
    naslab,
    *(value for name in naslab.__all__ if isinstance(value := getattr(naslab, name), ModuleType)),
    naslab_widgets,
    figures,
]


def public(module):
    """The names that a module lists, else those of the classes and functions that it defines."""
    listed = getattr(module, "__all__", None)
    if listed is None:
        own = (name for name, value in vars(module).items() if getattr(value, "__module__", None) == module.__name__)
        listed = [name for name in own if not name.startswith("_")]
    return sorted(listed)


def surface():
    """The text of the file: a module, and its names below it."""
    return "\n".join("\n    ".join([module.__name__, *public(module)]) for module in MODULES) + "\n"


def documented(value, name, module):
    """True if somebody wrote a docstring: below the assignment, for what is not a class, function or module."""
    if isinstance(value, type):
        return bool(value.__doc__) and not value.__doc__.startswith(f"{value.__name__}(")  # as `dataclass` writes them
    if inspect.isroutine(value) or isinstance(value, ModuleType):
        return bool(value.__doc__)
    body, defined = definition(module.__name__, name)
    return any(
        isinstance(statement, ast.Assign | ast.AnnAssign)
        and defined in {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)}
        and isinstance(after, ast.Expr)
        and isinstance(after.value, ast.Constant)
        and isinstance(after.value.value, str)
        for statement, after in pairwise(body)
    )


def definition(module, name):
    """The statements of the module that assigns the name, and how it is called there; imports are followed."""
    tree = ast.parse(inspect.getsource(import_module(module)))
    for statement in ast.walk(tree):
        if isinstance(statement, ast.ImportFrom):
            for alias in statement.names:
                if name == (alias.asname or alias.name):
                    return definition(statement.module, alias.name)
    return tree.body, name


def test_the_public_names_are_those_of_the_file():
    text = FILE.read_text()
    assert surface() == text, f"write the public names anew, and look at the difference: {__doc__}"


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_each_public_name_is_found_and_has_a_docstring(module):
    values = {name: getattr(module, name) for name in public(module) if name != "__version__"}
    assert not [name for name, value in values.items() if not documented(value, name, module)]
    assert module.__doc__


def test_what_has_no_docstring_is_noticed():
    module = ModuleType("somewhere")

    class Undocumented:
        pass

    assert not documented(Undocumented, "Undocumented", module)
    assert not documented(lambda: None, "f", module)
    assert not documented(ModuleType("other"), "other", module)
    assert not documented(ROOTLESS, "ROOTLESS", sys.modules[__name__])


ROOTLESS = 1

if __name__ == "__main__":
    print(surface(), end="")
