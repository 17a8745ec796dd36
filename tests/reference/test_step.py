"""The docstring of DARTS names the functions that a step goes through: they are called so."""

import re
import sys

import pytest

import naslab as nl
from naslab.searchers import darts

LINE = re.compile(r" {4}((?:  )*)(\w+(?:\.\w+)?) {2,}(\S.*)")


def named(order):
    """(names of what it is called by, name) of each function in the docstring."""
    found, above = [], []
    for line in darts.__doc__.splitlines():
        if (match := LINE.fullmatch(line)) and match[2][0] != "_":
            depth, name, about = len(match[1]) // 2, match[2], match[3]
            if order == 2 or not about.startswith("order 2:"):
                above = [(d, each) for d, each in above if d < depth]
                found.append(([each for _, each in above], name))
                above.append((depth, name))
    return found


def called(function):
    """For each call inside the function, the names on the stack, the outermost first."""
    calls = []

    def watch(frame, event, arg):
        if event == "call" and "naslab" in frame.f_code.co_filename:
            stack = []
            while frame is not None:
                stack.append(frame.f_code.co_qualname.split(".<locals>")[0])
                frame = frame.f_back
            calls.append(stack[::-1])

    sys.setprofile(watch)
    try:
        function()
    finally:
        sys.setprofile(None)
    return calls


def inside(names, stack):
    rest = iter(stack)
    return all(name in rest for name in names)


@pytest.mark.parametrize("order", [1, 2])
def test_a_step_goes_through_the_functions_that_the_docstring_names(order, digits):
    space = nl.spaces.NASBench201(channels=2, cells=1)
    searcher = nl.searchers.Darts(space, digits, batch_size=8, epochs=1, order=order)
    lines = named(order)
    assert len(lines) == {1: 16, 2: 19}[order]
    calls = iter(called(searcher.advance))
    for above, name in lines:
        assert any(stack[-1] == name and inside([*above, name], stack) for stack in calls), (
            f"{name} is not called in {' > '.join(above) or 'a step'} after the functions named before it"
        )
