"""Data sets of torchvision, of Hugging Face, and of one's own."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Subset, TensorDataset
from torchvision import datasets

from naslab.errors import DataError
from naslab.tasks import Images

X = np.random.default_rng(0).integers(0, 256, (20, 3, 8, 9), dtype=np.uint8)
PIL = [Image.fromarray(x.transpose(1, 2, 0)) for x in X]


class Items:
    """A data set whose item a function makes."""

    def __init__(self, item, count=20, **attributes):
        self.item, self.count = item, count
        self.__dict__.update(attributes)

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        return self.item(index)


def plain(dataset, **options):
    """The task, whose images must be X and whose labels 0, 1, 0, ..."""
    task = Images.from_dataset(dataset, dataset, **options)
    for part in (task.train, task.test):
        assert torch.equal(part.images, torch.from_numpy(X))
        assert torch.equal(part.labels, torch.arange(20) % 2)
    return task


# --- dictionaries and tuples ---------------------------------------------------------------------------


@pytest.mark.parametrize("image", ["image", "img", "pixel_values", "picture"])
@pytest.mark.parametrize("label", ["label", "labels", "fine_label", "target"])
def test_items_may_be_dictionaries(image, label):
    plain(Items(lambda index: {"id": index, image: PIL[index], label: index % 2}))


def test_a_dictionary_that_says_several_things_is_asked_about():
    cifar = Items(lambda index: {"img": PIL[index], "fine_label": 7, "coarse_label": index % 2})
    with pytest.raises(
        DataError, match=r"dict.*img, fine_label, coarse_label, and the label may be 'fine_label' or 'co"
    ):
        Images.from_dataset(cifar)
    plain(cifar, label="coarse_label")
    with pytest.raises(DataError, match=r"item 0 of the data set has no 'coarse'; it has the keys img, fine_label"):
        Images.from_dataset(cifar, label="coarse")
    odd = Items(lambda index: {"scan": PIL[index], "finding": index % 2})
    with pytest.raises(DataError, match=r"the keys scan, finding, and the image is under none .*image='scan'"):
        Images.from_dataset(odd)
    plain(odd, image="scan", label="finding")


def test_names_of_classes_come_from_the_data_set():
    label = SimpleNamespace(names=["cat", "dog"])
    item = lambda index: {"image": PIL[index], "label": index % 2}  # noqa: E731
    assert plain(Items(item, features={"image": None, "label": label})).class_names == ("cat", "dog")
    named = Items(item, classes=["cat", "dog"])
    assert plain(named).class_names == ("cat", "dog")
    assert plain(Subset(named, range(20))).class_names == ("cat", "dog")
    assert plain(Items(item, classes=2)).class_names == ("0", "1"), "a number is no list of names"
    text = Items(lambda index: (PIL[index], ("cat", "dog")[index % 2]))
    assert plain(text, class_names=["cat", "dog"]).class_names == ("cat", "dog")
    assert Images.from_dataset(text).class_names == ("cat", "dog")


def test_further_members_of_an_item_are_left_out():
    task = plain(Items(lambda index: (PIL[index], index % 2, index, "more")))
    assert "of 4 members of each item the first is the image, the second the label" in repr(task)
    plain(Items(lambda index: (index, PIL[index], index % 2)), image=1, label=2)
    for key, message in ((9, "no 9; it has 2 members"), ("y", "no 'y'; it has 2 members")):
        with pytest.raises(DataError, match=message):
            Images.from_dataset(Items(lambda index: (PIL[index], 1)), label=key)


@pytest.mark.parametrize(
    "label",
    [
        lambda index: torch.tensor(index % 2),
        lambda index: np.array([index % 2]),
        lambda index: bool(index % 2),
        lambda index: float(index % 2),
    ],
)
def test_forms_of_a_label(label):
    plain(Items(lambda index: (PIL[index], label(index))))


# --- images ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tensor", [torch.from_numpy, np.asarray], ids=["tensor", "array"])
def test_layouts_of_single_images_are_recognised_and_said(tensor):
    first = Items(lambda index: (tensor(X[index]), index % 2))
    last = Items(lambda index: (tensor(np.ascontiguousarray(X[index].transpose(1, 2, 0))), index % 2))
    said, silent = (first, last) if tensor is np.asarray else (last, first)
    plain(silent)
    with pytest.warns(
        UserWarning, match=r"images \[.*\] of the (data|test) set are read as \[.*\] \(layout='N...' says so"
    ) as w:
        task = plain(said)
    assert len(w) == 2, "once a data set"
    assert "of the data set are read as" in repr(task)
    for dataset, layout in ((first, "NCHW"), (last, "NHWC"), (first, "CHW"), (last, "HWC")):
        Images.from_dataset(dataset, layout=layout)
    odd = Items(lambda index: (tensor(np.zeros((3, 4, 3), np.uint8)), index % 2))
    assert Images.from_dataset(odd).input_shape == ((3, 3, 4) if tensor is np.asarray else (3, 4, 3)), "as ever"


def test_lists_of_numbers_and_wide_floats_are_images():
    lists = Items(lambda index: {"pixel_values": (X[index] / 255).tolist(), "label": index % 2})
    with pytest.warns(UserWarning, match="read as"):
        task = Images.from_dataset(lists)
    assert (task.train.images.dtype, task.input_shape) == (torch.float32, (3, 8, 9))
    task = Images.from_dataset(TensorDataset(torch.from_numpy(X).double(), torch.arange(20) % 2))
    assert task.train.images.dtype == torch.float32


def test_grey_pictures_among_coloured_ones_become_coloured():
    for first in (0, 1):
        mixed = Items(lambda index, first=first: (PIL[index].convert(("L", "RGB")[(index + first) % 2]), index % 2))
        task = Images.from_dataset(mixed, Items(lambda index: (PIL[index], index % 2)))
        grey = [index for index in range(20) if (index + first) % 2 == 0]
        assert torch.equal(task.train.images[grey][:, 0], task.train.images[grey][:, 2])
        other = [index for index in range(20) if index not in grey]
        assert torch.equal(task.train.images[other], torch.from_numpy(X)[other])


# --- what is refused ---------------------------------------------------------------------------------------


def broken(index):
    if index == 7:
        raise KeyError("lost")
    return PIL[index], index % 2


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (Items(broken), r"item 7 of the data set cannot be read as \(image, label\): KeyError: 'lost'"),
        (Items(lambda index: next(iter(()))), "item 0 .*StopIteration"),
        (Items(lambda index: PIL[index]), "it is <class 'PIL.Image.Image'>; give items that are such pairs"),
        (Items(lambda index: (PIL[index],)), "such pairs"),
        (Items(lambda index: "ab"), "such pairs"),
        (Items(lambda index: (PIL[index], np.eye(2)[index % 2])), r"one-hot labels become numbers by argmax\(1\)"),
        (Items(lambda index: (PIL[index], {"boxes": []})), "it holds dict"),
        (Items(lambda index: (PIL[index], None)), "20 of 20 labels in y are missing"),
        (Items(lambda index: (torch.zeros(3, 4, 4, dtype=torch.int64), 1)), "image 0 of the data set must be uint8"),
        (Items(lambda index: {"image": {"bytes": b""}, "label": 1}), "image 0 of the data set is neither .*dict"),
        (
            Items(lambda index: {"image": PIL[0]} if index else {"image": PIL[0], "label": 1}),
            "item 1 .* has no 'label'",
        ),
        (
            {"train": [], "test": []},
            r"dictionary of train, test; give .*from_dataset\(data\['train'\], data\['test'\]\)",
        ),
        (DataLoader(Items(broken)), "give the data set itself, loader.dataset"),
        (None, "must have a length"),
    ],
)
def test_data_sets_that_are_none_are_refused(dataset, message):
    with pytest.raises(DataError, match=message):
        Images.from_dataset(dataset)


def test_the_file_of_an_item_that_cannot_be_read_is_named(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for number in range(4):
            PIL[number].save(tmp_path / name / f"{number}.png")
    bad = tmp_path / "dog" / "2.png"
    bad.write_bytes(bad.read_bytes()[:100])
    folder = datasets.ImageFolder(tmp_path)
    inside = Subset(Subset(folder, [0, 6, 5]), [2, 1])
    for dataset, index in ((folder, 6), (Subset(folder, [5, 6]), 1), (inside, 1)):
        with pytest.raises(DataError, match=rf"item {index} of the data set .*\(file {bad}\)"):
            Images.from_dataset(dataset)
