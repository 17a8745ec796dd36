"""The plain algorithms stay plain."""

from pathlib import Path

import pytest

import naslab.reference

FILES = sorted(Path(naslab.reference.__file__).parent.glob("*.py"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_an_algorithm_fits_on_a_page(file):
    lines = file.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 60


def test_each_is_named_in_the_overview():
    for file in FILES:
        assert file.stem in ("__init__", *(naslab.reference.__doc__ or "").replace("`", " ").split())
