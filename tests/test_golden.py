"""The seeded searches of `benchmarks/golden.py` come to the numbers that they always came to."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

ROOT = Path(__file__).parents[1]
_spec = importlib.util.spec_from_file_location("golden", ROOT / "benchmarks" / "golden.py")
golden = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(golden)

EVERYWHERE = {
    "regularized evolution": "e02d6352a5d98d0367613b9f59dd7a21bcfe36ba04d62c9396103a0fa77a0b74",
    "random search": "6e79fd94bd8504db6a55355ef98685bf7423fd5429ead1ec9b8e8db07dc45f63",
    "local search": "37a891057a8bc4c81558b88f769791f36f65716bf1f186442cab5e0ec4ee5a6c",
    "hyperband": "f2f5f0cd830906a878e6c9c05d29fc0e63271e6a83a0e17531f06426a8bd3df9",
    "q learning": "fcaa40efae95367a4a56f581fdef66afc8bebfcb2ac92c20324805f1edbaa767",
    "race": "c32ebdc724343923c815b5db6807525def9dc78b19f24c05f59a8f93aeba69db",
}
"""Of searches on tables, which round no number as one processor does and another does not."""
SLOW = {
    *("reinforce", "darts", "darts second order", "darts exact", "snas", "enas micro"),
    *("evolution with training", "hyperband with training", "large-scale evolution with training"),
}
FEWER = 40
"""Images, which is a step an epoch: what repeats in a few steps is the same code that repeats in many."""


@pytest.mark.parametrize("name", EVERYWHERE)
def test_a_search_on_a_table_comes_to_the_same_everywhere(name):
    assert golden.golden(name)[0] == EVERYWHERE[name]


def test_every_table_search_has_its_hash_here():
    assert set(golden.TABLES) == set(EVERYWHERE)


def _param(name):
    return pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name


@pytest.mark.parametrize("name", [_param(name) for name in golden.OTHERS])
def test_a_search_done_twice_comes_to_the_same(name, monkeypatch):
    task = golden.digits(FEWER)
    monkeypatch.setattr(golden, "digits", lambda train=0: task)
    first = golden.golden(name)
    assert first[1] > 50
    assert golden.golden(name) == first


def test_every_bit_of_a_number_and_what_is_where_is_in_the_hash():
    values = [[1.0, "a"], [np.nextafter(1.0, 2), "a"], ["a", 1.0], [1.0, "a", None], [[1.0], "a"], [{"a": 1.0}]]
    values += [[np.array([1.0])], [np.array([1.0, 0.0])], [np.array([1.0]), np.array([0.0])]]
    hashes = [golden.hashed(each)[0] for each in values]
    assert len(set(hashes)) == len(values)
    same = {"b": np.float32(0.5), "a": torch.tensor([0.5])}
    assert golden.hashed([same]) == golden.hashed([{"a": np.array([0.5]), "b": 0.5}])
    layers = [torch.nn.Linear(2, 3), torch.nn.Linear(3, 2)]
    there, back = torch.nn.Sequential(*layers), torch.nn.ModuleDict({"x": layers[1], "y": layers[0]})
    before = golden.hashed(golden.weights(there))
    assert golden.hashed(golden.weights(back)) == before
    with torch.no_grad():
        layers[0].bias[0] += 1e-6
    assert golden.hashed(golden.weights(there)) != before


def test_what_differs_from_an_earlier_output_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(ROOT)

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["golden", *arguments])
        with pytest.raises(SystemExit) as end:
            golden.main()
        return end.value.code, capsys.readouterr().out

    code, before = run("race", "q learning")
    assert code == 0
    assert EVERYWHERE["q learning"] in before
    assert before.startswith("# machine ")
    earlier = tmp_path / "before.txt"
    earlier.write_text(before)
    assert run("race", "--expect", str(earlier))[0] == 0
    earlier.write_text(before.replace(EVERYWHERE["race"], "0" * 64))
    code, after = run("race", "q learning", "local search", "--expect", str(earlier))
    assert code == 1
    assert "# differs: race, local search (which" in after
    assert run("rce")[0] == 2
