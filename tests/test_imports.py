"""What is imported when: naslab starts without torch, a search without what only some searches need."""

import os
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

import naslab as nl
from naslab.registry import Registry

ROOT = Path(__file__).parents[1]
HEAVY = {"IPython", "PIL", "cuda", "graphviz", "ipywidgets", "matplotlib", "networkx", "pandas", "plotly", "scipy"}
HEAVY |= {"sklearn", "torchvision", "torch.utils.flop_counter", "triton"}
"""Imported only by the functions that need them, wherever these stand."""
USUAL = "import naslab as nl; nl.Search, nl.searchers.Darts, nl.spaces.DartsCell, nl.tasks.FashionMNIST"
PACKAGES = ["naslab", "naslab_widgets"]
PACKAGES += [
    ".".join(path.parent.relative_to(root).parts)
    for root in (ROOT, ROOT / "widgets")
    for package in ("naslab", "naslab_widgets")
    for path in sorted((root / package).glob("*/**/__init__.py"))
    if "naslab.lazy import attach" in path.read_text()
]


def fresh(program):
    """What the program prints in a process that has imported nothing."""
    paths = os.pathsep.join([str(ROOT), str(ROOT / "widgets"), *sys.path])
    run = subprocess.run(
        [sys.executable, "-c", program],
        env={**{name: value for name, value in os.environ.items() if "WAIT" not in name}, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.split()


def test_naslab_is_imported_without_torch_and_settles_how_threads_wait_before_it():
    loaded = set(fresh("import naslab, os, sys; assert os.environ['OMP_WAIT_POLICY']; print(*sys.modules)"))
    assert "naslab.waiting" in loaded
    assert not loaded & (HEAVY | {"torch", "numpy", "naslab.runs", "naslab.searchers"})


def test_the_widgets_are_imported_without_torch_and_plotly():
    assert not set(fresh("import naslab_widgets, sys; print(*sys.modules)")) & (HEAVY | {"torch", "numpy"})


@pytest.mark.slow
def test_a_search_of_cells_and_its_view_load_no_library_that_only_others_need():
    program = (
        f"import sys; {USUAL}; print(*sys.modules); print('|'); from naslab_widgets import Lab; print(*sys.modules)"
    )
    words = fresh(program)
    search, view = set(words[: words.index("|")]), set(words[words.index("|") :])
    assert "torch" in search
    assert not search & (HEAVY - {"cuda"})  # torch itself asks which CUDA there is
    assert not search & {"naslab.searchers.enas", "naslab.spaces.flexibert", "naslab.benchmarks.nats_bench"}
    assert not view & (HEAVY - {"cuda", "IPython", "ipywidgets"})


@pytest.mark.slow
def test_threads_may_be_first_together_whatever_they_ask_for():
    program = f"""
import sys, threading
from importlib import import_module
sys.setswitchinterval(1e-5)
packages = {PACKAGES!r}
ready, found, failed = threading.Barrier(8), {{}}, []
def use(number):
    ready.wait()
    try:
        for package in packages[number:] + packages[:number]:
            module = import_module(package)
            names = module.__all__[number:] + module.__all__[:number]
            for name in names[::-1] if number % 2 else names:
                found.setdefault((package, name), set()).add(id(getattr(module, name)))
    except BaseException as error:
        failed.append(repr(error))
threads = [threading.Thread(target=use, args=(2 * number,)) for number in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert not failed, failed
assert all(len(ids) == 1 for ids in found.values()), found
print(len(found))
"""
    (count,) = fresh(program)
    assert int(count) > 300


def test_the_lazy_packages_are_found():
    assert {"naslab", "naslab.searchers", "naslab.spaces", "naslab_widgets.figures"} <= set(PACKAGES)


def test_type_checkers_are_told_that_the_wheel_is_typed():
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert set(wheel) == {"packages"}  # so that hatch leaves out nothing of these folders
    assert len(wheel["packages"]) == 2
    assert all((ROOT / package / "py.typed").is_file() for package in wheel["packages"])


@pytest.mark.parametrize("package", PACKAGES)
def test_all_names_are_there_for_the_star_and_for_the_tab_key(package):
    module = import_module(package)
    assert set(module.__all__) <= set(dir(module))
    names = {}
    exec(f"from {package} import *", names)
    assert {name for name in names if name != "__builtins__"} == set(module.__all__)
    assert all(names[name] is getattr(module, name) for name in module.__all__)


def test_jupyter_completes_what_is_not_imported_yet():
    jedi = pytest.importorskip("jedi")
    from IPython.core.completer import IPCompleter, provisionalcompleter

    for use_jedi in (False, True):
        completer = IPCompleter(namespace={"nl": nl}, global_namespace={})
        completer.use_jedi = use_jedi
        with provisionalcompleter():
            found = {completion.text.rpartition(".")[2] for completion in completer.completions("nl.searchers.Reg", 16)}
        assert "RegularizedEvolution" in found, (use_jedi, jedi.__version__)


REGISTRIES = {
    f"{package.__name__}.{name}": registry
    for package in (nl.searchers, nl.spaces, nl.benchmarks, nl.estimators, nl.tasks)
    for name, registry in vars(package).items()
    if isinstance(registry, Registry)
}


@pytest.mark.parametrize("where", REGISTRIES)
def test_a_name_in_a_spec_is_that_of_its_class(where):
    assert REGISTRIES[where]
    assert all(cls.name == name for name, cls in REGISTRIES[where].items())


def test_a_registry_imports_a_class_when_it_is_looked_up_and_takes_others(monkeypatch):
    registry = Registry("naslab.spaces", {"darts_cell": "DartsCell", "missing": "Missing"})
    assert "missing" in registry  # without importing it
    assert registry["darts_cell"] is nl.spaces.DartsCell
    with pytest.raises(AttributeError, match="registers the class 'Missing' under 'missing', and does not import it"):
        registry["missing"]
    with monkeypatch.context() as patch:
        patch.setitem(registry, "own", dict)
        assert registry["own"] is dict
        assert list(registry) == ["darts_cell", "missing", "own"]
    assert list(registry) == ["darts_cell", "missing"]
    assert repr(registry) == "Registry('naslab.spaces', {'darts_cell': 'DartsCell', 'missing': 'Missing'})"


@pytest.mark.slow
def test_workers_start_with_what_their_parent_has_imported():
    program = f"""
{USUAL}
def loaded():
    import sys
    return [*sys.modules]
if __name__ == "__main__":
    with nl.estimators.Workers(1) as workers:
        print(*workers.submit(loaded).result(100))
"""
    assert {"torch", "naslab.searchers.darts", "naslab.tasks.bundled"} <= set(fresh(program))


@pytest.mark.slow
def test_specs_are_understood_in_a_process_that_has_imported_nothing():
    program = """
import naslab as nl
table = nl.benchmarks.from_spec({"benchmark": "nasbench201"})
space = nl.spaces.from_spec({"space": "darts_cell", "nodes": 2})
print(type(table).__name__, type(space).__name__, nl.searchers.by_name("enas").__name__)
print(type(nl.spaces.from_spec(space.without({"normal/0/op_0": ["skip_connect"]}).spec())).__name__)
"""
    assert fresh(program) == ["NASBench201", "DartsCell", "Enas", "WithoutFixed"]
