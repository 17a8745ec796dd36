"""What decisions are called where people read them."""

import naslab as nl
from naslab_widgets.figures.wording import answers, question


def test_a_skip_is_a_question_with_a_yes():
    space = nl.spaces.EnasMacro(layers=4, channels=4)
    choices = {choice.name: choice.options for choice in space.each_choice()}
    assert question("chain/4/from_2") == "layer 4 reads 2"
    assert question("chain/4/from_0") == "layer 4 reads the stem"
    assert question("chain/4/op") == "layer 4 does"
    assert answers("chain/4/from_2", choices["chain/4/from_2"]) == ["no", "yes"]
    assert answers("chain/4/op", choices["chain/4/op"]) == list(choices["chain/4/op"])
    assert len({*map(question, choices)}) == len(choices), "no two are called the same"


def test_what_is_no_skip_of_a_chain_keeps_its_name():
    for name, options in (("cell/1/from_0", ("none", "skip")), ("chain/4/from_2x", (0, 1)), ("normal/2/op_0", (0, 1))):
        assert question(name) == name
        assert answers(name, options) == [str(option) for option in options]
    assert answers("chain/4/from_2", (0, 1, 2)) == ["0", "1", "2"]
    assert question("chain/<b>/from_2") == "chain/<b>/from_2"
