"""The LSTM that found cells are held against: the published equations, and the size that is asked for."""

import pytest
import torch
from torch.testing import assert_close

from naslab.errors import SpecError
from naslab.networks import Dropouts, LSTMLanguageModel, parameters
from naslab.networks.lstm import _size
from naslab.randomness import seeded, torch_generator

WITHOUT = Dropouts(0, 0, 0, 0, 0)


def model(dropouts=WITHOUT):
    with seeded("lstm"):
        return LSTMLanguageModel(7, hidden=6, dropouts=dropouts).double()


def tokens():
    return torch.randint(7, (5, 4), generator=torch_generator("tokens"))


def test_it_is_an_lstm_with_one_matrix_at_either_end():
    network, read = model(), tokens()
    h = c = torch.zeros(5, 6, dtype=torch.float64)
    w, r, *biases = network.lstm.parameters()
    logits = []
    for step in range(4):
        i, f, g, o = (network.embedding[read[:, step]] @ w.t() + h @ r.t() + sum(biases)).chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        logits.append(h @ network.embedding.t() + network.bias)
    outputs = network((read, None))
    assert_close(outputs.logits, torch.stack(logits, 1))
    assert_close(outputs.state, (h, c))


def test_a_state_goes_on_where_the_chunk_before_ended():
    network, read = model(Dropouts()).eval(), tokens()
    first = network((read[:, :3], None))
    assert_close(network((read[:, 3:], first.state)).logits, network(read).logits[:, 3:])
    with pytest.raises(SpecError, match=r"pair \(h, c\)"):
        network((read, first.state[:1]))


def test_dropout_takes_the_same_units_at_every_step():
    outputs = model(Dropouts(0.5, 0, 0, 0, 0))(tokens())
    gone = outputs.dropped == 0
    assert torch.equal(gone, gone[:, :1].expand_as(gone))
    assert 0 < gone.double().mean() < 1


@pytest.mark.parametrize(("wanted", "words"), [(22_960_000, 10_000), (33_127_878, 33_278), (100_000, 65), (40, 11)])
def test_the_nearest_size_is_found(wanted, words):
    with torch.device("meta"):
        network = LSTMLanguageModel.of_size(wanted, words, dropouts=WITHOUT)
    found = parameters(network)
    assert found == _size(network.hidden, words)
    others = [_size(hidden, words) for hidden in (network.hidden - 1, network.hidden + 1)]
    assert all(abs(found - wanted) <= abs(other - wanted) for other in others)


def test_a_size_too_small_is_refused():
    with pytest.raises(SpecError, match="from 38 up"):
        LSTMLanguageModel.of_size(37, 11, dropouts=WITHOUT)
