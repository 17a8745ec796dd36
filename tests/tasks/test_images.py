import copy
import json
import pickle

import numpy as np
import pytest
import torch

from naslab import tasks
from naslab.errors import DataError, SpecError
from naslab.randomness import torch_generator
from naslab.tasks import Augmentation, Images, ImageSet

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (60, 3, 8, 8), dtype=np.uint8)
Y = np.arange(60) % 3


# --- from arrays ------------------------------------------------------------------------------------


def test_own_arrays_in_two_lines():
    task = Images.from_arrays(X, Y, classes=10)
    assert task.input_shape == (3, 8, 8)
    assert (task.classes, task.class_names) == (10, tuple("0123456789"))
    assert (len(task.train), len(task.test)) == (48, 12)
    assert task.train.images.dtype == torch.uint8, "bytes stay bytes in memory"
    assert "48 + 12 images of 3x8x8, 10 classes" in repr(task)


@pytest.mark.parametrize(
    ("x", "shape", "dtype"),
    [
        (X[:, 0], (1, 8, 8), torch.uint8),
        (torch.from_numpy(X), (3, 8, 8), torch.uint8),
        (X / 255.0, (3, 8, 8), torch.float32),
        (torch.from_numpy(X).half(), (3, 8, 8), torch.float32),
        (np.flip(X, 3), (3, 8, 8), torch.uint8),
    ],
)
def test_what_is_accepted(x, shape, dtype):
    task = Images.from_arrays(x, torch.from_numpy(Y).to(torch.int32))
    assert task.input_shape == shape
    assert task.train.images.dtype == dtype
    assert task.classes == 3


def test_every_image_is_in_one_of_the_two_parts_with_its_own_label():
    task = Images.from_arrays(np.arange(60, dtype=np.uint8)[:, None, None] * np.ones((1, 2, 2), np.uint8), Y)
    first_pixels = torch.cat([part.images[:, 0, 0, 0] for part in (task.train, task.test)])
    labels = torch.cat([task.train.labels, task.test.labels])
    assert sorted(first_pixels.tolist()) == list(range(60))
    assert torch.equal(labels, first_pixels.long() % 3)


