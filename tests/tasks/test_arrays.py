"""Images and labels as arrays, tensors, lists and columns, in all the forms in which people have them."""

import warnings

import numpy as np
import pytest
import torch
from PIL import Image

from naslab.errors import DataError
from naslab.tasks import Images

Y = np.arange(20) % 2
X = np.random.default_rng(0).integers(0, 256, (20, 3, 8, 9), dtype=np.uint8)


# --- layouts -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 12, 13])
@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy, list], ids=["NumPy", "torch", "list"])
def test_channels_last_are_recognised_and_said(channels, kind):
    x = np.random.default_rng(0).integers(0, 256, (20, 2 * channels, 2 * channels + 1, channels), dtype=np.uint8)
    with pytest.warns(UserWarning, match=r"^x \[20, .*\] is read as \[N, H, W, C\].*layout='NCHW'") as caught:
        task = Images.from_arrays(kind(x), Y, test=(x.transpose(0, 3, 1, 2), Y))
    assert [warning.filename for warning in caught] == [__file__]
    assert task.input_shape == (channels, 2 * channels, 2 * channels + 1)
    assert torch.equal(task.train.images, task.test.images)
    assert "is read as [N, H, W, C]" in repr(task)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        asked = Images.from_arrays(kind(x), Y, layout="NHWC", test=(x, Y))
        assert asked.fingerprint() == task.fingerprint()
        other = Images.from_arrays(kind(x), Y, layout="NCHW")
        assert other.input_shape == (2 * channels, 2 * channels + 1, channels)
        assert Images.from_arrays(kind(x), Y, channels_first=True).fingerprint() == other.fingerprint()


@pytest.mark.parametrize(
    "shape", [(3, 8, 9), (13, 64, 64), (1, 1, 1), (8, 8, 8), (4, 9, 3), (9, 8, 6), (40, 20, 20), (2, 3, 4), (3, 3, 2)]
)
def test_everything_else_is_read_as_channels_first(shape):
    assert Images.from_arrays(np.zeros((20, *shape), np.uint8), Y).input_shape == shape


@pytest.mark.parametrize("shape", [(5, 5, 3), (7, 7, 4), (8, 1, 1), (8, 8, 6), (16, 16, 12), (8, 8, 13)])
def test_where_neither_reading_is_plausible_one_is_asked(shape):
    a, b, c = shape
    message = rf"may be \[N, C, H, W\], {a} channels of {b} x {c} .* \[N, H, W, C\], {c} channels of {a} x {b} pixels"
    with pytest.raises(DataError, match=rf"{message}; give layout='NCHW' or layout='NHWC'"):
        Images.from_arrays(np.zeros((20, *shape), np.uint8), Y)


def test_one_image_alone_is_asked_about():
    for shape in ((8, 8, 3), (3, 8, 8)):
        with pytest.raises(DataError, match=r"\[N, H, W\], . images of 8 x . pixels; if it is one image, .*x\[None\]"):
            Images.from_arrays(np.zeros(shape, np.uint8), [1])
    with pytest.raises(DataError, match=r"\[20, 784\]; rows of pixels become images by reshape\(-1, H, W\)"):
        Images.from_arrays(np.zeros((20, 784), np.uint8), Y)
    assert "x [20, 8, 9] is read as [N, H, W]: one channel" in repr(Images.from_arrays(X[:, 0], Y))


# --- kinds of numbers ----------------------------------------------------------------------------------


class Column:
    """What pandas' Series are to NumPy."""

    def __init__(self, values):
        self.values = np.empty(len(values), dtype=object)
        self.values[:] = values
        self.dtype, self.ndim = self.values.dtype, 1

    def __len__(self):
        return len(self.values)

    def __iter__(self):
        return iter(self.values)

    def __array__(self, dtype=None, copy=None):
        return self.values


@pytest.mark.parametrize(
    "x",
    [
        list(X),
        [torch.from_numpy(x) for x in X],
        Column(list(X)),
        X.astype(">f4"),
        X.astype(np.float16),
        torch.from_numpy(X).bfloat16(),
        torch.from_numpy(X).float().requires_grad_(),
        torch.from_numpy(X).float().to_sparse(),
        X[:, ::-1][:, ::-1],
        np.asfortranarray(X),
        [Image.fromarray(x.transpose(1, 2, 0)) for x in X],
        Column([Image.fromarray(x.transpose(1, 2, 0)) for x in X]),
    ],
    ids=range(12),
)
def test_forms_of_the_same_images(x):
    task = Images.from_arrays(x, Y)
    plain = Images.from_arrays(X, Y)
    assert torch.equal(task.train.images.float(), plain.train.images.float())
    assert torch.equal(task.train.labels, plain.train.labels)
    assert task.train.images.is_contiguous()
    assert not task.train.images.requires_grad


def test_what_may_not_be_written_to_is_copied():
    x = X.copy()
    x.flags.writeable = False
    assert torch.equal(Images.from_arrays(x, Y, test=(X, Y)).train.images, torch.from_numpy(X))


