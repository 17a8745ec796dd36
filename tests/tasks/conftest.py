"""Language models that several tests of tasks begin with."""

import pytest

from naslab.tasks import LanguageModel


@pytest.fixture(scope="session")
def verse():
    """Sixty times three lines of a few words."""
    text = "the cat sat on the mat\nthe dog sat on the log\n\n" * 60
    return LanguageModel.from_text(text, valid=0.1, test=0.1, bptt=7)


@pytest.fixture(scope="session")
def shakespeare():
    return LanguageModel.bundled("shakespeare")