def test_the_split_is_seeded():
    one, same, other = (Images.from_arrays(X, Y, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(one.test.images, same.test.images)
    assert not torch.equal(one.test.images, other.test.images)
    assert one.fingerprint() == same.fingerprint() != other.fingerprint()


def test_a_given_test_set_is_taken_as_it_is():
    task = Images.from_arrays(X[:40], Y[:40], test=(X[40:], Y[40:]), class_names=["a", "b", "c"])
    assert torch.equal(task.train.images, torch.from_numpy(X[:40]))
    assert torch.equal(task.test.labels, torch.from_numpy(Y[40:]))
    assert task.class_names == ("a", "b", "c")


def test_later_changes_of_the_array_do_not_reach_the_task():
    x = X.copy()
    task = Images.from_arrays(x, Y, test=(X, Y))
    x[:] = 0
    assert torch.equal(task.train.images, torch.from_numpy(X))


BAD = [
    (X[:0], Y[:0], {}, "empty"),
    (X, np.zeros(60, int), {}, "at least two classes"),
    (X, Y, {"classes": 2}, "go from 0 to 1; the largest .* label is 2; give classes=3"),
    (X, Y, {"classes": 1}, "at least two classes"),
    (X, Y, {"classes": -3}, "classes"),
    (X, Y, {"classes": "three"}, "whole number"),
    (X, Y - 1, {}, "smallest one is -1"),
    (X, np.eye(3, dtype=int)[Y], {}, r"\[60, 3\].*argmax"),
    (X, Y[:50], {}, r"60 images came with labels of shape \[50\]"),
    (X.reshape(60, -1), Y, {}, r"\[N, C, H, W\].*\[60, 192\]"),
    (X[..., :0], Y, {}, r"\[60, 3, 8, 0\]"),
    (X.astype(np.int64), Y, {}, r"uint8 .*int64.*astype\('uint8'\)"),
    (X > 5, Y, {}, "uint8 .*bool"),
    (np.where(X[7, 0, 0, 0] == X, np.nan, X / 255), Y, {}, "finite.*NaN or infinity"),
    (np.where(X[7, 0, 0, 0] == X, np.inf, X / 255), Y, {}, "finite"),
    (X * 1e300, Y, {}, "finite"),
    ("pictures", Y, {}, "x must be a torch tensor or a NumPy array"),
    (X, ["a"] * 60, {}, "at least two classes"),
    (X, Y, {"test_fraction": 0}, "test_fraction=0"),
    (X, Y, {"test_fraction": 1.5}, "test_fraction=1.5"),
    (X[:2], Y[:2], {}, "of 2 images"),
    (X, Y, {"class_names": ["a"], "classes": 3}, "3 classes need 3 class_names, not 1"),
    (X, Y, {"test": (X[:, :1], Y)}, "alike"),
    (X, Y, {"test": X}, "pair"),
    (X, Y, {"test": (X, Y + 1), "classes": 3}, "largest test label is 3"),
    (X.transpose(0, 2, 3, 1)[:, :5, :5], Y, {}, r"\[60, 5, 5, 3\] may be \[N, C, H, W\], 5 .* or looks like .*layout="),
    (X, Y, {"layout": "NWHC"}, "unknown layout 'NWHC'; did you mean 'NHWC'"),
    (X, Y, {"layout": "NHWC", "channels_first": True}, "contradict"),
    (X, Y, {"test_fraction": "a fifth"}, "test_fraction must be a number"),
    (X, Y, {"stratified": 1}, "stratified is True or False"),
    (X, Y + 1, {}, r"0 to 3, yet no image has the label 0; .* return_inverse=True\)\[1\], or give classes=4"),
    (X, Y * 5, {}, r"no image has the label 1, 2, 3, \.\.\.; relabel them 0 to 2"),
    (X, Y * 10**9, {}, "no image has the label"),
    (X[:10], np.arange(10), {}, "test images but no training images of the classes"),
    (X, Y, {"test": (X, Y + 3)}, "test images but no training images of the classes 3, 4, 5"),
    (X, Y, {"test": (X, Y + 3), "classes": 10}, "labels that no training image has, 3, 4, 5, so that they cannot"),
    (X, Y, {"classes": True}, "whole number"),
    (X, Y, {"classes": 3.0}, "whole number"),
]


@pytest.mark.parametrize(("x", "y", "options", "message"), BAD, ids=[case[-1][:25] for case in BAD])
def test_bad_input_is_refused_with_what_came_and_what_to_do(x, y, options, message):
    with pytest.raises(DataError, match=message):
        Images.from_arrays(x, y, **options)


def test_the_first_bad_image_is_named():
    x = X / 255
    x[[7, 9], 1, 2, 3] = np.nan
    with pytest.raises(DataError, match=r"2 of 60 images.*the first is image 7"):
        ImageSet(torch.from_numpy(x).float(), torch.from_numpy(Y))


# --- mini-batches -----------------------------------------------------------------------------------


@pytest.mark.parametrize("x", [X, (X / 255).astype(np.float32)], ids=["uint8", "float32"])
def test_training_images_are_normalised_by_their_own_mean_and_deviation(x):
    task = Images.from_arrays(x, Y)
    train, labels = task.batch(torch.arange(48))
    assert train.dtype == torch.float32
    assert torch.allclose(train.mean((0, 2, 3)), torch.zeros(3), atol=1e-5)
    assert torch.allclose(train.std((0, 2, 3), correction=0), torch.ones(3), atol=1e-5)
    assert torch.equal(labels, task.train.labels)
    test, _ = task.batch(torch.arange(12), split="test")
    expected = (task.test.images.double() - task.mean.double()[:, None, None]) / task.std.double()[:, None, None]
    assert torch.allclose(test.double(), expected, atol=1e-5), "the test set by the training set's"
    assert test.mean().abs() > 1e-4


def test_a_constant_channel_does_not_divide_by_zero():
    x = X.copy()
    x[:, 1] = 7
    batch, _ = Images.from_arrays(x, Y).batch(torch.arange(10))
    assert torch.equal(batch[:, 1], torch.zeros(10, 8, 8))


def test_augmentation_happens_for_a_generator_and_only_then():
    task = Images.from_arrays(X, Y, augmentation=Augmentation(padding=2, flip=True, cutout=3))
    indices = torch.arange(48)
    plain, _ = task.batch(indices)
    assert torch.equal(plain, task.batch(indices)[0])
    one, labels = task.batch(indices, augment=torch_generator(0))
    assert torch.equal(one, task.batch(indices, augment=torch_generator(0))[0])
    assert not torch.equal(one, task.batch(indices, augment=torch_generator(1))[0])
    assert not torch.equal(one, plain)
    assert torch.equal(labels, task.train.labels)
    assert (one == 0).any(), "what is cut out is 0, the mean colour"


def test_an_unknown_split_is_refused():
    with pytest.raises(DataError, match="did you mean 'test'"):
        Images.from_arrays(X, Y).batch(torch.arange(2), split="tests")


def test_halves_are_disjoint_seeded_and_whole():
    task = Images.from_arrays(X, Y)
    weights, architecture = task.split_train_valid(0)
    assert (len(weights), len(architecture)) == (24, 24)
    assert sorted(torch.cat([weights, architecture]).tolist()) == list(range(48))
    assert torch.equal(weights, task.split_train_valid(0)[0])
    assert not torch.equal(weights, task.split_train_valid(1)[0])
    assert len(task.split_train_valid(0, 0.75)[0]) == 36
    for fraction in (0, 1, -0.5, 0.001):
        with pytest.raises(DataError, match="cannot be split"):
            task.split_train_valid(0, fraction)


def test_loss_and_accuracy_of_known_logits():
    task = Images.from_arrays(X, Y)
    logits, y = torch.tensor([[0.0, 0, 0], [0, 5, 0], [9, 0, 0]]), torch.tensor([2, 1, 1])
    assert task.accuracy(logits, y) == 1 / 3
    expected = (np.log(3) + np.log(1 + 2 * np.exp(-5)) + np.log(np.exp(9) + 2)) / 3
    assert float(task.loss(logits, y)) == pytest.approx(expected, rel=1e-6)
    assert float(task.loss(logits, y, smoothing=0.3)) != pytest.approx(expected)


# --- changed tasks, and tasks in other processes ----------------------------------------------------


def test_a_subset_is_even_over_the_classes_seeded_and_part_of_the_whole():
    x = np.arange(200, dtype=np.uint8)[:, None, None] * np.ones((1, 2, 2), np.uint8)
    y = np.where(np.arange(200) < 150, 0, np.arange(200) % 3)  # mostly class 0
    task = Images.from_arrays(x, y)
    small = task.subset(30, 6)
    assert torch.bincount(small.train.labels).tolist() == [10, 10, 10]
    assert torch.equal(small.train.labels, torch.from_numpy(y)[small.train.images[:, 0, 0, 0].long()])
    assert torch.equal(small.train.images, task.subset(30, 6).train.images)
    assert not torch.equal(small.train.images, task.subset(30, 6, seed=1).train.images)
    assert small.fingerprint() != task.fingerprint()
    with pytest.raises(DataError, match="1 to 160 can be taken, not 161"):
        task.subset(161)


def test_the_fingerprint_sees_one_pixel_and_one_label():
    task = Images.from_arrays(X, Y, test=(X, Y))
    x, y = X.copy(), Y.copy()
    x[59, 2, 7, 7] ^= 1
    y[0] = 1
    prints = {Images.from_arrays(a, b, test=(X, Y)).fingerprint() for a, b in ((X, Y), (x, Y), (X, y))}
    assert len(prints) == 3
    assert task.fingerprint() in prints


def test_a_task_travels_whole():
    task = Images.from_arrays(X, Y, name="mine", augmentation=Augmentation(padding=1)).subset(20)
    for other in (pickle.loads(pickle.dumps(task)), copy.deepcopy(task)):
        assert other.spec() == task.spec()
        assert torch.equal(other.batch(torch.arange(5))[0], task.batch(torch.arange(5))[0])


def test_classes_that_are_given_may_be_empty():
    assert Images.from_arrays(X, Y + 1, classes=5, test=(X, Y + 1)).classes == 5
    assert Images.from_arrays(X, Y + 1, class_names=["none", "a", "b", "c"]).classes == 4


def test_numbers_may_be_numpys():
    one, two = np.int64(1), np.array(2)
    task = Images.from_arrays(X, Y, classes=np.uint8(3), seed=one, augmentation=Augmentation(padding=one))
    small = task.subset(np.int64(20), torch.tensor(6), seed=two)
    assert small.fingerprint() == Images.from_arrays(X, Y, seed=1).subset(20, 6, seed=2).fingerprint()
    assert json.loads(json.dumps(small.spec()))["subsets"] == [[20, 6, 2]]
    for count in (True, 20.0, np.True_, np.float64(20), "20"):
        with pytest.raises(DataError, match="train must be a whole number"):
            task.subset(count)


# --- from a spec ------------------------------------------------------------------------------------


def test_a_bundled_task_comes_back_from_json_as_it_was():
    task = tasks.Digits().subset(100, 50, seed=3).subset(80).augmented(cutout=2)
    again = tasks.from_spec(json.loads(json.dumps(task.spec())))
    assert again.spec() == task.spec()
    assert again.augmentation == Augmentation(padding=1, cutout=2)
    assert torch.equal(again.train.images, task.train.images)


def test_own_arrays_must_be_handed_over_again():
    task = Images.from_arrays(X, Y)
    with pytest.raises(DataError, match=r"not kept.*Search.open\(path, task=...\)"):
        tasks.from_spec(task.spec())
    again = tasks.from_spec(task.augmented(flip=True).spec(), task)
    assert again.augmentation.flip, "augmented as it was then"
    with pytest.raises(DataError, match="not the data that was used before"):
        tasks.from_spec(task.spec(), Images.from_arrays(X, Y, seed=1))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "digit"}, "did you mean 'digits'"),
        ({"task": 3}, "'task' and 'fingerprint'"),
        ({"colour": "red"}, "does not make sense"),
        ({"augmentation": {"blur": 1}}, "augmentation in the spec"),
        ({"augmentation": None}, "'task', 'fingerprint' and 'augmentation'"),
        ({"task": "cifar10", "root": "somewhere", "download": True}, "never downloads"),
    ],
)
def test_a_senseless_spec_is_refused(changes, message):
    with pytest.raises(SpecError, match=message):
        tasks.from_spec({**tasks.Digits().spec(), **changes})
