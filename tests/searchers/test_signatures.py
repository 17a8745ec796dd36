"""Help, signature and completion of a searcher list its hyperparameters, with their defaults."""

import dataclasses
import inspect
import pydoc
from dataclasses import dataclass
from typing import Any

import pytest

import naslab as nl
from naslab.searchers import SEARCHERS, RandomSearch


@pytest.mark.parametrize("searcher", SEARCHERS.values(), ids=SEARCHERS)
def test_every_hyperparameter_is_listed_with_its_default(searcher: Any):
    parameters = inspect.signature(searcher).parameters
    assert "space" in parameters
    assert parameters["seed"].default == 0
    assert not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    text = pydoc.render_doc(searcher, renderer=pydoc.plaintext)
    for field in dataclasses.fields(searcher.Hyperparameters):
        parameter = parameters[field.name]
        assert parameter.kind is parameter.KEYWORD_ONLY
        expected = field.default_factory() if field.default is dataclasses.MISSING else field.default
        assert parameter.default == expected
        assert f"{field.name} = {expected!r}: "[:60] in " ".join(text.replace("|", " ").split()), field.name
    assert inspect.getdoc(searcher).splitlines()[0].strip()


def test_help_says_what_a_hyperparameter_means():
    text = " ".join(inspect.getdoc(nl.searchers.Darts).split())
    described = "Order of the gradient. 1: the weights are constants (xi = 0); 2: it goes through one step of them."
    assert f"order = 1: {described}" in text
    assert "batch_size = 64: Examples in a mini-batch of either half" in text, "of the class above, too"
    assert text.startswith("DARTS of first or second order on any space with a supernet. Hyperparameters:")


def test_a_searcher_of_ones_own_has_it_too():
    space: dict[str, Any] = {"RandomSearch": RandomSearch, "dataclass": dataclass}
    exec(  # as if typed in, where there is no source to read
        "@dataclass(frozen=True, kw_only=True)\n"
        "class Settings:\n    width: int = 3\n    depth: int\n"
        "class Mine(RandomSearch):\n    name = 'mine'\n    Hyperparameters = Settings\n",
        space,
    )
    parameters = inspect.signature(space["Mine"]).parameters
    assert (parameters["width"].default, parameters["depth"].default) == (3, inspect.Parameter.empty)
    assert inspect.getdoc(space["Mine"]).splitlines()[-2:] == ["    width = 3", "    depth = required"]


def test_all_parts_of_the_library_are_offered():
    for name in ("networks", "operations", "searchers", "spaces"):
        assert name in nl.__all__
        assert inspect.ismodule(getattr(nl, name))