def test_pil_images_of_many_modes_become_coloured_together():
    x = [
        Image.fromarray(x.transpose(1, 2, 0)).convert(("L", "RGB", "P", "1")[number % 4]) for number, x in enumerate(X)
    ]
    task = Images.from_arrays(x, Y, test=(X, Y))
    assert task.input_shape == (3, 8, 9)
    grey = torch.from_numpy(np.array(x[0]))
    assert torch.equal(task.train.images[0], grey.expand(3, -1, -1))
    assert torch.equal(task.train.images[1], torch.from_numpy(X[1]))
    assert Images.from_arrays(x[::4], Y[:5], test=(X[:, :1], Y)).input_shape == (1, 8, 9)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((20, 8, 8), np.uint16), r"astype\('float32'\) / 65535"),
        (np.zeros((20, 8, 8), bool), r"masks become images by astype\('float32'\)"),
        (np.zeros((20, 8, 8), complex), "complex"),
        (np.ma.masked_equal(np.zeros((20, 8, 8)), 0), "masked elements"),
        (["a.png"] * 20, "holds text; files of pictures are read by Images.from_folder"),
        (None, "holds NoneType"),
        (torch.zeros(20, 8, 8, device="meta"), "meta"),
        ([X[0]] * 19 + [X[0][:, :7]], r"image 0 of x is \[3, 8, 9\], image 19 is \[3, 7, 9\]; resize them"),
        ([Image.new("L", (4, 4)), X[0]], "image 1 is <class 'numpy.ndarray'>; give one kind"),
        ([Image.new("F", (4, 4))] * 20, "image 0 of x cannot be read: .*does not say which value is white"),
    ],
)
def test_images_that_are_none_are_refused(x, message):
    with pytest.raises(DataError, match=message):
        Images.from_arrays(x, Y)


# --- labels ----------------------------------------------------------------------------------------------

TEXT = np.array(["dog", "cat"])[Y]
STRINGS, GAPS = TEXT, np.array(["a", None] * 10, dtype=object)
if hasattr(np.dtypes, "StringDType"):  # from NumPy 2 on
    STRINGS, GAPS = TEXT.astype(np.dtypes.StringDType()), GAPS.astype(np.dtypes.StringDType(na_object=None))


class NAType:
    """Called like pandas' missing value."""


@pytest.mark.parametrize(
    "y",
    [
        Y[:, None],
        torch.from_numpy(Y)[:, None],
        Y == 1,
        list(Y == 1),
        Y.astype(float),
        torch.from_numpy(Y).bfloat16(),
        Y.astype(np.float16),
        torch.from_numpy(Y).half(),
        Y.astype(np.uint64),
        torch.from_numpy(Y).to(torch.uint16),
        [torch.tensor(int(y)) for y in Y],
        [[int(y)] for y in Y],
        tuple(Y.tolist()),
        Column(Y.tolist()),
        Column([float(y) for y in Y]),
        Column([bool(y) for y in Y]),
    ],
    ids=range(16),
)
def test_forms_of_the_same_labels(y):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        task = Images.from_arrays(X, y, test=(X, Y))
    assert task.train.labels.tolist() == Y.tolist()
    assert (task.train.labels.dtype, task.classes) == (torch.int64, 2)


@pytest.mark.parametrize(
    "y",
    [TEXT, TEXT.tolist(), TEXT.astype(object), TEXT.astype("S"), Column(TEXT.tolist()), TEXT[:, None], STRINGS],
    ids=range(7),
)
def test_text_names_the_classes_in_sorted_order(y):
    task = Images.from_arrays(X, y, test=(X, TEXT))
    assert task.class_names == ("cat", "dog")
    assert task.train.labels.tolist() == task.test.labels.tolist() == (1 - Y).tolist()
    given = Images.from_arrays(X, y, class_names=["dog", "bird", "cat"], test=(X, TEXT))
    assert given.train.labels.tolist() == (2 * Y).tolist()
    assert "2 classes: cat, dog" in repr(task)


@pytest.mark.parametrize(
    ("y", "options", "message"),
    [
        (Y[None], {}, r"not \[1, 20\]; one row becomes \[N\] by y.ravel\(\)"),
        (np.eye(2)[Y], {}, r"not \[20, 2\]; one-hot labels become numbers by argmax\(1\)"),
        (np.full((20, 3), 1 / 3), {}, r"rows of scores become numbers by argmax\(1\)"),
        (np.where(Y, np.nan, 1.0), {}, r"10 of 20 labels in y are NaN .* the first is that of image 1; leave out"),
        (Y * 0.5, {}, "0.5, that of image 1, is none; numbers on a scale are not classes"),
        (Y * 1e30, {}, r"1e\+30, that of image 1, is none"),
        (["a", None] * 10, {}, "10 of 20 labels in y are missing, the first is that of image 1"),
        (Column([1, NAType()] * 10), {}, "10 of 20 labels in y are missing"),
        (["a", ""] * 10, {}, "10 of 20 labels in y are empty"),
        (GAPS, {}, "10 of 20 labels in y are missing"),
        (["a", 1] * 10, {}, "it holds int, str"),
        ([{"box": 1}] * 20, {}, "it holds dict"),
        ([[1], [1, 2]] * 10, {}, "y must be a torch tensor or a NumPy array of labels, one an image"),
        (np.ma.masked_equal(Y, 1), {}, "masked elements"),
        (np.array(["2020-01-01", "2021-01-01"] * 10, "datetime64[D]"), {}, r"not datetime64.*np.unique"),
        (Y.astype(np.uint64) + np.uint64(2**63), {}, "the largest one is 9223372036854775809"),
        ([10**30, 1] * 10, {}, "whole numbers"),
        ("cat", {}, r"not \[\]; give one label an image"),
        (Y - 1, {}, "the smallest one is -1, and 10 of 20 are negative, the first is that of image 0; leave out"),
        (TEXT, {"class_names": ["cat", "cow"]}, "the label 'dog', which is none of class_names: .*known: cat, cow"),
        (TEXT, {"classes": 3}, "3 classes need 3 class_names, and the labels say 2: cat, dog"),
        (TEXT, {"test": (X, Y)}, "y holds text and test y numbers"),
        (TEXT, {"test": (X, np.where(Y, "cat", "cow"))}, "no training image has, cow, so that they cannot"),
    ],
)
def test_labels_that_are_none_are_refused(y, options, message):
    with pytest.raises(DataError, match=message):
        Images.from_arrays(X, y, **options)
