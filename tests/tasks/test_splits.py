"""Random parts in which every class is."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from naslab import tasks
from naslab.errors import DataError, SpecError
from naslab.tasks import Images, splits

Y = np.r_[np.arange(53) % 2, [2] * 5, [7, 7]]
X = np.arange(60, dtype=np.uint8)[:, None, None] * np.ones((1, 4, 4), np.uint8)


@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=12),
    st.floats(0.02, 0.98),
    st.integers(0, 5),
)
@settings(max_examples=60, deadline=None)
def test_each_class_is_divided_in_the_proportion_of_the_whole(sizes, fraction, seed):
    labels = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))[torch.randperm(sum(sizes))]
    count = max(1, round(len(labels) * fraction))
    parts = splits.stratified(labels, count, seed, "test")
    assert sorted(torch.cat(parts).tolist()) == list(range(len(labels)))
    first, second = (torch.bincount(labels[part], minlength=len(sizes)) for part in parts)
    for here, there, size in zip(first.tolist(), second.tolist(), sizes, strict=True):
        assert (here, there) == (1, 0) if size == 1 else here and there
    if min(sizes) > 1 and all(1 <= size * fraction <= size - 1 for size in sizes):
        assert len(parts[1]) == count
        exact = torch.tensor(sizes) * count / len(labels)
        assert (second - exact).abs().max() <= 1


def made(way, labels, **options):
    if way == "arrays":
        return Images.from_arrays(X[: len(labels)], labels, class_names=list("abcdefgh"), **options)
    items = [(torch.from_numpy(x), int(label)) for x, label in zip(X, labels, strict=False)]
    return Images.from_dataset(items, class_names=list("abcdefgh"), **options)


@pytest.mark.parametrize("way", ["arrays", "dataset"])
def test_a_rare_class_is_trained_tested_and_searched_with_whatever_the_seed(way):
    for seed in range(10):
        for fraction in (0.05, 0.2, 0.5):
            task = made(way, Y, seed=seed, test_fraction=fraction)
            assert set(task.train.labels.tolist()) == set(task.test.labels.tolist()) == {0, 1, 2, 7}
            for half in task.split_train_valid(seed, 0.1):
                assert {0, 1, 2} <= set(task.train.labels[half].tolist())


def test_the_split_is_drawn_from_the_seed():
    one, same, other = (made("arrays", Y, seed=seed) for seed in (0, 0, 1))
    assert one.fingerprint() == same.fingerprint() != other.fingerprint()
    assert torch.equal(one.split_train_valid(3)[0], same.split_train_valid(3)[0])
    assert not torch.equal(one.split_train_valid(3)[0], one.split_train_valid(4)[0])


@pytest.mark.parametrize("way", ["arrays", "dataset"])
def test_of_a_class_with_one_image_one_is_told(way):
    labels = np.r_[np.arange(20) % 2, [3]]
    for seed in range(5):
        with pytest.warns(UserWarning, match=r"a class has too few images .*: 'd' \(1 image\)") as caught:
            task = made(way, labels, seed=seed)
        assert [warning.filename for warning in caught] == [__file__], "said to whoever called"
        assert 3 in task.train.labels
        assert "few training images of c (0), d (1), e (0), ...; few test images of c (0), d (0)" in repr(task)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Images.from_arrays(X[:4], np.arange(4), classes=10)  # said to be wanted
    with pytest.warns(UserWarning, match=r"is read as|too few images") as caught:
        Images.from_arrays(X[:21, ..., None], labels, class_names="abcd")
    assert [str(warning.message).split()[0] for warning in caught] == ["x", "a"], "the layout and the class"


def test_of_a_class_with_one_picture_one_is_told(tmp_path):
    for name, count in (("cat", 5), ("dog", 5), ("rare", 1)):
        (tmp_path / name).mkdir()
        for number in range(count):
            Image.fromarray(X[number]).save(tmp_path / name / f"{number}.png")
    with pytest.warns(UserWarning, match=r"'rare' \(1 image\)") as caught:
        Images.from_folder(tmp_path)
    assert [warning.filename for warning in caught] == [__file__]


def test_without_stratification_chance_decides_as_it_did_at_first():
    drawn = {bool((made("arrays", Y, seed=seed, stratified=False).test.labels == 7).any()) for seed in range(20)}
    assert drawn == {True, False}


# --- runs that are there already ---------------------------------------------------------------------------

OLD_X = (np.arange(40 * 3 * 6 * 5) % 251).astype(np.uint8).reshape(40, 3, 6, 5)
OLD = {
    "task": "images",
    "augmentation": {"padding": 0, "flip": False, "cutout": 0},
    "fingerprint": "60c39781a7504091215f30502c91e373",
}
OLD_SUBSET = {
    "task": "images",
    "subsets": [[20, 5, 1]],
    "augmentation": {"padding": 0, "flip": True, "cutout": 0},
    "fingerprint": "690970dc3ef18e78eeced386d24dbe8e",
}


def test_a_run_that_was_recorded_before_splits_were_stratified_gets_the_data_of_then():
    task = Images.from_arrays(OLD_X, np.arange(40) % 3, seed=5)
    assert task.fingerprint() != OLD["fingerprint"]
    again = tasks.from_spec(OLD, task)
    assert again.spec() == OLD
    assert [half[:5].tolist() for half in again.split_train_valid(2)] == [[28, 11, 12, 6, 30], [0, 27, 24, 14, 29]]
    assert tasks.from_spec(OLD_SUBSET, task.subset(20, 5, seed=1)).spec() == OLD_SUBSET
    assert tasks.from_spec(task.spec(), task).spec() == task.spec()
    same = Images.from_arrays(OLD_X, np.arange(40) % 3, seed=5, stratified=False)
    assert tasks.from_spec(OLD, same).spec() == OLD
    with pytest.raises(DataError, match="not the data that was used before"):
        tasks.from_spec(OLD, Images.from_arrays(OLD_X, np.arange(40) % 3, seed=6))


def test_bundled_data_is_halved_as_ever():
    task = tasks.Digits()
    assert "stratified" not in task.spec()
    assert task.fingerprint() == "a8470a71309b3ecee2d757ed73344ea5"
    assert [half[:5].tolist() for half in task.split_train_valid(0)] == [
        [996, 832, 829, 534, 112],
        [235, 287, 471, 1011, 536],
    ]


def test_a_senseless_word_about_the_split_is_refused():
    with pytest.raises(SpecError, match="'stratified' in the spec of a task is true or false, not 'yes'"):
        tasks.from_spec({**OLD, "stratified": "yes"}, Images.from_arrays(OLD_X, np.arange(40) % 3))
