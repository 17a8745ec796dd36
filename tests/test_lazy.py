"""Names of a package that are imported on first use, and old names."""

import os
import pickle
import subprocess
import sys
import threading
import warnings

import pytest

from naslab import errors, lazy

PACKAGE = """
from typing import TYPE_CHECKING
from naslab.lazy import attach
if TYPE_CHECKING:
    from parcel import sub
    from parcel.both import Other, both
    from parcel.late import Late
here = 1
__getattr__, __dir__ = attach(__name__, deprecated={"Old": "Late", "Far": "sub.thing", "Gone": "here"})
__all__ = ["Late", "Other", "both", "here", "sub"]
"""
MODULES = {
    "__init__": PACKAGE,
    "late": "import time\ntime.sleep(0.05)\nclass Late: pass\n",
    "sub": "thing = object()\n",
    "both": "class Other: pass\ndef both(): pass\n",
}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package that is imported lazily, new for each test; it is `sys.modules["parcel"]`."""
    folder = tmp_path / "parcel"
    folder.mkdir()
    for name, text in MODULES.items():
        (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(lazy, "_warned", set())
    import parcel

    yield parcel
    for name in [name for name in sys.modules if name.partition(".")[0] == "parcel"]:
        del sys.modules[name]


def test_a_name_is_imported_when_it_is_first_used(package):
    assert "parcel.late" not in sys.modules
    assert package.Late is sys.modules["parcel.late"].Late
    assert vars(package)["Late"] is package.Late


def test_a_submodule_is_an_attribute_without_having_been_imported(package):
    assert "parcel.sub" not in sys.modules
    assert package.sub is sys.modules["parcel.sub"]


@pytest.mark.parametrize("first", ["from parcel.both import Other", "import parcel.both", "from parcel import Other"])
def test_a_function_with_the_name_of_its_module_is_meant_by_it_whatever_is_imported_first(package, first):
    exec(first, {})
    module = sys.modules["parcel.both"]
    assert package.both is module.both
    assert package.Other is module.Other
    package.both = replaced = object()
    assert package.both is replaced


def test_dir_and_the_star_know_what_is_not_imported_yet(package):
    assert {"Late", "Other", "both", "here", "sub", "__name__"} <= set(dir(package))
    assert "Old" not in dir(package)
    names = {}
    exec("from parcel import *", names)
    assert names["Late"] is package.Late


def test_an_unknown_name_is_an_attribute_error_that_python_can_help_with(package):
    with pytest.raises(AttributeError, match="module 'parcel' has no attribute 'Lat'") as caught:
        package.Lat  # noqa: B018
    assert caught.value.name == "Lat"
    assert caught.value.obj is package


def test_threads_that_are_first_together_get_one_class(package):
    ready, found = threading.Barrier(8), []

    def use():
        ready.wait()
        found.append(package.Late)

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(map(id, found))) == 1


@pytest.mark.parametrize(("old", "new"), [("Old", "Late"), ("Far", "sub.thing"), ("Gone", "here")])
def test_an_old_name_gives_the_same_object_and_warns_once(package, old, new):
    with pytest.warns(errors.NaslabDeprecationWarning) as caught:
        first = getattr(package, old)
    assert str(caught[0].message) == f"parcel.{old} is now called parcel.{new}; the old name goes with the next version"
    assert caught[0].filename == __file__
    assert getattr(package, old) is first  # a second warning would be an error here
    assert old not in vars(package)
    value = package
    for part in new.split("."):
        value = getattr(value, part)
    assert value is first


def test_importing_an_old_name_warns_once_and_names_the_line(package):
    with pytest.warns(errors.NaslabDeprecationWarning) as caught:
        from parcel import Old
    assert [warning.filename for warning in caught] == [__file__]
    assert Old is package.Late


def test_where_warnings_are_errors_each_use_of_an_old_name_is_one(package):
    for _ in range(2):
        with warnings.catch_warnings(), pytest.raises(errors.NaslabDeprecationWarning):
            warnings.simplefilter("error")
            package.Old  # noqa: B018


def test_a_script_shows_the_warning_without_being_asked_to(package):
    run = subprocess.run(
        [sys.executable, "-c", "import parcel.late, parcel; parcel.Old; parcel.Old"],
        cwd=package.__path__[0] + "/..",
        env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stderr.count("NaslabDeprecationWarning: parcel.Old is now called parcel.Late") == 1


def test_a_class_of_a_notebook_that_names_a_package_travels():
    """cloudpickle sends the class with the globals that its methods use, `nl` among them."""
    import cloudpickle

    space = {"__name__": "a_notebook"}
    exec("import naslab as nl\nclass Mine:\n    def found(self):\n        return nl.tasks", space)
    again = pickle.loads(cloudpickle.dumps(space["Mine"]()))
    assert again.found() is sys.modules["naslab.tasks"]


def test_an_old_name_is_no_name_of_today(package):
    with pytest.raises(ValueError, match="parcel: Late cannot be both"):
        lazy.attach("parcel", deprecated={"Late": "here"})


def test_a_package_without_its_source_says_so(package, monkeypatch):
    monkeypatch.setattr(package.__spec__.loader, "get_source", lambda name: None)
    with pytest.raises(ImportError, match="parcel was installed without its source"):
        lazy.attach("parcel")
